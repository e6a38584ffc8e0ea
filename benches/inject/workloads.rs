//! The workloads: the same code for every runtime and floor.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use harness::remote::{AsyncExecutorThread, Remote, RemoteSpawner, SideloopThread, TokioThread};
use harness::rounds::{Run, Workload};

use crate::floors::{Channel, Locked, OfParkingLot, OfStd};

/// How many operations a thread begins before it waits for their end.
const BATCH: usize = 1000;
/// How many one thread begins in a row where the loop is to fall behind.
const MANY: usize = 200_000;
/// How many threads there are, from workload to workload.
const THREADS: [usize; 3] = [1, 2, 4];

/// A workload of so many operations on each of these.
macro_rules! workload {
    ($name:expr, $operations:expr, [$($remote:ty),*], $drive:expr) => {
        Workload {
            name: $name.into(),
            operations: $operations as u64,
            prepare: Box::new(move || vec![$(on::<$remote, _>($drive)),*]),
        }
    };
}

/// Operations as fast as so many threads can.
pub(crate) fn throughput() -> Vec<Workload> {
    /// With all of the runtimes, and with these.
    macro_rules! of_runtimes {
        ($what:expr, $threads:expr, [$($more:ty),*], $drive:expr) => {
            workload!(
                format!("{}, {} thread{}", $what, $threads, if $threads == 1 { "" } else { "s" }),
                $threads * BATCH,
                [SideloopThread<false>, TokioThread<false>, AsyncExecutorThread<false> $(, $more)*],
                $drive
            )
        };
    }
    let mut all = Vec::new();
    for threads in THREADS {
        all.push(of_runtimes!("spawn", threads, [], move |to| spawns(to, threads, BATCH)));
        all.push(of_runtimes!("call", threads, [], move |to| calls(to, threads)));
        all.push(of_runtimes!(
            "post",
            threads,
            [Channel<false>, Locked<OfStd, false>, Locked<OfParkingLot, false>],
            move |to| posts(to, threads)
        ));
        all.push(of_runtimes!("wake", threads, [], move |to| wakes(to, threads)));
    }
    all.push(workload!(
        format!("spawn, {MANY} in a row"),
        MANY,
        [SideloopThread<false>, TokioThread<false>, AsyncExecutorThread<false>],
        |to| spawns(to, 1, MANY)
    ));
    all
}

/// How long a thread waits before it sends where the other one is to be asleep: many times what that takes
/// to find nothing to do. Not measured.
const REST: Duration = Duration::from_micros(20);

/// One operation there and back.
pub(crate) fn round_trips() -> Vec<Workload> {
    /// Spawns, and calls, with such a rest before each.
    macro_rules! both {
        ($how:expr, $rest:expr, $spins:expr) => {
            [
                workload!(
                    format!("spawn + join, {}", $how),
                    1,
                    [SideloopThread<$spins>, TokioThread<$spins>, AsyncExecutorThread<$spins>],
                    |to| joined(to, $rest)
                ),
                workload!(
                    format!("call, {}", $how),
                    1,
                    [
                        SideloopThread<$spins>,
                        TokioThread<$spins>,
                        AsyncExecutorThread<$spins>,
                        Channel<$spins>,
                        Locked<OfStd, $spins>,
                        Locked<OfParkingLot, $spins>
                    ],
                    |to| answered(to, $rest)
                ),
            ]
        };
    }
    let parked = both!("parked", REST, false);
    let in_a_row = both!("one after the other", Duration::ZERO, false);
    let spinning = both!("spinning", Duration::ZERO, true);
    parked.into_iter().chain(in_a_row).chain(spinning).collect()
}

/// Starts the other thread, and has it used by what `drive` makes of it.
fn on<R: Remote, F: FnMut(u64) -> Duration + 'static>(
    drive: impl FnOnce(Arc<R>) -> F,
) -> (&'static str, Run) {
    (R::NAME, Box::new(drive(Arc::new(R::start()))))
}

/// Counts the operations of one thread down; the last one unparks it. No read-modify-write, which would
/// be the same for all and hide the difference: all of the operations end on one thread.
#[repr(align(128))] // no other data in the line
#[derive(Default)]
struct Countdown {
    left: AtomicUsize,
    waiting: Mutex<Option<Thread>>,
}

impl Countdown {
    fn step(&self) {
        let left = self.left.load(Ordering::Relaxed) - 1;
        let waiting = (left == 0).then(|| self.waiting.lock().expect("nobody panics").take());
        self.left.store(left, Ordering::Release);
        if let Some(thread) = waiting.flatten() {
            thread.unpark();
        }
    }

    /// Begins so many operations by `begin`, and waits until all have ended.
    fn batch(&self, operations: usize, begin: impl FnOnce()) {
        *self.waiting.lock().expect("nobody panics") = Some(thread::current());
        self.left.store(operations, Ordering::Relaxed);
        begin();
        while self.left.load(Ordering::Acquire) > 0 {
            thread::park();
        }
    }
}

