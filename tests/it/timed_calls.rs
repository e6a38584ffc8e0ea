//! Calls at a later time and again and again: when they run, what ends them, and what they leave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::{
    Builder, CancelRequest, Executor, Handle, JoinError, JoinHandle, Shutdown, TaskId, ZeroPeriod,
};

use crate::sleeping::{far_future, far_past};
use crate::sleeping_order::pass;
use crate::support::{
    Drops, Events, Latch, hold, join_err, join_ok, limited, loop_started, thread_of,
};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Each kind of timed call, an hour away, of a closure that owns `token`.
fn an_hour_away<T: Send + 'static>(handle: &Handle, token: impl Fn() -> T) -> [JoinHandle<()>; 3] {
    let (one, other, mut third) = (token(), token(), Some(token()));
    [
        handle.call_after(HOUR, move || drop(one)),
        handle.call_at(Instant::now() + HOUR, move || drop(other)),
        handle.call_every(HOUR, move || drop(third.take())).expect("not zero"),
    ]
}

// ───────────── P9: when ─────────────

/// P9, M1: a call after a delay runs on the loop's thread, not before, and gives its value.
#[test]
fn a_call_runs_when_its_delay_has_passed() {
    limited(|| {
        let side = loop_started();
        let there = thread_of(side.handle());
        for delay in [Duration::from_nanos(1), MS, 3 * MS] {
            let before = Instant::now();
            let called =
                side.handle().call_after(delay, || (Instant::now(), thread::current().id()));
            let (ran, thread) = join_ok(called);
            assert!(ran >= before + delay && thread == there, "{delay:?}");
        }
        let when = Instant::now() + 2 * MS;
        assert!(join_ok(side.handle().call_at(when, Instant::now)) >= when);
    });
}

/// P9: the delay counts from the call, not from when the loop takes it in; the deadline of `call_at` is exact.
#[test]
fn the_delay_counts_from_the_call() {
    limited(|| {
        let mut executor = Executor::new();
        let handle = executor.handle().clone();
        let before = Instant::now();
        let task = thread::spawn(move || handle.call_after(HOUR, || ())).join().expect("no panic");
        let after = Instant::now();
        pass(after + 2 * MS);
        executor.run_until_idle();
        let due = executor.turn().next_deadline.expect("it is armed");
        assert!(before + HOUR <= due && due <= after + HOUR);
        task.cancel();
        let exact = Instant::now() + HOUR + Duration::from_nanos(3);
        executor.handle().call_at(exact, || ()).detach();
        executor.run_until_idle();
        assert_eq!(executor.turn().next_deadline, Some(exact));
    });
}

/// P9, M4: a delay of zero and a time that has passed are soon, by themselves.
#[test]
fn what_is_due_runs_soon() {
    limited(|| {
        let mut executor = Executor::new();
        let order = Events::new();
        let [one, two, three] = [order.clone(), order.clone(), order.clone()];
        executor.handle().call_at(far_past(), move || one.push("past")).detach();
        executor.handle().call_after(Duration::ZERO, move || two.push("zero")).detach();
        executor.handle().call(move || three.push("call")).detach();
        executor.run_until_idle();
        assert_eq!(order.all(), ["zero", "call", "past"], "P4: a delay of zero is a plain call");
    });
}

/// M2: calls that a busy loop takes in late run in the order of their times.
#[test]
fn late_calls_run_in_the_order_of_their_times() {
    limited(|| {
        let side = loop_started();
        let held = hold(side.handle());
        let (order, start) = (Events::new(), Instant::now());
        let calls: Vec<_> = (1..=20)
            .rev()
            .map(|n| {
                let order = order.clone();
                side.handle().call_at(start + Duration::from_micros(n), move || order.push(n))
            })
            .collect();
        pass(start + MS);
        held.release();
        calls.into_iter().for_each(join_ok);
        assert_eq!(order.all(), (1..=20).collect::<Vec<_>>());
    });
}

/// M5: what cannot be represented is never, and can be cancelled.
#[test]
fn a_call_without_end_never_runs() {
    limited(|| {
        let mut executor = Executor::new();
        let handle = executor.handle().clone();
        let tasks = [
            handle.call_after(Duration::MAX, || ()),
            handle.call_at(far_future(), || ()),
            handle.call_every(Duration::MAX, || ()).expect("not zero"),
        ];
        executor.run_until_idle();
        let beyond = Instant::now() + HOUR * 24 * 365 * 20;
        assert!(executor.turn().next_deadline.is_none_or(|at| at > beyond));
        for task in tasks {
            assert!(!task.is_finished());
            assert_eq!(task.cancel(), CancelRequest::Requested);
            executor.run_until_idle();
            assert!(matches!(executor.block_on(task), Err(JoinError::Cancelled)));
        }
    });
}

// ───────────── P9: cancelling ─────────────

