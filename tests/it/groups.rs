//! Groups: members come out once each, as they end, and end together.

mod all;
mod ending;
mod home;
mod model;
mod requests;
mod threads;
mod waiters;
mod wakers;

use std::rc::Rc;
use std::thread;

use futures::FutureExt;
use sideloop::{Executor, Handle, JoinError, TaskGroup, TaskId, block_on, current, yield_now};

use crate::support::*;

/// What a group gives out.
type Given<T> = (TaskId, Result<T, JoinError>);

/// The next member, which must have ended; `None` if the group is empty.
#[track_caller]
fn ended<T: 'static>(group: &TaskGroup<T>) -> Option<Given<T>> {
    group.next().now_or_never().expect("a member has ended, or there is none")
}

/// Whether members remain of which none has ended.
fn all_run<T: 'static>(group: &TaskGroup<T>) -> bool {
    group.next().now_or_never().is_none()
}

/// A member that gives `value` when `gate` is open.
fn behind<T: Send + 'static>(group: &TaskGroup<T>, gate: &Gate, value: T) -> TaskId {
    let passed = gate.passed();
    group.spawn(async move {
        passed.await;
        value
    })
}

/// Blocks until everything that was sent to the loop before has been polled once.
#[track_caller]
fn settle(handle: &Handle) {
    join_ok(handle.call(|| ()));
}

/// G1: members come out once each, in the order in which they ended, whatever that of their spawns.
#[test]
fn members_come_out_in_the_order_in_which_they_ended() {
    limited(|| {
        let mut executor = Executor::new();
        let group = TaskGroup::new(executor.handle());
        let gates: Vec<Gate> = (0..5).map(|_| Gate::new()).collect();
        let ids: Vec<TaskId> = (0..5).map(|n| behind(&group, &gates[n], n)).collect();
        executor.run_until_idle();
        assert!(all_run(&group));
        let order = [3, 0, 4, 1, 2];
        for n in order {
            gates[n].open();
            executor.run_until_idle();
        }
        for (given, n) in order.into_iter().enumerate() {
            assert_eq!(group.len(), 5 - given);
            let (id, value) = ended(&group).expect("a member");
            assert_eq!((id, value.expect("a value")), (ids[n], n));
        }
        assert!(ended(&group).is_none() && group.is_empty());
    });
}

/// G1: members that end in one turn come out in the order of their polls, by `next` and `join_next` alike.
#[test]
fn members_of_one_turn_come_out_in_the_order_of_their_polls() {
    limited(|| {
        let mut executor = Executor::new();
        let group = TaskGroup::new(executor.handle());
        let slow = group.spawn(yield_now());
        let rest: Vec<TaskId> = (0..100).map(|_| group.spawn(async {})).collect();
        executor.run_until_idle();
        for (n, expected) in rest.into_iter().chain([slow]).enumerate() {
            let next = if n % 2 == 0 { ended(&group) } else { group.join_next() };
            let (id, end) = next.expect("a member");
            assert!(id == expected && end.is_ok());
        }
        assert!(group.join_next().is_none());
    });
}

/// G1: an empty group gives `None`, at once and every time; it may be filled again.
#[test]
fn an_empty_group_gives_none() {
    limited(|| {
        let looped = loop_started();
        let group = TaskGroup::new(looped.handle());
        for n in 0..3 {
            assert_eq!((group.is_empty(), group.len()), (true, 0));
            assert!(ended(&group).is_none());
            assert!(block_on(group.next()).is_none());
            assert!(group.join_next().is_none());
            let id = group.spawn(async move { n });
            assert_eq!(group.len(), 1);
            let (given, value) = group.join_next().expect("a member");
            assert_eq!((given, value.expect("a value")), (id, n));
        }
    });
}

/// G1, P5: members made by `spawn_with` are made, polled and dropped on the loop's thread.
#[test]
fn members_may_be_made_on_the_loop() {
    limited(|| {
        let looped = loop_started();
        let home = thread_of(looped.handle());
        let group = TaskGroup::new(looped.handle());
        let made = group.spawn_with(|| {
            let here = Rc::new(thread::current().id());
            async move {
                yield_now().await;
                *here
            }
        });
        let (id, thread) = group.join_next().expect("a member");
        assert_eq!((id, thread.expect("a value")), (made, home));
        group.spawn_with(|| -> std::future::Pending<_> { panic!("cannot be made") });
        let (_, end) = group.join_next().expect("a member");
        let Err(JoinError::Panicked(payload)) = end else { panic!("{end:?}") };
        assert_eq!(payload.message(), Some("cannot be made"));
    });
}

