//! Running a scenario under many schedules; a loop on a thread of it; tasks that keep a record.

use std::env;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Mutex; // cloning a waker is a place where another thread may go on
use shuttle::thread::{self, ThreadId};
use shuttle::{Config, Runner};
use sideloop::bare::{Loop, Remote};

/// How many schedules of each kind, unless set.
const SCHEDULES: u64 = 2_000;
/// How many changes of priority the second kind makes.
const CHANGES: usize = 3;

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Runs `scenario` under random schedules, and under those that starve a thread until something is done.
pub(crate) fn explore(scenario: fn()) {
    let seed = setting("SHUTTLE_SEED", 7);
    let schedules = setting("SHUTTLE_SCHEDULES", SCHEDULES) as usize;
    let mut config = Config::new();
    config.stack_size = 1 << 17;
    let random = RandomScheduler::new_from_seed(seed, schedules);
    let starving = PctScheduler::new_from_seed(seed, CHANGES, schedules);
    let ran = [
        Runner::new(random, config.clone()).run(scenario),
        Runner::new(starving, config).run(scenario),
    ];
    assert_eq!(ran, [schedules; 2], "seed {seed}");
}

/// A number below `end`, drawn by the schedule.
pub(crate) fn below(end: usize) -> usize {
    use shuttle::rand::{Rng, thread_rng};
    thread_rng().gen_range(0..end)
}

/// A loop on the thread that made it. It counts its sleeps and what ends them.
pub(crate) struct Driven {
    bare: Option<Loop>,
    sleeps: usize,
    unparks: Arc<AtomicUsize>,
    busy: Arc<AtomicUsize>,
}

impl Driven {
    pub(crate) fn new() -> Self {
        let (me, unparks) = (thread::current(), Arc::new(AtomicUsize::new(0)));
        let count = unparks.clone();
        let unpark = move || {
            count.fetch_add(1, Ordering::SeqCst);
            me.unpark();
        };
        // What is idle from its beginning may be notified before its first turn.
        Self { bare: Some(Loop::new(unpark)), sleeps: 1, unparks, busy: Arc::default() }
    }

    pub(crate) fn remote(&self) -> Remote {
        self.bare().remote()
    }

    pub(crate) fn bare(&self) -> &Loop {
        self.bare.as_ref().expect("it has not ended")
    }

    /// Starts a thread; the loop's run lasts until the thread said that it is done.
    pub(crate) fn producer(&self, work: impl FnOnce(&Remote) + Send + 'static) -> Producer {
        let (remote, busy) = (self.remote(), self.busy.clone());
        busy.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            work(&remote);
            let last = async move {
                busy.fetch_sub(1, Ordering::SeqCst);
            };
            remote.spawn(last).detach();
        })
    }

    /// One turn. W3: a sleep is ended by one call of the hook at most.
    pub(crate) fn turn(&mut self) -> bool {
        let idle = self.bare.as_mut().expect("it has not ended").turn(0).idle;
        self.sleeps += usize::from(idle);
        let unparks = self.unparks.load(Ordering::SeqCst);
        assert!(unparks <= self.sleeps, "{unparks} unparks for {} sleeps", self.sleeps);
        idle
    }

    /// Turns and sleeps until all producers are done.
    pub(crate) fn run(&mut self) {
        while self.busy.load(Ordering::SeqCst) > 0 {
            if self.turn() && self.busy.load(Ordering::SeqCst) > 0 {
                thread::park();
            }
        }
    }

    pub(crate) fn end(&mut self) {
        self.bare = None;
    }

    /// When all handles, wakers and producers are gone: has the last cell let go of the run queues?
    pub(crate) fn demand_nothing_left(self) {
        let Self { bare, unparks, .. } = self;
        drop(bare);
        assert_eq!(Arc::strong_count(&unparks), 1, "a cell or the run queues were leaked");
    }
}

pub(crate) type Producer = thread::JoinHandle<()>;

