//! Cooperative cancelling: a task with a guard is asked, and has the say.

use std::future::pending;
use std::sync::mpsc;
use std::thread;

use sideloop::{
    CancelGuard, CancelRequest, Cancelled, Executor, JoinError, Shutdown, cancel_requested,
    yield_now,
};

use crate::support::{
    Drops, Events, Gate, Latch, Probe, hold, join_err, join_ok, limited, loop_started, thread_of,
};

/// C2: `requested` resolves, the task goes on with any number of awaits, and `join` gives its value.
#[test]
fn a_cancelled_guarded_task_cleans_up_and_gives_its_value() {
    limited(|| {
        let side = loop_started();
        let (alive, events) = (Latch::new("the task lives"), Events::new());
        let (there, seen) = (alive.clone(), events.clone());
        let task = side.handle().spawn(async move {
            let guard = CancelGuard::new();
            there.set();
            guard.requested().await;
            for n in 0..5 {
                seen.push(n);
                yield_now().await;
            }
            "clean"
        });
        alive.wait();
        assert_eq!(task.cancel(), CancelRequest::Requested);
        assert_eq!(join_ok(task), "clean");
        assert_eq!(events.all(), [0, 1, 2, 3, 4]);
    });
}

/// C2: a refused request is forgotten: the value reaches the joiner, and the next cancel is a new one.
#[test]
fn a_refused_cancel_is_forgotten_and_the_value_reaches_the_joiner() {
    limited(|| {
        let side = loop_started();
        let (alive, refused, go) = (Latch::new("lives"), Latch::new("refused"), Gate::new());
        let (there, did, passed) = (alive.clone(), refused.clone(), go.passed());
        let task = side.handle().spawn(async move {
            let guard = CancelGuard::new();
            assert!(!guard.refuse(), "there is nothing to refuse yet");
            there.set();
            guard.requested().await;
            assert!(guard.is_requested() && guard.refuse());
            assert!(!guard.is_requested() && !guard.refuse());
            did.set();
            passed.await;
            drop(guard);
            yield_now().await;
            7
        });
        alive.wait();
        assert_eq!(task.cancel(), CancelRequest::Requested);
        refused.wait();
        assert!(!task.is_finished());
        go.open();
        assert_eq!(join_ok(task), 7);
    });
}

/// C2: after a refusal another cancel is `Requested` again, and resolves `requested` again.
#[test]
fn a_cancel_after_a_refusal_asks_again() {
    limited(|| {
        let mut executor = Executor::new();
        let task = executor.spawn_local(async {
            let guard = CancelGuard::new();
            guard.requested().await;
            guard.refuse();
            guard.requested().await;
            "twice"
        });
        executor.run_until_idle();
        assert_eq!(task.cancel(), CancelRequest::Requested);
        assert_eq!(task.cancel(), CancelRequest::AlreadyRequested);
        executor.run_until_idle();
        assert!(!task.is_finished());
        assert_eq!(task.cancel(), CancelRequest::Requested);
        executor.run_until_idle();
        assert_eq!(join_ok(task), "twice");
    });
}

/// C2: when the last guard drops with a request pending, the task is dropped at its next suspension.
#[test]
fn the_last_guards_drop_lets_a_pending_cancel_have_its_way() {
    limited(|| {
        let mut executor = Executor::new();
        let (drops, events) = (Drops::new(), Events::new());
        let (token, seen) = (drops.token(), events.clone());
        let task = executor.spawn_local(async move {
            let _token = token;
            let (one, two) = (CancelGuard::new(), CancelGuard::new());
            one.requested().await;
            drop(one);
            yield_now().await; // the other one still guards
            seen.push("still here");
            drop(two);
            seen.push("until the next suspension");
            let _late = CancelGuard::new(); // the cancel has been decided
            yield_now().await;
            seen.push("never");
        });
        executor.run_until_idle();
        task.cancel();
        executor.run_until_idle();
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(events.all(), ["still here", "until the next suspension"]);
        assert_eq!(drops.count(), 1);
    });
}

