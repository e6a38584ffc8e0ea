//! The workloads: the same code for every runtime.
//!
//! Each runs a number of batches and says how long that took. What happens on the loop is driven by
//! a task, not by the future of a `block_on`, because that is where a program spawns and joins.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::runtimes::{Aborts, AsyncExecutor, Pool, Runtime, Sideloop, Spawner, Tokio};
use crate::threads::{AsyncExecutorThread, Remote, SideloopThread, TokioThread};

/// How many tasks, wakes or messages a batch has.
const BATCH: usize = 1000;

/// Runs so many batches, and says how long it took.
pub(crate) type Run = Box<dyn FnMut(u64) -> Duration>;

/// One workload, for each runtime that can do it.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// How many operations a batch has.
    pub(crate) operations: u64,
    /// The share of tokio's time that sideloop is to stay within.
    pub(crate) aim: Option<f64>,
    pub(crate) peers: Vec<(&'static str, Run)>,
}

/// A workload of [`BATCH`] operations on each of these runtimes.
macro_rules! workload {
    ($name:expr, $aim:expr, $on:ident, [$($runtime:expr),*], $drive:expr) => {
        Workload {
            name: $name,
            operations: BATCH as u64,
            aim: $aim,
            peers: vec![$($on($runtime, $drive)),*],
        }
    };
}

/// All workloads. Every runtime is started once, and does all of its workloads.
pub(crate) fn all() -> Vec<Workload> {
    let mut workloads = on_the_loop();
    workloads.extend(from_another_thread());
    workloads
}

fn on_the_loop() -> Vec<Workload> {
    let s = &Rc::new(RefCell::new(Sideloop::new()));
    let t = &Rc::new(RefCell::new(Tokio::new()));
    let a = &Rc::new(RefCell::new(AsyncExecutor::new()));
    let p = &Rc::new(RefCell::new(Pool::new()));
    vec![
        workload!("spawn + join", Some(0.35), on, [s, t, a, p], spawn_and_join),
        workload!("self-wake, 1 task", Some(0.3), on, [s, t, a, p], |on, batches| {
            self_wake(on, 1, batches)
        }),
        workload!("self-wake, 1000 tasks", Some(0.3), on, [s, t, a, p], |on, batches| {
            self_wake(on, BATCH as u64, batches)
        }),
        workload!("ping-pong", None, on, [s, t, a, p], ping_pong),
        workload!("abort + join, all at once", Some(0.35), on, [s, t], abort_all),
        workload!("abort + join, one by one", Some(0.35), on, [s, t, a], abort_each),
    ]
}

fn from_another_thread() -> Vec<Workload> {
    let s = &Rc::new(SideloopThread::start());
    let t = &Rc::new(TokioThread::start());
    let a = &Rc::new(AsyncExecutorThread::start());
    let mut round_trip = workload!("call, round trip", None, beside, [s, t, a], round_trips);
    round_trip.operations = 1;
    vec![workload!("remote spawn", Some(0.8), beside, [s, t, a], remote_spawns), round_trip]
}

/// Has a runtime of this thread run `drive` as a task.
fn on<R: Runtime, F: Future<Output = Duration> + 'static>(
    runtime: &Rc<RefCell<R>>,
    drive: impl Fn(R::Spawner, u64) -> F + 'static,
) -> (&'static str, Run) {
    let runtime = runtime.clone();
    (R::NAME, Box::new(move |n| runtime.borrow_mut().run(|spawner| drive(spawner, n))))
}

/// Has this thread use a runtime of another one.
fn beside<R: Remote>(
    runtime: &Rc<R>,
    drive: impl Fn(&R, u64) -> Duration + 'static,
) -> (&'static str, Run) {
    let runtime = runtime.clone();
    (R::NAME, Box::new(move |n| drive(&runtime, n)))
}

/// Pending once, having woken its own task.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Per operation: a spawn, a poll that is ready, a join by `.await`.
async fn spawn_and_join<S: Spawner>(spawner: S, batches: u64) -> Duration {
    let mut joins = Vec::with_capacity(BATCH);
    let begun = Instant::now();
    for _ in 0..batches {
        joins.extend((0..BATCH).map(|i| spawner.spawn(async move { i })));
        for join in joins.drain(..) {
            black_box(join.await);
        }
    }
    begun.elapsed()
}

