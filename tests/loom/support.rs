//! A loop small enough to be modelled: one thread, a list for a registry, parking by loom.

use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::error::JoinError;
use crate::id;
use crate::runtime::bells::Bells;
use crate::runtime::guards::record::Record;
use crate::runtime::parker::Parker;
use crate::runtime::thread_waker::ThreadWaker;
use crate::sync::Arc;
use crate::task::cell::Origin;
use crate::task::injection::Lane;
use crate::task::join::Join;
use crate::task::loop_side::LoopSide;
use crate::task::owned_task::OwnedTask;
use crate::task::run::{Ending, Ran};
use crate::task::run_queues::{Parked, RunQueues};
use crate::task::spawn::{Kind, NewTask};

pub(crate) fn origin() -> Origin {
    Origin { serial: id::draw(), location: Location::caller() }
}

/// As `loom::model`, with at most so many preemptions: for a model that would take minutes with more.
pub(crate) fn within(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let most = builder.preemption_bound.map_or(preemptions, |set| set.min(preemptions));
    builder.preemption_bound = Some(most);
    builder.check(f);
}

/// The loop, on the thread of the model that made it.
pub(crate) struct Model {
    pub(crate) side: LoopSide,
    live: RefCell<Vec<OwnedTask>>,
    unparks: StdArc<std::sync::atomic::AtomicUsize>,
    /// Where it sleeps, if not in loom's `park`.
    parker: Option<Parker>,
    /// Of its task that is guarded, if one is.
    record: RefCell<Option<StdArc<Record>>>,
}

impl Model {
    pub(crate) fn new() -> Self {
        let me = thread::current();
        Self::unparked_by(move || me.unpark(), None)
    }

    /// One that sleeps as a loop with its thread does.
    pub(crate) fn with_parker() -> Self {
        let parker = Parker::default();
        let bell = parker.clone();
        Self::unparked_by(move || bell.unpark(), Some(parker))
    }

    /// One that sleeps where it likes: the model says.
    pub(crate) fn with_bells(bells: Bells) -> Self {
        Self::unparked_by(move || bells.ring(), None)
    }

    fn unparked_by(unpark: impl Fn() + Send + Sync + 'static, parker: Option<Parker>) -> Self {
        let unparks = StdArc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = StdArc::clone(&unparks);
        let unpark = move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            unpark();
        };
        let side = LoopSide::new(Box::new(unpark));
        Self { side, live: RefCell::default(), unparks, parker, record: RefCell::default() }
    }

    pub(crate) fn run_queues(&self) -> Arc<RunQueues> {
        self.side.run_queues().clone()
    }

    /// How often a producer ended a sleep.
    pub(crate) fn unparks(&self) -> usize {
        self.unparks.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> Join<F::Output> {
        let (task, join) = self.side.spawn(future, (), origin());
        self.live.borrow_mut().push(task);
        join
    }

    /// A record of a task, as a loop keeps it: with one guard.
    pub(crate) fn record<T>(&self, join: &Join<T>) -> StdArc<Record> {
        let record = StdArc::new(Record::new(join.task()));
        record.guard();
        *self.record.borrow_mut() = Some(StdArc::clone(&record));
        record
    }

    /// A cancel of the guarded task has come.
    fn ask(&self) {
        let record = self.record.borrow().clone();
        if let Some(record) = record {
            record.ask();
        }
    }

    fn retire(&self, ending: Ending<'_>) {
        let mut live = self.live.borrow_mut();
        let at = live.iter().position(|task| task.id() == ending.id()).expect("it was registered");
        let task = live.swap_remove(at);
        drop(live);
        if let Some(record) = self.record.take() {
            record.end();
        }
        drop(ending.complete(task, &self.side));
    }

    fn take_in(&self) {
        for lane in [Lane::Known, Lane::Control, Lane::New] {
            let _ = self.side.look(lane, usize::MAX);
        }
        self.side.take_in_known(usize::MAX);
        while let Some(task) = self.side.take_in_new() {
            self.live.borrow_mut().push(task);
        }
        while let Some(task) = self.side.take_in_control() {
            if let Ran::Ended(ending, _) = self.side.run_now(&task) {
                drop(ending.complete(task, &self.side));
            }
        }
    }

    /// One turn.
    pub(crate) fn turn(&self) {
        let _entered = self.side.enter();
        self.side.resume();
        self.take_in();
        self.side.begin_batch(8);
        let mut batch = self.side.batch();
        while let Some(popped) = batch.next() {
            let ran = match popped.run() {
                Ran::Asked(asked) => {
                    self.ask();
                    asked.run(&self.side)
                }
                ran => ran,
            };
            if let Ran::Ended(ending, _) | Ran::Dropped(ending, _) = ran {
                self.retire(ending);
            }
        }
    }

    /// Turns and sleeps until `done`.
    pub(crate) fn run_until(&self, done: impl Fn() -> bool) {
        loop {
            self.turn();
            if done() {
                return;
            }
            if self.side.is_idle() {
                self.sleep();
            }
        }
    }

    /// Sleeps until a producer ends that, unless one has come already.
    pub(crate) fn sleep(&self) {
        if let Some(parker) = &self.parker {
            parker.sleep(&self.side, None);
        } else if self.side.park() == Parked::Asleep {
            while self.side.run_queues().is_parked() {
                thread::park();
            }
        }
    }

    /// The loop's end, as the scheduler makes it.
    pub(crate) fn close(&self) {
        let _entered = self.side.enter();
        self.end_all();
        self.take_in();
        for lane in [Lane::New, Lane::Control, Lane::Known] {
            self.side.close(lane);
        }
        self.take_in();
        self.end_all();
        self.side.resume();
        self.side.begin_batch(usize::MAX);
        let mut batch = self.side.batch();
        while let Some(popped) = batch.next() {
            assert!(matches!(popped.run(), Ran::Nothing), "everything has ended");
        }
    }

    fn end_all(&self) {
        loop {
            let Some(task) = self.live.borrow_mut().pop() else { return };
            let (ending, _) = self.side.out_of_turn(&task).abort();
            drop(ending.complete(task, &self.side));
        }
    }
}