/// C2, C4: the poll that drops the guard and is ready gives its value all the same.
#[test]
fn a_guard_dropped_in_the_last_poll_does_not_take_the_value() {
    limited(|| {
        let mut executor = Executor::new();
        let task = executor.spawn_local(async {
            CancelGuard::new().requested().await;
            "value"
        });
        executor.run_until_idle();
        task.cancel();
        executor.run_until_idle();
        assert_eq!(join_ok(task), "value");
    });
}

/// C2: a guard protects from the poll in which it is made, also from a cancel that came in that poll.
#[test]
fn a_cancel_in_the_poll_that_makes_the_guard_is_a_request() {
    limited(|| {
        let mut executor = Executor::new();
        let handle = executor.handle().clone();
        let (send, receive) = mpsc::channel::<sideloop::Canceller>();
        let task = executor.spawn_local(async move {
            let me = receive.recv().expect("sent before the first poll");
            assert_eq!(me.cancel(), CancelRequest::Requested);
            assert!(cancel_requested());
            let guard = CancelGuard::new();
            let asked = guard.is_requested();
            yield_now().await;
            (asked, guard.is_requested(), handle.is_current())
        });
        send.send(task.canceller()).expect("it is there");
        executor.run_until_idle();
        assert_eq!(join_ok(task), (true, true, true));
    });
}

/// C1, C5: a cancel before the first poll finds no guard.
#[test]
fn a_cancel_before_the_first_poll_meets_no_guard() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = Probe::scripted(|_, _| {
            let _guard = CancelGuard::new();
            std::task::Poll::Ready(())
        });
        let task = executor.spawn_local(probe);
        task.cancel();
        executor.run_until_idle();
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(log.polls(), 0);
    });
}

/// C3: a second cancel does not interrupt the clean-up; an abort does.
#[test]
fn a_second_cancel_does_not_interrupt_and_an_abort_does() {
    limited(|| {
        let mut executor = Executor::new();
        let (go, events, drops) = (Gate::new(), Events::new(), Drops::new());
        let clean_up = |gate: Gate, events: Events<&'static str>, drops: Drops| async move {
            let _token = drops.token();
            let guard = CancelGuard::new();
            guard.requested().await;
            events.push("cleaning");
            gate.passed().await;
            events.push("cleaned");
        };
        let patient = executor.spawn_local(clean_up(go.clone(), events.clone(), drops.clone()));
        let aborted = executor.spawn_local(clean_up(Gate::new(), events.clone(), drops.clone()));
        executor.run_until_idle();
        for task in [&patient, &aborted] {
            assert_eq!(task.cancel(), CancelRequest::Requested);
        }
        executor.run_until_idle();
        for task in [&patient, &aborted] {
            assert_eq!(task.cancel(), CancelRequest::AlreadyRequested);
        }
        assert_eq!(aborted.abort(), CancelRequest::AlreadyRequested);
        executor.run_until_idle();
        assert!(aborted.is_finished() && !patient.is_finished());
        assert!(matches!(join_err(aborted), JoinError::Cancelled));
        go.open();
        executor.run_until_idle();
        join_ok(patient);
        assert_eq!(events.all(), ["cleaning", "cleaning", "cleaned"]);
        assert_eq!(drops.count(), 2);
    });
}

/// C2: an abort does not resolve `requested`.
#[test]
fn an_abort_is_no_request() {
    limited(|| {
        let mut executor = Executor::new();
        let events = Events::new();
        let seen = events.clone();
        let task = executor.spawn_local(async move {
            let guard = CancelGuard::new();
            guard.requested().await;
            seen.push("asked");
        });
        executor.run_until_idle();
        assert_eq!(task.abort(), CancelRequest::Requested);
        executor.run_until_idle();
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(events.all(), [""; 0]);
    });
}

