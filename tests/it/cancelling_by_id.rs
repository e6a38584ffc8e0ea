//! Cancelling by id, and the exact answers that every way to cancel gives.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use sideloop::{Builder, CancelRequest, Handle, JoinError, JoinHandle, Shutdown, TaskId};

use crate::support::{
    Latch, Probe, hold, join_err, join_ok, join_soon, limited, limited_to, loop_started, thread_of,
};

/// Cancels by id and waits for the answer.
#[track_caller]
fn cancel_by_id(handle: &Handle, id: TaskId) -> CancelRequest {
    join_ok(handle.cancel(id))
}

#[track_caller]
fn assert_cancelled<T>(task: JoinHandle<T>) {
    let error = join_err(task);
    assert!(matches!(error, JoinError::Cancelled), "not cancelled: {error:?}");
}

// ───────────── answers ─────────────

/// C6: by handle, `Requested` comes once, then `AlreadyRequested`, and `Finished` after the end.
#[test]
fn the_answers_by_handle_are_exact() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let task = side.handle().spawn(pending::<()>());
        let canceller = task.canceller();
        assert_eq!(task.cancel(), CancelRequest::Requested);
        assert_eq!(task.cancel(), CancelRequest::AlreadyRequested);
        assert_eq!(canceller.cancel(), CancelRequest::AlreadyRequested);
        assert_eq!(canceller.abort(), CancelRequest::AlreadyRequested);
        assert_eq!(task.cancel_within(Duration::ZERO), CancelRequest::AlreadyRequested);
        held.release();
        assert_cancelled(task);
        assert_eq!(canceller.cancel(), CancelRequest::Finished);
        assert_eq!(canceller.abort(), CancelRequest::Finished);
        assert_eq!(canceller.cancel_within(Duration::MAX), CancelRequest::Finished);
        assert!(canceller.is_finished());
    });
}

/// C6: a task that ended by itself, with a value or a panic, is `Finished` by handle.
#[test]
fn an_ended_task_is_finished_by_handle() {
    limited(|| {
        let side = loop_started();
        let (value, panic) = (side.handle().call(|| 1), side.handle().call(|| panic!("over")));
        let cancellers = [value.canceller(), panic.canceller()];
        join_ok(value);
        join_err::<()>(panic);
        for canceller in cancellers {
            assert_eq!(canceller.cancel(), CancelRequest::Finished);
        }
    });
}

/// C6: by id, a live task is `Requested`, and `NotFound` once the loop has forgotten it.
#[test]
fn the_answers_by_id_are_exact() {
    limited(|| {
        let side = loop_started();
        let task = side.handle().spawn(pending::<()>());
        let id = task.id();
        assert_eq!(cancel_by_id(side.handle(), id), CancelRequest::Requested);
        assert_cancelled(task);
        assert_eq!(cancel_by_id(side.handle(), id), CancelRequest::NotFound);
        assert_eq!(join_ok(side.handle().abort(id)), CancelRequest::NotFound);
    });
}

/// C6: more requests than a turn answers, which wait for the same tasks to arrive, are all answered, though
/// nothing else comes in.
#[test]
fn requests_that_waited_for_tasks_in_vain_are_all_answered() {
    limited(|| {
        let mut executor = Builder::new().batch(1).build();
        let handle = executor.handle().clone();
        let gone = executor.spawn_local(async {}).id();
        executor.run_until_idle();
        let answers = thread::spawn(move || {
            (0..8).for_each(|_| handle.spawn(async {}).detach());
            (0..1_000).map(|_| handle.cancel(gone)).collect::<Vec<_>>()
        });
        let answers = answers.join().expect("it sends");
        executor.run_until_idle();
        assert!(answers.iter().all(JoinHandle::is_finished), "some are left");
        answers.into_iter().for_each(|answer| assert_eq!(join_ok(answer), CancelRequest::NotFound));
    });
}

