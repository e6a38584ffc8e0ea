//! What cancels for others: `Canceller`, `CancelOnDrop`, `cancel_within`; and cancels from odd places.

use std::future::pending;
use std::time::Duration;

use sideloop::{CancelRequest, Executor, JoinError, JoinHandle, Shutdown};

use crate::support::{
    Drops, Gate, Latch, Probe, hold, join_err, join_ok, join_soon, limited, limited_to,
    loop_started, thread_of,
};

#[track_caller]
fn assert_cancelled<T>(task: JoinHandle<T>) {
    let error = join_err(task);
    assert!(matches!(error, JoinError::Cancelled), "not cancelled: {error:?}");
}

// ───────────── Canceller ─────────────

/// C1: a canceller works from another thread, after the handle was dropped.
#[test]
fn a_canceller_outlives_the_handle() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        log.wait_polls(1);
        let (canceller, copy) = (task.canceller(), task.canceller().clone());
        assert_eq!(canceller.id(), task.id());
        drop(task);
        let answer = std::thread::spawn(move || copy.cancel()).join().expect("no panic");
        assert_eq!(answer, CancelRequest::Requested);
        log.drops().wait(1);
        assert_eq!(log.drops().threads(), [thread_of(side.handle())]);
        assert!(canceller.is_finished());
    });
}

/// W6: neither a canceller nor a handle keeps the future of an ended task.
#[test]
fn a_canceller_does_not_keep_the_future() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::ready_at(1, ());
        let task = side.handle().spawn(probe);
        let canceller = task.canceller();
        join_ok(task);
        assert_eq!(log.drops().threads(), [thread_of(side.handle())]);
        assert!(canceller.is_finished());
    });
}

/// C1: dropping a canceller cancels nothing.
#[test]
fn dropping_a_canceller_cancels_nothing() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let task = side.handle().spawn(gate.passed());
        drop(task.canceller());
        gate.open();
        join_ok(task);
    });
}

// ───────────── cancel_within ─────────────

/// C3, M5: `cancel_within` of a task without a guard cancels at once, whatever the grace.
#[test]
fn cancel_within_cancels_at_once_whatever_the_grace() {
    limited(|| {
        let side = loop_started();
        for grace in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let (probe, log) = Probe::pending();
            let task = side.handle().spawn(probe);
            log.wait_polls(1);
            assert_eq!(task.cancel_within(grace), CancelRequest::Requested, "{grace:?}");
            assert_cancelled(task);
            assert_eq!(log.dropped(), 1, "{grace:?}");
        }
    });
}

/// C4: `cancel_within` of zero during the poll that returns `Ready` loses too.
#[test]
fn a_value_wins_over_cancel_within_zero() {
    limited(|| {
        let side = loop_started();
        let (entered, release) = (Latch::new("in the call"), Latch::new("out of the call"));
        let (there, go) = (entered.clone(), release.clone());
        let call = side.handle().call(move || {
            there.set();
            go.wait();
            3
        });
        entered.wait();
        call.cancel_within(Duration::ZERO);
        release.set();
        assert_eq!(join_ok(call), 3);
    });
}

// ───────────── CancelOnDrop ─────────────

/// C1: dropping a `CancelOnDrop` cancels the task.
#[test]
fn dropping_a_cancel_on_drop_cancels() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe).cancel_on_drop();
        let canceller = task.canceller();
        log.wait_polls(1);
        drop(task);
        log.drops().wait(1);
        assert_ne!(canceller.cancel(), CancelRequest::Requested);
        assert_eq!(log.drops().threads(), [thread_of(side.handle())]);
    });
}

/// C5: dropping a `CancelOnDrop` before the first poll: the task is never polled.
#[test]
fn dropping_a_cancel_on_drop_before_the_first_poll_prevents_it() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let (probe, log) = Probe::pending();
        drop(side.handle().spawn(probe).cancel_on_drop());
        held.release();
        log.drops().wait(1);
        assert_eq!(log.polls(), 0);
    });
}

/// J5: `into_inner` disarms: the handle that comes out detaches.
#[test]
fn into_inner_disarms() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let (passed, done) = (gate.passed(), Latch::new("the task ended"));
        let there = done.clone();
        let task = side.handle().spawn(async move {
            passed.await;
            there.set();
        });
        let id = task.id();
        let inner = task.cancel_on_drop().into_inner();
        assert_eq!(inner.id(), id);
        drop(inner);
        gate.open();
        done.wait();
    });
}

/// J1: awaiting a `CancelOnDrop` gives the value, and its methods are those of the handle.
#[test]
fn a_cancel_on_drop_joins_like_a_handle() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let passed = gate.passed();
        let task = side.handle().spawn(async move {
            passed.await;
            5
        });
        let (id, task) = (task.id(), task.cancel_on_drop());
        assert_eq!((task.id(), task.canceller().id(), task.is_finished()), (id, id, false));
        gate.open();
        assert_eq!(futures::executor::block_on(task).expect("a value"), 5);
    });
}

/// C6: the requests of a `CancelOnDrop` answer like those of the handle.
#[test]
fn a_cancel_on_drop_answers_like_a_handle() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let task = side.handle().spawn(pending::<()>()).cancel_on_drop();
        assert_eq!(task.cancel(), CancelRequest::Requested);
        assert_eq!(task.abort(), CancelRequest::AlreadyRequested);
        assert_eq!(task.cancel_within(Duration::ZERO), CancelRequest::AlreadyRequested);
        held.release();
        assert_cancelled(task.into_inner());
    });
}