/// Per operation: a wake of the running task, and its next poll.
async fn self_wake<S: Spawner>(spawner: S, tasks: u64, batches: u64) -> Duration {
    let each = batches * BATCH as u64 / tasks;
    let task = move || async move {
        for _ in 0..each {
            yield_once().await;
        }
    };
    let begun = Instant::now();
    let joins: Vec<_> = (0..tasks).map(|_| spawner.spawn(task())).collect();
    for join in joins {
        join.await;
    }
    begun.elapsed()
}

/// A channel of one place for two tasks of one thread.
#[derive(Default)]
struct Wire {
    message: Cell<Option<u64>>,
    receiver: Cell<Option<Waker>>,
}

impl Wire {
    fn send(&self, message: u64) {
        self.message.set(Some(message));
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
    }

    async fn receive(&self) -> u64 {
        poll_fn(|cx| match self.message.take() {
            Some(message) => Poll::Ready(message),
            None => {
                self.receiver.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

/// Per operation: a message from one task to another: a waker cloned, woken and polled.
async fn ping_pong<S: Spawner>(spawner: S, batches: u64) -> Duration {
    let last = batches * BATCH as u64;
    let (there, back) = (Rc::new(Wire::default()), Rc::new(Wire::default()));
    let player = |from: Rc<Wire>, to: Rc<Wire>| async move {
        let mut message = 0;
        while message < last {
            message = from.receive().await + 1;
            to.send(message);
        }
    };
    let players = [(there.clone(), back.clone()), (back, there.clone())];
    let players = players.map(|(from, to)| spawner.spawn(player(from, to)));
    yield_once().await;
    let begun = Instant::now();
    there.send(0);
    for player in players {
        player.await;
    }
    begun.elapsed()
}

/// A batch of tasks that have been polled once and wait for ever.
async fn idle_tasks<S: Spawner>(spawner: &S) -> Vec<S::Join<()>> {
    let polled = Rc::new(Cell::new(0));
    let task = |polled: Rc<Cell<usize>>| async move {
        polled.set(polled.get() + 1);
        pending::<()>().await;
    };
    let joins = (0..BATCH).map(|_| spawner.spawn(task(polled.clone()))).collect();
    while polled.get() < BATCH {
        yield_once().await;
    }
    joins
}

/// Per operation: an abort of an idle task; then, when all have been asked for, a join.
async fn abort_all<S: Aborts>(spawner: S, batches: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..batches {
        let joins = idle_tasks(&spawner).await;
        let begun = Instant::now();
        let ends: Vec<_> = joins.into_iter().map(S::abort).collect();
        for end in ends {
            end.await;
        }
        total += begun.elapsed();
    }
    total
}

/// Per operation: an abort of an idle task and its join, one task after the other.
async fn abort_each<S: Aborts>(spawner: S, batches: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..batches {
        let joins = idle_tasks(&spawner).await;
        let begun = Instant::now();
        for join in joins {
            S::abort(join).await;
        }
        total += begun.elapsed();
    }
    total
}

/// What a batch of remote tasks does: it counts, and the last one unparks the thread that waits.
/// No read-modify-write, which would be the same for all and hide the difference: all of the tasks
/// run on one thread.
struct Countdown(AtomicUsize);

impl Countdown {
    fn step(&self, waiting: &thread::Thread) {
        let left = self.0.load(Ordering::Relaxed) - 1;
        self.0.store(left, Ordering::Release);
        if left == 0 {
            waiting.unpark();
        }
    }

    fn wait(&self) {
        while self.0.load(Ordering::Acquire) > 0 {
            thread::park();
        }
    }
}

/// Per operation: a spawn from this thread, as fast as it can, until the last task has run.
fn remote_spawns<R: Remote>(runtime: &R, batches: u64) -> Duration {
    let me = thread::current();
    let begun = Instant::now();
    for _ in 0..batches {
        let countdown = Arc::new(Countdown(AtomicUsize::new(BATCH)));
        for _ in 0..BATCH {
            let (countdown, me) = (countdown.clone(), me.clone());
            runtime.spawn(async move { countdown.step(&me) });
        }
        countdown.wait();
    }
    begun.elapsed()
}

/// Per operation: a call that returns at once, blocked for.
fn round_trips<R: Remote>(runtime: &R, batches: u64) -> Duration {
    let begun = Instant::now();
    for i in 0..batches {
        black_box(runtime.call(move || i));
    }
    begun.elapsed()
}
