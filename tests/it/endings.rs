//! The end of a loop against everything that other threads, and its own, still hold on to.

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use sideloop::{
    Builder, CancelRequest, Executor, JoinError, JoinHandle, LoopThread, Shutdown, spawn_local,
    time, yield_now,
};

use crate::support::{Drops, Latch, OnDrop, join_err, join_ok, limited, limited_to};

/// W4: a wake against the drop of an executor: the task's memory is given back once.
#[test]
fn wakes_race_with_the_drop_of_an_executor() {
    limited_to(Duration::from_secs(120), || {
        for n in 0..2000_u32 {
            let mut executor = Executor::new();
            let left = Arc::new(Mutex::new(None::<Waker>));
            let there = left.clone();
            let task = executor.spawn_local(poll_fn(move |cx| {
                *there.lock().expect("plain") = Some(cx.waker().clone());
                Poll::<()>::Pending
            }));
            executor.turn();
            let waker = left.lock().expect("plain").take().expect("it was polled");
            let begun = Latch::new("the waker's thread runs");
            let there = begun.clone();
            let other = thread::spawn(move || {
                there.set();
                (0..n % 97).for_each(|_| std::hint::spin_loop());
                waker.wake();
            });
            begun.wait();
            drop(executor);
            other.join().expect("ends");
            assert!(matches!(join_err(task), JoinError::Cancelled));
        }
    });
}

/// P6: handles dropped on another thread while a loop ends leave nothing behind.
#[test]
fn handles_dropped_while_a_loop_ends_leak_nothing() {
    limited_to(Duration::from_secs(120), || {
        for busy in [false, true] {
            for _ in 0..10 {
                let drops = Drops::new();
                let token = Mutex::new(drops.token());
                let hook = move || {
                    let _ = &token;
                };
                let side = Builder::new().on_wake(hook).start().expect("starts");
                let one = |busy: bool| async move {
                    if !busy {
                        pending::<()>().await;
                    }
                    loop {
                        yield_now().await;
                    }
                };
                let handles: Vec<_> =
                    (0..2000).map(|_| side.handle().spawn::<_>(one(busy))).collect();
                join_ok(side.handle().call(|| ()));
                let last = handles.last().expect("some").canceller();
                let dropper = thread::spawn(move || {
                    while !last.is_finished() {
                        std::hint::spin_loop();
                    }
                    drop(last);
                    drop(handles);
                });
                drop(side);
                dropper.join().expect("ends");
                assert_eq!(drops.count(), 1, "what the loop shares was leaked");
            }
        }
    });
}

/// H3: shutting down in the hook that runs last, on the loop's own thread, returns the report at once.
#[test]
fn a_shutdown_in_on_stop_returns_at_once() {
    limited(|| {
        let stash = Arc::new(Mutex::new(None::<LoopThread>));
        let (tell, told) = mpsc::channel();
        let there = stash.clone();
        let side = Builder::new()
            .on_stop(move || {
                let side = there.lock().expect("plain").take().expect("it was put there");
                tell.send(side.shutdown(Shutdown::now())).expect("it is awaited");
            })
            .start()
            .expect("starts");
        let handle = side.handle().clone();
        handle.spawn(pending::<()>()).detach();
        *stash.lock().expect("plain") = Some(side);
        handle.shutdown(Shutdown::now());
        assert_eq!(told.recv().expect("it did not hang").aborted.len(), 1);
    });
}

/// H3: nor does a `LoopThread` that is dropped in a destructor of its own thread wait for itself.
#[test]
fn a_loop_thread_in_its_own_thread_local_does_not_join_itself() {
    thread_local! {
        static MINE: RefCell<Option<(LoopThread, mpsc::Sender<()>)>> = const { RefCell::new(None) };
    }
    limited(|| {
        let (tell, told) = mpsc::channel();
        let side = LoopThread::start().expect("starts");
        let handle = side.handle().clone();
        join_ok(handle.call(move || MINE.set(Some((side, tell)))));
        handle.shutdown(Shutdown::now());
        // The sender is dropped after the loop thread's drop has returned.
        assert!(told.recv().is_err());
    });
}

