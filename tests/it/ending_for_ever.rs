//! Destructors and wakers that never leave a loop alone, and tasks that are guarded from their spawn on.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use sideloop::{
    CancelGuard, Executor, JoinError, Shutdown, TaskGroup, spawn_local, time, yield_now,
};

use crate::ending_well::cleans_up;
use crate::support::{Drops, Gate, hold, join_err, join_ok, limited, loop_started};

/// A limit that no test waits for.
const LONG: Duration = Duration::from_secs(3600);

// ───────────── destructors that never leave it alone (H9) ─────────────

/// H9: a loop ends although its destructors spawn, for ever, in each way in which that can be done.
#[test]
fn destructors_that_spawn_for_ever_do_not_keep_the_loop() {
    struct Again(usize);
    impl Drop for Again {
        fn drop(&mut self) {
            let handle = sideloop::current();
            let again = Again((self.0 + 1) % 5);
            match self.0 {
                0 => handle.spawn(async move { drop(again) }).detach(),
                1 => handle.call(move || drop(again)).detach(),
                2 => spawn_local(async move { drop(again) }).detach(),
                3 => handle.spawn_with(move || async move { drop(again) }).detach(),
                _ => handle.spawn_blocking(move || drop(again)).detach(),
            }
        }
    }
    limited(|| {
        let side = loop_started();
        for way in 0..5 {
            side.handle().spawn(async move {
                let _again = Again(way);
                pending::<()>().await;
            });
        }
        join_ok(side.handle().call(|| ()));
        let report = side.shutdown(Shutdown::now());
        assert!(report.refused > 100, "{report:?}");
    });
}

/// H9, M6: the case `a_destructor_arms_a_timer`: the drop of a timer's waker arms the next one.
#[test]
fn destructors_that_arm_timers_for_ever_do_not_keep_the_loop() {
    struct Again;
    impl Wake for Again {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Again {
        fn drop(&mut self) {
            arm();
        }
    }
    fn arm() {
        let mut sleep = Box::pin(time::sleep(LONG));
        let waker = Waker::from(Arc::new(Again));
        let _ = sleep.as_mut().poll(&mut Context::from_waker(&waker));
        std::mem::forget(Pin::into_inner(sleep)); // kept somewhere
    }
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().call(arm));
        side.shutdown(Shutdown::now());
        let executor = Executor::new();
        executor.spawn_local(async { arm() }).detach();
        let mut executor = executor;
        executor.turn();
        drop(executor);
    });
}

/// H9: a thread ends although the destructors of its forgotten executors forget another one, for ever.
#[test]
fn destructors_that_forget_executors_for_ever_do_not_keep_their_thread() {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            forget_one();
        }
    }
    fn forget_one() {
        let (executor, again) = (Executor::new(), Again);
        executor.spawn_local(async move {
            let _again = again;
            pending::<()>().await;
        });
        std::mem::forget(executor);
    }
    limited(|| std::thread::spawn(forget_one).join().expect("ends"));
}

/// A4, G1: a waiter of a group whose waker takes the member, waits again, and panics, is called once for it.
#[test]
fn a_waiter_that_panics_and_comes_back_does_not_keep_the_loop() {
    // Where a leak checker finds what sleeps.
    static GROUP: OnceLock<TaskGroup<()>> = OnceLock::new();
    struct Again(&'static TaskGroup<()>, AtomicUsize, Mutex<Option<Box<dyn Send>>>);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            let waker = Waker::from(self.clone());
            let mut cx = Context::from_waker(&waker);
            let mut next = Box::pin(self.0.next());
            while let Poll::Ready(Some(_)) = next.as_mut().poll(&mut cx) {
                next = Box::pin(self.0.next());
            }
            let before = self.2.lock().expect("whole").replace(Box::new(next)); // it sleeps
            drop(before);
            self.1.fetch_add(1, Ordering::SeqCst);
            std::panic::resume_unwind(Box::new("again"));
        }
    }
    limited(|| {
        let side = loop_started();
        let group = GROUP.get_or_init(|| TaskGroup::new(side.handle()));
        let gate = Gate::new();
        group.spawn(pending());
        group.spawn(gate.passed());
        let waiter = Arc::new(Again(group, AtomicUsize::new(0), Mutex::new(None)));
        let waker = Waker::from(waiter.clone());
        let mut first = Box::pin(group.next());
        assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        gate.open();
        while waiter.1.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        join_ok(side.handle().call(|| ())); // the loop goes on
        assert_eq!((waiter.1.load(Ordering::SeqCst), group.len()), (1, 1));
    });
}

