//! Panics in tasks: they reach the joiner with message and payload, and nothing else happens.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use sideloop::{Executor, JoinError, JoinHandle, PanicPayload, Shutdown, yield_now};

use crate::child::isolated;
use crate::support::{
    Drops, Gate, Latch, Probe, hold, join_ok, join_soon, limited, loop_started, thread_of,
};

/// The payload of a task that must have panicked.
#[track_caller]
pub(crate) fn panic_of<T>(task: JoinHandle<T>) -> PanicPayload {
    match join_soon(task) {
        Err(JoinError::Panicked(payload)) => payload,
        Err(other) => panic!("not a panic: {other:?}"),
        Ok(_) => panic!("a value instead of a panic"),
    }
}

/// A value whose drop panics.
pub(crate) struct Bomb(pub(crate) &'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

// ───────────── payload and message ─────────────

/// X2: the message of a panic with a literal reaches the joiner; its payload is a `&str`.
#[test]
fn a_literal_message_reaches_the_joiner() {
    limited(|| {
        let side = loop_started();
        let payload = panic_of(side.handle().spawn(async { panic_any("plain words") }));
        assert_eq!(payload.message(), Some("plain words"));
        let inner = payload.into_inner();
        assert_eq!(inner.downcast_ref::<&'static str>(), Some(&"plain words"));
    });
}

/// X2: the message of a formatted panic reaches the joiner; its payload is a `String`.
#[test]
fn a_formatted_message_reaches_the_joiner() {
    limited(|| {
        let side = loop_started();
        let number = std::hint::black_box(7);
        let payload = panic_of(side.handle().spawn(async move { panic!("number {number}") }));
        assert_eq!(payload.message(), Some("number 7"));
        let inner = payload.into_inner();
        assert_eq!(inner.downcast_ref::<String>().map(String::as_str), Some("number 7"));
    });
}

/// X2: a payload of any other type comes back whole, and has no message.
#[test]
fn a_payload_of_any_type_comes_back_whole() {
    #[derive(Debug, PartialEq)]
    struct Custom(Vec<u8>);
    limited(|| {
        let side = loop_started();
        let payload = panic_of(side.handle().call(|| panic_any(Custom(vec![1, 2, 3]))));
        assert_eq!(payload.message(), None);
        let inner = payload.into_inner().downcast::<Custom>().expect("the type it was");
        assert_eq!(*inner, Custom(vec![1, 2, 3]));
    });
}

/// X2: `resume` goes on with the same panic on the joiner's thread.
#[test]
fn resume_goes_on_with_the_same_payload() {
    limited(|| {
        let side = loop_started();
        let payload = panic_of(side.handle().call(|| panic_any(42_u16)));
        let caught = catch_unwind(AssertUnwindSafe(|| payload.resume()));
        let inner = caught.expect_err("a panic");
        assert_eq!(inner.downcast_ref::<u16>(), Some(&42));
    });
}

/// X2: a panic passes through a chain of tasks that resume it.
#[test]
fn a_resumed_panic_reaches_the_next_joiner() {
    limited(|| {
        let side = loop_started();
        let inner = side.handle().call(|| panic!("from within"));
        let outer = side.handle().spawn(async move {
            if let Err(JoinError::Panicked(payload)) = inner.await {
                payload.resume();
            }
        });
        assert_eq!(panic_of(outer).message(), Some("from within"));
    });
}

/// X2, J2: `join_timeout` and `.await` give the panic like `join`.
#[test]
fn every_way_to_join_gives_the_panic() {
    limited(|| {
        let side = loop_started();
        let by_limit = side.handle().call(|| panic!("by limit")).join_timeout(Duration::MAX);
        match by_limit.expect("it has ended") {
            Err(JoinError::Panicked(payload)) => assert_eq!(payload.message(), Some("by limit")),
            other => panic!("{other:?}"),
        }
        match futures::executor::block_on(side.handle().call(|| panic!("by await"))) {
            Err(JoinError::Panicked(payload)) => assert_eq!(payload.message(), Some("by await")),
            other => panic!("{other:?}"),
        }
        match side.handle().call(|| panic!("by join")).join() {
            Err(JoinError::Panicked(payload)) => assert_eq!(payload.message(), Some("by join")),
            other => panic!("{other:?}"),
        }
    });
}

// ───────────── where it can happen ─────────────

/// X1: a panic in a later poll ends that task and no other of 300.
#[test]
fn a_panicking_task_harms_no_other() {
    limited(|| {
        let side = loop_started();
        let gate = Gate::new();
        let tasks: Vec<_> = (0..300)
            .map(|number| {
                let passed = gate.passed();
                side.handle().spawn(async move {
                    passed.await;
                    yield_now().await;
                    assert!(number % 3 != 0, "task {number}");
                    number
                })
            })
            .collect();
        gate.open();
        for (number, task) in tasks.into_iter().enumerate() {
            match number % 3 {
                0 => {
                    let message = format!("task {number}");
                    assert_eq!(panic_of(task).message(), Some(message.as_str()));
                }
                _ => assert_eq!(join_ok(task), number),
            }
        }
    });
}

/// X1, P5: a panic in the closure of `spawn_with` is that task's panic.
#[test]
fn a_panicking_closure_of_spawn_with_is_the_tasks_panic() {
    limited(|| {
        let side = loop_started();
        let drops = Drops::new();
        let token = drops.token();
        let task = side.handle().spawn_with(move || {
            let _token = token;
            if std::hint::black_box(true) {
                panic!("no future");
            }
            async {}
        });
        assert_eq!(panic_of(task).message(), Some("no future"));
        assert_eq!(drops.threads(), [thread_of(side.handle())]);
    });
}

/// X1, J3: the future of a poll that panicked is dropped, on the loop thread, before the join ends.
#[test]
fn a_future_whose_poll_panicked_is_dropped_on_the_loop_thread() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::<()>::scripted(|_, _| panic!("in the poll"));
        let task = side.handle().spawn(probe);
        assert_eq!(panic_of(task).message(), Some("in the poll"));
        assert_eq!(log.drops().threads(), [thread_of(side.handle())]);
        assert!(log.wake());
        join_ok(side.handle().call(|| ()));
        assert_eq!(log.polls(), 1, "polled again after its panic");
    });
}

