//! A task with as many wakers as a count holds, as far as its count says.

use alloc::boxed::Box;
use core::future::poll_fn;
use core::panic::Location;
use core::task::{Context, Poll, Waker};

use crate::error::JoinError;
use crate::task::cell::{End, Origin};
use crate::task::loop_side::LoopSide;
use crate::task::run::{Popped, Ran};

// X1: the panic of a clone too many is its task's, and its task's alone.
#[test]
fn a_waker_too_many_ends_its_own_task_and_no_other() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let origin = || Origin { serial: crate::id::draw(), location: Location::caller() };
    let greedy = poll_fn(|cx| {
        let _kept = cx.waker().clone();
        Poll::Ready(())
    });
    let (task, mut join) = side.spawn(greedy, (), origin());
    let (other, mut others) = side.spawn(async { 7 }, (), origin());
    let pointer = task.0;
    // SAFETY: the registry's reference, and later the handle's, keep it alive to the end.
    let state = &unsafe { pointer.as_ref() }.state;
    side.resume();
    side.begin_batch(2);
    let held = state.set_references(usize::MAX);
    let Some(Ran::Ended(ending, End::Panicked)) = side.pop().map(Popped::run) else {
        panic!("the clone was given")
    };
    let _ = state.set_references(held);
    assert_eq!(held, 2, "the loop's and the handle's");
    assert!(ending.complete(task, &side).is_none(), "the handle has the panic");
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Err(JoinError::Panicked(payload))) = join.poll(&mut cx) else {
        panic!("the handle has no panic")
    };
    assert_eq!(payload.message(), Some("too many wakers of one task"));
    let Some(Ran::Ended(ending, End::Finished)) = side.pop().map(Popped::run) else {
        panic!("the other task has not run")
    };
    assert!(ending.complete(other, &side).is_none());
    assert!(matches!(others.poll(&mut cx), Poll::Ready(Ok(7))));
}
