//! Bad input to builders and to the loop: what cannot work is a typed answer, what is odd works.

use std::future::pending;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sideloop::{Builder, CancelRequest, JoinError, JoinHandle, Shutdown, StartError, time};

use crate::child::isolated;
use crate::support::{
    Drops, Events, Latch, NO_STACK, Probe, hold, join_err, join_ok, join_soon, limited, limited_to,
    loop_started,
};

/// A builder all of whose hooks own a token.
fn with_tokens(drops: &Drops, started: &Latch) -> Builder {
    let (one, two, three, there) = (drops.token(), drops.token(), drops.token(), started.clone());
    Builder::new()
        .on_start(move || {
            let _token = one;
            there.set();
            Ok(())
        })
        .on_stop(move || drop(two))
        .on_panic(move |_| {
            let _token = &three;
        })
}

/// The error of a start that must fail.
#[track_caller]
fn start_error(builder: Builder) -> StartError {
    builder.start().expect_err("the start must fail")
}

// ───────────── threads that cannot be ─────────────

/// S2: an absurd stack size is an error of the thread; no hook runs and none is leaked.
#[test]
fn an_absurd_stack_size_is_a_start_error() {
    limited(|| {
        for bytes in [NO_STACK, NO_STACK.max(usize::MAX / 2), usize::MAX - 4_096, usize::MAX] {
            let (drops, started) = (Drops::new(), Latch::new("on_start ran"));
            let error = start_error(with_tokens(&drops, &started).stack_size(bytes));
            assert!(matches!(error, StartError::Thread(_)), "{bytes}: {error:?}");
            assert!(!started.is_set(), "{bytes}");
            assert_eq!(drops.count(), 3, "{bytes}: hooks are leaked");
        }
    });
}

/// S1: a stack size below the least that a loop needs is rounded up.
#[test]
fn a_tiny_stack_size_is_rounded_up() {
    isolated(|| {
        for bytes in [0, 1, 4_097] {
            let side = Builder::new().stack_size(bytes).start();
            let side = side.unwrap_or_else(|error| panic!("{bytes}: {error}"));
            assert_eq!(join_ok(side.handle().call(|| 1)), 1);
        }
    });
}

/// S2: a thread name with a NUL byte is a `StartError`, not a panic.
#[test]
fn a_name_with_a_nul_byte_is_a_start_error() {
    limited(|| {
        for name in ["\0", "side\0loop", "sideloop\0"] {
            let (drops, started) = (Drops::new(), Latch::new("on_start ran"));
            let error = start_error(with_tokens(&drops, &started).name(name));
            assert!(matches!(error, StartError::Thread(_)), "{name:?}: {error:?}");
            assert!(!started.is_set(), "{name:?}");
            assert_eq!(drops.count(), 3, "{name:?}: hooks are leaked");
        }
    });
}

/// S1: every other name is the thread's name, however long or odd.
#[test]
fn any_other_name_is_the_threads_name() {
    limited(|| {
        for name in [String::new(), "ein Fädchen 🧵".repeat(2_000), "a\nb\u{202e}".to_owned()] {
            let side = Builder::new().name(name.clone()).start().expect("a loop thread starts");
            let seen = join_ok(side.handle().call(|| thread::current().name().map(str::to_owned)));
            assert_eq!(seen, Some(name));
        }
    });
}

// ───────────── start hooks ─────────────

/// S2: an `on_start` that fails gives its own error back; what it spawned is answered and dropped.
#[test]
fn an_on_start_that_fails_leaves_nothing_behind() {
    limited(|| {
        let (drops, tasks) = (Drops::new(), Latch::new("on_start spawned"));
        let (give, take) = std::sync::mpsc::channel();
        let (token, other, there) = (drops.token(), drops.token(), tasks.clone());
        let builder = Builder::new().on_stop(move || drop(other)).on_start(move || {
            let handle = sideloop::current();
            let task = handle.spawn(async move {
                let _token = token;
                pending::<()>().await;
            });
            give.send((handle, task)).expect("somebody waits");
            there.set();
            Err("no luck today".into())
        });
        match start_error(builder) {
            StartError::Init(error) => assert_eq!(error.to_string(), "no luck today"),
            other => panic!("{other:?}"),
        }
        let (handle, task) = take.recv().expect("on_start ran");
        assert!(matches!(join_err(task), JoinError::Cancelled | JoinError::Closed));
        assert!(handle.is_closed() && !handle.is_current());
        assert!(matches!(join_err(handle.call(|| ())), JoinError::Closed));
        assert_eq!(drops.count(), 2);
    });
}

