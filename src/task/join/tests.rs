//! What a reference to a task says of it, and where it may do what.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::cell::Cell;
use core::future::{pending, poll_fn};
use core::panic::Location;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::error::JoinError;

use crate::task::cell::Origin;
use crate::task::loop_side::LoopSide;
use crate::task::run::{Ran, Runnable};
use crate::task::state::{CancelRequest, Request};

/// The public types that hold a task or run queues derive their debug form from these.
#[test]
fn the_debug_form_of_a_reference_names_its_task_and_that_of_run_queues_itself() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = Origin { serial: 7, location: Location::caller() };
    let (task, join) = side.spawn(async {}, (), origin);
    assert_eq!(format!("{:?}", join.task()), format!("TaskRef({:?})", task.id()));
    assert_eq!(format!("{:?}", side.run_queues()), "RunQueues { .. }");
    side.dispose(task);
    side.run_out();
}

/// A waker whose clones are counted.
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_handle_keeps_the_waker_of_the_last_poll_and_gives_the_outcome_once() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = |serial| Origin { serial, location: Location::caller() };
    let (task, mut join) = side.spawn(async { 7 }, (), origin(7));
    let wakers = [(); 2].map(|()| Arc::new(Counted));
    for (at, waker) in wakers.iter().enumerate() {
        let waker = Waker::from(Arc::clone(waker));
        assert!(join.poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert_eq!(wakers.each_ref().map(Arc::strong_count), [2 - at, 1 + at]);
    }
    assert!(!join.is_done() && !join.is_taken());
    side.resume();
    side.begin_batch(1);
    let Some(Ran::Ended(ending, _)) = side.pop().map(Runnable::run) else { panic!("it lives on") };
    assert!(ending.complete(task, &side).is_none());
    assert_eq!(wakers.each_ref().map(Arc::strong_count), [1, 1], "it was woken");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(join.is_done() && !join.is_taken());
    assert!(matches!(join.poll(&mut cx), Poll::Ready(Ok(7))));
    assert!(join.is_taken());
    assert!(matches!(join.poll(&mut cx), Poll::Ready(Err(JoinError::Closed))));
}

/// A waker of a program's own whose clones are counted.
#[derive(Default)]
struct Clones(Cell<usize>);

static CLONES: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the data is always a reference that outlives the wakers.
        let clones = unsafe { &*data.cast::<Clones>() };
        clones.0.set(clones.0.get() + 1);
        RawWaker::new(data, &CLONES)
    },
    |_| (),
    |_| (),
    |_| (),
);

#[test]
fn a_waker_that_is_there_already_is_not_cloned_anew() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = Origin { serial: 7, location: Location::caller() };
    let (task, mut join) = side.spawn(pending::<()>(), (), origin);
    let all = [Clones::default(), Clones::default()];
    for (at, clones) in [(0, [1, 0]), (0, [1, 0]), (1, [1, 1]), (1, [1, 1]), (0, [2, 1])] {
        let raw = RawWaker::new((&raw const all[at]).cast(), &CLONES);
        // SAFETY: the vtable counts and does nothing else, and the data outlives the task.
        let waker = unsafe { Waker::from_raw(raw) };
        assert!(join.poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(all.each_ref().map(|clones| clones.0.get()), clones);
    }
    side.dispose(task);
    side.run_out();
}

#[test]
fn a_task_may_poll_a_handle_again_and_again() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = |serial| Origin { serial, location: Location::caller() };
    let (task, mut join) = side.spawn(pending::<()>(), (), origin(1));
    let polls = poll_fn(|cx| Poll::Ready((0..3).all(|_| join.poll(cx).is_pending())));
    let (other, mut pended) = side.spawn(polls, (), origin(2));
    side.resume();
    side.begin_batch(2);
    assert!(matches!(side.pop().map(Runnable::run), Some(Ran::Pending)));
    let Some(Ran::Ended(ending, _)) = side.pop().map(Runnable::run) else { panic!("it lives on") };
    assert!(ending.complete(other, &side).is_none());
    assert!(matches!(pended.try_take(), Some(Ok(true))));
    side.dispose(task);
    side.run_out();
}