/// X1: a destructor that panics after the poll did is contained too; the first panic is joined.
#[test]
fn a_second_panic_in_the_destructor_is_contained() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::<()>::scripted(|_, _| panic!("first"));
        let task = side.handle().spawn(probe.on_drop(|| panic!("second")));
        assert_eq!(panic_of(task).message(), Some("first"));
        assert_eq!(log.dropped(), 1);
        join_ok(side.handle().call(|| ()));
    });
}

/// X1, X2: a destructor that panics after the last poll is the task's panic; the value is dropped.
#[test]
fn a_destructor_that_panics_after_ready_reaches_the_joiner() {
    limited(|| {
        let side = loop_started();
        let value = Drops::new();
        let (probe, _log) = Probe::ready_at(1, value.token());
        let task = side.handle().spawn(probe.on_drop(|| panic!("on the way out")));
        assert_eq!(panic_of(task).message(), Some("on the way out"));
        assert_eq!(value.count(), 1, "the value is neither joined nor dropped");
        join_ok(side.handle().call(|| ()));
    });
}

/// X1: the destructor of a closure that was cancelled before it ran may panic.
#[test]
fn a_destructor_of_a_closure_that_never_ran_may_panic() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let bomb = Bomb("never ran");
        let call = side.handle().call(move || std::mem::forget(bomb));
        call.cancel();
        held.release();
        assert_eq!(panic_of(call).message(), Some("never ran"));
        join_ok(side.handle().call(|| ()));
    });
}

/// X1: the output of a detached task is dropped on the loop thread; its destructor may panic.
#[test]
fn an_output_of_a_detached_task_may_panic_in_its_destructor() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let drops = Drops::new();
        let token = drops.token_then(|| panic!("an unwanted output"));
        side.handle().call(move || token).detach();
        held.release();
        drops.wait(1);
        assert_eq!(drops.threads(), [thread_of(side.handle())]);
    });
}

/// X1, C1: a panic in the poll during which the task was cancelled reaches the joiner.
#[test]
fn a_panic_wins_over_a_cancel_during_its_poll() {
    limited(|| {
        let side = loop_started();
        let (entered, release) = (Latch::new("in the poll"), Latch::new("out of the poll"));
        let (there, go) = (entered.clone(), release.clone());
        let task = side.handle().spawn(async move {
            there.set();
            go.wait();
            panic!("in spite of it");
        });
        entered.wait();
        task.cancel();
        release.set();
        assert_eq!(panic_of::<()>(task).message(), Some("in spite of it"));
    });
}

/// X1: a payload whose own destructor panics is contained, also when nobody joins.
#[test]
fn a_payload_that_panics_when_dropped_is_contained() {
    isolated(|| {
        let side = loop_started();
        let held = hold(side.handle());
        side.handle().call(|| panic_any(Bomb("a payload"))).detach();
        let handle = side.handle().call(|| panic_any(Bomb("another")));
        held.release();
        join_ok(side.handle().call(|| ()));
        drop(handle);
        join_ok(side.handle().call(|| ()));
        side.shutdown(Shutdown::now());
    });
}

