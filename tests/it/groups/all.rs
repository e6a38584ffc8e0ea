//! The members as one: all their values, or the first failure.

use std::future::poll_fn;
use std::task::Poll;

use futures::FutureExt;
use sideloop::{CancelGuard, Executor, JoinError, TaskGroup, TaskId, block_on};

use super::waiters::{asleep, group_of, value};
use super::{behind, ended};
use crate::panics_wakers::poll_with;
use crate::support::*;

/// G1: the values come in the order of the spawns, in whichever order the members end.
#[test]
fn values_come_in_the_order_of_the_spawns() {
    limited(|| {
        let (mut executor, group, gates) = group_of(4);
        let mut all = Box::pin(group.all());
        for (n, gate) in [2, 0, 3].map(|n| (n, &gates[n])) {
            gate.open();
            executor.run_until_idle();
            assert!(all.as_mut().now_or_never().is_none(), "{n} is not the last");
        }
        gates[1].open();
        executor.run_until_idle();
        assert_eq!(all.now_or_never().expect("all have ended").expect("values"), [0, 1, 2, 3]);
        assert!(group.is_empty());
    });
}

/// G1: the values are in order of spawn also where later members have places of earlier ones.
#[test]
fn values_are_in_order_although_places_are_used_again() {
    limited(|| {
        let (mut executor, group, gates) = group_of(3);
        gates[0].open();
        executor.run_until_idle();
        assert!(ended(&group).is_some());
        let last = Gate::new();
        behind(&group, &last, 9);
        [&gates[1], &gates[2], &last].into_iter().for_each(Gate::open);
        executor.run_until_idle();
        assert_eq!(block_on(group.all()).expect("values"), [1, 2, 9]);
    });
}

/// G1: an empty group has no values, at once.
#[test]
fn an_empty_group_has_no_values() {
    limited(|| {
        let executor = Executor::new();
        let group = TaskGroup::<()>::new(executor.handle());
        assert!(group.all().now_or_never().expect("at once").expect("values").is_empty());
    });
}

/// G1: the first failure cancels the others, which are waited for: guarded members clean up first.
#[test]
fn the_first_failure_cancels_the_others_and_waits_for_them() {
    limited(|| {
        let side = loop_started();
        let group = TaskGroup::new(side.handle());
        let (cleaned, begun) = (Events::new(), Latch::new("the guarded member runs"));
        let (log, told) = (cleaned.clone(), begun.clone());
        group.spawn(async move {
            let guard = CancelGuard::new();
            told.set();
            guard.requested().await;
            sideloop::yield_now().await;
            log.push("cleaned up");
        });
        begun.wait();
        let failed = group.spawn(async { panic!("the first") });
        let (id, error) = block_on(group.all()).expect_err("a member failed");
        assert_eq!((id, cleaned.all()), (failed, vec!["cleaned up"]));
        assert!(matches!(error, JoinError::Panicked(_)), "{error:?}");
        assert!(group.is_empty());
    });
}

/// G1, bad input: of several failures the first counts; a cancelled member is one.
#[test]
fn of_several_failures_the_first_counts() {
    limited(|| {
        let side = loop_started();
        let group = TaskGroup::<()>::new(side.handle());
        let ids: Vec<TaskId> = (0..3).map(|_| group.spawn(std::future::pending())).collect();
        group.canceller(ids[1]).expect("a member").cancel();
        let (id, error) = block_on(group.all()).expect_err("a member was cancelled");
        assert_eq!(id, ids[1]);
        assert!(matches!(error, JoinError::Cancelled), "{error:?}");
    });
}

/// G1: a hundred thousand members of which the first fails all end, and only that one is told.
#[test]
fn a_hundred_thousand_members_end_with_the_first_failure() {
    limited(|| {
        let mut executor = Executor::new();
        let group = TaskGroup::<()>::new(executor.handle());
        let first = group.spawn_local(async { panic!("the first of many") });
        for _ in 0..100_000 {
            group.spawn_local(std::future::pending());
        }
        let (id, _) = executor.block_on(group.all()).expect_err("the first failed");
        assert_eq!((id, group.len()), (first, 0));
    });
}

/// Cancel safety: a future that is dropped loses no result: they come out of `next`, in the order of their ends.
#[test]
fn a_dropped_future_loses_no_result() {
    limited(|| {
        let (mut executor, group, gates) = group_of(3);
        gates[2].open();
        executor.run_until_idle();
        assert!(group.all().now_or_never().is_none());
        assert_eq!(group.len(), 3);
        gates[0].open();
        executor.run_until_idle();
        let order = [ended(&group), ended(&group)].map(|given| given.expect("it ended").1.ok());
        assert_eq!(order, [Some(2), Some(0)]);
        assert!(group.try_next().is_none() && group.len() == 1);
    });
}