// ───────────── tasks that are guarded from the spawn on (C9) ─────────────

/// C9: a cancel before the first poll is told, and the task is polled; from either side.
#[test]
fn a_guarded_spawn_is_told_of_a_cancel_before_its_first_poll() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let spawn = |handle: &sideloop::Handle| {
            handle.task().spawn_guarded(|guard| async move {
                let asked = guard.is_requested();
                guard.requested().await;
                yield_now().await;
                asked
            })
        };
        let remote = spawn(side.handle());
        remote.cancel();
        held.release();
        assert!(join_ok(remote));
        let local = side.handle().call(move || {
            let task = spawn(&sideloop::current());
            task.cancel();
            task
        });
        assert!(join_ok(join_ok(local)));
    });
}

/// C9: an abort before the first poll drops the closure uncalled.
#[test]
fn an_abort_before_the_first_poll_drops_the_closure() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let drops = Drops::new();
        let token = drops.token();
        let task = side.handle().task().spawn_guarded(move |_| {
            drop(token);
            async { panic!("called") }
        });
        task.abort();
        held.release();
        assert!(matches!(join_err::<()>(task), JoinError::Cancelled));
        assert_eq!(drops.count(), 1);
    });
}

/// C9, C2: a closure that drops its guard is protected no more; one that sends it away is, for as long as
/// it lives.
#[test]
fn a_guarded_spawn_is_protected_as_long_as_its_guard_lives() {
    limited(|| {
        let side = loop_started();
        let dropped = side.handle().task().spawn_guarded(|guard| {
            drop(guard);
            pending::<()>()
        });
        join_ok(side.handle().call(|| ()));
        dropped.cancel();
        assert!(matches!(join_err(dropped), JoinError::Cancelled));
        let (give, take) = mpsc::channel();
        let sent = side.handle().task().spawn_guarded(move |guard| {
            give.send(guard).expect("awaited");
            pending::<()>()
        });
        let guard = take.recv().expect("sent");
        sent.cancel();
        join_ok(side.handle().call(|| ()));
        assert!(guard.is_requested() && !sent.is_finished());
        drop(guard);
        assert!(matches!(join_err(sent), JoinError::Cancelled));
    });
}

/// C9, H2: a shutdown tells those that were never polled, and reports them as cancelled.
#[test]
fn a_shutdown_tells_guarded_tasks_that_were_never_polled() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let tasks: Vec<_> =
            (0..1_000).map(|_| cleans_up(&side, || async { "cleaned up" })).collect();
        side.handle().shutdown(Shutdown::graceful(LONG));
        held.release();
        let report = side.join();
        assert!(tasks.into_iter().all(|task| join_ok(task) == "cleaned up"));
        assert_eq!((report.cancelled.len(), report.aborted.len()), (1_000, 0));
    });
}

/// C2: `try_new` gives a guard in a task, and none outside, nor in a blocking job.
#[test]
fn a_guard_is_tried_for_everywhere() {
    limited(|| {
        let side = loop_started();
        assert!(CancelGuard::try_new().is_none());
        let (in_a_task, in_a_job) =
            (|| CancelGuard::try_new().is_some(), || CancelGuard::try_new().is_some());
        assert!(join_ok(side.handle().call(in_a_task)));
        assert!(!join_ok(side.handle().spawn_blocking(in_a_job)));
        assert!(sideloop::block_on(async { CancelGuard::try_new().is_none() }), "it is no task");
    });
}
