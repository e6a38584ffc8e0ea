//! Several who wait, waiters that give up, and wakers that misbehave.

use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use futures::FutureExt;
use sideloop::{Executor, JoinError, Shutdown, TaskGroup, TaskId};

use super::{Given, all_run, behind, ended};
use crate::panics_wakers::{clone_panics, on_drop, on_wake, poll_with, wake_panics};
use crate::support::*;

/// An executor, a group on it, and the gates of its members, which give their number.
fn group_of(members: usize) -> (Executor, TaskGroup<usize>, Vec<Gate>) {
    let mut executor = Executor::new();
    let group = TaskGroup::new(executor.handle());
    let gates: Vec<Gate> = (0..members).map(|_| Gate::new()).collect();
    for (n, gate) in gates.iter().enumerate() {
        behind(&group, gate, n);
    }
    executor.run_until_idle();
    (executor, group, gates)
}

/// A call of `next` that sleeps with `waker`.
#[track_caller]
fn asleep<'a>(
    group: &'a TaskGroup<usize>,
    waker: &Waker,
) -> Pin<Box<impl Future<Output = Option<Given<usize>>> + use<'a>>> {
    let mut next = Box::pin(group.next());
    let poll = poll_with(&mut next, waker);
    assert!(matches!(poll, Some(Poll::Pending)), "nothing has ended");
    next
}

fn value<T>(poll: Option<Poll<Option<Given<T>>>>) -> Option<T> {
    match poll {
        Some(Poll::Ready(Some((_, Ok(value))))) => Some(value),
        _ => None,
    }
}

/// A waker whose first clone on this thread runs `act`; waking it does nothing.
#[allow(unsafe_code, reason = "an `Arc` gives no waker whose clone does something")]
fn on_clone(act: impl FnOnce() + 'static) -> Waker {
    type Act = Box<dyn FnOnce()>;
    thread_local!(static ACT: Cell<Option<Act>> = const { Cell::new(None) });
    const VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            ACT.take().into_iter().for_each(|act| act());
            RawWaker::new(std::ptr::null(), &VTABLE)
        },
        |_| (),
        |_| (),
        |_| (),
    );
    ACT.set(Some(Box::new(act)));
    // SAFETY: no function of the table touches the data pointer, and nothing is owned by it.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

/// G1: of two that wait each gets a member of its own; the longest waiting is called first.
#[test]
fn two_waiters_get_a_member_each() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        let ((one, first), (two, second)) = (CountingWaker::new(), CountingWaker::new());
        let mut a = asleep(&group, &first);
        let mut b = asleep(&group, &second);
        gates[1].open();
        executor.run_until_idle();
        assert_eq!((one.count(), two.count()), (1, 0));
        gates[0].open();
        executor.run_until_idle();
        assert_eq!((one.count(), two.count()), (1, 1));
        assert_eq!(value(poll_with(&mut b, &second)), Some(1));
        assert_eq!(value(poll_with(&mut a, &first)), Some(0));
    });
}

/// G1: a waiter that is dropped after it was called has another called in its place.
#[test]
fn a_dropped_waiter_passes_its_call_on() {
    limited(|| {
        let (mut executor, group, gates) = group_of(1);
        let wakers = [(); 3].map(|()| CountingWaker::new());
        let called = || wakers.each_ref().map(|(counter, _)| counter.count());
        let a = asleep(&group, &wakers[0].1);
        let b = asleep(&group, &wakers[1].1);
        let mut c = asleep(&group, &wakers[2].1);
        gates[0].open();
        executor.run_until_idle();
        assert_eq!(called(), [1, 0, 0]);
        drop(a);
        assert_eq!(called(), [1, 1, 0]);
        drop(b);
        assert_eq!(called(), [1, 1, 1]);
        assert_eq!(value(poll_with(&mut c, Waker::noop())), Some(0));
        assert!(group.is_empty());
    });
}

/// G1: with nobody else to call, a member whose waiter was dropped is there for the next who asks.
#[test]
fn a_dropped_waiter_loses_no_member() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        let a = asleep(&group, Waker::noop());
        gates[1].open();
        executor.run_until_idle();
        drop(a);
        assert_eq!(group.len(), 2);
        assert!(matches!(ended(&group), Some((_, Ok(1)))));
        drop(asleep(&group, Waker::noop()));
        gates[0].open();
        executor.run_until_idle();
        assert!(matches!(group.join_next(), Some((_, Ok(0)))));
    });
}

/// G1: a waiter that is dropped while it sleeps is called no more, and its waker is dropped with it.
#[test]
fn a_dropped_waiter_is_forgotten() {
    limited(|| {
        let (mut executor, group, gates) = group_of(1);
        let (counter, waker) = CountingWaker::new();
        let (other, second) = CountingWaker::new();
        let a = asleep(&group, &waker);
        let b = asleep(&group, &second);
        drop((a, waker));
        assert_eq!(Arc::strong_count(&counter), 1, "its waker is gone");
        gates[0].open();
        executor.run_until_idle();
        assert_eq!((counter.count(), other.count()), (0, 1));
        drop(b);
    });
}

