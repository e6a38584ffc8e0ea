//! Starting a loop: the handshake, what can fail in it, and what belongs to the thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use sideloop::{
    Builder, Canceller, Handle, JoinError, JoinHandle, LoopThread, Shutdown, StartError, TaskId,
    time, try_current,
};

use crate::child::isolated;
use crate::support::*;

/// The error that a failing `on_start` returns here.
#[derive(Debug)]
struct NoDisk;

impl std::fmt::Display for NoDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no disk")
    }
}

impl std::error::Error for NoDisk {}

/// Blocks until no thread of this process is called `name`.
#[cfg(target_os = "linux")]
#[track_caller]
fn wait_until_no_thread_is_called(name: &str) {
    let since = std::time::Instant::now();
    let alive = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("the list of threads");
        tasks.flatten().any(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
        })
    };
    while alive() {
        assert!(since.elapsed() < WAIT, "the thread {name} still lives");
        thread::yield_now();
    }
}

/// S1: `start` returns only when `on_start` has ended.
#[test]
fn start_waits_for_on_start() {
    limited(|| {
        let ended = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&ended);
        let on_start = move || {
            (0..10_000).for_each(|_| thread::yield_now());
            ends.store(true, Ordering::SeqCst);
            Ok(())
        };
        let looped = LoopThread::builder().on_start(on_start).start().expect("starts");
        assert!(ended.load(Ordering::SeqCst), "start returned before on_start had ended");
        drop(looped);
    });
}

/// S1: a call made at once runs, a thousand starts in a row.
#[test]
fn a_call_right_after_start_runs_every_time() {
    limited(|| {
        for round in 0..1000 {
            let looped = loop_started();
            assert_eq!(join_ok(looped.handle().call(move || round)), round);
        }
    });
}

/// S1: `on_start` and `on_stop` run on the loop thread, once each, first and last.
#[test]
fn hooks_run_on_the_loop_thread_first_and_last() {
    limited(|| {
        let events = Events::new();
        let (first, last, callback) = (events.clone(), events.clone(), events.clone());
        let looped = Builder::new()
            .on_start(move || {
                first.push(("start", thread::current().id()));
                Ok(())
            })
            .on_stop(move || last.push(("stop", thread::current().id())))
            .start()
            .expect("starts");
        let id = thread_of(looped.handle());
        join_ok(looped.handle().call(move || callback.push(("call", thread::current().id()))));
        looped.shutdown(Shutdown::now());
        assert_eq!(events.all(), [("start", id), ("call", id), ("stop", id)]);
    });
}

/// S1, P1: what `on_start` spawned on its own loop runs, and before what came after the start.
#[test]
fn work_spawned_in_on_start_runs() {
    limited(|| {
        let (ran, runs) = (Events::new(), Events::new());
        let (ran_there, also_there) = (ran.clone(), ran.clone());
        let on_start = {
            let runs = runs.clone();
            move || {
                if let Some(handle) = try_current() {
                    runs.push(());
                    handle.spawn(async move { ran_there.push("on_start") }).detach();
                }
                Ok(())
            }
        };
        let looped = Builder::new().on_start(on_start).start().expect("starts");
        join_ok(looped.handle().call(move || also_there.push("call")));
        let expected: &[_] = if runs.all().is_empty() { &["call"] } else { &["on_start", "call"] };
        assert_eq!(ran.all(), expected);
    });
}

/// S2: the error of `on_start` comes back as it is.
#[test]
fn an_error_of_on_start_is_returned() {
    limited(|| {
        let error = Builder::new().on_start(|| Err(NoDisk.into())).start().expect_err("fails");
        let StartError::Init(inner) = &error else { panic!("{error:?} is not Init") };
        assert!(inner.is::<NoDisk>(), "{inner:?}");
        assert!(!error.to_string().is_empty());
    });
}

/// S2: a panic of `on_start` comes back with its message.
#[test]
fn a_panic_of_on_start_is_returned() {
    limited(|| {
        let error = Builder::new().on_start(|| panic!("no luck today")).start();
        match error.expect_err("fails") {
            StartError::Panicked(payload) => assert_eq!(payload.message(), Some("no luck today")),
            other => panic!("{other:?} is not Panicked"),
        }
    });
}

/// S2: a panic of `on_start` that is no text comes back as the value it is.
#[test]
fn a_panic_of_on_start_keeps_its_payload() {
    limited(|| {
        let error = Builder::new().on_start(|| std::panic::panic_any(7_u32)).start();
        let StartError::Panicked(payload) = error.expect_err("fails") else {
            panic!("not Panicked")
        };
        assert_eq!(payload.message(), None);
        assert_eq!(payload.into_inner().downcast_ref::<u32>(), Some(&7));
    });
}

/// S2: a thread that cannot be created is an error; its hooks are dropped and never run.
#[test]
fn a_thread_that_cannot_be_created_is_an_error() {
    limited(|| {
        let (drops, ran) = (Drops::new(), Events::<()>::new());
        let (token, runs) = (drops.token(), ran.clone());
        let on_start = move || {
            let _token = token;
            runs.push(());
            Ok(())
        };
        let token = drops.token();
        let on_stop = move || drop(token);
        let error = Builder::new().stack_size(NO_STACK).on_start(on_start).on_stop(on_stop).start();
        let error = error.expect_err("no machine has such a stack");
        assert!(matches!(error, StartError::Thread(_)), "{error:?}");
        assert_eq!(drops.count(), 2, "the hooks leak");
        assert!(ran.all().is_empty(), "on_start ran without a thread");
    });
}

