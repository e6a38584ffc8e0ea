//! Several who wait, and waiters that give up.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::task::{Poll, Waker};

use futures::FutureExt;
use sideloop::{Executor, TaskGroup};

use super::{Given, behind, ended};
use crate::panics_wakers::poll_with;
use crate::support::*;

/// An executor, a group on it, and the gates of its members, which give their number.
pub(super) fn group_of(members: usize) -> (Executor, TaskGroup<usize>, Vec<Gate>) {
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
pub(super) fn asleep<'a>(
    group: &'a TaskGroup<usize>,
    waker: &Waker,
) -> Pin<Box<impl Future<Output = Option<Given<usize>>> + use<'a>>> {
    let mut next = Box::pin(group.next());
    let poll = poll_with(&mut next, waker);
    assert!(matches!(poll, Some(Poll::Pending)), "nothing has ended");
    next
}

pub(super) fn value<T>(poll: Option<Poll<Option<Given<T>>>>) -> Option<T> {
    match poll {
        Some(Poll::Ready(Some((_, Ok(value))))) => Some(value),
        _ => None,
    }
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

/// G1: the waker of a waiting future that was leaked goes with the group.
#[test]
fn a_leaked_waiter_goes_with_the_group() {
    // Where a leak checker finds it: this leak is the test's own.
    static LEAKED: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
    limited(|| {
        let (executor, group, _gates) = group_of(1);
        let (counter, waker) = CountingWaker::new();
        let leaked = Box::into_raw(Box::new(asleep(&group, &waker)));
        LEAKED.store(leaked.cast(), Ordering::SeqCst);
        drop(waker);
        assert_eq!(Arc::strong_count(&counter), 2);
        drop(group);
        assert_eq!(Arc::strong_count(&counter), 1);
        drop(executor);
    });
}