/// P9, C1, M6, W6: a timed call that is cancelled never runs, leaves no timer, and is dropped by its loop.
fn cancelled(how: fn(&Handle, &JoinHandle<()>)) {
    let mut executor = Executor::new();
    let drops = Drops::new();
    let tasks = an_hour_away(executor.handle(), || drops.token());
    let ids: Vec<TaskId> = tasks.iter().map(JoinHandle::id).collect();
    assert!(ids[0] < ids[1] && ids[1] < ids[2]);
    executor.run_until_idle();
    assert!(executor.turn().next_deadline.is_some());
    let handle = executor.handle().clone();
    let tasks = thread::spawn(move || {
        tasks.iter().for_each(|task| how(&handle, task));
        tasks
    });
    let tasks = tasks.join().expect("no panic");
    executor.run_until_idle();
    assert_eq!(executor.turn().next_deadline, None);
    assert_eq!(drops.threads(), [thread::current().id(); 3]);
    for task in tasks {
        assert!(matches!(executor.block_on(task), Err(JoinError::Cancelled)));
    }
}

/// P9: by its handle, from another thread.
#[test]
fn a_timed_call_is_cancelled_by_its_handle() {
    limited(|| cancelled(|_, task| assert_eq!(task.cancel(), CancelRequest::Requested)));
    limited(|| cancelled(|_, task| assert_eq!(task.abort(), CancelRequest::Requested)));
}

/// P9: by its id, from another thread.
#[test]
fn a_timed_call_is_cancelled_by_its_id() {
    limited(|| cancelled(|handle, task| handle.cancel(task.id()).detach()));
    limited(|| cancelled(|handle, task| handle.abort(task.id()).detach()));
}

/// P9, C5: one that was cancelled before the loop took it in is never armed.
#[test]
fn a_timed_call_is_cancelled_before_it_was_taken_in() {
    limited(|| {
        let side = loop_started();
        let (held, drops) = (hold(side.handle()), Drops::new());
        let tasks = an_hour_away(side.handle(), || drops.token());
        tasks.iter().for_each(|task| assert_eq!(task.cancel(), CancelRequest::Requested));
        held.release();
        for task in tasks {
            assert!(matches!(join_err(task), JoinError::Cancelled));
        }
        assert_eq!(drops.threads(), [thread_of(side.handle()); 3]);
    });
}

/// P9, J5: dropping the handle cancels nothing; a handle that cancels on drop does.
#[test]
fn dropping_the_handle_cancels_nothing() {
    limited(|| {
        let side = loop_started();
        let called = Latch::new("it was called");
        let there = called.clone();
        drop(side.handle().call_after(MS, move || there.set()));
        called.wait();
        let (drops, every) = (Drops::new(), Latch::new("it was called again"));
        let (token, there) = (drops.token(), every.clone());
        let beat = side.handle().call_every(MS, move || {
            let _token = &token;
            there.set();
        });
        let beat = beat.expect("not zero").cancel_on_drop();
        every.wait();
        drop(beat);
        drops.wait(1);
    });
}

// ───────────── call_every ─────────────

/// P9, M10: the first of the repeated calls comes after one period; a zero period is an error.
#[test]
fn the_first_call_comes_after_one_period() {
    limited(|| {
        let mut executor = Executor::new();
        let drops = Drops::new();
        let mut token = Some(drops.token());
        let none = executor.handle().call_every(Duration::ZERO, move || drop(token.take()));
        assert_eq!((none.err(), drops.count()), (Some(ZeroPeriod), 1));
        let before = Instant::now();
        let task = executor.handle().call_every(HOUR, || unreachable!("an hour too early"));
        let after = Instant::now();
        executor.run_until_idle();
        let due = executor.turn().next_deadline.expect("it is armed");
        assert!(before + HOUR <= due && due <= after + HOUR);
        assert!(!task.expect("not zero").is_finished());
    });
}

/// M10: a loop that comes late calls once for all that it missed, and goes on with the old grid.
#[test]
fn missed_calls_are_skipped_and_the_grid_stays() {
    limited(|| {
        let mut executor = Executor::new();
        let period = 2 * MS;
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let call = move || _ = count.fetch_add(1, Ordering::SeqCst);
        executor.handle().call_every(period, call).expect("not zero").detach();
        executor.run_until_idle();
        let first = executor.turn().next_deadline.expect("it is armed");
        for _ in 0..3 {
            let due = executor.turn().next_deadline.expect("it is armed");
            pass(due + 3 * period);
            let before = calls.load(Ordering::SeqCst);
            executor.run_until_idle();
            let next = executor.turn().next_deadline.expect("it is armed again");
            assert_eq!((next - first).as_nanos() % period.as_nanos(), 0, "off the grid");
            let points = (next - due).as_nanos() / period.as_nanos();
            let more = (calls.load(Ordering::SeqCst) - before) as u128;
            assert!(more >= 1 && more + 3 <= points, "{more} calls for {points} points");
        }
    });
}