#[test]
fn a_reference_tells_what_was_asked_of_its_task_and_what_became_of_that() {
    let side = LoopSide::new(Box::new(|| ()));
    let entered = side.enter();
    let origin = Origin { serial: 7, location: Location::caller() };
    let (task, join) = side.spawn(pending::<()>(), (), origin);
    let reference = join.task();
    let asked = || (reference.is_asked(), reference.is_requested(), reference.is_done());
    reference.guard();
    assert_eq!((asked(), reference.refuse()), ((false, false, false), false));
    assert_eq!(reference.request(Request::Cancel), CancelRequest::Requested);
    assert_eq!((asked(), reference.refuse()), ((true, true, false), true));
    assert_eq!(asked(), (false, false, false));
    assert_eq!(reference.request(Request::Cancel), CancelRequest::Requested);
    drop(entered);
    assert!(!side.run_queues().has_any());
    reference.expedite(reference.unguard()); // from elsewhere
    assert!(side.run_queues().has_any(), "the loop does not know that it is to end");
    let _entered = side.enter();
    side.take_in_known_now();
    assert!(!reference.pin(), "it was asked to end");
    side.dispose(task);
    assert!(asked().2);
    side.run_out();
    let (task, join) = side.spawn(pending::<()>(), (), origin);
    assert!(join.task().pin());
    side.dispose(task);
    side.run_out();
}

/// I2: else the cell would outlive everybody.
#[test]
fn a_reference_is_counted_for_as_long_as_it_lives() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = Origin { serial: 7, location: Location::caller() };
    let (task, join) = side.spawn(async {}, (), origin);
    let counted = || join.header().state.load().references();
    let one = join.task();
    let another = one.clone();
    assert_eq!(counted(), 4, "the loop's, the handle's, and these");
    drop(one);
    assert_eq!(counted(), 3);
    drop(another);
    assert_eq!(counted(), 2);
    side.dispose(task);
    side.run_out();
}

/// I4: whether a request or a guard's end is news or not, only the loop's own thread may queue the task.
#[test]
fn the_loops_queues_are_touched_inside_its_run_alone_and_for_a_request_alone() {
    let side = LoopSide::new(Box::new(|| ()));
    let entered = side.enter();
    let origin = Origin { serial: 7, location: Location::caller() };
    let (task, join) = side.spawn(pending::<()>(), (), origin);
    let reference = join.task();
    reference.guard();
    reference.expedite(reference.unguard());
    assert_eq!(side.ready(), 1, "nobody has asked it to end");
    drop(entered);
    for answer in [CancelRequest::Requested, CancelRequest::AlreadyRequested] {
        assert_eq!(join.request(Request::Abort), answer);
        assert_eq!(side.ready(), 1, "{answer:?} from elsewhere");
    }
    let entered = side.enter();
    side.take_in_known_now();
    assert_eq!(side.ready(), 2, "it waits to be ended, ahead of its poll");
    side.dispose(task);
    side.run_out();
    drop(entered);
}

/// I3: an entry more would be left with a cell that nothing keeps alive.
#[test]
fn a_task_is_urgent_once_and_not_after_its_end() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = Origin { serial: 7, location: Location::caller() };
    let (task, join) = side.spawn(pending::<()>(), (), origin);
    let guarded = join.task();
    guarded.guard();
    for what in [Request::Cancel, Request::Abort] {
        assert_eq!(join.request(what) == CancelRequest::Requested, what == Request::Cancel);
        assert_eq!(side.ready(), 2, "ready, and urgent");
    }
    side.resume();
    side.begin_batch(2);
    let Some(Ran::Dropped(ending, _)) = side.pop().map(Runnable::run) else {
        panic!("it lives on")
    };
    assert!(ending.complete(task, &side).is_none());
    guarded.expedite(guarded.unguard());
    assert_eq!(side.ready(), 1, "what is left is its entry among the ready");
    assert!(matches!(side.pop().map(Runnable::run), Some(Ran::Nothing)));
    assert_eq!((side.ready(), join.header().state.load().references()), (0, 2));
}
