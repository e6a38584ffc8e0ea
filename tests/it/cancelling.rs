//! Cancelling by handle: when the future is dropped, where, and what the joiner is told.

use std::future::pending;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use sideloop::{CancelRequest, Executor, JoinError, Shutdown, time};

use crate::support::{
    Drops, Events, Gate, Latch, Probe, ProbeLog, hold, join_err, join_ok, limited, loop_started,
    thread_of,
};

/// `result` is that of a cancelled task.
#[track_caller]
fn assert_cancelled<T: std::fmt::Debug>(result: &Result<T, JoinError>) {
    assert!(matches!(result, Err(JoinError::Cancelled)), "not cancelled: {result:?}");
}

/// A future whose first poll tells `entered` and blocks until `release`, then gives `end`.
fn blocking_probe<T: Send + 'static>(
    entered: &Latch,
    release: &Latch,
    end: Poll<T>,
) -> (Probe<T>, ProbeLog) {
    let (entered, release, mut end) = (entered.clone(), release.clone(), Some(end));
    Probe::scripted(move |_, _| {
        entered.set();
        release.wait();
        end.take().expect("polled once")
    })
}

// ───────────── a suspended task ─────────────

/// C1: a suspended task is dropped at once, on the loop thread, and joins as `Cancelled`.
#[test]
fn cancel_drops_a_suspended_future_on_the_loop_thread() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        log.wait_polls(1);
        assert_eq!(task.cancel(), CancelRequest::Requested);
        assert_cancelled(&task.join());
        assert_eq!(log.drops().threads(), [thread_of(side.handle())]);
        assert_eq!(log.polls(), 1);
    });
}

/// C1: so does `abort`.
#[test]
fn abort_drops_a_suspended_future_on_the_loop_thread() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        log.wait_polls(1);
        assert_eq!(task.abort(), CancelRequest::Requested);
        assert_cancelled(&task.join());
        assert_eq!(log.drops().threads(), [thread_of(side.handle())]);
    });
}

/// C1: a suspended task that was woken, and waits for its poll, is dropped without that poll.
#[test]
fn a_woken_task_that_is_cancelled_before_its_poll_is_not_polled_again() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        log.wait_polls(1);
        let held = hold(side.handle());
        assert!(log.wake());
        task.cancel();
        held.release();
        assert_cancelled(&task.join());
        assert_eq!(log.polls(), 1);
    });
}

/// C1, W4: a wake that comes after the cancel, and one after the drop, polls nothing.
#[test]
fn a_wake_after_the_cancel_polls_nothing() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        log.wait_polls(1);
        let held = hold(side.handle());
        task.cancel();
        assert!(log.wake());
        held.release();
        assert_cancelled(&task.join());
        assert!(log.wake());
        join_ok(side.handle().call(|| ()));
        assert_eq!((log.polls(), log.dropped()), (1, 1));
    });
}

/// C1: a task that wakes itself for ever ends by a cancel.
#[test]
fn a_busy_task_can_be_cancelled() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::<()>::scripted(|_, cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let task = side.handle().spawn(probe);
        log.wait_polls(3);
        task.cancel();
        assert_cancelled(&task.join());
        assert_eq!(log.dropped(), 1);
    });
}

/// C1: a task that waits for a timer ends by a cancel, long before the timer.
#[test]
fn a_sleeping_task_can_be_cancelled() {
    limited(|| {
        let side = loop_started();
        let (asleep, drops) = (Latch::new("the task runs"), Drops::new());
        let (there, token) = (asleep.clone(), drops.token());
        let task = side.handle().spawn(async move {
            let _token = token;
            there.set();
            time::sleep(Duration::from_secs(3600)).await;
        });
        asleep.wait();
        task.cancel();
        assert_cancelled(&task.join());
        assert_eq!(drops.count(), 1);
    });
}

