//! Waiters' wakers that panic, or that come back in: while they are woken, cloned and dropped.

use std::cell::Cell;
use std::future::pending;
use std::sync::Arc;
use std::task::{Poll, RawWaker, RawWakerVTable, Waker};

use sideloop::{JoinError, Shutdown, TaskGroup, TaskId};

use super::waiters::{asleep, group_of, value};
use super::{all_run, behind, ended};
use crate::panics_wakers::{clone_panics, on_drop, on_wake, poll_with, wake_panics};
use crate::support::*;

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

/// G1, X1: a waker that panics when it is dropped: woken, answered asleep, replaced, and given up.
#[test]
fn a_waker_that_panics_in_its_drop_loses_no_member() {
    limited(|| {
        let (mut executor, group, gates) = group_of(3);
        let bad = || on_drop(|| panic!("a waker's drop"));
        let called = asleep(&group, Waker::noop());
        let mut answered = asleep(&group, &bad());
        let mut woken = asleep(&group, &bad());
        let mut replaced = asleep(&group, &bad());
        let given_up = asleep(&group, &bad());
        drop(given_up);
        assert!(matches!(poll_with(&mut replaced, Waker::noop()), Some(Poll::Pending)));
        gates[0].open();
        executor.run_until_idle();
        assert_eq!(value(poll_with(&mut answered, Waker::noop())), Some(0));
        drop(called);
        gates[1].open();
        executor.run_until_idle();
        assert_eq!(value(poll_with(&mut woken, Waker::noop())), Some(1));
        gates[2].open();
        executor.run_until_idle();
        assert_eq!(value(poll_with(&mut replaced, Waker::noop())), Some(2));
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
        let called = asleep(&group, Waker::noop());
        let mut answered = asleep(&group, &waker());
        gates.iter().for_each(Gate::open);
        executor.run_until_idle();
        assert!(matches!(poll_with(&mut answered, Waker::noop()), Some(Poll::Ready(_))));
        assert_eq!(seen.all().len(), 3);
        drop((replaced, called));
    });
}

/// P1, G1: and a waker that is woken because the group has become empty, which it may end.
#[test]
fn a_waker_woken_at_the_end_may_use_the_group() {
    limited(|| {
        let (mut executor, group, gates) = group_of(1);
        let group = Arc::new(group);
        let there = Arc::downgrade(&group);
        let called = asleep(&group, Waker::noop());
        let fills = on_wake(move || {
            let group = there.upgrade().expect("the test holds it");
            assert!(group.is_empty() && ended(&group).is_none());
            behind(&group, &Gate::new(), 7);
            group.cancel();
        });
        let sleeper = asleep(&group, &fills);
        gates[0].open();
        executor.run_until_idle();
        assert!(matches!(ended(&group), Some((_, Ok(0)))));
        assert_eq!(group.len(), 1);
        drop((called, sleeper));
    });
}