/// C1: a `CancelOnDrop` dropped with the task that owns it cancels the inner task too.
#[test]
fn cancel_on_drop_passes_a_cancel_on() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let inner = side.handle().spawn(probe).cancel_on_drop();
        log.wait_polls(1);
        let outer = side.handle().spawn(inner);
        outer.cancel();
        assert_cancelled(outer);
        log.drops().wait(1);
    });
}

/// C1: a chain of 100 000 tasks, each cancelled by the drop of the one before, ends.
#[test]
fn a_long_chain_of_cancel_on_drop_ends() {
    limited_to(Duration::from_secs(60), || {
        const LINKS: usize = 100_000;
        let side = loop_started();
        let drops = Drops::new();
        let innermost = drops.token();
        let mut chain = side.handle().spawn(async move {
            let _token = innermost;
            pending::<()>().await;
        });
        for _ in 1..LINKS {
            let (token, next) = (drops.token(), chain.cancel_on_drop());
            chain = side.handle().spawn(async move {
                let (_next, _token) = (next, token);
                pending::<()>().await;
            });
        }
        join_ok(side.handle().call(|| ()));
        chain.cancel();
        assert_cancelled(chain);
        drops.wait(LINKS);
    });
}

// ───────────── from odd places ─────────────

/// P1: a destructor on the loop thread cancels another task, by handle and by id.
#[test]
fn a_destructor_cancels_another_task() {
    limited(|| {
        let side = loop_started();
        let (one, two) =
            (side.handle().spawn(pending::<()>()), side.handle().spawn(pending::<()>()));
        let (first, second, handle) = (one.canceller(), two.id(), side.handle().clone());
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe.on_drop(move || {
            first.cancel();
            drop(handle.cancel(second));
        }));
        log.wait_polls(1);
        task.cancel();
        assert_cancelled(task);
        assert_cancelled(one);
        assert_cancelled(two);
    });
}

/// P1: a destructor that cancels its own task gets an answer and changes nothing.
#[test]
fn a_destructor_that_cancels_its_own_task_does_no_harm() {
    limited(|| {
        let side = loop_started();
        let (give, take) = std::sync::mpsc::channel::<sideloop::Canceller>();
        let handle = side.handle().clone();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe.on_drop(move || {
            let me = take.recv().expect("the own canceller");
            assert_ne!(me.cancel(), CancelRequest::Requested);
            drop(handle.cancel(me.id()));
        }));
        log.wait_polls(1);
        give.send(task.canceller()).expect("the task lives");
        task.cancel();
        assert_cancelled(task);
        join_ok(side.handle().call(|| ()));
        assert_eq!(log.dropped(), 1);
    });
}

/// P1, W4: a destructor that wakes its own task wakes nothing.
#[test]
fn a_destructor_that_wakes_its_own_task_wakes_nothing() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let itself = log.clone();
        let task = side.handle().spawn(probe.on_drop(move || {
            itself.wake();
        }));
        log.wait_polls(1);
        task.cancel();
        assert_cancelled(task);
        join_ok(side.handle().call(|| ()));
        assert_eq!((log.polls(), log.dropped()), (1, 1));
    });
}

/// X1, X2: a destructor that panics in a cancel is the task's panic; the loop goes on.
#[test]
fn a_destructor_that_panics_in_a_cancel_reaches_the_joiner() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe.on_drop(|| panic!("no way out")));
        log.wait_polls(1);
        task.cancel();
        match join_soon(task) {
            Err(JoinError::Panicked(payload)) => {
                assert_eq!(payload.message(), Some("no way out"));
            }
            other => panic!("{other:?}"),
        }
        join_ok(side.handle().call(|| ()));
    });
}

/// C1: on an executor without a thread, the drop happens in the next turn at the latest.
#[test]
fn an_executor_drops_a_cancelled_task_by_its_next_turn() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = Probe::pending();
        let task = executor.spawn_local(probe);
        executor.run_until_idle();
        assert_eq!(task.cancel(), CancelRequest::Requested);
        executor.turn();
        assert_eq!((log.polls(), log.dropped(), task.is_finished()), (1, 1, true));
    });
}

/// C1, H5: a thread blocked in `join` returns when the task is cancelled.
#[test]
fn a_blocked_joiner_returns_when_the_task_is_cancelled() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        let canceller = task.canceller();
        let joiner = std::thread::spawn(move || task.join());
        log.wait_polls(1);
        canceller.cancel();
        let result = joiner.join().expect("a join does not panic");
        assert!(matches!(result, Err(JoinError::Cancelled)), "{result:?}");
    });
}

/// C7, C6: after the loop's end a cancel by handle finds the task finished.
#[test]
fn cancel_after_the_end_finds_the_task_finished() {
    limited(|| {
        let side = loop_started();
        let (handle, task) = (side.handle().clone(), side.handle().spawn(pending::<()>()));
        side.shutdown(Shutdown::now());
        let late = handle.spawn(pending::<()>());
        for task in [&task, &late] {
            assert_eq!(task.cancel(), CancelRequest::Finished);
            assert_eq!(task.abort(), CancelRequest::Finished);
            assert_eq!(task.cancel_within(Duration::MAX), CancelRequest::Finished);
        }
    });
}