/// C1: cancelling a task that joins another touches only the one.
#[test]
fn cancelling_a_joiner_leaves_the_joined_task_alone() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let (passed, done) = (gate.passed(), Latch::new("the inner task ended"));
        let (there, ended) = (done.clone(), Latch::new("the outer task waits"));
        let waits = ended.clone();
        let inner = side.handle().spawn(async move {
            passed.await;
            there.set();
        });
        let outer = side.handle().spawn(async move {
            waits.set();
            inner.await
        });
        ended.wait();
        outer.cancel();
        assert!(matches!(join_err(outer), JoinError::Cancelled));
        gate.open();
        done.wait();
    });
}

// ───────────── a running task ─────────────

/// C1: a cancel during a poll takes effect when that poll has returned `Pending`, not before.
#[test]
fn cancel_during_a_poll_drops_the_future_at_its_next_suspension() {
    limited(|| {
        let side = loop_started();
        let (entered, release) = (Latch::new("in the poll"), Latch::new("out of the poll"));
        let (probe, log) = blocking_probe::<()>(&entered, &release, Poll::Pending);
        let task = side.handle().spawn(probe);
        entered.wait();
        assert_eq!(task.cancel(), CancelRequest::Requested);
        assert_eq!(log.dropped(), 0, "dropped while it was polled");
        assert!(!task.is_finished());
        release.set();
        assert_cancelled(&task.join());
        assert_eq!((log.polls(), log.dropped()), (1, 1));
    });
}

/// C4: a cancel during the poll that returns `Ready` loses: the value is joined.
#[test]
fn a_value_wins_over_a_cancel_during_its_poll() {
    limited(|| {
        let side = loop_started();
        let (entered, release) = (Latch::new("in the poll"), Latch::new("out of the poll"));
        let (probe, log) = blocking_probe(&entered, &release, Poll::Ready(7));
        let task = side.handle().spawn(probe);
        entered.wait();
        assert_eq!(task.cancel(), CancelRequest::Requested);
        assert_eq!(task.abort(), CancelRequest::AlreadyRequested);
        release.set();
        assert_eq!(task.join().expect("a value"), 7);
        assert_eq!((log.polls(), log.dropped()), (1, 1));
    });
}

/// C4: a callback that is cancelled while it runs gives its value.
#[test]
fn a_callback_cancelled_while_it_runs_gives_its_value() {
    limited(|| {
        let side = loop_started();
        let (entered, release) = (Latch::new("in the call"), Latch::new("out of the call"));
        let (there, go) = (entered.clone(), release.clone());
        let call = side.handle().call(move || {
            there.set();
            go.wait();
            "done"
        });
        entered.wait();
        assert_eq!(call.cancel(), CancelRequest::Requested);
        release.set();
        assert_eq!(call.join().expect("a value"), "done");
    });
}

/// C1: a task that cancels itself during a poll ends at its next suspension.
#[test]
fn a_task_that_cancels_itself_ends_at_its_next_suspension() {
    limited(|| {
        let side = loop_started();
        let (give, take) = mpsc::channel::<sideloop::Canceller>();
        let log = Events::new();
        let seen = log.clone();
        let held = hold(side.handle());
        let task = side.handle().spawn(async move {
            let me = take.recv().expect("the own canceller");
            seen.push(me.cancel());
            seen.push(me.cancel());
            pending::<()>().await;
        });
        give.send(task.canceller()).expect("the task lives");
        held.release();
        assert_cancelled(&task.join());
        assert_eq!(log.all(), [CancelRequest::Requested, CancelRequest::AlreadyRequested]);
    });
}

/// C4: a task that cancels itself and returns in the same poll gives its value.
#[test]
fn a_task_that_cancels_itself_and_returns_gives_its_value() {
    limited(|| {
        let side = loop_started();
        let (give, take) = mpsc::channel::<sideloop::Canceller>();
        let held = hold(side.handle());
        let task = side.handle().spawn(async move {
            take.recv().expect("the own canceller").cancel();
            11
        });
        give.send(task.canceller()).expect("the task lives");
        held.release();
        assert_eq!(join_ok(task), 11);
    });
}

