//! The limits of a shutdown: drain, then cancel with grace, then abort; later requests only shorten.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{Builder, JoinError, LoopThread, Shutdown, ShutdownReport, time};

use crate::shutdown::drain;
use crate::support::{
    Gate, Latch, Probe, ProbeLog, hold, join_err, join_ok, limited, loop_started,
};

const MS: Duration = Duration::from_millis(1);
/// Longer than any test may run.
const LONG: Duration = Duration::from_secs(3600);

/// A loop with one task that never ends.
fn with_a_stuck_task() -> (LoopThread, ProbeLog) {
    let side = loop_started();
    let (probe, log) = Probe::pending();
    side.handle().spawn(probe).detach();
    log.wait_polls(1);
    (side, log)
}

/// How many tasks the report calls cancelled, aborted and panicked.
fn counts(report: &ShutdownReport) -> (usize, usize, usize) {
    (report.cancelled.len(), report.aborted.len(), report.panicked.len())
}

/// Wakes itself for ever.
fn busy() -> (Probe, ProbeLog) {
    Probe::scripted(|_, cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

// ───────────── each stage ─────────────

/// H1: `now` aborts at once, without a poll.
#[test]
fn now_aborts_without_a_poll() {
    limited(|| {
        let (side, log) = with_a_stuck_task();
        let held = hold(side.handle());
        log.wake();
        side.handle().shutdown(Shutdown::now());
        held.release();
        let report = side.join();
        assert_eq!(counts(&report), (0, 1, 0), "{report:?}");
        assert_eq!((log.polls(), log.dropped()), (1, 1));
    });
}

/// H1: `graceful` cancels; a task without a guard is cancelled at once, whatever the grace.
#[test]
fn graceful_cancels_at_once_what_has_no_guard() {
    limited(|| {
        for grace in [Duration::ZERO, LONG, Duration::MAX] {
            let (side, log) = with_a_stuck_task();
            let report = side.shutdown(Shutdown::graceful(grace));
            assert_eq!(counts(&report), (1, 0, 0), "{grace:?}: {report:?}");
            assert_eq!(log.dropped(), 1);
        }
    });
}

/// H1, H2: `graceful` without any grace still cancels all that has no guard, however many.
#[test]
fn graceful_without_grace_cancels_every_one_of_many() {
    limited(|| {
        let side = loop_started();
        (0..1_000).for_each(|_| side.handle().spawn(pending::<()>()).detach());
        join_ok(side.handle().call(|| ()));
        let report = side.shutdown(Shutdown::graceful(Duration::ZERO));
        assert_eq!(counts(&report), (1_000, 0, 0));
    });
}

/// H1: a drain waits for tasks to finish, also through timers, wakes and further tasks.
#[test]
fn a_drain_lets_tasks_finish() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let asleep = side.handle().spawn(time::sleep(3 * MS));
        let passed = gate.passed();
        let waiting = side.handle().spawn(async move {
            passed.await;
            sideloop::spawn_local(time::sleep(MS)).await.expect("run in the drain");
            8
        });
        join_ok(side.handle().call(|| ()));
        side.handle().shutdown(Shutdown::now().drain(LONG));
        gate.open();
        assert_eq!(join_ok(waiting), 8);
        join_ok(asleep);
        let report = side.join();
        assert_eq!(counts(&report), (0, 0, 0), "{report:?}");
    });
}

/// H1: a drain with nothing to do ends at once, whatever its limit.
#[test]
fn an_idle_loop_drains_at_once() {
    limited(|| {
        for how in [drain(), Shutdown::now().drain(LONG), Shutdown::graceful(LONG).drain(LONG)] {
            let report = loop_started().shutdown(how);
            assert_eq!((report.finished, counts(&report)), (0, (0, 0, 0)), "{report:?}");
        }
    });
}

/// H1: callbacks that were queued before the request still run in a drain.
#[test]
fn queued_callbacks_run_in_a_drain() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let calls: Vec<_> = (0..1_000).map(|n| side.handle().call(move || n)).collect();
        side.handle().shutdown(drain());
        drop(held);
        side.join();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(join_ok(call), n);
        }
    });
}

