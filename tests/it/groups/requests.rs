//! Members that are adopted, block, are asked with a grace, aborted, or let go.

use std::sync::mpsc;
use std::time::Duration;

use futures::FutureExt;
use sideloop::{CancelGuard, CancelRequest, Executor, JoinError, TaskGroup, block_on};

use super::waiters::{asleep, group_of};
use super::{behind, ended, settle};
use crate::panics_wakers::poll_with;
use crate::support::*;

/// G1: whatever has a handle becomes a member: a named task, a timed call, a job, a task of another loop.
#[test]
fn whatever_has_a_handle_is_adopted() {
    limited(|| {
        let (side, other) = (loop_started(), loop_started());
        let group = TaskGroup::new(side.handle());
        let mut ids = vec![
            group.adopt(side.handle().task().name("named").spawn(async { 1 })),
            group.adopt(side.handle().call_after(Duration::ZERO, || 2)),
            group.adopt(side.handle().spawn_blocking(|| 3)),
            group.adopt(other.handle().spawn(async { 4 })),
            group.spawn_blocking(|| 5),
        ];
        let mut given: Vec<_> = std::iter::from_fn(|| group.join_next()).collect();
        given.sort_by_key(|(_, value)| value.as_ref().ok().copied());
        ids.sort();
        let values: Vec<u32> = given.iter().filter_map(|(_, v)| v.as_ref().ok().copied()).collect();
        let mut found: Vec<_> = given.iter().map(|(id, _)| *id).collect();
        found.sort();
        assert_eq!((values, found), (vec![1, 2, 3, 4, 5], ids));
    });
}

/// G1, bad input: an adopted task that has ended comes out at once; one whose result was taken, as `Closed`.
#[test]
fn ended_and_taken_tasks_may_be_adopted() {
    limited(|| {
        let mut executor = Executor::new();
        let group = TaskGroup::new(executor.handle());
        let (value, mut taken) =
            (executor.spawn_local(async { 1 }), executor.spawn_local(async { 2 }));
        executor.run_until_idle();
        assert!(matches!((&mut taken).now_or_never(), Some(Ok(2))));
        group.adopt(value);
        group.adopt(taken);
        assert!(matches!(ended(&group), Some((_, Ok(1)))));
        assert!(matches!(ended(&group), Some((_, Err(JoinError::Closed)))));
    });
}

/// P1: a waker that the handle was polled with is dropped outside of the group's lock.
#[test]
fn the_waker_of_an_adopted_handle_may_use_the_group_when_it_is_dropped() {
    limited(|| {
        let mut executor = Executor::new();
        let group = std::sync::Arc::new(TaskGroup::<()>::new(executor.handle()));
        let mut handle = executor.spawn_local(std::future::pending());
        let (seen, asked) = (Events::new(), group.clone());
        let log = seen.clone();
        let waker = waker_that_drops(move || log.push(asked.len()));
        assert!(matches!(poll_with(&mut handle, &waker), Some(std::task::Poll::Pending)));
        drop(waker);
        assert!(seen.all().is_empty(), "the task has a clone");
        group.adopt(handle);
        assert_eq!((seen.all(), group.len()), (vec![0], 1));
        executor.run_until_idle();
    });
}

/// A waker that does nothing until its last clone is dropped.
fn waker_that_drops(then: impl FnOnce() + Send + 'static) -> std::task::Waker {
    struct Last(std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>);
    impl std::task::Wake for Last {
        fn wake(self: std::sync::Arc<Self>) {}
    }
    impl Drop for Last {
        fn drop(&mut self) {
            if let Some(then) = self.0.lock().ok().and_then(|mut then| then.take()) {
                then();
            }
        }
    }
    let last = Last(std::sync::Mutex::new(Some(Box::new(then))));
    std::task::Waker::from(std::sync::Arc::new(last))
}

/// J4: a member of this thread's loop that was adopted into a group of another would deadlock.
#[test]
fn an_adopted_member_that_needs_the_thread_would_deadlock() {
    limited(|| {
        let (side, other) = (loop_started(), loop_started());
        let handle = other.handle().clone();
        let answer = join_ok(side.handle().call(move || {
            let group = TaskGroup::<()>::new(&handle);
            let id = group.adopt(sideloop::current().spawn(std::future::pending()));
            let given = group.join_next().map(|(given, error)| (given == id, error));
            (matches!(given, Some((true, Err(JoinError::WouldDeadlock)))), group.len())
        }));
        assert_eq!(answer, (true, 1));
    });
}