/// C1: a self-cancel together with a self-wake ends the task; the wake causes no poll.
#[test]
fn a_self_wake_does_not_save_a_task_from_its_self_cancel() {
    limited(|| {
        let mut executor = Executor::new();
        let (give, take) = mpsc::channel::<sideloop::Canceller>();
        let (probe, log) = Probe::<()>::scripted(move |_, cx| {
            cx.waker().wake_by_ref();
            take.recv().expect("the own canceller").cancel();
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        let task = executor.spawn_local(probe);
        give.send(task.canceller()).expect("the task lives");
        executor.run_until_idle();
        assert!(task.is_finished());
        assert_eq!((log.polls(), log.dropped()), (1, 1));
    });
}

// ───────────── before the first poll ─────────────

/// C5: a task cancelled before its first poll is never polled, and is dropped on the loop thread.
#[test]
fn a_task_cancelled_before_its_first_poll_is_never_polled() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let (probe, log) = Probe::ready_at(1, ());
        let task = side.handle().spawn(probe);
        assert_eq!(task.cancel(), CancelRequest::Requested);
        held.release();
        assert_cancelled(&task.join());
        assert_eq!(log.polls(), 0);
        assert_eq!(log.drops().threads(), [thread_of(side.handle())]);
    });
}

/// C5, P9: a callback cancelled before it ran never runs; its closure is dropped on the loop thread.
#[test]
fn a_callback_cancelled_before_it_ran_never_runs() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let (ran, drops) = (Latch::new("the callback ran"), Drops::new());
        let (there, token) = (ran.clone(), drops.token());
        let call = side.handle().call(move || {
            let _token = token;
            there.set();
        });
        call.cancel();
        held.release();
        assert_cancelled(&call.join());
        assert!(!ran.is_set());
        assert_eq!(drops.threads(), [thread_of(side.handle())]);
    });
}

/// C5, P5: the closure of `spawn_with` does not run when the task was cancelled before.
#[test]
fn a_closure_of_spawn_with_cancelled_before_it_ran_never_runs() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let (ran, drops) = (Latch::new("the closure ran"), Drops::new());
        let (there, token) = (ran.clone(), drops.token());
        let task = side.handle().spawn_with(move || {
            there.set();
            async move { drop(token) }
        });
        task.cancel();
        held.release();
        assert_cancelled(&task.join());
        assert!(!ran.is_set());
        assert_eq!(drops.threads(), [thread_of(side.handle())]);
    });
}

/// C5: a local task cancelled in the poll that spawned it is never polled.
#[test]
fn a_local_task_cancelled_by_its_spawner_is_never_polled() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::ready_at(1, ());
        let result = join_ok(side.handle().spawn(async move {
            let task = sideloop::spawn_local(probe);
            assert_eq!(task.cancel(), CancelRequest::Requested);
            task.await
        }));
        assert_cancelled(&result);
        assert_eq!((log.polls(), log.dropped()), (0, 1));
    });
}

// ───────────── every state of the loop ─────────────

/// C7: a cancel wakes a loop that sleeps, however often.
#[test]
fn cancel_wakes_a_sleeping_loop() {
    limited(|| {
        let side = loop_started();
        for round in 0..2_000 {
            let (probe, log) = Probe::pending();
            let task = side.handle().spawn(probe);
            if round % 2 == 0 {
                log.wait_polls(1);
            }
            task.cancel();
            assert!(matches!(join_err(task), JoinError::Cancelled), "round {round}");
        }
    });
}

/// C7, H2: a cancel works while the loop drains, and the report lists it.
#[test]
fn cancel_works_while_the_loop_drains() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        log.wait_polls(1);
        side.handle().shutdown(Shutdown::now().drain(Duration::MAX));
        assert_eq!(task.cancel(), CancelRequest::Requested);
        let id = task.id();
        assert_cancelled(&task.join());
        let report = side.join();
        let cancelled: Vec<_> = report.cancelled.iter().map(|info| info.id).collect();
        assert_eq!(cancelled, [id], "{report:?}");
        assert!(report.aborted.is_empty(), "{report:?}");
    });
}
