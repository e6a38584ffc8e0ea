//! Groups between threads: exact accounts, whoever waits, gives up, spawns and drops.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use sideloop::{Shutdown, TaskGroup, TaskId, block_on};

use super::behind;
use crate::support::*;

const LONG: Duration = Duration::from_secs(120);

/// Takes members until there are none; their ids.
fn drain(group: &TaskGroup<usize>) -> Vec<TaskId> {
    let next = || group.join_next().map(|(id, value)| value.map(|_| id).expect("a value"));
    std::iter::from_fn(next).collect()
}

#[track_caller]
fn check_once(mut given: Vec<TaskId>, mut spawned: Vec<TaskId>) {
    given.sort_unstable();
    spawned.sort_unstable();
    assert_eq!(given.len(), spawned.len());
    assert_eq!(given, spawned, "each member once");
}

/// G1: eight threads in `join_next`, 8000 members: each is given once, and every thread gets `None`.
#[test]
fn eight_threads_take_each_member_once() {
    limited_to(LONG, || {
        let looped = loop_started();
        let group = Arc::new(TaskGroup::new(looped.handle()));
        let gate = Gate::new();
        let mut spawned = vec![behind(&group, &gate, 0)];
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let group = Arc::clone(&group);
                thread::spawn(move || drain(&group))
            })
            .collect();
        spawned.extend((1..8000).map(|n| group.spawn(async move { n })));
        gate.open();
        let given = takers.into_iter().flat_map(|taker| taker.join().expect("ends")).collect();
        check_once(given, spawned);
        assert!(group.is_empty());
    });
}

/// G1: eight threads that each spawn 1000 members and take as many, their own or not.
#[test]
fn eight_threads_spawn_and_take() {
    limited_to(LONG, || {
        let looped = loop_started();
        let group = Arc::new(TaskGroup::new(looped.handle()));
        let work = |thread: usize| {
            let group = Arc::clone(&group);
            thread::spawn(move || {
                let (mut given, mut spawned) = (Vec::new(), Vec::new());
                for n in 0..1000 {
                    spawned.push(group.spawn(async move { n }));
                    while given.len() <= n {
                        let blocks = (n + thread) % 2 == 0;
                        let next = if blocks { group.join_next() } else { block_on(group.next()) };
                        given.extend(next.map(|(id, value)| value.map(|_| id).expect("a value")));
                    }
                }
                (given, spawned)
            })
        };
        let threads: Vec<_> = (0..8).map(work).collect();
        let (given, spawned): (Vec<_>, Vec<_>) =
            threads.into_iter().map(|thread| thread.join().expect("ends")).unzip();
        check_once(given.concat(), spawned.concat());
    });
}

/// G1: waiters that give up while a member ends do not keep it from the one that waits on.
#[test]
fn waiters_that_give_up_keep_nobody_waiting() {
    limited_to(LONG, || {
        let looped = loop_started();
        let group = Arc::new(TaskGroup::new(looped.handle()));
        let gate = Gate::new();
        let last = behind(&group, &gate, 0); // the group is not empty until the end
        let (give, taken) = mpsc::channel();
        let (there, gives) = (Arc::clone(&group), give.clone());
        let waits = thread::spawn(move || {
            while let Some((id, _)) = there.join_next() {
                gives.send(id).expect("the test listens");
            }
        });
        let quitters = [(); 2].map(|()| {
            let (there, gives) = (Arc::clone(&group), give.clone());
            let (begin, rounds) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                for () in rounds {
                    let next = there.next().now_or_never().flatten();
                    next.into_iter().for_each(|(id, _)| gives.send(id).expect("the test listens"));
                }
            });
            (begin, thread)
        });
        for n in 0..5000 {
            quitters.iter().for_each(|(begin, _)| begin.send(()).expect("it listens"));
            let id = group.spawn(async move { n });
            assert_eq!(taken.recv_timeout(WAIT), Ok(id), "round {n}");
        }
        gate.open();
        assert_eq!(taken.recv_timeout(WAIT), Ok(last));
        waits.join().expect("it got `None`");
        for (begin, thread) in quitters {
            drop(begin);
            thread.join().expect("ends");
        }
    });
}

/// G1: a group moved from thread to thread, and its waiting future, which may run on any loop.
#[test]
fn a_group_moves_between_threads() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    limited(|| {
        let (looped, other) = (loop_started(), loop_started());
        let group = TaskGroup::new(looped.handle());
        is_send_and_sync(&group);
        let gate = Gate::new();
        behind(&group, &gate, 0);
        let group = thread::spawn(move || {
            group.spawn(async { 1 });
            group
        });
        let group = group.join().expect("ends");
        assert!(matches!(group.join_next(), Some((_, Ok(1)))));
        let moved = other.handle().spawn(async move {
            let next = group.next().await;
            assert!(matches!(next, Some((_, Ok(0)))));
            group.spawn(async { 2 });
            group
        });
        gate.open();
        let group = join_ok(moved);
        assert_eq!(drain(&group).len(), 1);
    });
}

/// G1: groups dropped, and loops ended, while members end and somebody spawns: nothing leaks or hangs.
#[test]
fn groups_dropped_amid_everything_free_everything() {
    limited_to(LONG, || {
        for round in 0..200 {
            let looped = loop_started();
            let drops = Drops::new();
            let group = Arc::new(TaskGroup::new(looped.handle()));
            let spawns = |group: Arc<TaskGroup<Token>>, drops: Drops| {
                for n in 0..50 {
                    let token = drops.token();
                    group.spawn(async move {
                        if n % 3 == 0 { std::future::pending().await } else { token }
                    });
                }
            };
            let mut threads = Vec::new();
            for _ in 0..2 {
                let (there, drops) = (Arc::clone(&group), drops.clone());
                threads.push(thread::spawn(move || spawns(there, drops)));
            }
            let there = Arc::clone(&group);
            threads.push(thread::spawn(move || {
                (0..20).for_each(|_| drop(there.next().now_or_never()));
                there.cancel();
            }));
            if round % 2 == 0 {
                looped.handle().shutdown(Shutdown::now());
            }
            drop(group); // the last thread to end drops it
            threads.into_iter().for_each(|thread| thread.join().expect("ends"));
            looped.shutdown(Shutdown::now());
            assert_eq!((drops.made(), drops.count()), (100, 100), "round {round}");
        }
    });
}
