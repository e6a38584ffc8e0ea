//! P9: a call is a task like any other; the future of `block_on` is not a task.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use sideloop::{
    CancelRequest, Executor, JoinError, Shutdown, block_on, current, current_task, spawn_local,
    time, try_current, yield_now,
};

use crate::support::*;

/// P9: a call has an id, a handle and a value.
#[test]
fn a_call_is_a_task() {
    limited(|| {
        let looped = loop_started();
        let task = looped.handle().call(|| (current_task(), "value"));
        let id = task.id();
        assert_eq!(join_ok(task), (Some(id), "value"));
    });
}

/// P9, C5: a call cancelled before it ran never runs, by handle as by id; its closure is dropped on
/// the loop thread.
#[test]
fn a_call_can_be_cancelled_before_it_ran() {
    limited(|| {
        let looped = loop_started();
        let (handle, id) = (looped.handle(), thread_of(looped.handle()));
        let (ran, drops) = (Events::new(), Drops::new());
        let hold = hold(handle);
        let call = |name| {
            let (runs, token) = (ran.clone(), drops.token());
            handle.call(move || {
                drop(token);
                runs.push(name);
            })
        };
        let (by_handle, by_id, kept) = (call("by handle"), call("by id"), call("kept"));
        let aborted = call("aborted");
        assert_eq!(by_handle.cancel(), CancelRequest::Requested);
        assert_eq!(aborted.abort(), CancelRequest::Requested);
        let request = handle.cancel(by_id.id());
        hold.release();
        assert_eq!(join_ok(request), CancelRequest::Requested);
        for task in [by_handle, by_id, aborted] {
            assert!(matches!(join_err(task), JoinError::Cancelled));
        }
        join_ok(kept);
        assert_eq!(ran.all(), ["kept"]);
        assert_eq!(drops.threads(), [id; 4]);
    });
}

/// P9: a panicking call is its own affair.
#[test]
fn a_panic_in_a_call_reaches_its_handle() {
    limited(|| {
        let looped = loop_started();
        let call = looped.handle().call(|| panic!("number {}", 5));
        match join_err::<()>(call) {
            JoinError::Panicked(payload) => assert_eq!(payload.message(), Some("number 5")),
            other => panic!("{other:?} is not Panicked"),
        }
        assert_eq!(join_ok(looped.handle().call(|| 1)), 1);
    });
}

/// P9, H2: calls are counted by the report like other tasks.
#[test]
fn a_call_counts_in_the_report() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        let hold = hold(&handle);
        let call = handle.call(|| ());
        let id = call.id();
        handle.shutdown(Shutdown::now());
        hold.release();
        let report = looped.join();
        let listed =
            |infos: &[sideloop::TaskInfo]| infos.iter().filter(|info| info.id == id).count();
        let ended = listed(&report.cancelled) + listed(&report.aborted);
        match join_soon(call) {
            Ok(()) => assert_eq!((ended, report.finished), (0, 2), "{report:?}"),
            Err(_) => assert_eq!((ended, report.finished), (1, 1), "{report:?}"),
        }
    });
}

/// P9: inside `block_on` there is a loop, but no task.
#[test]
fn the_future_of_block_on_is_not_a_task() {
    limited(|| {
        let seen = || (current_task(), try_current().is_some_and(|handle| handle.is_current()));
        assert_eq!(Executor::new().block_on(async { seen() }), (None, true));
        assert_eq!(block_on(async { seen() }), (None, true));
        let after_a_poll = async {
            let child = spawn_local(async { current_task() });
            let id = child.id();
            assert_eq!(child.await.expect("runs"), Some(id));
            yield_now().await;
            seen()
        };
        assert_eq!(Executor::new().block_on(after_a_poll), (None, true));
    });
}