/// G1: a member is taken by whoever is polled first; the waiter that was called sleeps on, in its place.
#[test]
fn a_call_too_many_keeps_its_place() {
    limited(|| {
        let (mut executor, group, gates) = group_of(3);
        let ((one, first), (two, second)) = (CountingWaker::new(), CountingWaker::new());
        let mut a = asleep(&group, &first);
        let mut b = asleep(&group, &second);
        gates[0].open();
        executor.run_until_idle();
        assert!(matches!(ended(&group), Some((_, Ok(0)))));
        assert!(matches!(poll_with(&mut a, &first), Some(Poll::Pending)));
        gates[1].open();
        executor.run_until_idle();
        assert_eq!((one.count(), two.count()), (2, 0));
        assert_eq!(value(poll_with(&mut b, &second)), Some(1), "asleep, and polled all the same");
        assert!(matches!(poll_with(&mut a, &first), Some(Poll::Pending)));
        gates[2].open();
        executor.run_until_idle();
        assert_eq!((one.count(), two.count()), (3, 0));
        assert_eq!(value(poll_with(&mut a, &first)), Some(2));
    });
}

/// G1: when the last member is taken all who wait get `None`.
#[test]
fn all_waiters_learn_that_the_group_is_empty() {
    limited(|| {
        let (mut executor, group, gates) = group_of(1);
        let wakers = [(); 4].map(|()| CountingWaker::new());
        let mut waiting: Vec<_> = wakers.iter().map(|(_, waker)| asleep(&group, waker)).collect();
        gates[0].open();
        executor.run_until_idle();
        assert!(matches!(ended(&group), Some((_, Ok(0)))));
        for ((counter, waker), next) in wakers.iter().zip(&mut waiting) {
            assert_eq!(counter.count(), 1);
            assert!(matches!(poll_with(next, waker), Some(Poll::Ready(None))));
        }
    });
}

/// G1: only the waker of the last poll is woken; the one before is dropped.
#[test]
fn the_waker_of_the_last_poll_is_woken() {
    limited(|| {
        let (mut executor, group, gates) = group_of(1);
        let ((one, first), (two, second)) = (CountingWaker::new(), CountingWaker::new());
        let mut next = asleep(&group, &first);
        drop(first);
        for _ in 0..3 {
            assert!(matches!(poll_with(&mut next, &second), Some(Poll::Pending)));
        }
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (1, 3));
        gates[0].open();
        executor.run_until_idle();
        assert_eq!((one.count(), two.count()), (0, 1));
        assert_eq!(value(poll_with(&mut next, &second)), Some(0));
    });
}

/// G1: a future that was never polled waits for nothing and takes nothing.
#[test]
fn a_waiter_that_was_never_polled_takes_nothing() {
    limited(|| {
        let (mut executor, group, gates) = group_of(1);
        drop(group.next());
        let mut lazy = pin!(group.next());
        gates[0].open();
        executor.run_until_idle();
        assert_eq!(group.len(), 1);
        assert!(lazy.as_mut().now_or_never().is_some());
    });
}

// ───────────── wakers that misbehave ─────────────

/// G1, X1: a waiter whose waker panics costs no member: another waiter is called instead.
#[test]
fn a_waker_that_panics_loses_no_member() {
    limited(|| {
        let (mut executor, group, gates) = group_of(3);
        let (counter, waker) = CountingWaker::new();
        let mut bad = asleep(&group, &wake_panics());
        let mut good = asleep(&group, &waker);
        gates[0].open();
        executor.run_until_idle();
        assert_eq!(counter.count(), 1);
        assert_eq!(value(poll_with(&mut good, &waker)), Some(0));
        gates[1].open();
        executor.run_until_idle();
        assert_eq!(value(poll_with(&mut bad, &waker)), Some(1));
        let (last, also) = (asleep(&group, &wake_panics()), asleep(&group, &wake_panics()));
        gates[2].open();
        executor.run_until_idle();
        assert!(matches!(ended(&group), Some((_, Ok(2)))));
        drop((last, also));
    });
}

/// G1, X1: wakers that panic when the last member is taken: it is given, and the others learn of the end.
#[test]
fn wakers_that_panic_at_the_end_lose_nothing() {
    limited(|| {
        let (mut executor, group, gates) = group_of(1);
        let (counter, waker) = CountingWaker::new();
        let sleepers = [Waker::noop(), &wake_panics(), &waker].map(|w| asleep(&group, w));
        gates[0].open();
        executor.run_until_idle();
        assert!(matches!(ended(&group), Some((_, Ok(0)))));
        assert_eq!(counter.count(), 1);
        drop(sleepers);
    });
}

