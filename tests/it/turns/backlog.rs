//! T3: a cancel does not stand in the queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sideloop::{CancelRequest, JoinError, JoinHandle, LoopThread};

use crate::support::*;

const BACKLOG: usize = 100_000;

/// How a test cancels: the request, answered at once or by a handle.
type Cancel = fn(&LoopThread, &JoinHandle<()>) -> Option<JoinHandle<CancelRequest>>;

const CANCELS: [(&str, Cancel); 6] = [
    ("cancel", |_, task| requested(task.cancel())),
    ("abort", |_, task| requested(task.abort())),
    ("canceller", |_, task| requested(task.canceller().cancel())),
    ("aborting canceller", |_, task| requested(task.canceller().abort())),
    ("cancel by id", |looped, task| Some(looped.handle().cancel(task.id()))),
    ("abort by id", |looped, task| Some(looped.handle().abort(task.id()))),
];

#[track_caller]
fn requested(answer: CancelRequest) -> Option<JoinHandle<CancelRequest>> {
    assert_eq!(answer, CancelRequest::Requested);
    None
}

/// Queues callbacks that count; number 1000 of them waits for `go_on`.
fn queue(looped: &LoopThread, go_on: &Latch) -> Arc<AtomicUsize> {
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..BACKLOG {
        let (ran, go_on) = (Arc::clone(&ran), go_on.clone());
        let callback = move || {
            if ran.fetch_add(1, Ordering::SeqCst) == 1000 {
                go_on.wait();
            }
        };
        looped.handle().call(callback).detach();
    }
    ran
}

/// T3: a cancelled task that stands in the backlog itself is ended when it is taken in, and never polled.
#[test]
fn a_cancelled_task_of_the_backlog_is_never_polled() {
    for (name, cancel) in CANCELS {
        limited_to(2 * BODY, move || {
            let (looped, go_on) = (loop_started(), Latch::new("set at once"));
            let ran_at_drop = Arc::new(AtomicUsize::new(usize::MAX));
            let hold = hold(looped.handle());
            let ran = queue(&looped, &go_on);
            let (at_drop, count) = (Arc::clone(&ran_at_drop), Arc::clone(&ran));
            let (probe, log) = Probe::pending();
            let probe = probe
                .on_drop(move || at_drop.store(count.load(Ordering::SeqCst), Ordering::SeqCst));
            let task = looped.handle().spawn(probe);
            let answer = cancel(&looped, &task);
            go_on.set();
            hold.release();
            assert!(answer.is_none_or(|answer| join_ok(answer) == CancelRequest::Requested));
            assert!(matches!(join_err(task), JoinError::Cancelled), "{name}");
            let ran_before = ran_at_drop.load(Ordering::SeqCst);
            assert!(ran_before + 64 >= BACKLOG, "{name}: after {ran_before} callbacks");
            assert_eq!(log.polls(), 0, "{name}: cancelled before its first poll");
        });
    }
}

/// T3: the same for a task that was started long ago and sleeps.
#[test]
fn a_cancel_of_a_sleeping_task_overtakes_the_backlog() {
    for (name, cancel) in CANCELS {
        limited_to(2 * BODY, move || {
            let (looped, go_on) = (loop_started(), Latch::new("the cancel was answered"));
            let (probe, log) = Probe::pending();
            let task = looped.handle().spawn(probe);
            log.wait_polls(1);
            let hold = hold(looped.handle());
            queue(&looped, &go_on);
            let answer = cancel(&looped, &task);
            hold.release();
            assert!(answer.is_none_or(|answer| join_ok(answer) == CancelRequest::Requested));
            assert!(matches!(join_err(task), JoinError::Cancelled), "{name}");
            go_on.set();
            assert_eq!((log.polls(), log.dropped()), (1, 1), "{name}");
        });
    }
}

/// T3, C7: a shutdown does not stand in the queue either: what had not run need not run.
#[test]
fn a_shutdown_overtakes_the_backlog() {
    limited_to(2 * BODY, || {
        let (looped, go_on) = (loop_started(), Latch::new("never"));
        let hold = hold(looped.handle());
        let ran = queue(&looped, &go_on);
        looped.handle().shutdown(sideloop::Shutdown::now());
        hold.release();
        let report = looped.join();
        let ran = ran.load(Ordering::SeqCst);
        assert_eq!(ran, 0, "callbacks ran after the loop was told to end now");
        let listed = report.cancelled.len() + report.aborted.len();
        assert_eq!(ran + listed, BACKLOG, "accepted = run + reported");
    });
}
