//! J4: `join_next` where it could never return.

use std::future::pending;
use std::sync::Arc;
use std::thread;

use sideloop::{Executor, JoinError, TaskGroup, block_on, current, yield_now};

use super::{behind, settle};
use crate::support::*;

/// The id of a running member, given because blocking would deadlock.
#[track_caller]
fn would_deadlock<T: std::fmt::Debug + 'static>(group: &TaskGroup<T>) -> sideloop::TaskId {
    let len = group.len();
    match group.join_next() {
        Some((id, Err(JoinError::WouldDeadlock))) => {
            assert_eq!(group.len(), len, "the member stays");
            id
        }
        other => panic!("{other:?}"),
    }
}

/// J4: on the loop's own thread `join_next` gives a running member's id, and the member stays.
#[test]
fn join_next_on_the_loops_own_thread_would_deadlock() {
    limited(|| {
        let looped = loop_started();
        let group = Arc::new(TaskGroup::new(looped.handle()));
        let gate = Gate::new();
        let id = behind(&group, &gate, 3);
        let there = Arc::clone(&group);
        let told = looped.handle().call(move || [would_deadlock(&there), would_deadlock(&there)]);
        assert_eq!(join_ok(told), [id, id]);
        gate.open();
        let (given, value) = group.join_next().expect("a member");
        assert_eq!((given, value.expect("a value")), (id, 3));
        let there = Arc::clone(&group);
        assert!(join_ok(looped.handle().call(move || there.join_next().is_none())));
    });
}

/// J4: a member that has ended is given there, before those that run.
#[test]
fn join_next_on_the_loops_own_thread_gives_what_has_ended() {
    limited(|| {
        let looped = loop_started();
        let checked = looped.handle().spawn(async {
            let group = TaskGroup::new(&current());
            let stuck = group.spawn(pending());
            let done = group.spawn_local(async { 1 });
            assert!([stuck, done].contains(&would_deadlock(&group)));
            yield_now().await;
            yield_now().await;
            let (id, value) = group.join_next().expect("a member");
            assert_eq!((id, value.expect("a value")), (done, 1));
            assert_eq!(would_deadlock(&group), stuck);
            group.cancel();
            assert_eq!(would_deadlock(&group), stuck);
            yield_now().await;
            yield_now().await;
            assert!(matches!(group.join_next(), Some((_, Err(JoinError::Cancelled)))));
            assert!(group.join_next().is_none());
        });
        join_ok(checked);
    });
}

/// J4: on the thread an executor lives on, inside and outside of its run, and inside another's.
#[test]
fn join_next_on_an_executors_own_thread_would_deadlock() {
    limited(|| {
        let mut executor = Executor::new();
        let group = TaskGroup::new(executor.handle());
        let id = group.spawn(async { yield_now().await });
        assert_eq!(would_deadlock(&group), id);
        executor.block_on(async { assert_eq!(would_deadlock(&group), id) });
        block_on(async { assert_eq!(would_deadlock(&group), id) });
        executor.run_until_idle();
        assert!(group.join_next().is_some_and(|(given, end)| given == id && end.is_ok()));
        let stuck = group.spawn(pending());
        drop(executor);
        let (given, end) = group.join_next().expect("a member");
        assert!(given == stuck && end.is_err(), "{end:?}");
    });
}

/// J4: in a member's poll and in its destructor it would deadlock on the member itself.
#[test]
fn a_member_cannot_wait_for_itself() {
    limited(|| {
        let looped = loop_started();
        let group = Arc::new(TaskGroup::<()>::new(looped.handle()));
        let gate = Gate::new();
        let (there, told) = (Arc::clone(&group), Events::new());
        let (tells, also) = (told.clone(), Arc::clone(&group));
        let (probe, _) = Probe::scripted(move |_, _| {
            tells.push(would_deadlock(&there));
            std::task::Poll::Ready(())
        });
        let tells = told.clone();
        let probe = probe.on_drop(move || tells.push(would_deadlock(&also)));
        let passed = gate.passed();
        let id = group.spawn(async move {
            passed.await;
            probe.await;
        });
        settle(looped.handle());
        gate.open();
        assert!(group.join_next().is_some_and(|(_, end)| end.is_ok()));
        assert_eq!(told.all(), [id, id]);
    });
}

/// J4: on another loop's thread it blocks like everywhere else.
#[test]
fn another_loops_thread_may_wait() {
    limited(|| {
        let (looped, other) = (loop_started(), loop_started());
        let group = Arc::new(TaskGroup::new(looped.handle()));
        let gate = Gate::new();
        behind(&group, &gate, 8);
        let there = Arc::clone(&group);
        let waits = other.handle().call(move || there.join_next());
        let opens = thread::spawn(move || gate.open());
        let (_, value) = join_ok(waits).expect("a member");
        assert_eq!(value.expect("a value"), 8);
        opens.join().expect("opens");
    });
}

/// J4, P6: spawns refused on other threads meanwhile do not confuse it: each is ended, or a member runs.
#[test]
fn join_next_at_home_always_has_an_answer() {
    limited(|| {
        let executor = Executor::new();
        let group = Arc::new(TaskGroup::<()>::new(executor.handle()));
        executor.handle().shutdown(sideloop::Shutdown::now());
        let there = Arc::clone(&group);
        let spawns = thread::spawn(move || {
            for _ in 0..20_000 {
                there.spawn(async {});
            }
        });
        let mut given = 0;
        while given < 20_000 {
            match group.join_next() {
                Some((_, Err(JoinError::Closed))) => given += 1,
                Some(other) => panic!("{other:?}"),
                None => thread::yield_now(),
            }
        }
        spawns.join().expect("spawns");
        assert!(group.join_next().is_none());
    });
}