/// G1: local members, and their results, need not be `Send`; on a loop of one's own and inside a loop.
#[test]
fn members_may_be_local() {
    limited(|| {
        let mut executor = Executor::new();
        let group = TaskGroup::new(executor.handle());
        let value = Rc::new(5);
        let there = Rc::clone(&value);
        let id = group.spawn_local(async move { there });
        executor.run_until_idle();
        let (given, there) = ended(&group).expect("a member");
        assert!(given == id && Rc::ptr_eq(&there.expect("a value"), &value));
        let looped = loop_started();
        let sum = looped.handle().spawn_with(|| async {
            let group = TaskGroup::new(&current());
            for n in 1..=3 {
                group.spawn_local(async move { Rc::new(n) });
            }
            let mut sum = 0;
            while let Some((_, value)) = group.next().await {
                sum += *value.expect("a value");
            }
            sum
        });
        assert_eq!(join_ok(sum), 6);
    });
}

/// G1: a local member is refused with a panic that says why, where the loop does not live; the group is unharmed.
#[test]
fn a_local_member_is_refused_elsewhere() {
    limited(|| {
        let looped = loop_started();
        let group = TaskGroup::new(looped.handle());
        let drops = Drops::new();
        let token = drops.token();
        let spawn = || group.spawn_local(async move { drop(token) });
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(spawn));
        let panic = panic.expect_err("refused");
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or(panic.downcast_ref::<&str>().copied()).expect("a message");
        assert!(message.contains("spawn_local") && message.contains("thread"), "{message}");
        assert_eq!((drops.count(), group.len()), (1, 0));
        group.spawn(async {});
        assert!(group.join_next().is_some_and(|(_, end)| end.is_ok()));
    });
}

/// G1: a member that panics comes out with its panic, a cancelled one as cancelled, one's own error as a value.
#[test]
fn members_end_like_other_tasks() {
    limited(|| {
        let looped = loop_started();
        let group = TaskGroup::<Result<u8, &str>>::new(looped.handle());
        let panics = group.spawn(async { panic!("a {} member", "bad") });
        let (id, end) = group.join_next().expect("a member");
        let Err(JoinError::Panicked(payload)) = end else { panic!("{end:?}") };
        assert_eq!((id, payload.message()), (panics, Some("a bad member")));
        let errs = group.spawn(async { Err("its own") });
        let (id, end) = group.join_next().expect("a member");
        assert_eq!((id, end.expect("a value")), (errs, Err("its own")));
        let stuck = group.spawn(std::future::pending());
        join_ok(looped.handle().cancel(stuck));
        let (id, end) = group.join_next().expect("a member");
        assert!(id == stuck && matches!(end, Err(JoinError::Cancelled)));
    });
}

/// G1: the ids are those of the tasks, and the place of the spawn is the caller's.
#[test]
fn members_are_reported_with_the_place_of_their_spawn() {
    limited(|| {
        let mut executor = Executor::new();
        let group = TaskGroup::<()>::new(executor.handle());
        let first = line!() + 2;
        let ids = [
            group.spawn(std::future::pending()),
            group.spawn_with(std::future::pending),
            group.spawn_local(std::future::pending()),
        ];
        executor.handle().shutdown(sideloop::Shutdown::now());
        let report = executor.run();
        let told: Vec<_> = report.aborted.iter().map(|t| (t.id, t.location.line())).collect();
        assert_eq!(told, [0, 1, 2].map(|n| (ids[n], first + n as u32)), "{report:?}");
        assert!(report.aborted.iter().all(|task| task.location.file() == file!()));
    });
}

/// G1: a group awaited inside its own loop, on another loop, and on a foreign executor.
#[test]
fn a_group_can_be_awaited_anywhere() {
    limited(|| {
        let (looped, other) = (loop_started(), loop_started());
        let sum = |group: TaskGroup<u32>| async move {
            for n in 1..=10 {
                group.spawn(async move { n });
            }
            let mut sum = 0;
            while let Some((_, value)) = group.next().await {
                sum += value.expect("a value");
            }
            sum
        };
        let group = || TaskGroup::new(looped.handle());
        assert_eq!(join_ok(looped.handle().spawn(sum(group()))), 55);
        assert_eq!(join_ok(other.handle().spawn(sum(group()))), 55);
        assert_eq!(futures::executor::block_on(sum(group())), 55);
        assert_eq!(block_on(sum(group())), 55);
    });
}