/// S2, X1: an `on_start` that panics gives its payload back; the same.
#[test]
fn an_on_start_that_panics_leaves_nothing_behind() {
    limited(|| {
        let drops = Drops::new();
        let (one, two) = (drops.token(), drops.token());
        let builder = Builder::new().on_stop(move || drop(two)).on_start(move || {
            let token = one;
            sideloop::current()
                .spawn(async move {
                    let _token = token;
                    pending::<()>().await;
                })
                .detach();
            std::panic::panic_any(99_u8)
        });
        match start_error(builder) {
            StartError::Panicked(payload) => {
                assert_eq!(payload.into_inner().downcast_ref::<u8>(), Some(&99));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(drops.count(), 2);
    });
}

/// S1, H3: an `on_start` that asks for the shutdown starts a loop that ends.
#[test]
fn an_on_start_that_shuts_down_starts_a_loop_that_ends() {
    limited(|| {
        let (give, take) = std::sync::mpsc::channel();
        let side = Builder::new()
            .on_start(move || {
                let handle = sideloop::current();
                give.send(handle.spawn(pending::<()>())).expect("somebody waits");
                handle.shutdown(Shutdown::now());
                Ok(())
            })
            .start()
            .expect("S1: on_start has finished without an error");
        assert!(side.handle().is_closed());
        let report = side.join();
        let task: JoinHandle<()> = take.recv().expect("on_start ran");
        assert!(report.aborted.iter().any(|info| info.id == task.id()), "{report:?}");
        assert!(join_soon(task).is_err());
    });
}

/// S2: a thousand failed starts leave no thread behind.
#[test]
fn failed_starts_leave_no_thread_behind() {
    limited_to(Duration::from_secs(60), || {
        for _ in 0..1_000 {
            let error = start_error(Builder::new().on_start(|| Err("again".into())));
            assert!(matches!(error, StartError::Init(_)), "{error:?}");
        }
    });
}

// ───────────── odd settings ─────────────

/// T1: a batch of zero is no standstill, and one without a limit no flood.
#[test]
fn odd_batches_work() {
    limited(|| {
        for batch in [0, 1, usize::MAX] {
            let side = Builder::new().batch(batch).start().expect("a loop thread starts");
            let tasks: Vec<_> = (0..100)
                .map(|n| {
                    side.handle().spawn(async move {
                        sideloop::yield_now().await;
                        time::sleep(Duration::ZERO).await;
                        n
                    })
                })
                .collect();
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(join_ok(task), n, "batch {batch}");
            }
        }
    });
}

/// T1: with a batch without a limit, timers and injected work still get their turn.
#[test]
fn a_batch_without_a_limit_starves_nobody() {
    limited(|| {
        let side = Builder::new().batch(usize::MAX).start().expect("a loop thread starts");
        for _ in 0..2 {
            let (busy, log) = Probe::<()>::scripted(|_, cx| {
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            });
            side.handle().spawn(busy).detach();
            log.wait_polls(2);
        }
        join_ok(side.handle().call(|| ()));
        join_ok(side.handle().spawn(time::sleep(Duration::from_millis(1))));
    });
}

/// M5: a loop that spins for ever before it parks, or not at all, works and ends.
#[test]
fn odd_spins_work() {
    limited(|| {
        for spin in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let side = Builder::new().spin(spin).start().expect("a loop thread starts");
            assert_eq!(join_ok(side.handle().call(|| 1)), 1, "{spin:?}");
            join_ok(side.handle().spawn(time::sleep(Duration::from_millis(1))));
            let stuck = side.handle().spawn(pending::<()>());
            assert_eq!(stuck.cancel(), CancelRequest::Requested);
            assert!(matches!(join_err(stuck), JoinError::Cancelled), "{spin:?}");
            side.shutdown(Shutdown::now());
        }
    });
}