/// G1, X1: a waker that panics when it is dropped: in an answer, a replacement, and a waiter's drop.
#[test]
fn a_waker_that_panics_in_its_drop_loses_no_member() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        let bad = || on_drop(|| panic!("a waker's drop"));
        let mut answered = asleep(&group, &bad());
        let mut replaced = asleep(&group, &bad());
        let given_up = asleep(&group, &bad());
        drop(given_up);
        assert!(matches!(poll_with(&mut replaced, Waker::noop()), Some(Poll::Pending)));
        gates.iter().for_each(Gate::open);
        executor.run_until_idle();
        assert_eq!(value(poll_with(&mut answered, Waker::noop())), Some(0));
        assert_eq!(value(poll_with(&mut replaced, Waker::noop())), Some(1));
    });
}

/// G1, X1: a waker that cannot be cloned leaves the waiter good for another poll, and passes its call on.
#[test]
fn a_waker_that_cannot_be_cloned_loses_no_member() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        let (counter, waker) = CountingWaker::new();
        let mut called = asleep(&group, &waker);
        let mut good = asleep(&group, &waker);
        gates[0].open();
        executor.run_until_idle();
        assert!(matches!(ended(&group), Some((_, Ok(0)))));
        assert!(poll_with(&mut called, &clone_panics()).is_none(), "its panic is the caller's");
        gates[1].open();
        executor.run_until_idle();
        assert_eq!(counter.count(), 2);
        drop(called);
        assert_eq!(value(poll_with(&mut good, &waker)), Some(1));
    });
}

/// P1, G1: what happens between a waiter's look and its sleep is not missed: here, while its waker is cloned.
#[test]
fn a_waiter_misses_nothing_on_its_way_to_sleep() {
    limited(|| {
        let (mut executor, group, _gates) = group_of(1);
        let group = Arc::new(group);
        executor.handle().shutdown(Shutdown::now());
        let there = Arc::clone(&group);
        let refused = on_clone(move || {
            behind(&there, &Gate::new(), 9);
        });
        let next = poll_with(&mut Box::pin(group.next()), &refused);
        assert!(matches!(next, Some(Poll::Ready(Some((_, Err(JoinError::Closed)))))), "{next:?}");
        let there = Arc::clone(&group);
        let emptied = on_clone(move || {
            executor.run();
            assert!(matches!(ended(&there), Some((_, Err(JoinError::Cancelled)))));
        });
        let next = poll_with(&mut Box::pin(group.next()), &emptied);
        assert!(matches!(next, Some(Poll::Ready(None))), "{next:?}");
    });
}

/// P1, G1: a waker may use the group while it is woken: look, take, spawn, cancel, and wait again.
#[test]
fn a_waker_may_use_the_group() {
    limited(|| {
        let looped = loop_started();
        let group = Arc::new(TaskGroup::new(looped.handle()));
        let done = Latch::new("the waker has run");
        let (there, told, out) = (Arc::downgrade(&group), done.clone(), Events::new());
        let tells = out.clone();
        let waker = on_wake(move || {
            let group = there.upgrade().expect("the test holds it");
            tells.push((group.len(), 0));
            let spawned: TaskId = group.spawn(pending());
            tells.push((group.len(), ended(&group).map_or(0, |(_, end)| end.expect("a value"))));
            assert!(all_run(&group));
            let refused = group.join_next();
            assert!(matches!(refused, Some((id, Err(JoinError::WouldDeadlock))) if id == spawned));
            group.cancel();
            told.set();
        });
        let gate = Gate::new();
        behind(&group, &gate, 5);
        let mut next = Box::pin(group.next());
        assert!(matches!(poll_with(&mut next, &waker), Some(Poll::Pending)));
        gate.open();
        done.wait();
        assert_eq!(out.all(), [(1, 0), (2, 5)]);
        assert!(matches!(group.join_next(), Some((_, Err(JoinError::Cancelled)))));
    });
}

/// P1, G1: so may the destructor of a waker, wherever the group drops one.
#[test]
fn the_drop_of_a_waker_may_use_the_group() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        let (group, seen) = (Arc::new(group), Events::new());
        let waker = || {
            let (there, sees) = (Arc::downgrade(&group), seen.clone());
            on_drop(move || {
                let group = there.upgrade().expect("the test holds it");
                group.cancel();
                sees.push(group.len() + usize::from(all_run(&group)));
            })
        };
        let given_up = asleep(&group, &waker());
        drop(given_up);
        let mut replaced = asleep(&group, &waker());
        assert!(matches!(poll_with(&mut replaced, Waker::noop()), Some(Poll::Pending)));
        assert_eq!(seen.all(), [3, 3]);
        drop(replaced);
        let mut next = asleep(&group, &waker());
        gates.iter().for_each(Gate::open);
        executor.run_until_idle();
        assert!(matches!(
            next.as_mut().poll(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(_)
        ));
        assert_eq!(seen.all().len(), 3);
    });
}

/// G1: the waker of a waiting future that was leaked goes with the group.
#[test]
fn a_leaked_waiter_goes_with_the_group() {
    limited(|| {
        let (executor, group, _gates) = group_of(1);
        let (counter, waker) = CountingWaker::new();
        std::mem::forget(asleep(&group, &waker));
        drop(waker);
        assert_eq!(Arc::strong_count(&counter), 2);
        drop(group);
        assert_eq!(Arc::strong_count(&counter), 1);
        drop(executor);
    });
}
