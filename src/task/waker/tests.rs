//! Wakers as references: how long they count, how many there may be, as far as the count says, and how they
//! are told apart.

use alloc::boxed::Box;
use core::future::poll_fn;
use core::panic::Location;
use core::task::{Context, Poll, Waker};
use std::sync::mpsc;

use super::Packed;
use crate::error::JoinError;
use crate::task::cell::{End, Origin};
use crate::task::join::Join;
use crate::task::loop_side::LoopSide;
use crate::task::owned_task::OwnedTask;
use crate::task::run::{Ran, Runnable};

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
    let Some(Ran::Ended(ending, End::Panicked)) = side.pop().map(Runnable::run) else {
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
    let Some(Ran::Ended(ending, End::Finished)) = side.pop().map(Runnable::run) else {
        panic!("the other task has not run")
    };
    assert!(ending.complete(other, &side).is_none());
    assert!(matches!(others.poll(&mut cx), Poll::Ready(Ok(7))));
}

/// A task of this serial that leaves its waker here in its first poll, and that waker.
fn waker_of(side: &LoopSide, serial: u64) -> (OwnedTask, Join<()>, Waker) {
    let (send, kept) = mpsc::channel();
    let future = poll_fn(move |cx| {
        send.send(cx.waker().clone()).expect("the test listens");
        Poll::Pending
    });
    let (task, join) = side.spawn(future, (), Origin { serial, location: Location::caller() });
    side.resume();
    side.begin_batch(1);
    assert!(matches!(side.pop().map(Runnable::run), Some(Ran::Pending)));
    (task, join, kept.recv().expect("it was polled"))
}

#[test]
fn a_waker_is_a_reference_for_as_long_as_it_lives() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let (task, _join, waker) = waker_of(&side, 1);
    let pointer = task.0;
    // SAFETY: the registry's reference, and later the handle's, keep it alive to the end.
    let counted = || unsafe { pointer.as_ref() }.state.load().references();
    assert_eq!(counted(), 3, "the loop's, the handle's and the waker's");
    let other = waker.clone();
    assert_eq!(counted(), 4);
    drop(waker);
    assert_eq!(counted(), 3);
    other.wake();
    assert_eq!(counted(), 2);
    assert_eq!(side.ready(), 1);
    side.dispose(task);
    side.run_out();
}

#[test]
fn a_packed_waker_is_known_again_and_no_other_is_taken_for_it() {
    let side = LoopSide::new(Box::new(|| ()));
    let _entered = side.enter();
    let tasks = [waker_of(&side, 1), waker_of(&side, 2)];
    let wakers = [&tasks[0].2, &tasks[1].2, Waker::noop()];
    for (at, waker) in wakers.into_iter().enumerate() {
        let packed = Packed::pack(waker.clone());
        for (other, candidate) in wakers.into_iter().enumerate() {
            let known = at == other && at < 2;
            assert_eq!(packed.is_task(candidate), known, "{candidate:?} for {waker:?}");
            // SAFETY: packed above, and unpacked below.
            let wakes = unsafe { packed.will_wake(candidate) };
            let may = (at, other) == (2, 2); // std's own may be known again, or not
            assert!(wakes == known || may, "{candidate:?} for {waker:?}");
        }
        // SAFETY: packed above, and unpacked once.
        let unpacked = unsafe { packed.unpack() };
        assert_eq!(unpacked.data(), waker.data());
    }
    for (task, _join, _waker) in tasks {
        side.dispose(task);
    }
}