/// J4, X1: in an executor that lies in a thread-local, which is destroyed late: a join in a destructor
/// is an error and not a hang, and timers are freed without a panic.
#[test]
fn an_executor_in_a_thread_local_ends_in_order() {
    thread_local! {
        static MINE: RefCell<Option<Executor>> = const { RefCell::new(None) };
    }
    limited(|| {
        let (tell, told) = mpsc::channel();
        let panics = Arc::new(AtomicUsize::new(0));
        let seen = panics.clone();
        let other = thread::spawn(move || {
            MINE.set(None); // its destructor is the first to be registered, and the last to run
            let count = move |_: &sideloop::TaskPanic<'_>| {
                seen.fetch_add(1, Ordering::SeqCst);
            };
            let executor = Builder::new().on_panic(count).build();
            let later = Rc::new(RefCell::new(None::<JoinHandle<()>>));
            let there = later.clone();
            executor
                .spawn_local(async move {
                    let _joined = OnDrop(Some(move || {
                        let later = there.borrow_mut().take().expect("it was put there");
                        tell.send(later.join()).expect("it is awaited");
                    }));
                    time::sleep(Duration::from_secs(1000)).await;
                })
                .detach();
            *later.borrow_mut() = Some(executor.spawn_local(pending::<()>()));
            let mut executor = executor;
            executor.run_until_idle();
            MINE.set(Some(executor));
        });
        other.join().expect("ends");
        let joined = told.recv().expect("it did not hang");
        assert!(matches!(joined, Err(JoinError::WouldDeadlock)), "{joined:?}");
        assert_eq!(panics.load(Ordering::SeqCst), 0);
    });
}

fn count(calls: &AtomicUsize) {
    calls.fetch_add(1, Ordering::SeqCst);
}

/// P6: the loop of a forgotten executor ends with its thread, and its handles resolve.
#[test]
fn a_forgotten_executor_ends_with_its_thread() {
    limited(|| {
        let forgotten = thread::spawn(|| {
            let executor = Executor::new();
            let handle = executor.handle().clone();
            let task = executor.spawn_local(pending::<()>());
            std::mem::forget(executor);
            (handle, task)
        });
        let (handle, task) = forgotten.join().expect("ends");
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert!(matches!(join_err(handle.call(|| ())), JoinError::Closed));
    });
}

/// G2: on the executor's own thread, outside its run, a cancel by id tells the host as one by handle does.
#[test]
fn a_cancel_outside_the_run_calls_on_wake() {
    limited(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = calls.clone();
        let mut executor = Builder::new().on_wake(move || count(&seen)).build();
        for by_id in [false, true] {
            let task = executor.spawn_local(pending::<()>());
            while !executor.turn().idle {}
            let before = calls.load(Ordering::SeqCst);
            let answer =
                if by_id { join_ok(executor.handle().cancel(task.id())) } else { task.cancel() };
            assert_eq!(answer, CancelRequest::Requested);
            assert_eq!(calls.load(Ordering::SeqCst) - before, 1, "by id: {by_id}");
            while !executor.turn().idle {}
            assert!(matches!(join_err(task), JoinError::Cancelled));
        }
    });
}

/// G2: after a `block_on` the loop is idle again: what comes in calls `on_wake`.
#[test]
fn a_spawn_after_block_on_calls_on_wake() {
    limited(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = calls.clone();
        let mut executor = Builder::new().on_wake(move || count(&seen)).build();
        executor.block_on(yield_now());
        let before = calls.load(Ordering::SeqCst);
        let handle = executor.handle().clone();
        thread::spawn(move || handle.call(|| ()).detach()).join().expect("ends");
        assert_eq!(calls.load(Ordering::SeqCst) - before, 1);
    });
}

/// P3: a task that a timer's waker spawns inside of a turn is first polled in a later one.
#[test]
fn a_spawn_by_a_timers_waker_waits_for_a_later_turn() {
    struct Spawns(Arc<AtomicUsize>);
    impl Wake for Spawns {
        fn wake(self: Arc<Self>) {
            let polled = self.0.clone();
            spawn_local(async move { count(&polled) }).detach();
        }
    }
    limited(|| {
        let polled = Arc::new(AtomicUsize::new(0));
        let mut executor = Executor::new();
        let waker = Waker::from(Arc::new(Spawns(polled.clone())));
        executor
            .spawn_local(async move {
                let mut sleep = Box::pin(time::sleep(Duration::from_millis(1)));
                let polled = sleep.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
                pending::<()>().await;
                drop(sleep);
            })
            .detach();
        executor.turn();
        let fired = loop {
            let turn = executor.turn();
            if turn.fired > 0 {
                break turn.fired;
            }
        };
        assert_eq!((fired, polled.load(Ordering::SeqCst)), (1, 0));
        executor.turn();
        assert_eq!(polled.load(Ordering::SeqCst), 1);
    });
}
