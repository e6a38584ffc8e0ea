//! `on_panic`: called when nobody can join any more, exactly then and exactly once.

use std::future::pending;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, ThreadId};
use std::time::Duration;

use sideloop::{Builder, Handle, JoinError, LoopThread, Shutdown, TaskId, TaskPanic};

use crate::panics::{Bomb, panic_of};
use crate::support::{
    Events, Gate, Latch, Probe, hold, join_err, join_ok, limited, loop_started, thread_of,
};

/// What the hook was told.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    id: TaskId,
    name: Option<String>,
    location: &'static Location<'static>,
    message: Option<String>,
    thread: ThreadId,
}

impl Told {
    fn new(panic: &TaskPanic<'_>) -> Told {
        Told {
            id: panic.id(),
            name: panic.name().map(str::to_owned),
            location: panic.location(),
            message: panic.payload().message().map(str::to_owned),
            thread: thread::current().id(),
        }
    }
}

/// A loop whose hook writes down what it is told.
fn recording() -> (LoopThread, Events<Told>) {
    let told = Events::new();
    let log = told.clone();
    let side = Builder::new().on_panic(move |panic| log.push(Told::new(panic))).start();
    (side.expect("a loop thread starts"), told)
}

/// Lets everything that was asked of the loop happen.
#[track_caller]
fn settle(handle: &Handle) {
    for _ in 0..3 {
        join_ok(handle.call(|| ()));
    }
}

/// The messages that the hook was told.
fn messages(told: &Events<Told>) -> Vec<String> {
    told.all().into_iter().filter_map(|told| told.message).collect()
}

// ───────────── when ─────────────

/// X2: a panic of a task that was detached before is told at once, on the loop thread, in full.
#[test]
fn a_panic_of_a_detached_task_is_told_in_full() {
    limited(|| {
        let (side, told) = recording();
        let held = hold(side.handle());
        let builder = side.handle().task().name("crawler");
        let (task, line) = (builder.spawn(async { panic!("lost") }), line!());
        let id = task.id();
        task.detach();
        held.release();
        settle(side.handle());
        let [told] = &told.all()[..] else { panic!("{:?}", told.all()) };
        assert_eq!((told.id, told.name.as_deref()), (id, Some("crawler")));
        assert_eq!((told.location.file(), told.location.line()), (file!(), line));
        assert_eq!(told.message.as_deref(), Some("lost"));
        assert_eq!(told.thread, thread_of(side.handle()));
    });
}

/// X2: a panic that waits in a handle is told when the handle is dropped, and not before.
#[test]
fn a_panic_is_told_when_its_unread_handle_is_dropped() {
    limited(|| {
        for name in [None, Some("reader")] {
            let (side, told) = recording();
            let builder = side.handle().task();
            let builder = if let Some(name) = name { builder.name(name) } else { builder };
            let (task, line) = (builder.spawn(async { panic!("unread") }), line!());
            let id = task.id();
            settle(side.handle());
            assert!(task.is_finished());
            assert_eq!(told.all(), [], "told while it could still be joined");
            drop(task);
            settle(side.handle());
            let [told] = &told.all()[..] else { panic!("{:?}", told.all()) };
            assert_eq!((told.id, told.name.as_deref(), told.location.line()), (id, name, line));
            assert_eq!(told.message.as_deref(), Some("unread"));
        }
    });
}

/// X2: a panic that was joined, in whichever way, is not told.
#[test]
fn a_joined_panic_is_not_told() {
    limited(|| {
        let (side, told) = recording();
        panic_of::<()>(side.handle().call(|| panic!("joined")));
        let awaited = side.handle().call(|| panic!("awaited"));
        join_ok(side.handle().spawn(async move { awaited.await.is_err() }));
        let polled = side.handle().call(|| panic!("within a limit"));
        assert!(polled.join_timeout(Duration::MAX).is_ok());
        let guarded = side.handle().call(|| panic!("guarded")).cancel_on_drop();
        assert!(futures::executor::block_on(guarded).is_err());
        settle(side.handle());
        side.shutdown(Shutdown::now());
        assert_eq!(told.all(), []);
    });
}