/// H2: the name of a task may be anything, and comes back in the report.
#[test]
fn a_task_may_have_any_name() {
    limited(|| {
        let side = loop_started();
        let names = ["", "\0", "two\nlines", "🧵", &"long ".repeat(10_000)];
        for name in names {
            side.handle().task().name(name).spawn(pending::<()>()).detach();
        }
        let report = side.shutdown(Shutdown::now());
        let seen: Vec<_> = report.aborted.iter().map(|info| info.name.as_deref()).collect();
        assert_eq!(seen, names.map(Some));
    });
}

// ───────────── many ─────────────

/// P6: a million tasks dropped unrun: each once, on the loop thread, and each handle is answered.
#[test]
fn a_million_tasks_are_dropped_unrun() {
    const TASKS: usize = 1_000_000;
    limited_to(Duration::from_secs(120), || {
        let side = loop_started();
        let held = hold(side.handle());
        let (alive, ran) = (Arc::new(()), Arc::new(()));
        let handles: Vec<_> = (0..TASKS)
            .map(|_| {
                let (alive, ran) = (Arc::clone(&alive), Arc::downgrade(&ran));
                side.handle().call(move || drop((alive, ran.upgrade().map(std::mem::forget))))
            })
            .collect();
        assert_eq!(Arc::strong_count(&alive), TASKS + 1);
        side.handle().shutdown(Shutdown::now());
        held.release();
        let report = side.join();
        assert_eq!(Arc::strong_count(&alive), 1, "closures are leaked");
        assert_eq!(Arc::strong_count(&ran), 1, "closures have run");
        assert_eq!(report.aborted.len(), TASKS);
        for handle in handles {
            assert!(matches!(handle.join(), Err(JoinError::Cancelled | JoinError::Closed)));
        }
    });
}

/// P6: a hundred thousand tasks that were polled, detached, and dropped at the end.
#[test]
fn many_detached_tasks_are_dropped_at_the_end() {
    const TASKS: usize = 100_000;
    limited_to(Duration::from_secs(60), || {
        let side = loop_started();
        let alive = Arc::new(());
        for _ in 0..TASKS {
            let alive = Arc::clone(&alive);
            side.handle()
                .spawn(async move {
                    let _alive = alive;
                    pending::<()>().await;
                })
                .detach();
        }
        join_ok(side.handle().call(|| ()));
        drop(side);
        assert_eq!(Arc::strong_count(&alive), 1, "futures are leaked");
    });
}

/// P2: while a callback blocks the loop, no method of any handle waits for it.
#[test]
fn no_method_waits_for_a_blocked_loop() {
    limited(|| {
        let side = loop_started();
        let stuck = side.handle().spawn(pending::<()>());
        let held = hold(side.handle());
        let handle = side.handle();
        let ran = Events::new();
        let seen = ran.clone();
        let call = handle.call(move || seen.push(1));
        assert!(!call.is_finished() && !handle.is_closed() && !handle.is_current());
        let request = handle.cancel(stuck.id());
        assert!(!request.is_finished());
        assert_eq!(stuck.cancel(), CancelRequest::Requested);
        let back = call.join_timeout(Duration::ZERO).expect_err("still waiting");
        drop(handle.try_spawn(pending::<()>()).expect("accepted").cancel_on_drop());
        handle.shutdown(Shutdown::now().drain(Duration::MAX));
        assert_eq!(ran.all(), []);
        held.release();
        side.join();
        join_ok(back);
        join_ok(request);
        assert!(matches!(join_err(stuck), JoinError::Cancelled));
    });
}