/// P9: a panic of the future reaches the caller of `Executor::block_on`, and the executor goes on.
#[test]
fn a_panic_in_block_on_reaches_the_caller() {
    limited(|| {
        let mut executor = Executor::new();
        let (gate, drops) = (Gate::new(), Drops::new());
        let other = executor.spawn_local(gate.passed());
        let token = drops.token();
        let panics = async {
            let _token = token;
            yield_now().await;
            std::panic::panic_any(77_u8)
        };
        let panic: thread::Result<()> =
            catch_unwind(AssertUnwindSafe(|| executor.block_on(panics)));
        assert_eq!(panic.err().and_then(|any| any.downcast::<u8>().ok()).as_deref(), Some(&77));
        assert_eq!(drops.threads(), [thread::current().id()]);
        assert!(try_current().is_none(), "the thread is still marked as inside the loop");
        assert!(!executor.handle().is_closed());
        gate.open();
        executor.block_on(other).expect("the other task is well");
    });
}

/// P9: the same for the free function.
#[test]
fn a_panic_in_the_free_block_on_reaches_the_caller() {
    limited(|| {
        let panic: thread::Result<()> = catch_unwind(|| block_on(async { panic!("out of here") }));
        let panic = panic.expect_err("panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"out of here"));
        assert!(try_current().is_none());
        assert_eq!(block_on(async { 1 }), 1);
    });
}

/// The contract of `block_on`: a whole executor, with tasks, calls and timers, woken from anywhere.
#[test]
fn the_free_block_on_is_a_whole_executor() {
    limited(|| {
        let gate = Gate::new();
        let opens = gate.clone();
        let borrowed = String::from("not static");
        let length = block_on(async {
            let local = spawn_local(async { 1 }).await.expect("local");
            let called = current().call(|| 2).await.expect("call");
            time::sleep(std::time::Duration::from_millis(1)).await;
            let opener = thread::spawn(move || opens.open());
            gate.passed().await;
            opener.join().expect("opens");
            borrowed.len() + local + called
        });
        assert_eq!(length, 13);
    });
}

/// P6: tasks left over when `block_on` returns are dropped, and their handles say so.
#[test]
fn tasks_left_by_the_free_block_on_are_answered() {
    limited(|| {
        let (probe, log) = Probe::pending();
        let (left, handle) = block_on(async {
            let left = spawn_local(probe);
            yield_now().await;
            yield_now().await;
            (left, current())
        });
        assert_eq!(log.drops().threads(), [thread::current().id()]);
        assert!(matches!(join_err(left), JoinError::Cancelled | JoinError::Closed));
        assert!(handle.is_closed());
    });
}

/// P1: a `block_on` inside a callback has its own loop, and the outer one is itself again after.
#[test]
fn a_block_on_inside_a_loop_leaves_the_outer_loop_as_it_was() {
    limited(|| {
        let looped = loop_started();
        let outer = looped.handle().clone();
        let own = outer.clone();
        let nested = outer.call(move || {
            let task = current_task();
            let inside = block_on(async {
                yield_now().await;
                (own.is_current(), current_task())
            });
            (inside, own.is_current(), current_task() == task)
        });
        match join_soon(nested) {
            Ok((inside, current, same)) => {
                assert_eq!(inside, (true, None), "inside of both; the inner one runs no task");
                assert!(current && same, "the outer loop was left");
            }
            Err(JoinError::Panicked(payload)) => assert!(payload.message().is_some()),
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(join_ok(outer.call(|| 1)), 1);
    });
}

/// P9: `block_on` returns when its future is ready, with tasks left over for the next run.
#[test]
fn block_on_leaves_other_tasks_alone() {
    limited(|| {
        let mut executor = Executor::new();
        let gate = Gate::new();
        let (passed, drops) = (gate.passed(), Drops::new());
        let token = drops.token();
        let task = executor.spawn_local(async move {
            passed.await;
            drop(token);
        });
        executor.block_on(async {});
        assert_eq!(drops.count(), 0);
        gate.open();
        executor.block_on(task).expect("goes on");
        assert_eq!(drops.count(), 1);
    });
}
