//! Who is told that a loop is to end, and that it has ended.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use sideloop::{Builder, Closed, Executor, JoinError, Shutdown, ShutdownReport, time, yield_now};

use crate::shutdown::drain;
use crate::support::{Drops, Latch, hold, join_err, join_ok, limited, loop_started};

/// A limit that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

// ───────────── a drain that is told (H7) ─────────────

/// H7: the case `drain_is_not_told`: an accept loop awaits `closing` beside its work.
#[test]
fn a_drain_ends_when_those_who_are_told_have_ended() {
    limited(|| {
        let side = loop_started();
        let closing = side.handle().closing();
        let listener = side.handle().task().name("accept loop").spawn(async move {
            closing.await;
            "stopped"
        });
        side.handle().task().name("request").spawn(time::sleep(Duration::from_millis(5))).detach();
        let report = side.shutdown(Shutdown::graceful(LONG).drain(LONG)); // would wait an hour
        assert_eq!(join_ok(listener), "stopped");
        assert_eq!((report.finished, report.cancelled.len()), (2, 0), "{report:?}");
    });
}

/// H7: calls that repeat end when a drain begins, with `Ok`, whether or not they have been called yet.
#[test]
fn repeated_calls_end_when_a_drain_begins() {
    limited(|| {
        let side = loop_started();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let often = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let often = side.handle().call_every(Duration::from_millis(1), often).expect("a period");
        let rarely = side.handle().call_every(LONG, || panic!("called")).expect("a period");
        while calls.load(Ordering::SeqCst) < 3 {
            thread::yield_now();
        }
        let held = hold(side.handle());
        let unpolled = side.handle().call_every(LONG, || panic!("called")).expect("a period");
        side.handle().shutdown(drain());
        held.release();
        let report = side.join();
        for task in [often, rarely, unpolled] {
            join_ok(task);
        }
        assert_eq!((report.finished, report.aborted.len()), (4, 0), "{report:?}");
    });
}

/// H1: without a drain they are cancelled like all others.
#[test]
fn repeated_calls_are_cancelled_without_a_drain() {
    limited(|| {
        for (how, cancelled) in [(Shutdown::graceful(LONG), 1), (Shutdown::now(), 0)] {
            let side = loop_started();
            let task = side.handle().call_every(LONG, || ()).expect("a period");
            join_ok(side.handle().call(|| ()));
            let report = side.shutdown(how);
            assert_eq!((report.cancelled.len(), report.finished), (cancelled, 0), "{report:?}");
            assert!(matches!(join_err(task), JoinError::Cancelled));
        }
    });
}

// ───────────── closing and closed (H7, L2) ─────────────

/// H7: `closing` is ready from the first request on, while the loop is stuck, on other executors, and after
/// the end; never before.
#[test]
fn closing_is_ready_from_the_first_request_on() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        let (waiting, told) = (handle.closing(), Latch::new("another executor is told"));
        let there = told.clone();
        let waiter = thread::spawn(move || {
            futures::executor::block_on(waiting);
            there.set();
        });
        let held = hold(&handle);
        assert!(!told.is_set() && handle.closing().now_or_never().is_none());
        handle.shutdown(drain());
        told.wait();
        waiter.join().expect("ends");
        assert!(handle.closing().now_or_never().is_some());
        held.release();
        side.join();
        assert!(handle.closing().now_or_never().is_some());
    });
}

/// H7: an executor that is dropped closes, too, and has ended, with its report.
#[test]
fn a_dropped_executor_is_closed() {
    limited(|| {
        let executor = Executor::new();
        let handle = executor.handle().clone();
        executor.spawn_local(pending::<()>()).detach();
        let waits = |future: Closed| thread::spawn(|| sideloop::block_on(future));
        let (closing, closed) = (handle.closing(), waits(handle.closed()));
        drop(executor);
        sideloop::block_on(closing);
        let reports = [closed.join().expect("ends"), sideloop::block_on(handle.closed())];
        assert_eq!(reports.map(|report| report.aborted.len()), [1, 1]);
    });
}

/// L2: `closed` comes after the last destructor and the last hook.
#[test]
fn closed_is_ready_when_nothing_of_the_loop_runs() {
    limited(|| {
        let (stopping, go_on) = (Latch::new("the stop hook runs"), Latch::new("it may end"));
        let (there, until) = (stopping.clone(), go_on.clone());
        let drops = Drops::new();
        let (hook, task) = (std::sync::Mutex::new(drops.token()), drops.token());
        let side = Builder::new()
            .on_panic(move |_| drop(hook.lock()))
            .on_stop(move || {
                there.set();
                until.wait();
            })
            .start()
            .expect("starts");
        side.handle().spawn(async move {
            let _token = task;
            pending::<()>().await;
        });
        let mut closed = side.handle().closed();
        side.handle().shutdown(Shutdown::now());
        stopping.wait();
        assert!((&mut closed).now_or_never().is_none(), "a hook runs");
        go_on.set();
        let report = futures::executor::block_on(closed);
        assert_eq!((report.aborted.len(), drops.count()), (1, 2), "{report:?}");
        assert_eq!(side.join().aborted.len(), 1);
    });
}

/// H7: a loop that did not start has closed and ended for who has its handle.
#[test]
fn a_start_that_failed_is_closed() {
    limited(|| {
        let (give, take) = mpsc::channel();
        let start = move || {
            give.send(sideloop::current()).expect("awaited");
            Err("no device".into())
        };
        assert!(Builder::new().on_start(start).start().is_err());
        let handle = take.recv().expect("sent");
        sideloop::block_on(async {
            handle.closing().await;
            handle.closed().await
        });
    });
}

/// H7: an executor has ended when its run has, or when a turn says so.
#[test]
fn an_executor_has_ended_when_a_turn_says_so() {
    limited(|| {
        let mut executor = Executor::new();
        assert!(!executor.turn().ended);
        let handle = executor.handle().clone();
        let task = executor.spawn_local(async { yield_now().await });
        handle.shutdown(drain());
        assert!(handle.closed().now_or_never().is_none());
        assert!(executor.turn().ended && executor.turn().ended);
        let report = handle.closed().now_or_never().expect("it has ended");
        assert_eq!(report.finished, 1);
        join_ok(task);
        assert_eq!(executor.run().finished, 1);
        assert_eq!(executor.block_on(async { time::sleep(Duration::from_millis(1)).await }), ());
    });
}

/// H7: waiters of many kinds: on the loop itself, thousands, dropped ones, and one whose waker panics.
#[test]
fn any_number_may_wait_and_leave() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker"));
        }
    }
    limited(|| {
        let (side, other) = (loop_started(), loop_started());
        let tasks: Vec<_> = (0..2_000)
            .map(|n| {
                let on = if n % 2 == 0 { &side } else { &other };
                on.handle().spawn(side.handle().closing())
            })
            .collect();
        let mut panics = side.handle().closing();
        let waker = Waker::from(Arc::new(Panics));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut panics).poll(&mut cx).is_pending());
        let mut left = side.handle().closing();
        assert!(Pin::new(&mut left).poll(&mut cx).is_pending());
        drop(left);
        side.handle().shutdown(drain());
        tasks.into_iter().for_each(join_ok);
        side.join();
    });
}

/// H7: the futures may go anywhere.
#[test]
fn what_waits_for_the_end_is_send_sync_and_static() {
    fn any<F: Future<Output = R> + Send + Sync + Unpin + 'static, R>(_: F) {}
    let executor = Executor::new();
    any::<_, ()>(executor.handle().closing());
    any::<_, ShutdownReport>(executor.handle().closed());
}