/// C6: among racing threads, by handle and by id, exactly one gets `Requested`.
#[test]
fn exactly_one_of_many_racing_threads_gets_requested() {
    limited(|| {
        const THREADS: usize = 6;
        let side = loop_started();
        for round in 0..200 {
            let task = side.handle().spawn(pending::<()>());
            let (requested, start) = (AtomicUsize::new(0), Barrier::new(THREADS));
            thread::scope(|scope| {
                for number in 0..THREADS {
                    let (task, requested, start) = (&task, &requested, &start);
                    let handle = side.handle();
                    scope.spawn(move || {
                        start.wait();
                        let answer = match number % 3 {
                            0 => task.cancel(),
                            1 => task.canceller().abort(),
                            _ => cancel_by_id(handle, task.id()),
                        };
                        if answer == CancelRequest::Requested {
                            requested.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
            });
            assert_eq!(requested.load(Ordering::SeqCst), 1, "round {round}");
            assert_cancelled(task);
        }
    });
}

/// C6, C4: a cancel that races with the end: `Cancelled` only if somebody got `Requested`.
#[test]
fn a_cancel_racing_with_the_end_answers_consistently() {
    limited(|| {
        let side = loop_started();
        for round in 0..2_000 {
            let (probe, log) = Probe::ready_at(2, round);
            let task = side.handle().spawn(probe);
            log.wait_polls(1);
            let canceller = task.canceller();
            let racer = thread::spawn(move || canceller.cancel());
            log.wake();
            let answer = racer.join().expect("a cancel does not panic");
            match join_soon(task) {
                Ok(value) => assert_eq!(value, round),
                Err(JoinError::Cancelled) => assert_eq!(answer, CancelRequest::Requested),
                Err(other) => panic!("round {round}: {other:?} after {answer:?}"),
            }
            assert_eq!(log.dropped(), 1, "round {round}");
        }
    });
}

// ───────────── stale and foreign ids ─────────────

/// C6: the id of an ended task touches none of those that took its place.
#[test]
fn a_stale_id_never_touches_another_task() {
    limited(|| {
        let side = loop_started();
        let stale: Vec<_> = (0..64)
            .map(|_| {
                let call = side.handle().call(|| ());
                let id = call.id();
                join_ok(call);
                id
            })
            .collect();
        let local = join_ok(side.handle().call(|| sideloop::spawn_local(async {}).id()));
        let tenants: Vec<_> = (0..64).map(|_| side.handle().spawn(pending::<()>())).collect();
        for id in stale.into_iter().chain([local]) {
            assert_eq!(cancel_by_id(side.handle(), id), CancelRequest::NotFound, "{id}");
        }
        assert!(tenants.iter().all(|tenant| !tenant.is_finished()));
        for tenant in tenants {
            assert_eq!(tenant.cancel(), CancelRequest::Requested);
        }
    });
}

/// C6: the id of a task of another loop is not found, also if it was spawned on its loop thread.
#[test]
fn an_id_of_another_loop_is_not_found() {
    limited(|| {
        let (one, two) = (loop_started(), loop_started());
        let remote = one.handle().spawn(pending::<()>());
        let local = join_ok(one.handle().call(|| sideloop::spawn_local(pending::<()>())));
        let theirs: Vec<_> = (0..8)
            .map(|_| join_ok(two.handle().call(|| sideloop::spawn_local(pending::<()>()))))
            .collect();
        for id in [remote.id(), local.id()] {
            assert_eq!(cancel_by_id(two.handle(), id), CancelRequest::NotFound, "{id}");
        }
        assert!(!remote.is_finished() && !local.is_finished());
        for task in theirs {
            assert_eq!(cancel_by_id(one.handle(), task.id()), CancelRequest::NotFound);
            assert_eq!(cancel_by_id(two.handle(), task.id()), CancelRequest::Requested);
        }
    });
}

/// C6, P2: an id is good from the moment the spawn returned, whether the loop is awake or not.
#[test]
fn an_id_is_known_as_soon_as_the_spawn_returned() {
    limited(|| {
        let side = loop_started();
        for round in 0..5_000 {
            let task = side.handle().spawn(pending::<()>());
            let answer = cancel_by_id(side.handle(), task.id());
            assert_eq!(answer, CancelRequest::Requested, "round {round}");
            assert_cancelled(task);
        }
    });
}

/// C5, C6: a task cancelled by id before its first poll is never polled.
#[test]
fn a_task_cancelled_by_id_before_its_first_poll_is_never_polled() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let (probe, log) = Probe::ready_at(1, ());
        let task = side.handle().spawn(probe);
        let request = side.handle().cancel(task.id());
        held.release();
        assert_eq!(join_ok(request), CancelRequest::Requested);
        assert_cancelled(task);
        assert_eq!((log.polls(), log.dropped()), (0, 1));
    });
}

/// J5: a request by id counts also when its handle is dropped at once.
#[test]
fn a_request_by_id_needs_no_handle() {
    limited(|| {
        let side = loop_started();
        let task = side.handle().spawn(pending::<()>());
        drop(side.handle().cancel(task.id()));
        assert_cancelled(task);
    });
}

// ───────────── ahead of the backlog ─────────────

/// T3: a cancel by id, its answer and the drop come ahead of 100 000 callbacks issued before it.
#[test]
fn a_cancel_by_id_overtakes_a_backlog() {
    limited_to(Duration::from_secs(60), || {
        const BATCH: usize = 64;
        let side = loop_started();
        let ran = Arc::new(AtomicUsize::new(0));
        let at_drop = Arc::new(AtomicUsize::new(usize::MAX));
        let (counter, seen) = (Arc::clone(&ran), Arc::clone(&at_drop));
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe.on_drop(move || {
            seen.store(counter.load(Ordering::SeqCst), Ordering::SeqCst);
        }));
        log.wait_polls(1);
        let held = hold(side.handle());
        let answered = Latch::new("the cancel was answered ahead of the backlog");
        for _ in 0..100_000 {
            let (ran, answered) = (Arc::clone(&ran), answered.clone());
            side.handle().call(move || {
                if ran.fetch_add(1, Ordering::SeqCst) == BATCH {
                    answered.wait();
                }
            });
        }
        let request = side.handle().cancel(task.id());
        drop(held);
        assert_eq!(join_ok(request), CancelRequest::Requested);
        assert_cancelled(task);
        answered.set();
        let overtaken_by = at_drop.load(Ordering::SeqCst);
        assert!(overtaken_by <= BATCH, "{overtaken_by} callbacks ran before the drop");
    });
}

