//! Joining and cancelling against completion.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc as StdArc;
use std::task::{Context, Poll};

use loom::thread;

use crate::error::JoinError;
use crate::support::{Drops, Model, Until, block_on, spawn_remote, thread_waker};
use crate::task::state::{CancelRequest, Request};

/// J1: a join that registers its waker while the task completes is answered.
///
/// Faults: `lend_after_done`, `release_relaxed`.
#[test]
fn completion_against_registration() {
    loom::model(|| {
        let model = Model::new();
        let mut join = spawn_remote(&model.run_queues(), async { 7 });
        let joiner = thread::spawn(move || block_on(&mut join, false).expect("a value"));
        model.turn();
        assert_eq!(joiner.join().expect("ends"), 7);
        model.close();
    });
}

/// J1: the same where every poll brings another waker, so that the slot is reclaimed and lent again.
///
/// Faults: `reclaim_after_done`, `slot_written_while_lent`.
#[test]
fn completion_against_replaced_wakers() {
    loom::model(|| {
        let model = Model::new();
        let mut join = spawn_remote(&model.run_queues(), async { 7 });
        let joiner = thread::spawn(move || block_on(&mut join, true).expect("a value"));
        model.turn();
        assert_eq!(joiner.join().expect("ends"), 7);
        model.close();
    });
}

/// J5: a handle that is dropped while its task completes: the output is dropped once, by the loop,
/// whether or not a waker was left behind.
///
/// Faults: `outcome_dropped_by_the_handle`.
#[test]
fn completion_against_drop_of_the_handle() {
    for registered in [false, true] {
        loom::model(move || {
            let model = Model::new();
            let drops = Drops::new();
            let token = drops.token();
            let mut join = spawn_remote(&model.run_queues(), async move { token });
            let dropper = thread::spawn(move || {
                let waker = thread_waker();
                registered && join.poll(&mut Context::from_waker(&waker)).is_ready()
            });
            model.turn();
            let taken = dropper.join().expect("ends");
            model.turn();
            model.close();
            assert_eq!((drops.count(), drops.elsewhere()), (1, usize::from(taken)));
        });
    }
}

/// C4, C6: a cancel against the completing poll: the value wins, or the future is dropped unpolled;
/// either way the answer fits, and the future is dropped once, on the loop's thread.
///
/// Faults: `early_request_forgotten`.
#[test]
fn cancel_against_completion() {
    loom::model(|| {
        let model = Model::new();
        let drops = Drops::new();
        let token = drops.token();
        let mut join = spawn_remote(&model.run_queues(), async move {
            drop(token);
            7
        });
        let canceller = thread::spawn(move || {
            let answer = join.request(Request::Cancel);
            (answer, block_on(&mut join, false))
        });
        model.run_until(|| drops.count() == 1);
        model.turn();
        let (answer, outcome) = canceller.join().expect("ends");
        match outcome {
            Ok(value) => assert_eq!(value, 7),
            Err(JoinError::Cancelled) => assert_eq!(answer, CancelRequest::Requested),
            Err(other) => panic!("{other}"),
        }
        assert_eq!((drops.count(), drops.elsewhere()), (1, 0));
        model.turn();
        model.close();
    });
}

/// C6, C7: two cancels race for a parked loop's idle task: one is told `Requested`, and it ends, not
/// polled again.
///
/// Faults: `both_requested`, `request_not_pushed`, `run_ignores_requests`.
#[test]
fn two_cancels_race() {
    loom::model(|| {
        let model = Model::new();
        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        let join = model.spawn(poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::<()>::Pending
        }));
        model.turn();
        let (one, two) = (join.task(), join.task());
        let first = thread::spawn(move || one.request(Request::Cancel));
        let second = thread::spawn(move || two.request(Request::Abort));
        model.run_until(|| join.is_done());
        let answers = [first.join().expect("ends"), second.join().expect("ends")];
        let requested =
            answers.iter().filter(|answer| **answer == CancelRequest::Requested).count();
        assert_eq!(requested, 1, "{answers:?}");
        assert_eq!(polls.get(), 1, "it was polled");
        drop(join);
        model.turn();
        model.close();
    });
}

/// C1, W2: a wake and a cancel of one idle task from two threads, in either order: it is ended, once.
///
/// Faults: `request_lost_behind_a_wake`.
#[test]
fn cancel_against_wake() {
    loom::model(|| {
        let model = Model::new();
        let drops = Drops::new();
        let (token, waker) = (drops.token(), StdArc::default());
        let until = Until { waker: StdArc::clone(&waker), ready: move || token.is_whole() };
        let join = model.spawn(until);
        model.turn();
        let waker = waker.lock().expect("plain").take().expect("it was polled");
        let canceller = join.task();
        let woken = thread::spawn(move || waker.wake());
        let cancelled = thread::spawn(move || canceller.request(Request::Cancel));
        model.run_until(|| join.is_done());
        woken.join().expect("ends");
        assert_eq!(cancelled.join().expect("ends"), CancelRequest::Requested);
        assert_eq!((drops.count(), drops.elsewhere()), (1, 0));
        drop(join);
        model.turn();
        model.close();
    });
}
