//! Handles at the wrong time: after the end, forgotten, in thread-local destructors, in each other.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::mem::ManuallyDrop;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use sideloop::{
    CancelRequest, Executor, Handle, JoinError, JoinHandle, LocalHandle, LoopThread, Shutdown,
    SpawnError, time,
};

use crate::child::isolated;
use crate::support::{Gate, Latch, Probe, hold, join_err, join_ok, limited, loop_started};

/// A handle whose loop has ended.
fn ended() -> Handle {
    let side = loop_started();
    let handle = side.handle().clone();
    side.shutdown(Shutdown::now());
    handle
}

/// The handle of a task that must be `Closed`.
#[track_caller]
fn assert_closed<T>(task: JoinHandle<T>) {
    assert!(task.is_finished());
    let error = join_err(task);
    assert!(matches!(error, JoinError::Closed), "{error:?}");
}

// ───────────── after the end ─────────────

/// P7, C6: every method of a handle answers after the loop's end.
#[test]
fn every_method_of_a_handle_answers_after_the_end() {
    limited(|| {
        let handle = ended();
        assert!(handle.is_closed() && !handle.is_current());
        assert_closed(handle.spawn(async {}));
        assert_closed(handle.spawn_with(|| async {}));
        assert_closed(handle.call(|| ()));
        assert_closed(handle.task().name("late").spawn(async {}));
        assert_closed(handle.task().spawn_with(|| async {}));
        assert!(matches!(handle.try_spawn(async {}), Err(SpawnError::Closed(_))));
        assert_closed(handle.cancel(loop_started().handle().call(|| ()).id()));
        handle.shutdown(Shutdown::now());
        handle.shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX));
        assert!(format!("{handle:?}").contains("Handle"));
        assert!(handle.clone().is_closed());
    });
}

/// J6: every method of a join handle answers after the loop's end.
#[test]
fn every_method_of_a_join_handle_answers_after_the_end() {
    limited(|| {
        let side = loop_started();
        let value = || side.handle().call(|| vec![1, 2]);
        let (joined, awaited, limited, kept) = (value(), value(), value(), value());
        let stuck = side.handle().spawn(pending::<()>());
        let guarded = side.handle().spawn(pending::<()>()).cancel_on_drop();
        join_ok(side.handle().call(|| ()));
        side.shutdown(Shutdown::now());
        assert_eq!(joined.join().expect("a value"), [1, 2]);
        assert_eq!(futures::executor::block_on(awaited).expect("a value"), [1, 2]);
        let within = limited.join_timeout(Duration::ZERO).expect("it has ended");
        assert_eq!(within.expect("a value"), [1, 2]);
        assert!(kept.is_finished());
        assert_eq!(kept.cancel(), CancelRequest::Finished);
        kept.detach();
        let canceller = stuck.canceller();
        assert_eq!((canceller.cancel(), canceller.is_finished()), (CancelRequest::Finished, true));
        let within = stuck.join_timeout(Duration::MAX).expect("it has ended");
        assert!(matches!(within, Err(JoinError::Cancelled)), "{within:?}");
        drop(guarded);
    });
}

/// W4, M7: wakers and timers of an ended loop do nothing.
#[test]
fn wakers_and_timers_of_an_ended_loop_do_nothing() {
    limited(|| {
        let side = loop_started();
        let (probe, log) = Probe::pending();
        side.handle().spawn(probe).detach();
        log.wait_polls(1);
        let waker = log.waker().expect("polled once");
        side.shutdown(Shutdown::now());
        let copy = waker.clone();
        waker.wake_by_ref();
        assert!(waker.will_wake(&copy));
        copy.wake();
        waker.wake();
        assert_eq!(log.polls(), 1);
    });
}

/// P1: outside any loop there is nothing current, and what needs a loop says so.
#[test]
fn outside_any_loop_there_is_nothing_current() {
    limited(|| {
        let check = || {
            assert!(sideloop::try_current().is_none());
            assert!(sideloop::current_task().is_none());
            assert!(catch_unwind(|| drop(sideloop::current())).is_err());
            assert!(catch_unwind(|| drop(sideloop::spawn_local(async {}))).is_err());
            assert!(catch_unwind(LocalHandle::current).is_err());
        };
        check();
        let _idle = loop_started();
        let mut executor = Executor::new();
        executor.run_until_idle();
        check();
    });
}

