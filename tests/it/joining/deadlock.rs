//! J4: a blocking join that could never return says so at once.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sideloop::{
    CancelRequest, Executor, Handle, JoinError, JoinHandle, Shutdown, block_on, current,
    spawn_local, yield_now,
};

use crate::support::*;

/// Checks the three kinds of blocking join of tasks that cannot end while the caller blocks.
#[track_caller]
fn check_would_deadlock(spawn: impl Fn() -> JoinHandle<()>) {
    let joined = spawn().join();
    assert!(matches!(joined, Err(JoinError::WouldDeadlock)), "join: {joined:?}");
    for limit in [Duration::from_nanos(1), Duration::from_secs(3600), Duration::MAX] {
        let joined = spawn().join_timeout(limit);
        assert!(matches!(joined, Ok(Err(JoinError::WouldDeadlock))), "{limit:?}: {joined:?}");
    }
    let tried = spawn().join_timeout(Duration::ZERO);
    assert!(tried.is_err(), "join_timeout(0): {tried:?}");
}

/// J4: on the loop's own thread: in a callback, a poll, and a destructor.
#[test]
fn a_join_on_the_loops_own_thread_would_deadlock() {
    limited(|| {
        let looped = loop_started();
        let pending = || spawn_local(std::future::pending());
        let remote = || current().spawn(std::future::pending());
        join_ok(looped.handle().call(move || check_would_deadlock(pending)));
        join_ok(looped.handle().call(move || check_would_deadlock(remote)));
        join_ok(looped.handle().spawn(async move {
            yield_now().await;
            check_would_deadlock(pending);
        }));
        let (probe, _) = Probe::ready_at(1, ());
        let done = Latch::new("the destructor has run");
        let ran = done.clone();
        let probe = probe.on_drop(move || {
            check_would_deadlock(remote);
            ran.set();
        });
        join_ok(looped.handle().spawn(probe));
        assert!(done.is_set());
    });
}

/// J4: of a finished task it gives the value, on the loop's own thread too.
#[test]
fn a_finished_task_can_be_joined_on_its_own_thread() {
    limited(|| {
        let looped = loop_started();
        let values = looped.handle().spawn(async {
            let [one, two, three] = [1, 2, 3].map(|n| spawn_local(async move { n }));
            let cancelled = spawn_local(std::future::pending::<()>());
            cancelled.cancel();
            while !(three.is_finished() && cancelled.is_finished()) {
                yield_now().await;
            }
            assert!(matches!(cancelled.join(), Err(JoinError::Cancelled)));
            let one = one.join().expect("join");
            let two = two.join_timeout(Duration::ZERO).expect("ended").expect("join_timeout(0)");
            let three = three.join_timeout(Duration::MAX).expect("ended").expect("join_timeout");
            (one, two, three)
        });
        assert_eq!(join_ok(values), (1, 2, 3));
    });
}

/// J4: a task that joins itself, or the one that joins it.
#[test]
fn a_task_cannot_join_itself() {
    limited(|| {
        let looped = loop_started();
        let (send, receive) = mpsc::channel::<JoinHandle<()>>();
        let task = looped.handle().spawn(async move {
            let own = loop {
                match receive.try_recv() {
                    Ok(own) => break own,
                    Err(_) => yield_now().await,
                }
            };
            assert!(matches!(own.join(), Err(JoinError::WouldDeadlock)));
        });
        let canceller = task.canceller();
        send.send(task).expect("the task waits for it");
        while !canceller.is_finished() {
            join_ok(looped.handle().call(|| ()));
        }
        assert_eq!(looped.shutdown(Shutdown::now()).panicked.len(), 0);
    });
}

/// J4: `WouldDeadlock` uses the handle up and leaves the task alone.
#[test]
fn a_refused_join_leaves_the_task_alone() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::ready_at(2, ());
        let task = looped.handle().spawn(probe);
        log.wait_polls(1);
        let refused = join_ok(looped.handle().call(move || task.join()));
        assert!(matches!(refused, Err(JoinError::WouldDeadlock)), "{refused:?}");
        join_ok(looped.handle().call(|| ()));
        assert_eq!((log.polls(), log.dropped()), (1, 0));
        log.wake();
        log.wait_polls(2);
        log.drops().wait(1);
    });
}