/// X2: a panic is told when the handle that came back from `join_timeout` was dropped.
#[test]
fn a_panic_after_a_join_that_gave_up_is_told() {
    limited(|| {
        let (side, told) = recording();
        let gate = Gate::new();
        let passed = gate.passed();
        let task = side.handle().spawn(async move {
            passed.await;
            panic!("later");
        });
        let back: Result<Result<(), _>, _> = task.join_timeout(Duration::ZERO);
        drop(back.expect_err("the handle comes back"));
        gate.open();
        settle(side.handle());
        assert_eq!(messages(&told), ["later"]);
    });
}

/// X2, J4: a join that would have deadlocked gave its handle up: the panic is told.
#[test]
fn a_panic_after_a_join_that_would_deadlock_is_told() {
    limited(|| {
        let (side, told) = recording();
        let gate = Gate::new();
        let passed = gate.passed();
        let task = side.handle().spawn(async move {
            passed.await;
            panic!("after the deadlock");
        });
        let error = join_ok(side.handle().call(move || task.join()));
        assert!(matches!(error, Err::<(), _>(JoinError::WouldDeadlock)), "{error:?}");
        gate.open();
        settle(side.handle());
        assert_eq!(messages(&told), ["after the deadlock"]);
    });
}

/// X2: a panic whose joiner is cancelled before it reads it is told.
#[test]
fn a_panic_whose_joiner_was_cancelled_is_told() {
    limited(|| {
        let (side, told) = recording();
        let gate = Gate::new();
        let passed = gate.passed();
        let inner = side.handle().spawn(async move {
            passed.await;
            panic!("unheard");
        });
        let outer = side.handle().spawn(async move { inner.await.unwrap_or(()) });
        settle(side.handle());
        outer.cancel();
        assert!(matches!(join_err(outer), JoinError::Cancelled));
        gate.open();
        settle(side.handle());
        assert_eq!(messages(&told), ["unheard"]);
    });
}

/// X2: a canceller is nobody who could join.
#[test]
fn a_canceller_keeps_no_panic_from_being_told() {
    limited(|| {
        let (side, told) = recording();
        let task = side.handle().call(|| panic!("only a canceller left"));
        let canceller = task.canceller();
        drop(task);
        settle(side.handle());
        assert_eq!(messages(&told), ["only a canceller left"]);
        assert!(canceller.is_finished());
    });
}

/// X2: of a drop that races with the panic, exactly one call of the hook results.
#[test]
fn a_drop_that_races_with_the_panic_is_told_once() {
    limited(|| {
        const ROUNDS: usize = 1_000;
        let (side, told) = recording();
        let start = Arc::new(Barrier::new(2));
        let go = Arc::clone(&start);
        let (give, take) = std::sync::mpsc::channel();
        let dropper = thread::spawn(move || {
            for task in take {
                go.wait();
                drop::<sideloop::JoinHandle<()>>(task);
            }
        });
        for _ in 0..ROUNDS {
            let task = side.handle().call(|| panic!("raced"));
            give.send(task).expect("the dropper lives");
            start.wait();
        }
        drop(give);
        dropper.join().expect("a drop does not panic");
        settle(side.handle());
        assert_eq!(told.all().len(), ROUNDS);
    });
}

// ───────────── what ─────────────

/// X2: panics of callbacks, closures, polls and destructors are all told.
#[test]
fn every_kind_of_panic_is_told() {
    limited(|| {
        let (side, told) = recording();
        let handle = side.handle();
        handle.call(|| panic!("callback")).detach();
        handle.spawn_with(|| -> std::future::Pending<()> { panic!("closure") }).detach();
        handle.spawn(async { panic!("poll") }).detach();
        let (ready, _) = Probe::ready_at(1, ());
        handle.spawn(ready.on_drop(|| panic!("destructor"))).detach();
        let (stuck, _) = Probe::pending();
        let cancelled = handle.spawn(stuck.on_drop(|| panic!("cancelled destructor")));
        settle(handle);
        cancelled.cancel();
        drop(cancelled);
        join_ok(handle.call(|| sideloop::spawn_local(async { panic!("local") }).detach()));
        settle(handle);
        let expected =
            ["callback", "closure", "poll", "destructor", "cancelled destructor", "local"];
        let mut seen = messages(&told);
        seen.sort_by_key(|message| expected.iter().position(|one| one == message));
        assert_eq!(seen, expected);
    });
}

