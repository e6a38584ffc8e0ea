//! M13 and the second contract: time by a loop's handle, resets of intervals and limits, ids by number.

use std::collections::HashSet;
use std::future::{pending, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use futures::FutureExt;
use sideloop::time::{self, Elapsed, Interval, Sleep, Timeout};
use sideloop::*;

use crate::support::{CountingWaker, Hold, hold, join_err, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// M13: a sleep by a handle ends on any executor, on any thread, and on its own loop.
#[test]
#[allow(clippy::async_yields_async)] // a sleep goes from loop to loop
fn a_sleep_by_a_handle_is_polled_anywhere() {
    limited(|| {
        let (side, other) = (loop_started(), loop_started());
        let begun = Instant::now();
        let nap = || side.handle().sleep(2 * MS);
        futures::executor::block_on(nap());
        join_ok(other.handle().spawn(nap()));
        join_ok(side.handle().spawn(nap()));
        let at = side.handle().now() + MS;
        futures::executor::block_on(side.handle().sleep_until(at));
        assert!(side.handle().now() >= at && begun.elapsed() >= 6 * MS);
        let mut roams = side.handle().sleep(20 * MS);
        assert!((&mut roams).now_or_never().is_none(), "on no loop");
        let roams = join_ok(side.handle().spawn(async move {
            assert!(futures::poll!(&mut roams).is_pending(), "at home");
            roams
        }));
        join_ok(other.handle().spawn(roams));
    });
}

/// M13: virtual time is that of the handle's loop.
#[test]
fn a_sleep_by_a_handle_counts_by_that_loops_clock() {
    let mut executor = Builder::new().virtual_time(0).build();
    let handle = executor.handle().clone();
    let (counter, waker) = CountingWaker::new();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut nap = handle.sleep(HOUR);
    let begun = handle.now();
    assert_eq!(nap.deadline(), begun + HOUR);
    assert!(nap.poll_unpin(&mut cx).is_pending());
    executor.advance(HOUR - MS);
    assert!(nap.poll_unpin(&mut cx).is_pending() && counter.count() == 0);
    std::pin::Pin::new(&mut nap).reset(begun + 2 * HOUR);
    executor.advance(HOUR);
    assert_eq!(counter.count(), 0, "moved");
    executor.advance(MS);
    assert!(nap.is_elapsed() && counter.count() == 1, "who waits was not polled again");
    assert!(nap.poll_unpin(&mut cx).is_ready());
    let limited = handle.timeout(HOUR, pending::<()>());
    let task = executor.spawn_local(limited);
    executor.advance(HOUR);
    assert_eq!(join_ok(task), Err(Elapsed));
}

/// M13: when the loop has ended they are ready at once, waiting already or not, and not elapsed.
#[test]
fn after_the_end_of_its_loop_a_sleep_is_ready_and_not_elapsed() {
    limited(|| {
        let (side, other) = (loop_started(), loop_started());
        let handle = side.handle().clone();
        let mut waiting = handle.sleep(HOUR);
        assert!((&mut waiting).now_or_never().is_none());
        let waits = other.handle().spawn(async move {
            (&mut waiting).await;
            waiting.is_elapsed()
        });
        let mut late = handle.sleep(HOUR);
        let before = side.handle().call(|| ());
        join_ok(before); // it is armed by then
        side.shutdown(Shutdown::now());
        assert!(!join_ok(waits), "its time had not come");
        assert!((&mut late).now_or_never().is_some() && !late.is_elapsed());
        assert!(futures::executor::block_on(handle.timeout(HOUR, pending::<()>())).is_err());
        assert_eq!(futures::executor::block_on(handle.timeout(HOUR, async { 1 })), Ok(1));
    });
}

/// M6, M13: a sleep that is dropped elsewhere leaves no timer behind.
#[test]
fn a_sleep_dropped_elsewhere_frees_its_timer() {
    let mut executor = Executor::new();
    let handle = executor.handle().clone();
    for polled_first in [false, true] {
        let nap = handle.sleep(HOUR);
        std::thread::spawn(move || {
            let mut nap = nap;
            assert!((&mut nap).now_or_never().is_none());
            nap
        })
        .join()
        .map(|nap| {
            if polled_first {
                assert!(executor.turn().next_deadline.is_some());
            }
            drop(nap);
        })
        .expect("no panic");
        executor.run_until_idle();
        assert_eq!(executor.turn().next_deadline, None);
    }
}

/// Handles are equal, and hash alike, if they are of one loop.
#[test]
#[allow(clippy::mutable_key_type)] // what changes in it is no part of its hash
fn handles_are_equal_if_their_loop_is_the_same() {
    let (one, two) = (Executor::new(), Executor::new());
    assert_eq!(one.handle(), &one.handle().clone());
    assert_ne!(one.handle(), two.handle());
    let all: HashSet<_> = [&one, &two, &one].map(|executor| executor.handle().clone()).into();
    assert_eq!(all.len(), 2);
}

/// M10: an interval begins anew when it is told to, and may be polled by hand.
#[test]
fn an_interval_begins_anew_where_it_is_told() {
    let mut executor = Builder::new().virtual_time(0).build();
    executor.block_on(async {
        let start = time::now();
        let mut ticks: Interval = time::interval(HOUR).expect("not zero");
        let by_hand = async |ticks: &mut Interval| poll_fn(|cx| ticks.poll_tick(cx)).await;
        assert_eq!(by_hand(&mut ticks).await.scheduled, start);
        ticks.reset_after(MS);
        assert_eq!(by_hand(&mut ticks).await.scheduled, start + MS);
        assert_eq!(ticks.tick().await.scheduled, start + MS + HOUR, "a new grid");
        ticks.reset_at(start + 5 * HOUR);
        assert_eq!(ticks.tick().await.scheduled, start + 5 * HOUR);
        ticks.reset_immediately();
        assert_eq!(ticks.tick().await.scheduled, start + 5 * HOUR);
        ticks.reset_at(start);
        assert_eq!(ticks.tick().await.missed, 5);
        assert_eq!(ticks.period(), HOUR);
    });
}

/// M2, M3: a limit can be read and moved, also when it has passed.
#[test]
fn a_limit_can_be_moved() {
    let mut executor = Builder::new().virtual_time(0).build();
    executor.block_on(async {
        let start = time::now();
        let mut limited: std::pin::Pin<Box<Timeout<Sleep>>> =
            Box::pin(time::timeout(HOUR, time::sleep(5 * HOUR)));
        assert_eq!(limited.deadline(), start + HOUR);
        assert!(futures::poll!(limited.as_mut()).is_pending());
        limited.as_mut().reset(start + 2 * HOUR);
        assert_eq!(limited.as_mut().await, Err(Elapsed));
        assert_eq!(time::now(), start + 2 * HOUR);
        limited.as_mut().reset(start + 9 * HOUR);
        assert_eq!(limited.as_mut().await, Ok(()));
    });
}

/// C6: an id that was a number meanwhile cancels, wherever its task was spawned; zero is none.
#[test]
fn an_id_made_of_its_number_cancels_the_task() {
    limited(|| {
        let side = loop_started();
        assert_eq!(TaskId::from_u64(0), None);
        let again = |id: TaskId| TaskId::from_u64(id.as_u64()).expect("not zero");
        let handle = side.handle().clone();
        let here = || join_ok(handle.call(|| spawn_local(pending::<()>())));
        let there = || handle.spawn(pending::<()>());
        for make in [&here as &dyn Fn() -> JoinHandle<()>, &there] {
            let (first, second, third) = (make(), make(), make());
            assert_eq!(again(first.id()), first.id());
            assert_eq!(join_ok(handle.cancel(again(second.id()))), CancelRequest::Requested);
            assert!(matches!(join_err(second), JoinError::Cancelled));
            assert_eq!(join_ok(handle.abort(again(first.id()))), CancelRequest::Requested);
            let gone = first.id();
            assert!(matches!(join_err(first), JoinError::Cancelled));
            assert_eq!(join_ok(handle.cancel(again(gone))), CancelRequest::NotFound);
            let (within, grace) = (again(third.id()), Duration::ZERO);
            assert_eq!(join_ok(handle.cancel_within(within, grace)), CancelRequest::Requested);
            assert!(matches!(join_err(third), JoinError::Cancelled));
        }
        for never in [1 << 40, u64::MAX] {
            let id = TaskId::from_u64(never).expect("not zero");
            assert_eq!(join_ok(handle.cancel(id)), CancelRequest::NotFound);
        }
    });
}

/// J2: `try_join` gives the result or the handle, and never waits.
#[test]
fn a_join_can_be_tried() {
    limited(|| {
        let side = loop_started();
        let held: Hold = hold(side.handle());
        let task = side.handle().call(|| 5);
        let task = task.try_join().expect_err("the loop is held");
        held.release();
        while !task.is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(task.try_join().expect("finished").expect("a value"), 5);
        let mut taken = side.handle().call(|| 5);
        assert_eq!(futures::executor::block_on(&mut taken).expect("a value"), 5);
        assert!(matches!(taken.try_join(), Ok(Err(JoinError::Closed))));
        let on_the_loop = side.handle().call(|| current().call(|| 1).try_join().is_err());
        assert!(join_ok(on_the_loop));
    });
}

/// X2: the error of a panic says whose it was; the others name nobody.
#[test]
fn a_panic_names_its_task() {
    limited(|| {
        let side = loop_started();
        let task = side.handle().task().name("reader").spawn(async { panic!("torn page") });
        let (id, error) = (task.id(), join_err(task));
        let who = error.task().expect("it panicked");
        assert_eq!((who.id(), who.name()), (id, Some("reader")));
        assert!(who.location().file().ends_with("second_time.rs"));
        assert_eq!(error.to_string(), format!("{who} panicked: torn page"));
        assert!(who.to_string().starts_with(&format!("task {id} \"reader\" (")));
        let job = side.handle().spawn_blocking(|| panic!("no disk"));
        let (id, error) = (job.id(), join_err(job));
        assert_eq!(error.task().map(|task| (task.id(), task.name())), Some((id, None)));
        let stuck = side.handle().spawn(pending::<()>());
        stuck.cancel();
        assert!(join_err(stuck).task().is_none());
    });
}

/// The name of the current task, in a poll, a destructor and a job; none elsewhere.
#[test]
fn the_current_task_knows_its_name() {
    limited(|| {
        assert_eq!(current_task_name(), None);
        let side = loop_started();
        let named = |name: &str| side.handle().task().name(name);
        assert_eq!(join_ok(named("a").spawn(async { current_task_name() })).as_deref(), Some("a"));
        assert_eq!(join_ok(named("b").spawn_blocking(current_task_name)).as_deref(), Some("b"));
        assert_eq!(join_ok(side.handle().call(current_task_name)), None);
    });
}

fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

/// Checked by the compiler: what may be used after a `catch_unwind`.
#[test]
fn what_users_hold_is_unwind_safe() {
    is_unwind_safe::<Handle>();
    is_unwind_safe::<JoinHandle<String>>();
    is_unwind_safe::<Canceller>();
    is_unwind_safe::<CancelOnDrop<String>>();
    is_unwind_safe::<TaskGroup<String>>();
    is_unwind_safe::<LoopThread>();
    is_unwind_safe::<TaskId>();
    is_unwind_safe::<TaskIdentity>();
    is_unwind_safe::<PanicPayload>();
    is_unwind_safe::<JoinError>();
    is_unwind_safe::<StartError>();
    is_unwind_safe::<SpawnError<String>>();
    is_unwind_safe::<Cancelled>();
    is_unwind_safe::<Elapsed>();
    is_unwind_safe::<ZeroPeriod>();
    let side = loop_started();
    let handle = side.handle().clone();
    let caught = std::panic::catch_unwind(|| handle.call(|| 1).join().expect("a value"));
    assert_eq!(caught.expect("no panic"), 1);
}