/// Spawns from another thread.
pub(crate) fn spawn_remote<F>(run_queues: &Arc<RunQueues>, future: F) -> Join<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = NewTask::new(future, (), origin(), run_queues.clone(), Kind::Task);
    task.push(run_queues).unwrap_or_else(|task| task.end(JoinError::Closed))
}

/// A future that leaves its waker behind and is ready once `ready` says so.
pub(crate) struct Until<R> {
    pub(crate) waker: StdArc<std::sync::Mutex<Option<Waker>>>,
    pub(crate) ready: R,
}

impl<R: Fn() -> bool + Unpin> Future for Until<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = self.waker.lock().expect("no poll panics");
        if waker.is_none() {
            *waker = Some(cx.waker().clone());
        }
        if (self.ready)() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A waker that unparks a thread of the model. Loom tells if one is never dropped, by its `Arc`.
struct Unpark(thread::Thread, Arc<()>);

impl Wake for Unpark {
    fn wake(self: StdArc<Self>) {
        self.0.unpark();
    }
}

/// A fresh waker of this thread: no two of them are equal.
pub(crate) fn thread_waker() -> Waker {
    Waker::from(StdArc::new(Unpark(thread::current(), Arc::new(()))))
}

/// Joins, blocking this thread of the model; each poll brings another waker if `fresh`.
pub(crate) fn block_on<T>(join: &mut Join<T>, fresh: bool) -> Result<T, JoinError> {
    let mut waker = thread_waker();
    loop {
        if let Poll::Ready(outcome) = join.poll(&mut Context::from_waker(&waker)) {
            return outcome;
        }
        if fresh {
            waker = thread_waker();
            if let Poll::Ready(outcome) = join.poll(&mut Context::from_waker(&waker)) {
                return outcome;
            }
        }
        thread::park();
    }
}

/// Counts its drops, and says whether they were all on the thread that made it.
#[derive(Clone)]
pub(crate) struct Drops {
    count: Arc<AtomicUsize>,
    home: thread::ThreadId,
    elsewhere: Arc<AtomicUsize>,
}

impl Drops {
    pub(crate) fn new() -> Self {
        let count = || Arc::new(AtomicUsize::new(0));
        Self { count: count(), home: thread::current().id(), elsewhere: count() }
    }

    pub(crate) fn token(&self) -> Token {
        Token(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn elsewhere(&self) -> usize {
        self.elsewhere.load(Ordering::Acquire)
    }
}

/// One thing to be dropped.
pub(crate) struct Token(Drops);

impl Token {
    /// Never ready: for a future that holds one.
    pub(crate) fn is_whole(&self) -> bool {
        false
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if thread::current().id() != self.0.home {
            self.0.elsewhere.fetch_add(1, Ordering::AcqRel);
        }
        self.0.count.fetch_add(1, Ordering::AcqRel);
    }
}

/// Waits for a future, blocking this thread of the model as a join does.
pub(crate) fn wait_for<F: Future>(future: F) -> F::Output {
    let thread = StdArc::new(ThreadWaker::default());
    let waker = Waker::from(StdArc::clone(&thread));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread.wait(None);
    }
}