/// X1, X2: the destructor of an output that nobody wanted is told, with the task's id.
#[test]
fn a_panicking_output_of_a_detached_task_is_told() {
    limited(|| {
        let (side, told) = recording();
        let held = hold(side.handle());
        let task = side.handle().call(|| Bomb("an output"));
        let id = task.id();
        drop(task);
        held.release();
        settle(side.handle());
        let [told] = &told.all()[..] else { panic!("{:?}", told.all()) };
        assert_eq!((told.id, told.message.as_deref()), (id, Some("an output")));
    });
}

/// J5, X2: an output whose handle is dropped late is dropped on the loop thread; its panic is told.
#[test]
fn a_panicking_output_of_a_handle_dropped_late_is_told() {
    limited(|| {
        let (side, told) = recording();
        let task = side.handle().call(|| Bomb("a late output"));
        settle(side.handle());
        assert!(task.is_finished());
        drop(task);
        settle(side.handle());
        assert_eq!(messages(&told), ["a late output"]);
    });
}

/// X2, H4: at the end, destructors of survivors without a handle are told, of the others joined.
#[test]
fn panics_of_survivors_are_told_or_joined() {
    limited(|| {
        let (side, told) = recording();
        let (one, _) = Probe::pending();
        let (two, _) = Probe::pending();
        side.handle().spawn(one.on_drop(|| panic!("nobody's"))).detach();
        let joined = side.handle().spawn(two.on_drop(|| panic!("somebody's")));
        settle(side.handle());
        side.shutdown(Shutdown::now());
        assert_eq!(messages(&told), ["nobody's"]);
        assert_eq!(panic_of(joined).message(), Some("somebody's"));
        assert_eq!(messages(&told), ["nobody's"]);
    });
}

// ───────────── the hook itself ─────────────

/// X1: a hook that panics is contained, and called again for the next panic.
#[test]
fn a_hook_that_panics_is_called_again() {
    limited(|| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let side = Builder::new()
            .on_panic(move |_| {
                counter.fetch_add(1, Ordering::SeqCst);
                panic!("the hook too");
            })
            .start()
            .expect("a loop thread starts");
        for _ in 0..3 {
            side.handle().call(|| panic!("again")).detach();
        }
        settle(side.handle());
        assert_eq!(calls.load(Ordering::SeqCst), 3);
    });
}

/// P1: a hook may spawn, cancel and ask for the shutdown.
#[test]
fn a_hook_may_use_the_loop() {
    limited(|| {
        let spawned = Latch::new("the hook's task ran");
        let there = spawned.clone();
        let side = Builder::new()
            .on_panic(move |panic| {
                let (handle, there) = (sideloop::current(), there.clone());
                drop(handle.cancel(panic.id()));
                handle.call(move || there.set()).detach();
                handle.shutdown(Shutdown::now().drain(Duration::MAX));
            })
            .start()
            .expect("a loop thread starts");
        let stuck = side.handle().spawn(pending::<()>());
        side.handle().call(|| panic!("the trigger")).detach();
        spawned.wait();
        stuck.cancel();
        side.join();
    });
}

/// X1: without a hook, a panic that nobody joins is no more than that.
#[test]
fn without_a_hook_nothing_happens() {
    limited(|| {
        let side = loop_started();
        side.handle().call(|| panic!("unheard of")).detach();
        settle(side.handle());
        assert!(!side.handle().is_closed());
    });
}

/// X2: an executor without a thread calls its hook too.
#[test]
fn an_executor_calls_its_hook() {
    limited(|| {
        let told = Events::new();
        let log = told.clone();
        let mut executor = Builder::new().on_panic(move |panic| log.push(Told::new(panic))).build();
        executor.spawn_local(async { panic!("at home") }).detach();
        executor.run_until_idle();
        assert_eq!(messages(&told), ["at home"]);
    });
}

/// X1: start and stop hooks that panic are contained: a typed error, and a report.
#[test]
fn a_stop_hook_that_panics_costs_nothing() {
    limited(|| {
        let side = Builder::new()
            .on_stop(|| panic!("the last word"))
            .start()
            .expect("a loop thread starts");
        let value = side.handle().call(|| 1);
        let stuck = side.handle().spawn(pending::<()>());
        settle(side.handle());
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), 1, "{report:?}");
        assert_eq!(join_ok(value), 1);
        assert!(matches!(join_err(stuck), JoinError::Cancelled));
    });
}