/// One countdown for each thread. Leaked, so that no operation counts references to it.
fn countdowns(threads: usize) -> Vec<&'static Countdown> {
    (0..threads).map(|_| &*Box::leak(Box::default())).collect()
}

/// Has so many threads do batches, and says how long it took from the first begin to the last end.
fn threads<C: Sync>(each: &[C], batches: u64, batch: impl Fn(&C) + Sync) -> Duration {
    let gate = Barrier::new(each.len());
    let run = |one: &C| {
        gate.wait();
        let begun = Instant::now();
        (0..batches).for_each(|_| batch(one));
        (begun, Instant::now())
    };
    thread::scope(|scope| {
        let run = &run;
        let all: Vec<_> = each.iter().map(|one| scope.spawn(move || run(one))).collect();
        let times: Vec<_> = all.into_iter().map(|one| one.join().expect("it ends")).collect();
        let begun = times.iter().map(|times| times.0).min();
        let ended = times.iter().map(|times| times.1).max();
        ended.expect("a thread") - begun.expect("a thread")
    })
}

/// Per operation: a spawn, of so many in a row, until the last task has run.
fn spawns<R: RemoteSpawner>(
    to: Arc<R>,
    count: usize,
    in_a_row: usize,
) -> impl FnMut(u64) -> Duration {
    let countdowns = countdowns(count);
    move |batches| {
        threads(&countdowns, batches, |&countdown| {
            countdown.batch(in_a_row, || {
                (0..in_a_row).for_each(|_| to.spawn(async { countdown.step() }));
            });
        })
    }
}

/// Per operation: a closure sent, until the last has run.
fn posts<R: Remote>(to: Arc<R>, count: usize) -> impl FnMut(u64) -> Duration {
    let countdowns = countdowns(count);
    move |batches| {
        threads(&countdowns, batches, |&countdown| {
            countdown.batch(BATCH, || (0..BATCH).for_each(|_| to.post(|| countdown.step())));
        })
    }
}

/// Per operation: a closure sent and, when all are on their way, its result.
fn calls<R: Remote>(to: Arc<R>, count: usize) -> impl FnMut(u64) -> Duration {
    move |batches| {
        threads(&vec![(); count], batches, |()| {
            let results: Vec<_> = (0..BATCH).map(|i| to.call(move || i)).collect();
            results.into_iter().for_each(|result| _ = black_box(result()));
        })
    }
}

/// Steps a countdown whenever it is polled, but for the first time, when it hands out its waker.
fn ticker(countdown: &'static Countdown) -> (impl Future<Output = ()>, impl FnOnce() -> Waker) {
    let (hand_out, handed_out) = crossbeam_channel::bounded(1);
    let mut hand_out = Some(hand_out);
    let future = poll_fn(move |cx| {
        match hand_out.take() {
            Some(hand_out) => hand_out.send(cx.waker().clone()).expect("it is awaited"),
            None => countdown.step(),
        }
        Poll::Pending
    });
    (future, move || handed_out.recv().expect("it is polled"))
}

/// Per operation: a wake of an idle task, until the last has been polled. Each thread has its tasks.
fn wakes<R: RemoteSpawner>(to: Arc<R>, count: usize) -> impl FnMut(u64) -> Duration {
    let task = |countdown| {
        let (future, waker) = ticker(countdown);
        to.spawn(future);
        waker()
    };
    let tasks = |countdown| (0..BATCH).map(|_| task(countdown)).collect::<Vec<_>>();
    let all: Vec<_> = countdowns(count).into_iter().map(|one| (one, tasks(one))).collect();
    move |batches| {
        let _alive = &to;
        threads(&all, batches, |(countdown, wakers)| {
            countdown.batch(BATCH, || wakers.iter().for_each(Waker::wake_by_ref));
        })
    }
}

/// How long so many operations take, each after a rest.
fn apart(times: u64, rest: Duration, mut operation: impl FnMut(u64)) -> Duration {
    let mut all = Duration::ZERO;
    for time in 0..times {
        let rested = Instant::now() + rest;
        while Instant::now() < rested {
            std::hint::spin_loop();
        }
        let begun = Instant::now();
        operation(time);
        all += begun.elapsed();
    }
    all
}

/// Per operation: a task spawned, and its result blocked for.
fn joined<R: RemoteSpawner>(to: Arc<R>, rest: Duration) -> impl FnMut(u64) -> Duration {
    move |times| {
        to.keep_awake(true);
        let all = apart(times, rest, |i| _ = black_box(to.spawn_join(async move { i })()));
        to.keep_awake(false);
        all
    }
}

/// Per operation: a closure sent, and its result blocked for.
fn answered<R: Remote>(to: Arc<R>, rest: Duration) -> impl FnMut(u64) -> Duration {
    move |times| {
        to.keep_awake(true);
        let all = apart(times, rest, |i| _ = black_box(to.call(move || i)()));
        to.keep_awake(false);
        all
    }
}