/// S2: a failed start leaks no hook and no thread, whichever way it failed.
#[test]
fn a_failed_start_leaks_nothing() {
    limited(|| {
        for panics in [false, true] {
            let drops = Drops::new();
            let tokens = [drops.token(), drops.token(), drops.token()];
            let [in_start, in_stop, in_panic] = tokens;
            let on_start = move || match (panics, &in_start) {
                (true, _) => panic!("no start"),
                (false, _) => Err(NoDisk.into()),
            };
            Builder::new()
                .name("failed-start")
                .on_start(on_start)
                .on_stop(move || drop(in_stop))
                .on_panic(move |_| assert!(std::mem::size_of_val(&in_panic) > 0))
                .start()
                .expect_err("fails");
            drops.wait(3);
            #[cfg(target_os = "linux")]
            wait_until_no_thread_is_called("failed-start");
        }
    });
}

/// S2, P6: what a failing `on_start` had spawned is not lost: its handles tell.
#[test]
fn work_spawned_in_a_failing_on_start_is_answered() {
    limited(|| {
        for panics in [false, true] {
            let (handles, drops) = (OnceLock::new(), Drops::new());
            let handles = Arc::new(handles);
            let (kept, token) = (Arc::clone(&handles), drops.token());
            let on_start = move || {
                if let Some(handle) = try_current() {
                    let spawned = handle.spawn(async move { drop(token) });
                    assert!(kept.set((handle, spawned)).is_ok());
                }
                if panics { panic!("no start") } else { Err(NoDisk.into()) }
            };
            Builder::new().on_start(on_start).start().expect_err("fails");
            drops.wait(1);
            let handles = Arc::into_inner(handles).expect("on_start was dropped");
            if let Some((handle, spawned)) = handles.into_inner() {
                let error = join_err(spawned);
                assert!(matches!(error, JoinError::Closed | JoinError::Cancelled), "{error:?}");
                assert!(matches!(join_err(handle.call(|| ())), JoinError::Closed));
            }
        }
    });
}

/// S3: having no work never ends a loop, and `LoopThread::join` waits until it is shut down.
#[test]
fn an_idle_loop_lives_until_it_is_shut_down() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        let joined = Latch::new("LoopThread::join returned");
        let joins = joined.clone();
        let waiter = thread::spawn(move || {
            looped.join();
            joins.set();
        });
        for round in 0..1000 {
            assert_eq!(join_ok(handle.call(move || round)), round);
            assert!(!handle.is_closed());
        }
        assert!(!joined.is_set(), "the loop ended by itself");
        handle.shutdown(Shutdown::now());
        joined.wait();
        waiter.join().expect("joins");
    });
}

/// S3: a loop in a static serves threads that have never heard of it.
#[test]
fn a_loop_in_a_static_needs_no_set_up_on_any_thread() {
    static LOOP: OnceLock<LoopThread> = OnceLock::new();
    // In a process of its own: the loop lives to the end of that.
    isolated(|| {
        limited(|| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    thread::spawn(move || {
                        let looped = LOOP.get_or_init(loop_started);
                        join_ok(looped.handle().spawn(async move { n * 2 }))
                    })
                })
                .collect();
            let sum: i32 = threads.into_iter().map(|thread| thread.join().expect("joins")).sum();
            assert_eq!(sum, 56);
        });
    });
}

/// S3: a loop can be started, used and shut down from a callback of another loop.
#[test]
fn a_loop_can_be_started_inside_a_loop() {
    limited(|| {
        let outer = loop_started();
        let answer = outer.handle().call(|| {
            let inner = loop_started();
            let answer = inner.handle().call(|| 42).join().expect("another loop may be joined");
            inner.shutdown(Shutdown::now());
            (answer, try_current().is_some_and(|handle| handle.is_current()))
        });
        assert_eq!(join_ok(answer), (42, true));
    });
}

/// S3: starting a loop changes nothing on the thread that starts it.
#[test]
fn starting_a_loop_does_not_enter_it() {
    limited(|| {
        let looped = loop_started();
        assert!(try_current().is_none());
        assert!(!looped.handle().is_current());
        assert!(join_ok(looped.handle().call(|| try_current().is_some())));
    });
}

/// The contract of `Builder::name`: the thread bears it; "sideloop" without.
#[test]
fn the_thread_bears_the_name() {
    limited(|| {
        let name = || thread::current().name().map(str::to_owned);
        let looped = Builder::new().name("gazelle").start().expect("starts");
        assert_eq!(join_ok(looped.handle().call(name)).as_deref(), Some("gazelle"));
        let looped = loop_started();
        assert_eq!(join_ok(looped.handle().call(name)).as_deref(), Some("sideloop"));
    });
}

/// The contract of `Builder::stack_size`: the thread has that much.
#[test]
fn the_thread_has_the_stack_it_was_given() {
    fn deep(levels: usize) -> usize {
        let page = std::hint::black_box([1_u8; 4096]);
        if levels == 0 { 0 } else { deep(levels - 1) + usize::from(page[levels % 4096]) }
    }
    limited(|| {
        let looped = Builder::new().stack_size(128 << 20).start().expect("starts");
        assert_eq!(join_ok(looped.handle().call(|| deep(8000))), 8000);
    });
}

/// The contract of the types: what is shared between threads may be.
#[test]
fn what_is_for_any_thread_is_send_and_sync() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send>() {}
    fn unpin<T: Unpin>() {}
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    shared::<LoopThread>();
    shared::<Handle>();
    shared::<Canceller>();
    shared::<TaskId>();
    shared::<JoinHandle<std::cell::Cell<u8>>>();
    shared::<sideloop::CancelOnDrop<std::cell::Cell<u8>>>();
    sent::<time::Sleep>();
    unpin::<JoinHandle<std::marker::PhantomPinned>>();
    error::<StartError>();
    error::<JoinError>();
    error::<sideloop::SpawnError<u8>>();
}
