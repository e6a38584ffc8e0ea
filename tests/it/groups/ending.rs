//! How groups end: cancelled, dropped, with their loop, after it.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use sideloop::{Builder, JoinError, Shutdown, TaskGroup, block_on, spawn_local};

use super::{all_run, behind, ended, settle};
use crate::support::*;

/// G1, C1: `cancel` reaches the members and nobody else; they come out, and the group stays usable.
#[test]
fn cancel_reaches_the_members_only() {
    limited(|| {
        let looped = loop_started();
        let (group, other) = (TaskGroup::new(looped.handle()), TaskGroup::new(looped.handle()));
        let gate = Gate::new();
        let bystander = looped.handle().spawn(gate.passed());
        behind(&other, &gate, ());
        let done = group.spawn(async {});
        settle(looped.handle());
        let stuck = [group.spawn(pending()), group.spawn(pending())];
        group.cancel();
        group.cancel();
        let (id, end) = group.join_next().expect("a member");
        assert!(id == done && end.is_ok(), "{end:?}");
        for _ in stuck {
            let (id, end) = group.join_next().expect("a member");
            assert!(stuck.contains(&id) && matches!(end, Err(JoinError::Cancelled)), "{end:?}");
        }
        assert!(group.join_next().is_none());
        assert!(all_run(&other) && !bystander.is_finished());
        gate.open();
        join_ok(bystander);
        assert!(other.join_next().is_some_and(|(_, end)| end.is_ok()));
        group.spawn(async {});
        assert!(group.join_next().is_some_and(|(_, end)| end.is_ok()));
    });
}

/// G1, C6: members that `cancel` has asked are told so to whoever asks next.
#[test]
fn cancel_asks_each_running_member_once() {
    limited(|| {
        let looped = loop_started();
        let group = TaskGroup::new(looped.handle());
        let held = hold(looped.handle());
        let id = group.spawn(pending::<()>());
        group.cancel();
        let again = looped.handle().cancel(id);
        held.release();
        assert_ne!(join_ok(again), sideloop::CancelRequest::Requested);
        assert!(matches!(group.join_next(), Some((_, Err(JoinError::Cancelled)))));
    });
}

/// G1, W6: dropping the group cancels what still runs, on the loop's thread, and nothing else.
#[test]
fn drop_reaches_the_members_only() {
    limited(|| {
        let looped = loop_started();
        let home = thread_of(looped.handle());
        let gate = Gate::new();
        let bystander = looped.handle().spawn(gate.passed());
        let group = TaskGroup::new(looped.handle());
        let logs: Vec<ProbeLog> = (0..3)
            .map(|_| {
                let (probe, log) = Probe::pending();
                group.spawn(probe);
                log
            })
            .collect();
        logs.iter().for_each(|log| log.wait_polls(1));
        thread::spawn(move || drop(group)).join().expect("drops");
        for log in logs {
            log.drops().wait(1);
            assert_eq!((log.polls(), log.drops().threads()), (1, vec![home]));
        }
        assert!(!bystander.is_finished());
        gate.open();
        join_ok(bystander);
    });
}

/// G1, J5: results of a dropped group are dropped on the loop's thread, also when they lay ready.
#[test]
fn results_of_a_dropped_group_are_dropped_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let home = thread_of(looped.handle());
        let drops = Drops::new();
        let group = TaskGroup::new(looped.handle());
        for _ in 0..10 {
            let token = drops.token();
            group.spawn(async move { token });
        }
        settle(looped.handle());
        let taken = group.join_next().expect("a member");
        drop(group);
        drops.wait(9);
        assert_eq!(drops.threads(), [home; 9]);
        drop(taken);
        assert_eq!(drops.threads().last(), Some(&thread::current().id()));
    });
}