/// X3: a repeated call stops at its first panic, its handle says so, and nothing else is harmed.
#[test]
fn a_repeated_call_stops_at_its_first_panic() {
    limited(|| {
        let mut executor = Executor::new();
        let (calls, drops) = (Arc::new(AtomicUsize::new(0)), Drops::new());
        let (count, token) = (calls.clone(), drops.token());
        let task = executor.handle().call_every(Duration::from_nanos(1), move || {
            let _token = &token;
            assert!(count.fetch_add(1, Ordering::SeqCst) < 2, "the third call");
        });
        let task = task.expect("not zero");
        while !task.is_finished() {
            executor.turn();
        }
        match executor.block_on(task) {
            Err(JoinError::Panicked(payload)) => {
                assert_eq!(payload.message(), Some("the third call"));
            }
            other => panic!("{other:?}"),
        }
        executor.run_until_idle();
        assert_eq!((calls.load(Ordering::SeqCst), drops.count()), (3, 1));
        assert_eq!(executor.turn().next_deadline, None);
        let other = executor.handle().call(|| 1);
        assert_eq!(executor.block_on(other).expect("the loop lives"), 1);
    });
}

/// X2, X3: the panic of a timed call that nobody can join goes to the hook, with its place.
#[test]
fn a_panic_that_nobody_joins_goes_to_the_hook() {
    limited(|| {
        let (report, reports) = mpsc::channel();
        let hook = move |panic: &sideloop::TaskPanic<'_>| {
            let _ = report.send((panic.id(), panic.location().line()));
        };
        let side = Builder::new().on_panic(hook).start().expect("a loop thread starts");
        let line = line!();
        let after = side.handle().call_after(MS, || panic!("once"));
        let every = side.handle().call_every(MS, || panic!("again")).expect("not zero");
        let expected = [(after.id(), line + 1), (every.id(), line + 2)];
        drop((after, every));
        let mut seen: Vec<_> = reports.iter().take(2).collect();
        seen.sort();
        assert_eq!(seen, expected);
    });
}

/// C1, P1: a repeated call may cancel itself: the call that does so is the last.
#[test]
fn a_repeated_call_may_cancel_itself() {
    limited(|| {
        let side = loop_started();
        let (give, take) = mpsc::channel::<sideloop::Canceller>();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let task = side.handle().call_every(MS, move || {
            count.fetch_add(1, Ordering::SeqCst);
            assert_eq!(take.recv().expect("sent").cancel(), CancelRequest::Requested);
        });
        let task = task.expect("not zero");
        give.send(task.canceller()).expect("it listens");
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    });
}

/// T1: a repeated call that takes longer than its period leaves room for others between two calls.
#[test]
fn a_slow_repeated_call_starves_nobody() {
    limited(|| {
        let mut executor = Executor::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let slow = move || {
            count.fetch_add(1, Ordering::SeqCst);
            pass(Instant::now());
        };
        executor.handle().call_every(Duration::from_nanos(1), slow).expect("not zero").detach();
        for _ in 0..200 {
            let before = calls.load(Ordering::SeqCst);
            let turn = executor.turn();
            let more = calls.load(Ordering::SeqCst) - before;
            assert!(more <= turn.polls, "{more} calls in {turn:?}");
        }
        assert!(calls.load(Ordering::SeqCst) >= 50);
    });
}

// ───────────── the loop's end ─────────────

/// P7: after the request to shut down a timed call is refused, and dropped where it was made.
#[test]
fn a_timed_call_to_a_closed_loop_is_refused() {
    limited(|| {
        let side = loop_started();
        let handle = side.handle().clone();
        side.shutdown(Shutdown::now());
        let drops = Drops::new();
        for task in an_hour_away(&handle, || drops.token()) {
            assert!(matches!(join_err(task), JoinError::Closed));
        }
        assert_eq!(drops.threads(), [thread::current().id(); 3]);
    });
}

/// H1: a drain waits for a call that is still to come.
#[test]
fn a_drain_waits_for_a_timed_call() {
    limited(|| {
        let side = loop_started();
        let soon = side.handle().call_after(3 * MS, || "in time");
        let report = side.shutdown(Shutdown::now().drain(HOUR));
        assert_eq!(join_ok(soon), "in time");
        assert_eq!((report.finished, report.aborted.len()), (1, 0));
    });
}

/// H2, H4: calls that are still to come are aborted by the shutdown, and dropped on the loop's thread.
#[test]
fn a_shutdown_ends_timed_calls() {
    limited(|| {
        let side = loop_started();
        let (there, drops) = (thread_of(side.handle()), Drops::new());
        let left = an_hour_away(side.handle(), || drops.token());
        let report = side.shutdown(Shutdown::now());
        let aborted: Vec<TaskId> = report.aborted.iter().map(|task| task.id).collect();
        assert_eq!(aborted, left.each_ref().map(JoinHandle::id));
        assert_eq!(drops.threads(), [there; 3]);
        left.into_iter().for_each(|task| assert!(matches!(join_err(task), JoinError::Cancelled)));
    });
}