/// P2: a callback that starts, uses and drops a loop of its own gets along with its loop.
#[test]
fn a_loop_may_be_started_and_ended_inside_another() {
    limited(|| {
        let side = loop_started();
        let inner = join_ok(side.handle().call(|| {
            let inner = loop_started();
            let here = sideloop::current_task();
            let there = inner.handle().call(sideloop::current_task).join();
            assert!(there.expect("another loop may be joined").is_some());
            assert_eq!(sideloop::current_task(), here);
            inner
        }));
        join_ok(side.handle().call(move || drop(inner)));
    });
}

/// T5: an executor run inside a task does not confuse the loop around it.
#[test]
fn an_executor_may_be_run_inside_a_task() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        let (before, after, current) = join_ok(side.handle().call(move || {
            let before = sideloop::current_task();
            let mut inner = Executor::new();
            let task = inner.spawn_local(async { 1 });
            let value = inner.block_on(task);
            assert_eq!(value.expect("a value"), 1);
            drop(inner);
            (before, sideloop::current_task(), handle.is_current())
        }));
        assert!(before.is_some() && current);
        assert_eq!(before, after);
        join_ok(side.handle().spawn(time::sleep(Duration::from_millis(1))));
    });
}

// ───────────── forgotten ─────────────

/// P6: `mem::forget` of every handle and future leaves the loop working, and able to end.
#[test]
fn every_public_value_may_be_forgotten() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        let armed = join_ok(handle.call(|| {
            let mut sleep = Box::pin(time::sleep(Duration::from_millis(1)));
            let poll = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending());
            let _kept = ManuallyDrop::new((LocalHandle::current(), sideloop::current()));
            sleep
        }));
        let mut polled = handle.spawn(pending::<()>());
        let poll = Pin::new(&mut polled).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll, Poll::Pending));
        std::mem::forget((armed, polled, sideloop::yield_now(), handle.clone(), handle.task()));
        std::mem::forget(handle.spawn(pending::<()>()).canceller());
        std::mem::forget(handle.spawn(pending::<()>()).cancel_on_drop());
        std::mem::forget(handle.call(|| vec![1]));
        std::mem::forget(handle.call(|| panic!("unread")).join_timeout(Duration::MAX));
        join_ok(handle.spawn(time::sleep(Duration::from_millis(3))));
        let report = side.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), 3, "{report:?}");
        std::mem::forget(report);
        std::mem::forget(handle.try_spawn(async {}));
    });
}

/// P6: a forgotten `LoopThread` goes on, and can be ended by its handle.
#[test]
fn a_forgotten_loop_thread_goes_on() {
    limited(|| {
        let stopped = Latch::new("the forgotten loop ended");
        let there = stopped.clone();
        let side = LoopThread::builder().on_stop(move || there.set()).start();
        let side = side.expect("a loop thread starts");
        let handle = side.handle().clone();
        std::mem::forget(side);
        assert_eq!(join_ok(handle.call(|| 1)), 1);
        handle.shutdown(Shutdown::now());
        stopped.wait();
    });
}

/// P6: a forgotten executor runs nothing; its handle can still be used and dropped.
#[test]
fn a_forgotten_executor_does_no_harm() {
    limited(|| {
        let mut executor = Executor::new();
        let (probe, log) = Probe::pending();
        executor.spawn_local(probe).detach();
        executor.turn();
        let handle = executor.handle().clone();
        std::mem::forget(executor);
        let task = thread::spawn(move || {
            log.wake();
            let task = handle.call(|| ());
            handle.shutdown(Shutdown::now());
            task
        });
        let task = task.join().expect("no panic");
        assert!(!task.is_finished());
        drop(task);
    });
}

// ───────────── thread-local destructors ─────────────

