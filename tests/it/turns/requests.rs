//! Requests to end: what they overtake, what they meet on its way in, and what they do in the middle of a poll.

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use sideloop::{Builder, CancelGuard, CancelRequest, Executor, JoinHandle, current, yield_now};

use super::floods::{INTAKE, RunUntil, from_elsewhere, read, rounds};
use crate::support::*;

/// T3: a request moves its task ahead once: a guarded task that asks itself again and again stands in the queue.
#[test]
fn t3_a_repeated_request_moves_nothing_ahead() {
    limited(|| {
        let mut executor = Builder::new().batch(4).build();
        let stubborn = executor.spawn_local(async {
            let guard = CancelGuard::new();
            let own = current().tasks().await.expect("the loop lives").remove(0).id;
            loop {
                drop(current().cancel(own));
                assert!(guard.is_requested());
                yield_now().await;
            }
        });
        let rounds = rounds(&executor);
        for turns in 1..50 {
            executor.turn();
            assert!(read(&rounds) >= turns, "{} rounds in {turns} turns", read(&rounds));
        }
        stubborn.abort();
        executor.turn();
        assert!(stubborn.is_finished());
    });
}

/// T3: nor does a wake from another thread, once a guarded task has been told.
#[test]
fn t3_a_wake_of_a_task_that_was_told_stands_in_the_queue() {
    limited(|| {
        let mut executor = Builder::new().batch(2).build();
        let (probe, log) = Probe::<()>::pending();
        let told = executor.spawn_local(async move {
            let _guard = CancelGuard::new();
            probe.await
        });
        executor.run_until_idle();
        told.cancel();
        executor.run_until_idle();
        let polls = log.polls();
        let others: Vec<_> = (0..4).map(|_| rounds(&executor)).collect();
        from_elsewhere(|| assert!(log.wake()));
        executor.turn();
        assert_eq!((log.polls(), read(&others[0])), (polls, 1), "it went ahead again");
        executor.run_until(|| log.polls() > polls);
        told.abort();
        executor.turn();
        assert!(told.is_finished());
    });
}

