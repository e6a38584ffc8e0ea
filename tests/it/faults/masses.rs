//! A million of something, alive at once and then gone; or more: `SIDELOOP_MILLIONS=10` makes ten million calls,
//! and half as many tasks and timers.

use std::env;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use sideloop::{Builder, Executor, JoinError, Shutdown, spawn_local, time};

use crate::support::{Latch, join_ok, limited_to, loop_started};

const MILLION: usize = 1_000_000;
/// How long one of these may take on a slow and busy machine.
const LONG: Duration = Duration::from_secs(180);

/// How many calls a flood has.
fn calls() -> usize {
    let millions = env::var("SIDELOOP_MILLIONS").map(|text| text.parse().expect("a number"));
    millions.unwrap_or(1) * MILLION
}

/// How many tasks, or timers, there are.
fn many() -> usize {
    (calls() / 2).max(MILLION)
}

/// Waits for ever, and holds on to `alive`.
async fn hold_on(alive: Arc<()>) {
    pending::<()>().await;
    drop(alive);
}

/// H4, P6: a million tasks that wait are dropped with their executor, and each handle says so.
#[test]
fn a_million_waiting_tasks_are_dropped_with_their_executor() {
    limited_to(LONG, || {
        let (mut executor, alive) = (Executor::new(), Arc::new(()));
        let tasks: Vec<_> =
            (0..many()).map(|_| executor.spawn_local(hold_on(alive.clone()))).collect();
        assert_eq!(executor.run_until_idle(), many());
        assert_eq!(executor.handle().metrics().live, many() as u64);
        assert_eq!(Arc::strong_count(&alive), many() + 1);
        drop(executor);
        assert_eq!(Arc::strong_count(&alive), 1, "futures are leaked");
        for task in tasks {
            assert!(matches!(task.join(), Err(JoinError::Cancelled)));
        }
    });
}

/// H4: the same on a loop of its own, for tasks from another thread and from inside that nobody joins.
#[test]
fn a_million_detached_tasks_are_dropped_at_the_shutdown() {
    limited_to(LONG, || {
        let (side, alive) = (loop_started(), Arc::new(()));
        for _ in 0..many() / 2 {
            side.handle().spawn(hold_on(alive.clone())).detach();
        }
        let inside = alive.clone();
        join_ok(side.handle().call(move || {
            for _ in 0..many() / 2 {
                spawn_local(hold_on(inside.clone())).detach();
            }
        }));
        let live = side.handle().tasks();
        assert_eq!(live.join_timeout(LONG).expect("in time").expect("alive").len(), many());
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), many());
        assert_eq!(Arc::strong_count(&alive), 1, "futures are leaked");
    });
}

/// P4, P6: a loop that is held up while it is flooded with calls runs each of them, in the order of its thread.
#[test]
fn a_flood_of_a_million_calls_is_run_to_the_last() {
    limited_to(LONG, || {
        let (side, gate) = (loop_started(), Latch::new("the flood is over"));
        let (passes, next) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
        side.handle().call(move || passes.wait()).detach();
        for number in 0..calls() {
            let next = next.clone();
            let in_turn = move || {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                assert_eq!(turn, number, "out of order");
            };
            side.handle().call(in_turn).detach();
        }
        let last = side.handle().call(|| 7);
        gate.set();
        assert_eq!(last.join_timeout(LONG).expect("in time").expect("a value"), 7);
        assert_eq!(next.load(Ordering::Relaxed), calls());
        let metrics = side.handle().metrics();
        assert_eq!((metrics.panicked, metrics.finished), (0, calls() as u64 + 2));
        assert_eq!(Arc::strong_count(&next), 1, "callbacks are leaked");
    });
}

/// A `Sleep` that was polled once and is armed.
fn armed(after: Duration, cx: &mut Context<'_>) -> Pin<Box<time::Sleep>> {
    let mut sleep = Box::pin(time::sleep(after));
    assert!(sleep.as_mut().poll(cx).is_pending());
    sleep
}

/// M6: a million timers from a microsecond to a century are dropped in any order, and nothing is left.
#[test]
fn a_million_timers_are_dropped_unfired() {
    limited_to(LONG, || {
        let mut executor = Builder::new().virtual_time(0).build();
        executor.block_on(std::future::poll_fn(|cx| {
            let after = |n: usize| Duration::from_micros((n as u64 + 1) * (n as u64 + 1) * 3000);
            let mut sleeps: Vec<_> = (0..many()).map(|n| armed(after(n), cx)).collect();
            // Every third from the front, so that least ones go, then the rest from the back.
            (0..many()).step_by(3).for_each(|n| sleeps[n] = Box::pin(time::sleep(Duration::MAX)));
            while sleeps.pop().is_some() {}
            Poll::Ready(())
        }));
        let metrics = executor.handle().metrics();
        assert_eq!((metrics.timers_armed, metrics.timers_fired), (many() as u64, 0));
        assert_eq!(executor.turn().next_deadline, None, "an entry is left");
    });
}

/// M6: a million sleeping tasks are aborted by the end of their loop, before any is due.
#[test]
fn a_million_sleeping_tasks_are_dropped_at_the_shutdown() {
    limited_to(LONG, || {
        let (side, alive) = (loop_started(), Arc::new(()));
        let inside = alive.clone();
        join_ok(side.handle().call(move || {
            for n in 0..many() as u64 {
                let alive = inside.clone();
                let sleeper = async move {
                    time::sleep(Duration::from_secs(3600 + n)).await;
                    drop(alive);
                };
                spawn_local(sleeper).detach();
            }
        }));
        let handle = side.handle().clone();
        while handle.metrics().timers_armed < many() as u64 {
            join_ok(handle.call(|| ()));
        }
        let report = side.shutdown(Shutdown::now());
        assert_eq!((report.aborted.len(), handle.metrics().timers_fired), (many(), 0));
        assert_eq!(Arc::strong_count(&alive), 1, "futures are leaked");
    });
}

/// M1, M2: a million timers fire, each at its time and in their order.
#[test]
fn a_million_timers_fire_in_order() {
    limited_to(LONG, || {
        let mut executor = Builder::new().virtual_time(0).build();
        let (count, fired) = (many() as u64, Arc::new(AtomicUsize::new(0)));
        executor.block_on(async {
            let begun = time::now();
            for n in 0..count {
                // A permutation, as the factor is a prime that divides neither a million nor five.
                let after = Duration::from_nanos(n * 7_368_787 % count * 1000);
                let fired = fired.clone();
                let sleeper = async move {
                    time::sleep_until(begun + after).await;
                    let turn = fired.fetch_add(1, Ordering::Relaxed) as u32;
                    assert_eq!(begun + Duration::from_micros(1) * turn, time::now());
                };
                spawn_local(sleeper).detach();
            }
            time::sleep_until(begun + Duration::from_micros(count)).await;
        });
        assert_eq!(fired.load(Ordering::Relaxed), many());
        assert_eq!(executor.handle().metrics().panicked, 0);
    });
}