/// C6: eight threads cancel one guarded task: one is told `Requested`.
#[test]
fn of_eight_threads_that_cancel_one_made_the_request() {
    limited(|| {
        let side = loop_started();
        for _ in 0..50 {
            let alive = Latch::new("lives");
            let there = alive.clone();
            let task = side.handle().spawn(async move {
                let guard = CancelGuard::new();
                there.set();
                guard.requested().await;
            });
            alive.wait();
            let held = hold(side.handle());
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let canceller = task.canceller();
                    thread::spawn(move || canceller.cancel())
                })
                .collect();
            let answers: Vec<_> =
                threads.into_iter().map(|one| one.join().expect("ends")).collect();
            let made = answers.iter().filter(|one| **one == CancelRequest::Requested).count();
            assert_eq!(made, 1, "{answers:?}");
            held.release();
            join_ok(task);
        }
    });
}

/// T3: a guarded task is told of its cancel ahead of a hundred thousand queued callbacks.
#[test]
fn a_request_goes_ahead_of_the_backlog() {
    limited(|| {
        let side = loop_started();
        let (alive, order) = (Latch::new("lives"), Events::new());
        let (there, told) = (alive.clone(), order.clone());
        let task = side.handle().spawn(async move {
            let guard = CancelGuard::new();
            there.set();
            guard.requested().await;
            told.push(usize::MAX);
        });
        alive.wait();
        let held = hold(side.handle());
        for n in 0..100_000 {
            let order = order.clone();
            side.handle().call(move || order.push(n)).detach();
        }
        task.cancel();
        held.release();
        join_ok(task);
        let before = order.all().iter().position(|n| *n == usize::MAX).expect("it was told");
        assert!(before <= 3 * 64, "{before} callbacks went before");
        side.shutdown(Shutdown::now());
    });
}

/// C2: a guard that is sent away still guards, and its last drop elsewhere lets the cancel through (W6).
#[test]
fn a_guard_on_another_thread_guards_and_lets_go() {
    limited(|| {
        let side = loop_started();
        let (send, receive) = mpsc::channel();
        let drops = Drops::new();
        let token = drops.token();
        let task = side.handle().spawn(async move {
            let _token = token;
            send.send(CancelGuard::new()).expect("it is awaited");
            pending::<()>().await;
        });
        let guard = receive.recv().expect("sent");
        assert_eq!(task.cancel(), CancelRequest::Requested);
        sideloop::block_on(guard.requested()); // on another loop than the task's
        join_ok(side.handle().call(|| ()));
        assert!(guard.is_requested() && !task.is_finished());
        drop(guard);
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(drops.threads(), [thread_of(side.handle())]);
    });
}

/// C2, P1: a guard that outlives its task, and its loop, does nothing.
#[test]
fn a_guard_may_outlive_its_task_and_its_loop() {
    limited(|| {
        let side = loop_started();
        let task = side.handle().call(CancelGuard::new);
        let guard = join_ok(task);
        assert!(!guard.is_requested() && !guard.refuse());
        side.shutdown(Shutdown::now());
        assert!(!guard.is_requested() && !guard.refuse());
        drop(guard);
    });
}

/// C2: outside of a task there is nothing to guard, and the panic says so.
#[test]
fn outside_of_a_task_a_guard_is_a_panic_that_says_so() {
    limited(|| {
        for result in [
            std::panic::catch_unwind(|| drop(CancelGuard::new())),
            std::panic::catch_unwind(|| sideloop::block_on(async { drop(CancelGuard::new()) })),
        ] {
            let message = *result.expect_err("it panics").downcast::<&str>().expect("a message");
            assert!(message.contains("outside of a sideloop task"), "{message}");
        }
    });
}

/// C2: `run` gives the value, or `Cancelled` as soon as it is requested; a pending request comes first.
#[test]
fn run_gives_the_value_or_cancelled() {
    limited(|| {
        let mut executor = Executor::new();
        let task = executor.spawn_local(async {
            let guard = CancelGuard::new();
            let value = guard.run(async { 1 }).await;
            let cancelled = guard.run(pending::<u8>()).await;
            let not_polled = guard.run(async { 2 }).await;
            (value, cancelled, not_polled)
        });
        executor.run_until_idle();
        task.cancel();
        executor.run_until_idle();
        assert_eq!(join_ok(task), (Ok(1), Err(Cancelled), Err(Cancelled)));
    });
}
