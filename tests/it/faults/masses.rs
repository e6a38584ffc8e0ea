//! A million of something, alive at once and then gone.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sideloop::{Builder, Executor, JoinError, Shutdown, spawn_local, time};

use crate::support::{join_ok, limited_to, loop_started};

const MILLION: usize = 1_000_000;
/// How long one of these may take on a slow and busy machine.
const LONG: Duration = Duration::from_secs(180);

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
            (0..MILLION).map(|_| executor.spawn_local(hold_on(alive.clone()))).collect();
        assert_eq!(executor.run_until_idle(), MILLION);
        assert_eq!(executor.handle().metrics().live, MILLION as u64);
        assert_eq!(Arc::strong_count(&alive), MILLION + 1);
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
        for _ in 0..MILLION / 2 {
            side.handle().spawn(hold_on(alive.clone())).detach();
        }
        let inside = alive.clone();
        join_ok(side.handle().call(move || {
            for _ in 0..MILLION / 2 {
                spawn_local(hold_on(inside.clone())).detach();
            }
        }));
        let live = side.handle().tasks();
        assert_eq!(live.join_timeout(LONG).expect("in time").expect("alive").len(), MILLION);
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), MILLION);
        assert_eq!(Arc::strong_count(&alive), 1, "futures are leaked");
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
            let mut sleeps: Vec<_> = (0..MILLION).map(|n| armed(after(n), cx)).collect();
            // Every third from the front, so that least ones go, then the rest from the back.
            (0..MILLION).step_by(3).for_each(|n| sleeps[n] = Box::pin(time::sleep(Duration::MAX)));
            while sleeps.pop().is_some() {}
            Poll::Ready(())
        }));
        let metrics = executor.handle().metrics();
        assert_eq!((metrics.timers_armed, metrics.timers_fired), (MILLION as u64, 0));
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
            for n in 0..MILLION as u64 {
                let alive = inside.clone();
                let sleeper = async move {
                    time::sleep(Duration::from_secs(3600 + n)).await;
                    drop(alive);
                };
                spawn_local(sleeper).detach();
            }
        }));
        let handle = side.handle().clone();
        while handle.metrics().timers_armed < MILLION as u64 {
            join_ok(handle.call(|| ()));
        }
        let report = side.shutdown(Shutdown::now());
        assert_eq!((report.aborted.len(), handle.metrics().timers_fired), (MILLION, 0));
        assert_eq!(Arc::strong_count(&alive), 1, "futures are leaked");
    });
}