/// Waits for the producers, after the loop has served them.
pub(crate) fn join_all(producers: Vec<Producer>) {
    for producer in producers {
        producer.join().expect("it does not panic");
    }
}

/// What happened to one task.
#[derive(Debug)]
pub(crate) struct Record {
    home: ThreadId,
    polls: AtomicUsize,
    wakes: AtomicUsize,
    drops: AtomicUsize,
    drops_elsewhere: AtomicUsize,
    outputs: AtomicUsize,
    outputs_dropped: AtomicUsize,
    open: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Record {
    pub(crate) fn new(home: ThreadId) -> Arc<Self> {
        let zero = AtomicUsize::default;
        Arc::new(Self {
            home,
            polls: zero(),
            wakes: zero(),
            drops: zero(),
            drops_elsewhere: zero(),
            outputs: zero(),
            outputs_dropped: zero(),
            open: zero(),
            waker: Mutex::default(),
        })
    }

    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs.load(Ordering::SeqCst)
    }

    /// Was the future dropped on another thread than the loop's?
    pub(crate) fn was_refused(&self) -> bool {
        self.drops_elsewhere.load(Ordering::SeqCst) > 0
    }

    /// Wakes the task, if it was polled.
    pub(crate) fn wake(&self) {
        let waker = self.waker.lock().expect("no poll panics").clone();
        if let Some(waker) = waker {
            self.wakes.fetch_add(1, Ordering::SeqCst);
            waker.wake();
        }
    }

    /// Lets a task end that waits for it, and wakes it.
    pub(crate) fn open(&self) {
        self.open.store(1, Ordering::SeqCst);
        self.wake();
    }

    /// Takes the waker out: so that nobody keeps the task's memory.
    pub(crate) fn forget(&self) {
        let waker = self.waker.lock().expect("no poll panics").take();
        drop(waker);
    }

    /// P6, W6: dropped once, at home unless it was refused; polled once for a spawn and each wake; an
    /// output is dropped once.
    pub(crate) fn demand_ended(&self) {
        let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        assert_eq!(of(&self.drops), 1, "{self:?}");
        assert!(of(&self.polls) <= of(&self.wakes) + 1, "{self:?}");
        assert!(of(&self.drops_elsewhere) == 0 || of(&self.polls) == 0, "{self:?}");
        assert_eq!(of(&self.outputs), of(&self.outputs_dropped), "{self:?}");
    }
}

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ready,
    /// Ready after so many polls, each of which wakes it.
    Yields(usize),
    /// Ready once it was opened.
    Waits,
    Stuck,
}

impl Kind {
    pub(crate) fn any() -> Self {
        [Self::Ready, Self::Yields(2), Self::Waits, Self::Stuck][below(4)]
    }
}

/// The future of a task that keeps a record.
pub(crate) struct Work {
    pub(crate) kind: Kind,
    pub(crate) record: Arc<Record>,
}

impl Future for Work {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let record = &self.record;
        let polls = record.polls.fetch_add(1, Ordering::SeqCst) + 1;
        if polls == 1 {
            *record.waker.lock().expect("no poll panics") = Some(cx.waker().clone());
        }
        let ready = match self.kind {
            Kind::Ready => true,
            Kind::Yields(most) => polls > most,
            Kind::Waits => record.open.load(Ordering::SeqCst) == 1,
            Kind::Stuck => false,
        };
        if ready {
            record.outputs.fetch_add(1, Ordering::SeqCst);
            return Poll::Ready(Output(record.clone()));
        }
        if matches!(self.kind, Kind::Yields(_)) {
            record.wakes.fetch_add(1, Ordering::SeqCst);
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.record.drops.fetch_add(1, Ordering::SeqCst);
        if thread::current().id() != self.record.home {
            self.record.drops_elsewhere.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Counts its drop.
#[derive(Debug)]
pub(crate) struct Output(Arc<Record>);

impl Drop for Output {
    fn drop(&mut self) {
        self.0.outputs_dropped.fetch_add(1, Ordering::SeqCst);
    }
}