/// G1, J5: the same for a group that is dropped while, or before, its member's spawn returns.
#[test]
fn results_of_a_group_dropped_at_once_are_dropped_on_the_loop_thread() {
    limited(|| {
        let looped = loop_started();
        let home = thread_of(looped.handle());
        let drops = Drops::new();
        for _ in 0..3000 {
            let group = TaskGroup::new(looped.handle());
            let token = drops.token();
            group.spawn(async move { token });
        }
        drops.wait(3000);
        assert_eq!(drops.threads(), [home; 3000]);
    });
}

/// G1, P6: a loop that ends with members running: each comes out once, before and after that.
#[test]
fn each_member_of_an_ended_loop_comes_out_once() {
    limited(|| {
        let looped = loop_started();
        let group = TaskGroup::new(looped.handle());
        let done = group.spawn(async { 1 });
        settle(looped.handle());
        let stuck: Vec<_> = (0..100).map(|_| group.spawn(pending())).collect();
        let report = looped.shutdown(Shutdown::now());
        assert_eq!(report.aborted.len(), 100);
        assert_eq!(group.len(), 101);
        let (id, end) = ended(&group).expect("a member");
        assert_eq!((id, end.expect("a value")), (done, 1));
        for expected in stuck {
            let (id, end) = group.join_next().expect("a member");
            assert!(id == expected && matches!(end, Err(JoinError::Cancelled)), "{end:?}");
        }
        assert!(group.join_next().is_none());
    });
}

/// H5, G1: whoever waits for a member when the loop ends, blocked or awaiting, gets one, then `None`.
#[test]
fn waiters_return_when_the_loop_ends() {
    limited(|| {
        let looped = loop_started();
        let group = Arc::new(TaskGroup::<()>::new(looped.handle()));
        for _ in 0..10 {
            group.spawn(pending());
        }
        let drain = |blocks: bool| {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                let next = || if blocks { group.join_next() } else { block_on(group.next()) };
                std::iter::from_fn(next).count()
            })
        };
        let threads = [drain(true), drain(false), drain(true)];
        settle(looped.handle());
        looped.shutdown(Shutdown::now());
        let given: usize = threads.map(|t| t.join().expect("ends")).into_iter().sum();
        assert_eq!((given, group.len()), (10, 0));
    });
}

/// P7, G1: a member spawned after the loop's end is dropped by the caller and comes out as `Closed`, once.
#[test]
fn a_member_of_a_closed_loop_comes_out_as_closed() {
    limited(|| {
        let looped = loop_started();
        let group = TaskGroup::<()>::new(looped.handle());
        let stuck = group.spawn(pending());
        looped.shutdown(Shutdown::now());
        let drops = Drops::new();
        let (one, two) = (drops.token(), drops.token());
        let spawned = [group.spawn(async { drop(one) }), group.spawn_with(|| async { drop(two) })];
        assert_eq!(drops.threads(), [thread::current().id(); 2]);
        assert_eq!(group.len(), 3);
        group.cancel();
        assert!(matches!(ended(&group), Some((id, Err(JoinError::Cancelled))) if id == stuck));
        for expected in spawned {
            let (id, end) = group.join_next().expect("a member");
            assert!(id == expected && matches!(end, Err(JoinError::Closed)), "{end:?}");
        }
        assert!(ended(&group).is_none() && group.join_next().is_none());
    });
}

/// P7, G1: work that members spawn while the loop drains is accepted; from outside it is not.
#[test]
fn members_are_accepted_while_draining_from_inside() {
    limited(|| {
        let looped = loop_started();
        let handle = looped.handle().clone();
        let gate = Gate::new();
        let passed = gate.passed();
        let inner = looped.handle().spawn(async move {
            passed.await;
            let group = TaskGroup::new(&sideloop::current());
            group.spawn(async { 1 });
            group.spawn_local(async { 2 });
            let mut values = Vec::new();
            while let Some((_, value)) = group.next().await {
                values.push(value.expect("a value"));
            }
            values
        });
        handle.shutdown(Shutdown::now().drain(WAIT));
        let group = TaskGroup::<()>::new(&handle);
        group.spawn(async {});
        assert!(matches!(group.join_next(), Some((_, Err(JoinError::Closed)))));
        gate.open();
        assert_eq!(join_ok(inner), [1, 2]);
        looped.join();
    });
}