/// C3: the members that do not end in their grace are aborted; those that do give their value.
#[test]
fn members_are_aborted_when_the_grace_is_over() {
    limited(|| {
        let side = loop_started();
        let group = TaskGroup::new(side.handle());
        let begun = Latch::new("both are guarded");
        let told = begun.clone();
        group.spawn(async {
            let guard = CancelGuard::new();
            guard.requested().await;
            "cleaned up"
        });
        group.spawn(async move {
            let _guard = CancelGuard::new();
            told.set();
            std::future::pending().await
        });
        begun.wait();
        group.cancel_within(Duration::from_millis(5));
        assert_eq!(group.join_next().and_then(|(_, value)| value.ok()), Some("cleaned up"));
        let (_, error) = group.join_next().expect("the other");
        assert!(matches!(error, Err(JoinError::Cancelled)), "{error:?}");
    });
}

/// C1: an abort ends guarded members, too, and nobody else.
#[test]
fn an_abort_ends_guarded_members_and_nobody_else() {
    limited(|| {
        let side = loop_started();
        let (group, begun) = (TaskGroup::<()>::new(side.handle()), Latch::new("it is guarded"));
        let told = begun.clone();
        group.spawn(async move {
            let _guard = CancelGuard::new();
            told.set();
            std::future::pending().await
        });
        let bystander = side.handle().spawn(std::future::pending::<()>());
        begun.wait();
        group.abort();
        assert!(matches!(group.join_next(), Some((_, Err(JoinError::Cancelled)))));
        settle(side.handle());
        assert!(!bystander.is_finished());
    });
}

/// J5: detached members go on; the group is empty, whoever waits gets `None`, and it can be used again.
#[test]
fn detached_members_go_on_without_their_group() {
    limited(|| {
        let (mut executor, group, gates) = group_of(2);
        let (counter, waker) = CountingWaker::new();
        let mut next = asleep(&group, &waker);
        let (done, is_done) = mpsc::channel();
        let late = Gate::new();
        let passed = late.passed();
        group.spawn(async move {
            passed.await;
            done.send(()).expect("somebody listens");
            9
        });
        gates[0].open();
        executor.run_until_idle();
        group.detach_all();
        assert!(counter.count() > 0 && group.is_empty());
        assert!(matches!(poll_with(&mut next, &waker), Some(std::task::Poll::Ready(None))));
        let again = Gate::new();
        let id = behind(&group, &again, 5); // perhaps in the place of one that was let go
        late.open();
        gates[1].open();
        executor.run_until_idle();
        is_done.try_recv().expect("it went on");
        assert!(group.try_next().is_none(), "the end of a detached member is told to nobody");
        again.open();
        executor.run_until_idle();
        assert!(matches!(ended(&group), Some((given, Ok(5))) if given == id));
    });
}

/// J5: results that were not given out are dropped by a detach, once.
#[test]
fn a_detach_drops_what_was_not_given_out() {
    limited(|| {
        let side = loop_started();
        let (drops, group) = (Drops::new(), TaskGroup::new(side.handle()));
        for _ in 0..3 {
            let token = drops.token();
            group.spawn(async move { token });
        }
        settle(side.handle());
        assert!(group.all().now_or_never().is_some_and(|all| all.is_ok()));
        assert_eq!(drops.count(), 3);
        let token = drops.token();
        group.spawn(async move { token });
        group.detach_all();
        drops.wait(4);
        assert_eq!((drops.count(), group.len()), (4, 0));
    });
}

/// C6: a canceller is had of members alone, and outlives its member's time in the group.
#[test]
fn a_canceller_is_had_of_members_alone() {
    limited(|| {
        let side = loop_started();
        let group = TaskGroup::<()>::new(side.handle());
        let stranger = side.handle().spawn(std::future::pending::<()>());
        let id = group.spawn(std::future::pending());
        let canceller = group.canceller(id).expect("a member");
        assert!(group.canceller(stranger.id()).is_none());
        assert_eq!(canceller.cancel(), CancelRequest::Requested);
        assert!(block_on(group.next()).is_some());
        assert!(group.canceller(id).is_none());
        assert_eq!(canceller.cancel(), CancelRequest::Finished);
    });
}