/// Runs a closure in the destructor of a thread-local value.
struct AtThreadEnd(Box<dyn FnOnce()>);

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        std::mem::replace(&mut self.0, Box::new(|| ()))();
    }
}

thread_local! {
    static AT_END: RefCell<Vec<AtThreadEnd>> = const { RefCell::new(Vec::new()) };
}

/// Runs `act` when the calling thread ends.
fn at_thread_end(act: impl FnOnce() + 'static) {
    AT_END.with(|acts| acts.borrow_mut().push(AtThreadEnd(Box::new(act))));
}

/// P1: a thread-local destructor of a plain thread may use a live loop, and end it.
#[test]
fn a_thread_local_destructor_may_use_a_live_loop() {
    isolated(|| {
        let gate = Gate::new();
        let passed = gate.passed();
        let (give, take) = std::sync::mpsc::channel();
        thread::spawn(move || {
            at_thread_end(move || {
                let side = loop_started();
                let handle = side.handle().clone();
                assert!(sideloop::try_current().is_none() && !handle.is_current());
                let task = handle.spawn(passed);
                assert_eq!(task.cancel(), CancelRequest::Requested);
                assert!(matches!(task.join(), Err(JoinError::Cancelled)));
                assert_eq!(handle.call(|| 2).join().expect("a value"), 2);
                let report = side.shutdown(Shutdown::now());
                give.send(report.finished).expect("somebody waits");
            });
        });
        take.recv().expect("the destructor ran to its end");
        drop(gate);
    });
}

/// P1: a thread-local destructor may own the `LoopThread`, first used on that thread or not.
#[test]
fn a_thread_local_may_own_a_loop() {
    isolated(|| {
        let ended = Latch::new("the loop ended");
        let there = ended.clone();
        let thread = thread::spawn(move || {
            let side = LoopThread::builder().on_stop(move || there.set()).start();
            let side = side.expect("a loop thread starts");
            side.handle().spawn(pending::<()>()).detach();
            at_thread_end(move || drop(side));
        });
        ended.wait();
        let _ = thread.join();
    });
}

/// P1, P7: a thread-local destructor of the loop thread finds its loop closed, whatever it asks.
#[test]
fn a_thread_local_destructor_of_the_loop_thread_finds_it_closed() {
    isolated(|| {
        let side = loop_started();
        let (give, take) = std::sync::mpsc::channel();
        let handle = side.handle().clone();
        let (probe, log) = Probe::pending();
        let stuck = side.handle().spawn(probe);
        log.wait_polls(1);
        let mut armed = Box::pin(time::sleep(Duration::from_secs(3600)));
        join_ok(side.handle().call(move || {
            let poll = armed.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending());
            at_thread_end(move || {
                drop(armed);
                log.wake();
                let none = sideloop::try_current().is_none();
                let idle = sideloop::current_task().is_none() && !handle.is_current();
                let (closed, answer) = (handle.is_closed(), stuck.cancel());
                let late = [handle.call(|| ()), handle.spawn(async {})];
                let ended = stuck.join();
                give.send((none, idle, closed, answer, late, ended)).expect("somebody waits");
            });
        }));
        side.shutdown(Shutdown::now());
        let (none, idle, closed, answer, late, ended) = take.recv().expect("it ran to its end");
        assert!(none && idle && closed, "{none} {idle} {closed}");
        assert_eq!(answer, CancelRequest::Finished);
        assert!(matches!(ended, Err(JoinError::Cancelled)), "{ended:?}");
        late.into_iter().for_each(assert_closed);
    });
}

/// J5: a value that is joined by nobody is dropped once, also when its handle outlives the loop.
#[test]
fn an_output_whose_handle_outlives_the_loop_is_dropped_with_it() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let drops = crate::support::Drops::new();
        let token = drops.token();
        let task = side.handle().call(move || token);
        held.release();
        join_ok(side.handle().call(|| ()));
        side.shutdown(Shutdown::now());
        assert_eq!(drops.count(), 0);
        drop(task);
        assert_eq!(drops.threads(), [thread::current().id()]);
    });
}
