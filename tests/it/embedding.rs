//! Loops inside of hosts, and inside of other loops' tasks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use sideloop::bare::Loop;
use sideloop::{
    Builder, CancelGuard, CancelRequest, Executor, JoinError, Shutdown, block_on, spawn_local, time,
};

use crate::support::{Latch, join_ok, limited, loop_started};

/// G2: whatever a `block_on` waited for, what comes in after it calls `on_wake`, once.
#[test]
fn after_any_block_on_the_host_is_told() {
    limited(|| {
        for kind in 0..3 {
            let calls = Arc::new(AtomicUsize::new(0));
            let seen = calls.clone();
            let hook = move || {
                seen.fetch_add(1, Ordering::SeqCst);
            };
            let mut executor = Builder::new().on_wake(hook).build();
            match kind {
                0 => executor.block_on(async {}),
                1 => executor.block_on(time::sleep(Duration::from_millis(1))),
                _ => executor.block_on(async { spawn_local(async {}).await.expect("it ends") }),
            }
            let before = calls.load(Ordering::SeqCst);
            let handle = executor.handle().clone();
            let task = thread::spawn(move || handle.call(|| 1)).join().expect("ends");
            assert_eq!(calls.load(Ordering::SeqCst) - before, 1, "kind {kind}");
            while !executor.turn().idle {}
            assert_eq!(join_ok(task), 1);
        }
    });
}

/// P7: in a drain, a running task may spawn also from within a nested `block_on`, and is on its loop there.
#[test]
fn a_nested_block_on_is_inside_of_both_loops() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        let (begun, go) = (Latch::new("it runs"), Latch::new("the drain has begun"));
        let (there, until) = (begun.clone(), go.clone());
        let outer = side.handle().spawn(async move {
            there.set();
            until.wait();
            block_on(async { (handle.is_current(), handle.call(|| 7)) })
        });
        begun.wait();
        side.handle().shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX));
        go.set();
        let (is_current, inner) = join_ok(outer);
        assert!(is_current);
        assert_eq!(join_ok(inner), 7);
        assert!(!side.handle().is_current());
        side.join();
    });
}

/// J2: of a handle whose result was taken, the shortest wait says so, as the longer ones do.
#[test]
fn a_taken_result_is_closed_for_every_limit() {
    limited(|| {
        for limit in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let mut executor = Executor::new();
            let mut task = executor.spawn_local(async { 1 });
            assert_eq!(executor.block_on(&mut task).expect("it ends"), 1);
            let again = task.join_timeout(limit).expect("it has ended");
            assert!(matches!(again, Err(JoinError::Closed)), "{again:?}");
        }
    });
}

/// C3: a loop without a shell has no grace: the cancel counts, and nothing panics.
#[test]
fn a_bare_loop_cancels_without_a_grace() {
    limited(|| {
        let mut bare = Loop::new(|| ());
        let task = bare.spawn_local(std::future::pending::<()>());
        bare.turn(0);
        assert_eq!(task.cancel_within(Duration::from_millis(5)), CancelRequest::Requested);
        while !bare.turn(0).idle {}
        assert!(task.is_finished());
    });
}

/// P6: what a bare loop accepted ends with it, taken in or not; what comes after its end is closed.
#[test]
fn a_bare_loop_that_is_dropped_tells_every_handle() {
    limited(|| {
        let mut bare = Loop::new(|| ());
        let polled = bare.spawn_local(std::future::pending::<()>());
        bare.turn(0);
        let remote = bare.remote();
        let waiting = remote.spawn(async {});
        drop(bare);
        assert!(matches!(block_on(polled), Err(JoinError::Cancelled)));
        assert!(matches!(block_on(waiting), Err(JoinError::Cancelled)));
        assert!(matches!(block_on(remote.spawn(async {})), Err(JoinError::Closed)));
    });
}

/// C2: who waits on another thread for a request to a task that has ended does not wait for ever.
#[test]
fn waiting_for_a_request_ends_with_the_task() {
    limited(|| {
        let side = loop_started();
        let (send, receive) = mpsc::channel();
        let task = side.handle().spawn(async move {
            send.send(CancelGuard::new()).expect("it is awaited");
            std::future::pending::<()>().await;
        });
        let guard = receive.recv().expect("sent");
        let waiter = thread::spawn(move || {
            block_on(guard.requested());
            guard.is_requested()
        });
        task.abort();
        assert!(!waiter.join().expect("ends"), "an abort is no request");
    });
}
