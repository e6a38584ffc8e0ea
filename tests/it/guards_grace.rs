//! Cancelling with a grace: asked first, aborted if that takes too long.

use std::future::pending;
use std::time::Duration;

use sideloop::{CancelGuard, CancelRequest, Executor, JoinError, time};

use crate::support::{Drops, Gate, Latch, join_err, join_ok, limited, loop_started, thread_of};

/// C3: `cancel_within` aborts when the grace is over, and not before; `join` returns after the end.
#[test]
fn cancel_within_aborts_when_the_grace_is_over() {
    limited(|| {
        let side = loop_started();
        let (alive, drops) = (Latch::new("lives"), Drops::new());
        let (there, token) = (alive.clone(), drops.token());
        let task = side.handle().spawn(async move {
            let _token = token;
            let _guard = CancelGuard::new();
            there.set();
            pending::<()>().await;
        });
        alive.wait();
        let before = std::time::Instant::now();
        let grace = Duration::from_millis(20);
        assert_eq!(task.cancel_within(grace), CancelRequest::Requested);
        assert!(matches!(task.join(), Err(JoinError::Cancelled)));
        assert!(before.elapsed() >= grace, "aborted early");
        assert_eq!(drops.threads(), [thread_of(side.handle())]);
    });
}

/// C3: a clean-up that ends within the grace gives its value, and leaves no timer behind (M6).
#[test]
fn a_clean_up_within_the_grace_gives_its_value_and_frees_the_timer() {
    limited(|| {
        let mut executor = Executor::new();
        let gate = Gate::new();
        let passed = gate.passed();
        let task = executor.spawn_local(async {
            let guard = CancelGuard::new();
            guard.requested().await;
            passed.await;
            "in time"
        });
        executor.run_until_idle();
        task.cancel_within(Duration::from_secs(3600));
        assert!(executor.turn().next_deadline.is_some(), "the abort is armed");
        gate.open();
        executor.run_until_idle();
        assert_eq!(join_ok(task), "in time");
        assert_eq!(executor.turn().next_deadline, None);
    });
}

/// C3: zero grace aborts at once; the longest never; of two graces the one that ends first counts.
#[test]
fn the_shortest_grace_counts() {
    limited(|| {
        let mut executor = Executor::new();
        let deaf = || async {
            let _guard = CancelGuard::new();
            pending::<()>().await;
        };
        let (now, never, both) = (
            executor.spawn_local(deaf()),
            executor.spawn_local(deaf()),
            executor.spawn_local(deaf()),
        );
        executor.run_until_idle();
        now.cancel_within(Duration::ZERO);
        never.cancel_within(Duration::MAX);
        executor.run_until_idle();
        assert!(now.is_finished() && !never.is_finished());
        assert_eq!(executor.turn().next_deadline, None);
        both.cancel_within(Duration::from_secs(3600));
        let late = executor.turn().next_deadline.expect("armed");
        both.cancel_within(Duration::from_secs(7200));
        assert_eq!(executor.turn().next_deadline, Some(late));
        both.cancel_within(Duration::from_millis(1));
        assert!(executor.turn().next_deadline.is_none_or(|at| at < late));
        executor.block_on(time::sleep(Duration::from_millis(2)));
        assert!(both.is_finished() && !never.is_finished());
    });
}

/// C3: by id as by handle.
#[test]
fn cancel_within_works_by_id() {
    limited(|| {
        let side = loop_started();
        let alive = Latch::new("lives");
        let there = alive.clone();
        let task = side.handle().spawn(async move {
            let _guard = CancelGuard::new();
            there.set();
            pending::<()>().await;
        });
        alive.wait();
        let (handle, id) = (side.handle(), task.id());
        let answer = join_ok(handle.cancel_within(id, Duration::from_millis(1)));
        assert_eq!(answer, CancelRequest::Requested);
        assert!(matches!(join_err(task), JoinError::Cancelled));
        let answer = join_ok(handle.cancel_within(id, Duration::from_millis(1)));
        assert_eq!(answer, CancelRequest::NotFound);
    });
}

/// C1, C3, M6: a task asleep for an hour is cancelled at once, and its timer is freed at once.
#[test]
fn a_cancelled_sleeper_frees_its_timer_at_once() {
    limited(|| {
        let mut executor = Executor::new();
        let asleep = executor.spawn_local(time::sleep(Duration::from_secs(3600)));
        executor.run_until_idle();
        assert!(executor.turn().next_deadline.is_some());
        asleep.cancel_within(Duration::from_secs(60));
        assert_eq!(executor.turn().next_deadline, None);
        assert!(matches!(join_err(asleep), JoinError::Cancelled));
    });
}