/// Cancel safety: a failure that a dropped future saw still fails the next call.
#[test]
fn a_failure_that_was_seen_before_fails_the_next_call() {
    limited(|| {
        let mut executor = Executor::new();
        let group = TaskGroup::new(executor.handle());
        let failed = group.spawn(async { panic!("seen") });
        let kept = Gate::new();
        let passed = kept.passed();
        group.spawn(async move {
            let guard = CancelGuard::new();
            passed.await;
            guard.refuse();
        });
        executor.run_until_idle();
        assert!(group.all().now_or_never().is_none(), "one is guarded and goes on");
        kept.open();
        executor.run_until_idle();
        let (id, _) = group.all().now_or_never().expect("both ended").expect_err("one failed");
        assert_eq!(id, failed);
    });
}

/// G1: whoever waits in `next` beside it is called when it is dropped, and when it has taken all.
#[test]
fn waiters_beside_it_are_called_when_it_is_done_or_dropped() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        let (counter, waker) = CountingWaker::new();
        let mut all = Box::pin(group.all());
        assert!(matches!(poll_with(&mut all, &CountingWaker::new().1), Some(Poll::Pending)));
        let mut next = asleep(&group, &waker);
        gates[0].open();
        executor.run_until_idle();
        assert!(all.as_mut().now_or_never().is_none());
        drop(all);
        assert!(counter.count() > 0, "what it put back can be had");
        assert_eq!(value(poll_with(&mut next, &waker)), Some(0));

        let (counter, waker) = CountingWaker::new();
        let mut next = asleep(&group, &waker);
        gates[1].open();
        executor.run_until_idle();
        assert_eq!(block_on(group.all()).expect("a value"), [1]);
        assert!(counter.count() > 0, "the group is empty");
        let poll = poll_with(&mut next, &waker);
        assert!(matches!(poll, Some(Poll::Ready(None))), "{poll:?}");
    });
}

/// G1: what has ended is had without waiting; what runs is not.
#[test]
fn try_next_gives_what_has_ended() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        assert!(group.try_next().is_none());
        gates[1].open();
        executor.run_until_idle();
        assert_eq!(group.try_next().and_then(|(_, value)| value.ok()), Some(1));
        assert!(group.try_next().is_none() && group.len() == 1);
    });
}

/// G1: a poller keeps one waker however often it polls; every poller is woken by each end, and none is lost.
#[test]
fn pollers_are_woken_once_for_an_end() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        let ((one, first), (two, second)) = (CountingWaker::new(), CountingWaker::new());
        let poll = |waker: &std::task::Waker| {
            let mut next = poll_fn(|cx| group.poll_next(cx));
            poll_with(&mut next, waker)
        };
        for waker in [&first, &first, &second, &first] {
            assert!(matches!(poll(waker), Some(Poll::Pending)));
        }
        let (three, third) = CountingWaker::new();
        let _waiter = asleep(&group, &third);
        gates[0].open();
        executor.run_until_idle();
        assert_eq!([one.count(), two.count(), three.count()], [1, 1, 1]);
        assert_eq!(value(poll(&second)), Some(0));
        assert!(matches!(poll(&first), Some(Poll::Pending)));
        gates[1].open();
        executor.run_until_idle();
        assert_eq!(one.count(), 2);
        assert_eq!(value(poll(&first)), Some(1));
        assert!(matches!(poll(&first), Some(Poll::Ready(None))));
    });
}

/// G1: a poller learns that the group is empty when another takes the last member.
#[test]
fn a_poller_is_woken_when_the_group_becomes_empty() {
    limited(|| {
        let (mut executor, group, gates) = group_of(1);
        let (counter, waker) = CountingWaker::new();
        let mut next = poll_fn(|cx| group.poll_next(cx));
        assert!(matches!(poll_with(&mut next, &waker), Some(Poll::Pending)));
        gates[0].open();
        executor.run_until_idle();
        assert_eq!(counter.count(), 1);
        assert!(matches!(poll_with(&mut next, &waker), Some(Poll::Ready(Some(_)))));
        let (counter, waker) = CountingWaker::new();
        let last = Gate::new();
        behind(&group, &last, 1);
        executor.run_until_idle();
        assert!(matches!(poll_with(&mut next, &waker), Some(Poll::Pending)));
        group.detach_all();
        assert_eq!(counter.count(), 1);
        assert!(matches!(poll_with(&mut next, &waker), Some(Poll::Ready(None))));
    });
}