/// X1, P1: a destructor that runs while its poll unwinds may use every handle, also to drop bombs.
#[test]
fn a_destructor_in_an_unwinding_poll_may_use_handles() {
    isolated(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        let victim = side.handle().spawn(probe.on_drop(|| panic!("the victim's destructor")));
        log.wait_polls(1);
        let unwanted = side.handle().call(|| Bomb("an unwanted output"));
        let (canceller, handle) = (victim.canceller(), side.handle().clone());
        let (give, take) = mpsc::channel();
        let drops = Drops::new();
        let token = drops.token_then(move || {
            assert!(std::thread::panicking());
            canceller.cancel();
            drop(unwanted);
            give.send(handle.call(|| 1)).expect("somebody waits");
        });
        let task = side.handle().spawn(async move {
            let _token = token;
            panic!("the poll");
        });
        assert_eq!(panic_of::<()>(task).message(), Some("the poll"));
        assert_eq!(join_ok(take.recv().expect("sent in the destructor")), 1);
        assert_eq!(panic_of(victim).message(), Some("the victim's destructor"));
        join_ok(side.handle().call(|| ()));
    });
}

/// X1: handles and loops dropped by a thread that unwinds do no harm, whatever they hold.
#[test]
fn handles_dropped_by_an_unwinding_thread_do_no_harm() {
    isolated(|| {
        let ended = loop_started();
        let late = ended.handle().call(|| Bomb("dropped after the end"));
        let (probe, log) = Probe::pending();
        let survivor = ended.handle().spawn(probe.on_drop(|| panic!("a survivor")));
        log.wait_polls(1);
        ended.shutdown(Shutdown::now());
        let live = loop_started();
        let guard = live.handle().spawn(std::future::pending::<()>()).cancel_on_drop();
        let panicked = live.handle().call(|| panic!("unread"));
        let unwinding = catch_unwind(AssertUnwindSafe(move || {
            let _all = (late, survivor, guard, panicked, live);
            panic!("this thread unwinds");
        }));
        assert!(unwinding.is_err());
    });
}

// ───────────── executors without a thread ─────────────

/// P9: a panic in the future of `block_on` reaches the caller, and leaves the executor usable.
#[test]
fn a_panic_in_block_on_reaches_the_caller() {
    limited(|| {
        let mut executor = Executor::new();
        let task = executor.spawn_local(async {
            yield_now().await;
            3
        });
        let caught = catch_unwind(AssertUnwindSafe(|| {
            executor.block_on(async {
                yield_now().await;
                panic_any("out of block_on");
            });
        }));
        let payload = caught.expect_err("a panic");
        assert_eq!(payload.downcast_ref::<&'static str>(), Some(&"out of block_on"));
        assert!(sideloop::try_current().is_none(), "the context of the run is still there");
        assert_eq!(executor.block_on(task).expect("a value"), 3);
    });
}

/// X1: a panicking task does not unwind out of `turn`, and the next task finds no trace of it.
#[test]
fn a_panicking_task_does_not_unwind_out_of_turn() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = Probe::<()>::scripted(|_, _| panic!("in a turn"));
        let bad = executor.spawn_local(probe);
        let good =
            executor.spawn_local(std::future::poll_fn(|_| Poll::Ready(sideloop::current_task())));
        let expected = good.id();
        executor.run_until_idle();
        assert_eq!(executor.block_on(good).expect("a value"), Some(expected));
        assert!(sideloop::current_task().is_none());
        assert!(matches!(executor.block_on(bad), Err(JoinError::Panicked(_))));
        assert_eq!(log.dropped(), 1);
    });
}

/// X1: the output of a task whose future panics as it is dropped is dropped, also of one that was made on
/// the loop's thread.
#[test]
fn the_output_of_a_future_that_panics_in_its_drop_is_dropped() {
    limited(|| {
        let side = loop_started();
        for made_there in [false, true] {
            let (output, bomb) = (Arc::new(()), Bomb("dropped"));
            let left = output.clone();
            let mut output = Some(output);
            let future = poll_fn(move |_| {
                let _held = &bomb;
                Poll::Ready(output.take())
            });
            let task = if made_there {
                side.handle().spawn_with(move || future)
            } else {
                side.handle().spawn(future)
            };
            assert_eq!(panic_of(task).message(), Some("dropped"));
            assert_eq!(Arc::strong_count(&left), 1, "made there: {made_there}");
        }
    });
}