/// G1: a group kept beyond the loop's end, and its last results, are freed by whoever drops it.
#[test]
fn a_group_may_outlive_its_loop() {
    limited(|| {
        let looped = loop_started();
        let drops = Drops::new();
        let group = TaskGroup::new(looped.handle());
        let ready = drops.token();
        group.spawn(async move { ready });
        settle(looped.handle());
        let stuck = drops.token();
        group.spawn(async move {
            pending::<()>().await;
            stuck
        });
        looped.shutdown(Shutdown::now());
        assert_eq!((drops.count(), group.len()), (1, 2));
        group.cancel();
        assert!(format!("{group:?}").contains('2'));
        thread::spawn(move || drop(group)).join().expect("drops");
        assert_eq!(drops.count(), 2);
    });
}

/// G1: a group that its own loop owns ends with it, and everything in it is dropped.
#[test]
fn a_group_owned_by_a_task_of_its_loop_is_freed_with_it() {
    limited(|| {
        let looped = loop_started();
        let home = thread_of(looped.handle());
        let drops = Drops::new();
        let (own, member, result) = (drops.token(), drops.token(), drops.token());
        let waits = Latch::new("the owner waits");
        let there = waits.clone();
        let owner = looped.handle().spawn(async move {
            let group = TaskGroup::new(&sideloop::current());
            group.spawn(async move { Some(result) });
            group.spawn(async move {
                pending::<()>().await;
                Some(member)
            });
            let kept = group.next().await;
            spawn_local(async move { there.set() }).detach();
            group.next().await;
            drop((own, kept));
        });
        waits.wait();
        looped.shutdown(Shutdown::now());
        assert!(matches!(join_err(owner), JoinError::Cancelled));
        assert_eq!(drops.threads(), [home; 3]);
    });
}

/// G1, X1: results whose destructors panic harm neither a group's drop nor the rest of it.
#[test]
fn results_that_panic_in_their_drop_harm_nobody() {
    limited(|| {
        for ends_first in [false, true] {
            let looped = loop_started();
            let drops = Drops::new();
            let group = TaskGroup::new(looped.handle());
            for _ in 0..5 {
                let token = drops.token_then(|| panic!("a result that panics"));
                group.spawn(async move { token });
            }
            settle(looped.handle());
            let handle = looped.handle().clone();
            if ends_first {
                looped.shutdown(Shutdown::now());
                catch_unwind(AssertUnwindSafe(|| drop(group))).expect("the panics are contained");
            } else {
                drop(group);
                settle(&handle);
            }
            drops.wait(5);
        }
    });
}

/// G1, P1: a host's `on_wake`, called while a group spawns, cancels or is dropped, may use groups.
#[test]
fn a_hosts_hook_may_use_the_group_that_called_it() {
    limited(|| {
        let slot: Arc<Mutex<Weak<TaskGroup<()>>>> = Arc::default();
        let (there, calls) = (Arc::clone(&slot), Events::new());
        let told = calls.clone();
        let hook = move || {
            let group = there.lock().expect("not poisoned").upgrade();
            let Some(group) = group else { return told.push(usize::MAX) };
            group.cancel();
            told.push(group.len());
        };
        let mut executor = Builder::new().on_wake(hook).build();
        let group = Arc::new(TaskGroup::new(executor.handle()));
        *slot.lock().expect("not poisoned") = Arc::downgrade(&group);
        executor.run_until_idle();
        group.spawn(async {}); // the hook runs before it is a member
        executor.run_until_idle();
        group.spawn(pending());
        executor.run_until_idle();
        group.cancel();
        executor.run_until_idle();
        assert_eq!(calls.all(), [0, 1, 2]);
        group.spawn(pending());
        executor.run_until_idle();
        assert_eq!(group.len(), 3);
        drop(group);
        assert_eq!(calls.all(), [0, 1, 2, 2, usize::MAX]);
    });
}
