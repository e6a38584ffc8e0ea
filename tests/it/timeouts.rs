//! Time limits: who wins, when, what they cost, and what is left of them.
//!
//! Deadlines here are hours away or past already; where time has to pass it is a few milliseconds,
//! and only lower bounds are checked.

use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sideloop::time::{self, Elapsed};
use sideloop::{Executor, JoinError, JoinHandle};

use crate::sleeping::{far_future, far_past};
use crate::sleeping_order::pass;
use crate::support::{CountingWaker, Drops, Gate, Probe, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn poll_with<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(waker))
}

fn poll_once<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

// ───────────── M3: who wins, and what it costs ─────────────

/// M3: the future is polled before any timer is armed, and if it is ready there never is one.
#[test]
fn a_future_that_is_ready_costs_no_timer() {
    limited(|| {
        let mut executor = Executor::new();
        let mut kept = None;
        executor.block_on(async {
            let (counter, waker) = CountingWaker::new();
            let seen = Arc::clone(&counter);
            let future = poll_fn(move |_| Poll::Ready(Arc::strong_count(&seen)));
            let mut limited = Box::pin(time::timeout(HOUR, future));
            let ready = poll_with(&mut limited, &waker);
            assert_eq!(ready, Poll::Ready(Ok(3)), "a timer held the waker while it was polled");
            assert_eq!(Arc::strong_count(&counter), 3, "a timer holds the waker");
            kept = Some(limited);
        });
        assert_eq!(executor.turn().next_deadline, None);
        drop(kept);
    });
}

/// M3: a future that is pending arms one timer, for the very deadline, however often it is polled.
#[test]
fn a_future_that_is_pending_arms_one_timer() {
    limited(|| {
        let mut executor = Executor::new();
        let (counter, waker) = CountingWaker::new();
        let at = Instant::now() + HOUR;
        let mut limited = Box::pin(time::timeout_at(at, pending::<()>()));
        assert_eq!(executor.turn().next_deadline, None);
        executor.block_on(async {
            for _ in 0..5 {
                assert!(poll_with(&mut limited, &waker).is_pending());
                assert_eq!(Arc::strong_count(&counter), 3, "one timer holds the waker");
            }
        });
        assert_eq!(executor.turn().next_deadline, Some(at));
    });
}

/// M3: the limit counts from the making of the timeout, not from its first poll.
#[test]
fn the_limit_is_fixed_at_creation() {
    limited(|| {
        let mut executor = Executor::new();
        let before = Instant::now();
        let limited = time::timeout(HOUR, pending::<()>());
        let after = Instant::now();
        pass(after + MS);
        executor.spawn_local(limited).detach();
        executor.run_until_idle();
        let at = executor.turn().next_deadline.expect("it is armed");
        assert!(before + HOUR <= at && at <= after + HOUR);
    });
}

/// M3: a future that is ready in the poll that finds the limit past wins, at the first poll and later.
#[test]
fn a_future_that_is_ready_in_time_to_be_seen_wins() {
    limited(|| {
        let mut executor = Executor::new();
        executor.block_on(async {
            for past in [Instant::now(), far_past()] {
                assert_eq!(time::timeout_at(past, ready(1)).await, Ok(1));
            }
            let at = Instant::now() + MS;
            let (future, log) = Probe::ready_at(2, 2);
            let mut limited = Box::pin(time::timeout_at(at, future));
            assert!(poll_once(&mut limited).is_pending());
            time::sleep_until(at + MS).await; // its timer fires before this one does
            assert_eq!(poll_once(&mut limited), Poll::Ready(Ok(2)));
            assert_eq!(log.polls(), 2);
        });
        assert_eq!(executor.turn().next_deadline, None);
    });
}

/// M3: the inner of two timeouts with one deadline is the outer's future, and wins.
#[test]
fn the_inner_of_two_equal_limits_wins() {
    limited(|| {
        let side = loop_started();
        for limit in [Duration::ZERO, MS] {
            let result = join_ok(side.handle().spawn(async move {
                let at = time::now() + limit;
                time::timeout_at(at, time::timeout_at(at, pending::<()>())).await
            }));
            assert_eq!(result, Ok(Err(Elapsed)), "{limit:?}");
        }
    });
}

// ───────────── M1, M4, M5: when ─────────────

/// M1: a limit never comes early against the caller's clock.
#[test]
fn a_limit_is_never_early() {
    limited(|| {
        let side = loop_started();
        for n in 0..20 {
            let limit = Duration::from_nanos(1 + n * 111_119);
            let before = Instant::now();
            let result = join_ok(side.handle().spawn(time::timeout(limit, pending::<()>())));
            assert_eq!(result, Err(Elapsed));
            assert!(before.elapsed() >= limit, "{limit:?}");
        }
    });
}

/// M4: a limit that has passed still lets everything run that is ready, then ends.
#[test]
fn a_limit_that_is_past_yields_once() {
    limited(|| {
        let mut executor = Executor::new();
        for limit in [Instant::now(), far_past()] {
            let (future, log) = Probe::pending();
            let task = executor.spawn_local(time::timeout_at(limit, future));
            let other = executor.spawn_local(async {});
            executor.turn();
            assert!(other.is_finished() && !task.is_finished());
            executor.run_until_idle();
            assert_eq!(executor.block_on(task).expect("it ended"), Err(Elapsed));
            assert_eq!((log.polls(), log.dropped()), (2, 1));
        }
        let yielding = time::timeout(Duration::ZERO, sideloop::yield_now());
        assert_eq!(executor.block_on(yielding), Ok(()));
    });
}