/// T3, C5: a task that waits behind a backlog is cancelled when it is taken in, and never polled.
#[test]
fn a_cancelled_task_behind_a_backlog_is_never_polled() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        (0..20_000).for_each(|_| side.handle().call(|| ()).detach());
        let (probe, log) = Probe::pending();
        let task = side.handle().spawn(probe);
        task.cancel();
        drop(held);
        assert_cancelled(task);
        assert_eq!((log.polls(), log.dropped()), (0, 1));
    });
}

// ───────────── from inside ─────────────

/// C6, P1: a task cancels another by id and awaits the answer.
#[test]
fn a_task_cancels_another_by_id() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let victim = side.handle().spawn(probe);
        log.wait_polls(1);
        let id = victim.id();
        let answers = join_ok(side.handle().spawn(async move {
            let first = sideloop::current().cancel(id).await.expect("an answer");
            let second = sideloop::current().cancel(id).await.expect("an answer");
            (first, second)
        }));
        assert_cancelled(victim);
        assert_eq!(answers.0, CancelRequest::Requested);
        assert_ne!(answers.1, CancelRequest::Requested);
        assert_eq!(log.drops().threads(), [thread_of(side.handle())]);
    });
}

/// C1, C6: a task that cancels itself by id and suspends is cancelled; the request is answered.
#[test]
fn a_task_cancels_itself_by_id() {
    limited(|| {
        let side = loop_started();
        let (give, take) = std::sync::mpsc::channel();
        let task = side.handle().spawn(async move {
            let me = sideloop::current_task().expect("in a task");
            give.send(sideloop::current().cancel(me)).expect("somebody waits");
            pending::<()>().await;
        });
        let request = take.recv_timeout(crate::support::WAIT).expect("the task ran");
        assert_cancelled(task);
        assert_eq!(join_ok(request), CancelRequest::Requested);
    });
}

// ───────────── at and after the end ─────────────

/// C7, P8: a cancel by id works while the loop drains.
#[test]
fn a_cancel_by_id_works_while_the_loop_drains() {
    limited(|| {
        let side = loop_started();
        let task = side.handle().spawn(pending::<()>());
        join_ok(side.handle().call(|| ()));
        side.handle().shutdown(Shutdown::now().drain(Duration::MAX));
        assert_eq!(cancel_by_id(side.handle(), task.id()), CancelRequest::Requested);
        let id = task.id();
        assert_cancelled(task);
        let report = side.join();
        let cancelled: Vec<_> = report.cancelled.iter().map(|info| info.id).collect();
        assert_eq!(cancelled, [id], "{report:?}");
    });
}

/// C6: after the loop's end a request by id joins as `Closed`.
#[test]
fn a_request_by_id_after_the_end_joins_as_closed() {
    limited(|| {
        let side = loop_started();
        let (handle, task) = (side.handle().clone(), side.handle().spawn(pending::<()>()));
        side.shutdown(Shutdown::now());
        for request in [handle.cancel(task.id()), handle.abort(task.id())] {
            let error = join_err(request);
            assert!(matches!(error, JoinError::Closed), "{error:?}");
        }
    });
}

/// P6, H5: requests by id that race with the end are all answered, one way or the other.
#[test]
fn requests_by_id_that_race_with_the_end_are_all_answered() {
    limited(|| {
        for round in 0..50 {
            let side = loop_started();
            let (handle, task) = (side.handle().clone(), side.handle().spawn(pending::<()>()));
            let start = Arc::new(Barrier::new(2));
            let go = Arc::clone(&start);
            let racer = thread::spawn(move || {
                go.wait();
                (0..200).map(|_| handle.cancel(task.id())).collect::<Vec<_>>()
            });
            start.wait();
            side.shutdown(Shutdown::now());
            let mut requested = 0;
            for request in racer.join().expect("requests do not panic") {
                match join_soon(request) {
                    Ok(CancelRequest::Requested) => requested += 1,
                    Ok(_) | Err(JoinError::Closed) => {}
                    Err(other) => panic!("round {round}: {other:?}"),
                }
            }
            assert!(requested <= 1, "round {round}: {requested} times Requested");
        }
    });
}