/// J4: on the thread that an executor lives on, before, inside, and between its runs.
#[test]
fn a_join_on_an_executors_own_thread_would_deadlock() {
    limited(|| {
        let mut executor = Executor::new();
        check_would_deadlock(|| executor.spawn_local(std::future::pending()));
        check_would_deadlock(|| executor.handle().spawn(std::future::pending()));
        executor.block_on(async {
            check_would_deadlock(|| spawn_local(std::future::pending()));
            check_would_deadlock(|| current().spawn(std::future::pending()));
        });
        check_would_deadlock(|| executor.spawn_local(std::future::pending()));
        let ended = executor.spawn_local(async { 1 });
        executor.run_until_idle();
        assert_eq!(ended.join().expect("finished"), 1);
        block_on(async {
            check_would_deadlock(|| spawn_local(std::future::pending()));
            check_would_deadlock(|| current().spawn(std::future::pending()));
        });
    });
}

/// J4: a handle that came from another thread is still one of this executor.
#[test]
fn a_handle_that_came_from_another_thread_would_deadlock_too() {
    limited(|| {
        let mut executor = Executor::new();
        let spawn = |handle: &Handle| {
            let handle = handle.clone();
            let spawned = thread::spawn(move || handle.spawn(std::future::pending()));
            spawned.join().expect("spawns")
        };
        check_would_deadlock(|| spawn(executor.handle()));
        let handle = executor.handle().clone();
        executor.block_on(async { check_would_deadlock(|| spawn(&handle)) });
    });
}

/// J4: with two executors on one thread, each one's tasks would deadlock inside the other's run.
#[test]
fn two_executors_on_one_thread_would_deadlock_on_each_other() {
    limited(|| {
        let (mut one, two) = (Executor::new(), Executor::new());
        one.block_on(async { check_would_deadlock(|| two.spawn_local(std::future::pending())) });
        drop(one);
        check_would_deadlock(|| two.spawn_local(std::future::pending()));
    });
}

/// J4: a `block_on` inside a callback is still on the outer loop's thread.
#[test]
fn a_join_inside_a_nested_block_on_would_deadlock() {
    limited(|| {
        let looped = loop_started();
        let outer = looped.handle().clone();
        let nested = outer.clone();
        let checked = outer.call(move || {
            block_on(async { check_would_deadlock(|| nested.spawn(std::future::pending())) });
        });
        match join_soon(checked) {
            Ok(()) => {}
            // A loop may refuse to be nested, as long as it says so.
            Err(JoinError::Panicked(payload)) => {
                let message = payload.message().unwrap_or_default();
                assert!(!message.contains("join"), "{message}");
            }
            Err(other) => panic!("{other:?}"),
        }
    });
}

/// J4: a task of an executor that is gone does not deadlock: it has ended.
#[test]
fn a_task_of_a_dropped_executor_can_be_joined() {
    limited(|| {
        let executor = Executor::new();
        let task = executor.spawn_local(std::future::pending::<()>());
        drop(executor);
        let joined = task.join();
        assert!(matches!(joined, Err(JoinError::Closed | JoinError::Cancelled)), "{joined:?}");
    });
}

/// J4: a loop that was started on an executor's thread is joined from there like from anywhere.
#[test]
fn another_loops_task_is_no_deadlock() {
    limited(|| {
        let looped = loop_started();
        let mut executor = Executor::new();
        let handle = looped.handle().clone();
        let joins = handle.clone();
        assert_eq!(executor.block_on(async move { joins.call(|| 1).join().expect("a value") }), 1);
        assert_eq!(handle.call(|| 2).join().expect("a value"), 2);
        let other = loop_started();
        let nested = other.handle().call(move || handle.call(|| 3).join());
        assert_eq!(join_ok(nested).expect("a value"), 3);
    });
}

/// J4: another thread may join what the executor's own thread may not, while that one runs it.
#[test]
fn another_thread_may_join_an_executors_task() {
    limited(|| {
        let mut executor = Executor::new();
        let task = executor.handle().spawn(async { 5 });
        let joins = thread::spawn(move || task.join());
        executor.run_until_idle();
        assert_eq!(joins.join().expect("joins").expect("a value"), 5);
    });
}

/// J4: the answer to a cancel by id, joined on the loop's own thread, is there or would deadlock.
#[test]
fn a_cancel_by_id_joined_on_its_own_thread_does_not_hang() {
    limited(|| {
        let looped = loop_started();
        let (probe, log) = Probe::pending();
        let task = looped.handle().spawn(probe);
        let id = task.id();
        let answer = looped.handle().call(move || current().cancel(id).join());
        let answer = join_ok(answer);
        assert!(
            matches!(answer, Ok(CancelRequest::Requested) | Err(JoinError::WouldDeadlock)),
            "{answer:?}"
        );
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(log.dropped(), 1);
    });
}
