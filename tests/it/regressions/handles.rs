//! Programs of two to four threads that use one loop's handles, wakers and ids as the fuzzer has it.
//!
//! A program is drawn from bytes; its threads do their operations to a live loop; at its end each task that
//! was ever spawned must have been accepted or refused, polled and dropped on the loop's thread, ended and
//! given out as the contract says, exactly once. What threads do to each other is not in the bytes: an input
//! that has found something may have to be run some times to find it again.
//!
//! A program ends *calmly*: first every wake must have led to a poll and every awaited end to its
//! awaiter, then everything is released, must end of itself, and the loop's counters must agree. Or it
//! ends as it is.

#[path = "handles/accounts.rs"]
mod accounts;
#[path = "handles/operations.rs"]
mod operations;
#[path = "handles/programs.rs"]
mod programs;
#[path = "handles/tasks.rs"]
mod tasks;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{
    Builder, Handle, JoinError, LoopThread, Shutdown, ShutdownReport, TaskGroup, TaskId,
};

use accounts::{Accounts, Claim, Event, Output, Record, lock};
pub(crate) use programs::Program;
use programs::{Draw, Op, TakeDown};

/// How long a program may take, on a slow and busy machine.
const LIMIT: Duration = Duration::from_secs(40);
/// How long one thing may take that has to come of itself.
const SOON: Duration = Duration::from_secs(20);

type Group = TaskGroup<Output>;

/// What the threads of a program share.
struct World {
    accounts: Arc<Accounts>,
    side: Mutex<Option<LoopThread>>,
    reports: Mutex<Vec<ShutdownReport>>,
    claims: Mutex<Vec<Claim>>,
    wakers: Mutex<Vec<(Waker, Arc<Record>)>>,
    group: Mutex<Option<Arc<Group>>>,
    given: Mutex<Vec<(TaskId, Result<Output, JoinError>)>>,
    group_asked: AtomicBool,
    /// Everybody may go on to the end.
    released: AtomicBool,
    /// How many threads are at something that ends without the help of others.
    busy: (Mutex<usize>, Condvar),
    /// What each thread is at; the last is the director.
    doing: Vec<Mutex<String>>,
}

impl Program {
    /// Draws one: `choose` gives a number below the limit that it is given.
    pub(crate) fn draw(choose: &mut dyn FnMut(u64) -> u64) -> Self {
        Draw(choose).program()
    }

    /// Runs it. Panics with what is wrong, or with who hangs where.
    pub(crate) fn run(&self) {
        let (ended, end) = mpsc::channel::<()>();
        let (world, stopped) = World::new(self);
        let (directs, program) = (world.clone(), self.clone());
        let director = thread::spawn(move || {
            let _ended = ended;
            directs.direct(&program, &stopped);
        });
        if end.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            world.accounts.faults.demand_none();
            panic!("hangs: thread by thread, the director last: {:#?}", world.doing);
        }
        director.join().expect("the director ends well");
        world.accounts.faults.demand_none();
    }
}

impl World {
    fn new(program: &Program) -> (Arc<Self>, mpsc::Receiver<()>) {
        let accounts = Arc::new(Accounts::default());
        let (begins, told) = (accounts.clone(), accounts.clone());
        let (stops, stopped) = mpsc::channel();
        let mut builder = Builder::new()
            .batch(program.batch)
            .blocking_threads(2)
            .on_start(move || {
                begins.loop_thread.set(thread::current().id()).map_err(|_| "twice".into())
            })
            .on_stop(move || drop(stops))
            .on_panic(move |panic| told.told(panic));
        if let Some(capacity) = program.capacity {
            builder = builder.capacity(capacity);
        }
        let side = builder.start().expect("a loop thread starts");
        accounts.faults.handle.set(side.handle().clone()).expect("one loop");
        let threads = program.threads.len();
        let world = Self {
            group: Mutex::new(Some(Arc::new(TaskGroup::new(side.handle())))),
            accounts,
            side: Mutex::new(Some(side)),
            reports: Mutex::default(),
            claims: Mutex::default(),
            wakers: Mutex::default(),
            given: Mutex::default(),
            group_asked: AtomicBool::new(false),
            released: AtomicBool::new(false),
            busy: (Mutex::new(threads), Condvar::new()),
            doing: (0..=threads).map(|_| Mutex::default()).collect(),
        };
        (Arc::new(world), stopped)
    }