/// H1: when the drain's limit is over, `now` aborts and `graceful` cancels; never before.
#[test]
fn a_drain_ends_by_its_limit() {
    limited(|| {
        for (how, expected) in [
            (Shutdown::now(), (0, 1, 0)),
            (Shutdown::graceful(LONG), (1, 0, 0)),
            (Shutdown::graceful(Duration::ZERO), (1, 0, 0)),
        ] {
            let (side, _log) = with_a_stuck_task();
            let before = Instant::now();
            let report = side.shutdown(how.clone().drain(5 * MS));
            assert!(before.elapsed() >= 5 * MS, "{how:?} cut the drain short");
            assert_eq!(counts(&report), expected, "{how:?}: {report:?}");
        }
    });
}

/// H1: a drain with a limit of zero is over at once.
#[test]
fn a_drain_of_zero_is_over_at_once() {
    limited(|| {
        let (side, _log) = with_a_stuck_task();
        let report = side.shutdown(Shutdown::now().drain(Duration::ZERO));
        assert_eq!(counts(&report), (0, 1, 0), "{report:?}");
    });
}

/// H1: the limits count from the request, not from when the loop gets to see it.
#[test]
fn limits_count_from_the_request() {
    limited(|| {
        let (side, _log) = with_a_stuck_task();
        let limit = 5 * MS;
        let held = hold(side.handle());
        let (probe, late) = Probe::ready_at(1, ());
        side.handle().spawn(probe).detach();
        side.handle().shutdown(Shutdown::now().drain(limit));
        let over = Instant::now() + limit + MS;
        while Instant::now() < over {
            thread::yield_now();
        }
        held.release();
        let report = side.join();
        assert_eq!(counts(&report), (0, 2, 0), "{report:?}");
        assert_eq!((late.polls(), late.dropped()), (0, 1));
    });
}

// ───────────── a busy loop ─────────────

/// H1: tasks that wake themselves for ever do not hold up any kind of shutdown.
#[test]
fn a_loop_that_is_busy_for_ever_still_ends() {
    limited(|| {
        for how in [
            Shutdown::now(),
            Shutdown::graceful(LONG),
            Shutdown::now().drain(3 * MS),
            Shutdown::graceful(3 * MS).drain(3 * MS),
        ] {
            let side = loop_started();
            let logs: Vec<_> = (0..200)
                .map(|_| {
                    let (probe, log) = busy();
                    side.handle().spawn(probe).detach();
                    log
                })
                .collect();
            logs[0].wait_polls(10);
            let report = side.shutdown(how.clone());
            assert_eq!(report.cancelled.len() + report.aborted.len(), 200, "{how:?}");
            assert!(logs.iter().all(|log| log.dropped() == 1), "{how:?}");
        }
    });
}

/// H1: neither do tasks that spawn their successors for ever.
#[test]
fn tasks_that_spawn_for_ever_do_not_hold_up_the_end() {
    fn again() {
        let handle = sideloop::current();
        handle.call(again).detach();
    }
    limited(|| {
        for how in [Shutdown::now(), Shutdown::graceful(LONG), Shutdown::now().drain(3 * MS)] {
            let side = loop_started();
            (0..100).for_each(|_| side.handle().call(again).detach());
            join_ok(side.handle().call(|| ()));
            side.shutdown(how);
        }
    });
}

/// H1: neither does a thread that wakes a task for ever.
#[test]
fn a_thread_that_wakes_for_ever_does_not_hold_up_the_end() {
    limited(|| {
        let (side, log) = with_a_stuck_task();
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, waker) = (Arc::clone(&stop), log.waker().expect("polled once"));
        let storm = thread::spawn(move || {
            while !seen.load(Ordering::SeqCst) {
                waker.wake_by_ref();
            }
        });
        let report = side.shutdown(Shutdown::now().drain(3 * MS));
        stop.store(true, Ordering::SeqCst);
        storm.join().expect("a wake does not panic");
        assert_eq!(counts(&report), (0, 1, 0), "{report:?}");
    });
}

/// H1, T1: a batch without a limit does not hold up the end either.
#[test]
fn a_batch_without_a_limit_does_not_hold_up_the_end() {
    limited(|| {
        let side = Builder::new().batch(usize::MAX).start().expect("a loop thread starts");
        let (one, log) = busy();
        let (two, _) = busy();
        side.handle().spawn(one).detach();
        side.handle().spawn(two).detach();
        log.wait_polls(3);
        let report = side.shutdown(Shutdown::now());
        assert_eq!(counts(&report), (0, 2, 0), "{report:?}");
    });
}