/// M5: a limit that cannot be represented is none.
#[test]
fn a_limit_without_end_never_elapses() {
    limited(|| {
        let mut executor = Executor::new();
        let gate = Gate::new();
        let near = Instant::now() + HOUR;
        let tasks = [
            executor.spawn_local(time::timeout(Duration::MAX, gate.passed())),
            executor.spawn_local(time::timeout(Duration::MAX - MS, gate.passed())),
            executor.spawn_local(time::timeout_at(far_future(), gate.passed())),
        ];
        executor.run_until_idle();
        let next = executor.turn().next_deadline;
        assert!(next.is_none_or(|at| at > near + HOUR * 24 * 365 * 20), "{next:?}");
        assert!(!tasks.iter().any(JoinHandle::is_finished));
        gate.open();
        executor.run_until_idle();
        for task in tasks {
            assert_eq!(executor.block_on(task).expect("it ended"), Ok(()));
        }
    });
}

// ───────────── M6: what is left ─────────────

/// M6: a timeout that is dropped leaves no timer.
#[test]
fn a_dropped_timeout_frees_its_timer() {
    limited(|| {
        let mut executor = Executor::new();
        let (counter, waker) = CountingWaker::new();
        let mut limited = Box::pin(time::timeout(HOUR, pending::<()>()));
        executor.block_on(async { assert!(poll_with(&mut limited, &waker).is_pending()) });
        assert!(executor.turn().next_deadline.is_some());
        drop(limited);
        assert_eq!(executor.turn().next_deadline, None);
        assert_eq!(Arc::strong_count(&counter), 2);
    });
}

/// M6: a timeout whose future was ready in time leaves no timer, though it still lives.
#[test]
fn a_finished_timeout_frees_its_timer() {
    limited(|| {
        let mut executor = Executor::new();
        let (future, _log) = Probe::ready_at(2, ());
        let mut limited = Box::pin(time::timeout(HOUR, future));
        executor.block_on(async { assert!(poll_once(&mut limited).is_pending()) });
        assert!(executor.turn().next_deadline.is_some());
        executor.block_on(async { assert!(poll_once(&mut limited).is_ready()) });
        assert_eq!(executor.turn().next_deadline, None);
        drop(limited);
    });
}

/// M6, C1: so does one whose task is cancelled, by handle or by id.
#[test]
fn a_cancelled_timeout_frees_its_timer() {
    limited(|| {
        let mut executor = Executor::new();
        for by_id in [false, true] {
            let drops = Drops::new();
            let token = drops.token();
            let task = executor.spawn_local(time::timeout(HOUR, async move {
                let _token = token;
                pending::<()>().await;
            }));
            executor.run_until_idle();
            assert!(executor.turn().next_deadline.is_some());
            if by_id {
                executor.handle().cancel(task.id()).detach();
            } else {
                task.cancel();
            }
            executor.run_until_idle();
            assert_eq!((executor.turn().next_deadline, drops.count()), (None, 1));
            assert!(matches!(executor.block_on(task), Err(JoinError::Cancelled)));
        }
    });
}

/// M6, X1: a panic of the future inside reaches the joiner, and frees the timer.
#[test]
fn a_panic_inside_frees_the_timer() {
    limited(|| {
        let mut executor = Executor::new();
        let (future, log) = Probe::<()>::scripted(|poll, _| match poll {
            1 => Poll::Pending,
            _ => panic!("inside"),
        });
        let task = executor.spawn_local(time::timeout(HOUR, future));
        executor.run_until_idle();
        assert!(executor.turn().next_deadline.is_some() && log.wake());
        executor.run_until_idle();
        assert_eq!((executor.turn().next_deadline, log.dropped()), (None, 1));
        match executor.block_on(task) {
            Err(JoinError::Panicked(payload)) => assert_eq!(payload.message(), Some("inside")),
            other => panic!("{other:?}"),
        }
    });
}

/// M3: after the limit the future inside is as it was: it may be looked at, polled on, taken out.
#[test]
fn the_future_inside_outlives_its_limit() {
    limited(|| {
        let mut executor = Executor::new();
        let gate = Gate::new();
        executor.block_on(async {
            let mut limited = time::timeout(MS, gate.passed());
            assert_eq!(Pin::new(&mut limited).await, Err(Elapsed));
            assert_eq!(Pin::new(&mut limited).await, Err(Elapsed), "it stays elapsed");
            gate.open();
            let mut cx = Context::from_waker(Waker::noop());
            assert!(pin!(limited.get_ref().clone()).poll(&mut cx).is_ready());
            assert!(Pin::new(limited.get_mut()).poll(&mut cx).is_ready());
            assert!(Pin::new(&mut limited).get_pin_mut().poll(&mut cx).is_ready());
            assert_eq!(Pin::new(&mut limited).await, Ok(()));
            limited.into_inner().await;
        });
    });
}