    fn handle(&self) -> &Handle {
        self.accounts.faults.handle.get().expect("it was set")
    }

    fn direct(self: &Arc<Self>, program: &Program, stopped: &mpsc::Receiver<()>) {
        let at = |what: &str| *lock(&self.doing[program.threads.len()]) = what.to_owned();
        let start = |(n, ops): (usize, &Vec<Op>)| {
            let (world, ops) = (self.clone(), ops.clone());
            thread::spawn(move || world.act(n, &ops))
        };
        let threads: Vec<_> = program.threads.iter().enumerate().map(start).collect();
        at("waits for the threads");
        let idle = self.busy.1.wait_while(lock(&self.busy.0), |busy| *busy > 0);
        drop(idle.expect("no panic under the lock"));
        match &program.end {
            None => {
                at("waits for what was woken");
                self.demand_answers();
            }
            Some(how) => self.handle().shutdown(how.clone()),
        }
        at("waits for the threads to end");
        self.release();
        threads.into_iter().for_each(|thread| thread.join().expect("a thread ends well"));
        at("waits for each task");
        let calm = self.demand_rest();
        at("waits for the end of the loop");
        self.take_down(TakeDown::Shutdown(Shutdown::now()));
        let _ = stopped.recv(); // of the hook that runs last
        at("takes the ends of all tasks");
        self.audit(calm);
    }

    /// Each wake so far has led to a poll, and each end to its awaiter; soon.
    fn demand_answers(&self) {
        let records = lock(&self.accounts.records).clone();
        let due: Vec<_> = records.iter().map(|record| record.count(Event::Woken)).collect();
        let deadline = Instant::now() + SOON;
        for (record, due) in records.iter().zip(due) {
            loop {
                let ended = lock(&record.awaits).as_ref().is_some_and(|task| task.is_finished());
                let answered = record.count(Event::Seen) >= due && !ended;
                if answered || record.is_dropped() || self.handle().is_closed() {
                    break;
                }
                assert!(Instant::now() < deadline, "a wake is lost, of {due}: {record:?}");
                thread::yield_now();
            }
        }
    }

    fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        let records = lock(&self.accounts.records).clone();
        for waker in records.iter().filter_map(|record| lock(&record.waker).take()) {
            waker.wake();
        }
    }

    /// Released, every task ends of itself, and then the loop's counters agree; unless the loop ends.
    fn demand_rest(&self) -> bool {
        while self.join_last(SOON) {}
        let deadline = Instant::now() + SOON;
        let lives = || lock(&self.accounts.records).iter().any(|record| !record.is_dropped());
        while lives() || self.handle().metrics().live > 0 {
            assert!(Instant::now() < deadline, "not all end: {:?}", lock(&self.accounts.records));
            thread::yield_now();
        }
        while self.join_last(SOON) {} // what tasks had taken, and put back
        let calm = !self.handle().is_closed();
        if calm {
            self.accounts.audit_metrics(&self.handle().metrics());
        }
        calm
    }

    fn audit(&self, calm: bool) {
        let group = lock(&self.group).take();
        let dropped = group.is_none();
        while let Some(given) = group.as_ref().and_then(|group| group.join_next()) {
            lock(&self.given).push(given);
        }
        drop(group);
        for (id, result) in lock(&self.given).drain(..) {
            self.accounts.by_id(id).expect("a member").ended(result, &self.accounts.faults);
        }
        for (waker, _) in lock(&self.wakers).drain(..) {
            waker.wake(); // W4: of what has ended
        }
        self.release();
        let deadline = Instant::now() + SOON;
        while self.accounts.live() > 0 {
            while self.join_last(SOON) {}
            let left = self.accounts.live();
            assert!(Instant::now() < deadline, "{left} leaked: {:?}", lock(&self.accounts.records));
            thread::yield_now(); // a job may come to its end later than its loop
        }
        while self.join_last(SOON) {}
        let calm = calm && !self.group_asked.load(Ordering::Relaxed);
        self.accounts.audit_tasks(calm, dropped);
        let metrics = self.handle().metrics();
        self.accounts.audit_metrics(&metrics);
        self.accounts
            .faults
            .unless(metrics.queued == 0, || format!("{metrics:?} of an ended loop"));
        for report in lock(&self.reports).iter() {
            self.accounts.audit_report(report, calm);
        }
    }
}