/// C1: a cancel by another thread during a poll takes effect at the end of that poll, before any other task is polled.
#[test]
fn c1_a_cancel_during_a_poll_takes_effect_at_its_end() {
    for aborts in [false, true] {
        limited(move || {
            let mut executor = Executor::new();
            let (drops, polled_then) = (Drops::new(), Events::new());
            let token = drops.token();
            let ((begun, has_begun), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
            let task = executor.spawn_local(async move {
                let _token = token;
                begun.send(()).expect("heard");
                may_go_on.recv().expect("told");
                std::future::pending::<()>().await;
            });
            let stop = task.canceller();
            let other = thread::spawn(move || {
                has_begun.recv().expect("it begins");
                let answer = if aborts { stop.abort() } else { stop.cancel() };
                assert_eq!(answer, CancelRequest::Requested);
                go_on.send(()).expect("heard");
            });
            for _ in 0..62 {
                let (drops, seen) = (drops.clone(), polled_then.clone());
                executor.spawn_local(async move { seen.push(drops.count()) }).detach();
            }
            executor.turn();
            other.join().expect("it does not panic");
            assert_eq!(polled_then.all(), vec![1; 62]);
            assert!(task.is_finished());
        });
    }
}

/// C1: the same for a task that asks itself, and for one whose last guard goes in the poll.
#[test]
fn c1_a_cancel_by_the_task_itself_takes_effect_at_the_end_of_the_poll() {
    limited(|| {
        let mut executor = Executor::new();
        let events = Events::new();
        let (first, second) = (events.clone(), events.clone());
        let stop = Arc::new(std::sync::Mutex::new(None::<sideloop::Canceller>));
        let own = Arc::clone(&stop);
        let task = executor.spawn_local(async move {
            let _dropped = OnDrop(Some(move || first.push("dropped")));
            let guard = CancelGuard::new();
            own.lock().expect("plain").take().expect("it was put there").cancel();
            drop(guard);
            std::future::pending::<()>().await;
        });
        *stop.lock().expect("plain") = Some(task.canceller());
        executor.spawn_local(async move { second.push("another task") }).detach();
        executor.turn();
        assert_eq!(events.all(), ["dropped", "another task"]);
    });
}

/// C4: the poll that returns ready wins over a cancel that came during it.
#[test]
fn c4_a_poll_that_is_ready_wins_over_a_cancel_of_its_own() {
    limited(|| {
        let mut executor = Executor::new();
        let handle = executor.handle().clone();
        let task = executor.spawn_local(async move {
            let own = sideloop::current_task().expect("in a task");
            drop(handle.abort(own));
            7
        });
        assert_eq!(executor.block_on(task).expect("it was ready"), 7);
    });
}

/// T3: behind many queued calls an abort takes effect in the next turn, and its task is not polled again.
#[test]
fn t3_an_abort_does_not_wait_for_the_backlog_to_be_taken_in() {
    const BACKLOG: usize = 200_000;
    limited_to(2 * BODY, || {
        let mut executor = Executor::new();
        let (probe, log) = Probe::<()>::pending();
        let task = executor.spawn_local(probe);
        let id = task.id();
        let (other, other_log) = Probe::<()>::pending();
        let other = executor.spawn_local(other);
        executor.turn();
        let handle = executor.handle().clone();
        let answer = from_elsewhere(|| {
            (0..BACKLOG).for_each(|_| handle.call(|| ()).detach());
            let answer = handle.cancel(id);
            other.abort();
            answer
        });
        let turn = executor.turn();
        assert!(turn.polls <= 64 && !turn.idle, "{turn:?}");
        assert_eq!((log.dropped(), other_log.dropped()), (1, 1));
        assert_eq!(executor.block_on(answer).expect("answered"), CancelRequest::Requested);
    });
}

/// C5, C6: a request by id that overtakes its task is kept for it: the task is never polled.
#[test]
fn c5_a_request_by_id_meets_its_task_in_the_backlog() {
    for aborts in [false, true] {
        limited(move || {
            let mut executor = Executor::new();
            let handle = executor.handle().clone();
            let (probe, log) = Probe::<()>::pending();
            let (task, answers) = from_elsewhere(|| {
                (0..5_000).for_each(|_| handle.call(|| ()).detach());
                let task = handle.spawn(probe);
                (0..1_000).for_each(|_| handle.call(|| ()).detach());
                let ask =
                    |_| if aborts { handle.abort(task.id()) } else { handle.cancel(task.id()) };
                let answers: Vec<JoinHandle<CancelRequest>> = (0..3).map(ask).collect();
                (task, answers)
            });
            executor.turn();
            assert!(!task.is_finished(), "it is behind 5 000 calls");
            executor.run_until_idle();
            assert!(task.join().is_err());
            assert_eq!((log.polls(), log.dropped()), (0, 1));
            let answers: Vec<_> = answers.into_iter().map(join_ok).collect();
            let again = CancelRequest::AlreadyRequested;
            assert_eq!(answers, [CancelRequest::Requested, again, again]);
        });
    }
}

/// C6: the same where the request is made on the loop's own thread, by a task.
#[test]
fn c6_a_request_on_the_loop_meets_its_task_in_the_backlog() {
    limited(|| {
        let mut executor = Builder::new().batch(4).build();
        let handle = executor.handle().clone();
        let (probe, log) = Probe::<()>::pending();
        let task = from_elsewhere(|| {
            (0..100).for_each(|_| handle.call(|| ()).detach());
            handle.spawn(probe)
        });
        let (handle, id) = (executor.handle().clone(), task.id());
        let asks = executor.spawn_local(async move { handle.cancel(id).await });
        let answer = executor.block_on(asks).expect("runs").expect("answered");
        assert_eq!((answer, log.polls()), (CancelRequest::Requested, 0));
        assert!(executor.block_on(task).is_err());
    });
}

/// C6: an id of nothing is answered although new tasks keep coming.
#[test]
fn c6_a_stale_id_is_answered_during_a_flood() {
    limited(|| {
        let mut executor = Executor::new();
        let stale = executor.spawn_local(async {}).id();
        executor.run_until_idle();
        let handle = executor.handle().clone();
        let flood = || from_elsewhere(|| (0..100).for_each(|_| handle.call(|| ()).detach()));
        flood();
        let answer = from_elsewhere(|| handle.abort(stale));
        for _ in 0..10 {
            flood();
            executor.turn();
        }
        assert_eq!(answer.is_finished().then(|| join_ok(answer)), Some(CancelRequest::NotFound));
    });
}

/// C6: on the loop's own thread a blocking join answers, also for a task that waits to be taken in.
#[test]
fn c6_a_request_by_id_on_the_loop_finds_what_waits_to_be_taken_in() {
    limited(|| {
        let mut executor = Builder::new().batch(1).build();
        let gone = executor.spawn_local(async {}).id();
        executor.run_until_idle();
        let handle = executor.handle().clone();
        let spawn = move || (0..100).map(|_| handle.spawn(pending::<()>())).collect::<Vec<_>>();
        let tasks = thread::spawn(spawn).join().expect("it spawns");
        let (handle, last) = (executor.handle().clone(), tasks[99].id());
        let answers = executor.block_on(async move {
            [handle.cancel(last), handle.cancel(last), handle.abort(gone)].map(join_ok)
        });
        let expected =
            [CancelRequest::Requested, CancelRequest::AlreadyRequested, CancelRequest::NotFound];
        assert_eq!(answers, expected);
        executor.run_until_idle();
        assert!(tasks[99].is_finished() && !tasks[98].is_finished());
    });
}

/// T1: requests that wait for tasks to arrive are answered by the batch, however many of the tasks arrive together.
#[test]
fn t1_requests_that_waited_for_tasks_share_no_turn() {
    limited(|| {
        let mut executor = Builder::new().batch(64).build();
        let handle = executor.handle().clone();
        // All requests have been looked at, and wait, before the long backlog of tasks has been put in order.
        let answers: Vec<_> = from_elsewhere(move || {
            let ids: Vec<_> = (0..5_120).map(|_| handle.spawn(pending::<()>()).id()).collect();
            (0..32).flat_map(|_| &ids[..64]).map(|id| handle.cancel(*id)).collect()
        });
        let (mut answered, mut turns) = (0, 0);
        while answered < answers.len() {
            let _ = executor.turn();
            let now = answers.iter().filter(|answer| answer.is_finished()).count();
            let of_turn = now - answered;
            assert!(of_turn <= 2 * INTAKE, "{of_turn} answers in turn {turns}");
            (answered, turns) = (now, turns + 1);
        }
        assert!(turns > 20, "they were answered in {turns} turns, and did not wait");
    });
}