// ───────────── later requests ─────────────

/// H1: `now` during a drain ends it at once, and then aborts.
#[test]
fn now_cuts_a_drain_short() {
    limited(|| {
        let (side, log) = with_a_stuck_task();
        side.handle().shutdown(Shutdown::graceful(LONG).drain(Duration::MAX));
        let report = side.shutdown(Shutdown::now());
        assert_eq!(counts(&report).0 + counts(&report).1, 1, "{report:?}");
        assert_eq!(log.dropped(), 1);
    });
}

/// H1: `graceful` without a drain ends a drain at once.
#[test]
fn graceful_cuts_a_drain_short() {
    limited(|| {
        let (side, _log) = with_a_stuck_task();
        side.handle().shutdown(Shutdown::graceful(LONG).drain(LONG));
        let report = side.shutdown(Shutdown::graceful(LONG));
        assert_eq!(counts(&report), (1, 0, 0), "{report:?}");
    });
}

/// H1: a shorter limit shortens a drain that has begun.
#[test]
fn a_shorter_limit_shortens_a_drain() {
    limited(|| {
        let (side, _log) = with_a_stuck_task();
        side.handle().shutdown(Shutdown::now().drain(LONG));
        let report = side.shutdown(Shutdown::now().drain(3 * MS));
        assert_eq!(counts(&report), (0, 1, 0), "{report:?}");
    });
}

/// H1: a longer limit, or a drain after `now`, lengthens nothing.
#[test]
fn a_later_request_lengthens_nothing() {
    limited(|| {
        for first in [
            Shutdown::now(),
            Shutdown::now().drain(3 * MS),
            Shutdown::graceful(Duration::MAX),
            Shutdown::graceful(LONG).drain(3 * MS),
        ] {
            let (side, log) = with_a_stuck_task();
            let held = hold(side.handle());
            side.handle().shutdown(first);
            side.handle().shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX));
            side.handle().shutdown(drain());
            held.release();
            side.join();
            assert_eq!(log.dropped(), 1);
        }
    });
}

/// H1: a request made inside a drain by a draining task counts too.
#[test]
fn a_task_may_cut_its_own_drain_short() {
    limited(|| {
        let (side, _log) = with_a_stuck_task();
        let gate = Gate::new();
        let passed = gate.passed();
        let task = side.handle().spawn(async move {
            passed.await;
            sideloop::current().shutdown(Shutdown::now());
            "the last"
        });
        side.handle().shutdown(drain());
        gate.open();
        let report = side.join();
        assert_eq!(join_ok(task), "the last");
        assert_eq!((report.finished, counts(&report)), (1, (0, 1, 0)), "{report:?}");
    });
}

/// H5: `LoopThread::join` waits for as long as nobody shuts the loop down.
#[test]
fn join_waits_until_somebody_shuts_the_loop_down() {
    limited(|| {
        let (side, log) = with_a_stuck_task();
        let handle = side.handle().clone();
        let (give, take) = mpsc::channel();
        let waiting = Latch::new("a thread joins the loop");
        let there = waiting.clone();
        let joiner = thread::spawn(move || {
            there.set();
            give.send(side.join()).expect("somebody waits");
        });
        waiting.wait();
        join_ok(handle.call(|| ()));
        assert!(matches!(take.try_recv(), Err(mpsc::TryRecvError::Empty)));
        handle.shutdown(Shutdown::now());
        joiner.join().expect("a join does not panic");
        let report = take.recv().expect("the report");
        assert_eq!(counts(&report), (0, 1, 0), "{report:?}");
        assert_eq!(log.dropped(), 1);
    });
}

/// M5: timers that never fire do not hold up a shutdown, nor does a drain count them as idle.
#[test]
fn a_task_that_sleeps_for_ever_ends_with_the_drain() {
    limited(|| {
        let side = loop_started();
        let task = side.handle().spawn(time::sleep(Duration::MAX));
        let never = side.handle().spawn(pending::<()>());
        join_ok(side.handle().call(|| ()));
        let report = side.shutdown(Shutdown::graceful(Duration::MAX).drain(3 * MS));
        assert_eq!(counts(&report), (2, 0, 0), "{report:?}");
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert!(matches!(join_err(never), JoinError::Cancelled));
    });
}
