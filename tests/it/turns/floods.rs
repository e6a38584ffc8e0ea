//! Floods of every kind: each turn does a batch of it, and the loop's own tasks take part.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sideloop::{Builder, CancelGuard, Executor, Handle, TaskGroup, spawn_local, time, yield_now};

use crate::support::*;

/// The most that a turn takes in of anything but new tasks, with the batches that are used here.
pub(super) const INTAKE: usize = 256;

/// What another thread does before the loop is driven.
pub(super) fn from_elsewhere<R: Send>(deed: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(deed).join().expect("it does not panic"))
}

/// A task that counts how often it comes round.
pub(super) fn rounds(executor: &Executor) -> Arc<AtomicUsize> {
    let rounds = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&rounds);
    executor
        .spawn_local(async move {
            loop {
                count.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
            }
        })
        .detach();
    rounds
}

pub(super) fn read(count: &AtomicUsize) -> usize {
    count.load(Ordering::SeqCst)
}

/// T1: whatever is flooded, from one thread or from three, a task of the loop comes round in each turn, and no turn
/// is longer than a batch.
#[test]
fn t1_no_flood_starves_a_task_of_the_loop() {
    type Flood = fn(&Handle);
    let floods: [(&str, Flood); 6] = [
        ("calls", |handle| handle.call(|| ()).detach()),
        ("aborted spawns", |handle| {
            handle.spawn(std::future::pending::<()>()).abort();
        }),
        ("requests by a stale id", |handle| drop(handle.cancel(handle.call(|| ()).id()))),
        ("requests by id", |handle| {
            drop(handle.abort(handle.spawn(std::future::pending::<()>()).id()));
        }),
        ("snapshots", |handle| drop(handle.tasks())),
        ("timed calls", |handle| handle.call_after(std::time::Duration::MAX, || ()).detach()),
    ];
    for (name, flood) in floods {
        for threads in [1, 3] {
            limited(move || {
                let mut executor = Executor::new();
                let rounds = rounds(&executor);
                executor.turn();
                let handle = executor.handle().clone();
                from_elsewhere(|| {
                    thread::scope(|scope| {
                        for _ in 0..threads {
                            scope.spawn(|| (0..6_000 / threads).for_each(|_| flood(&handle)));
                        }
                    });
                });
                for turn in 2..40 {
                    let polls = executor.turn().polls;
                    assert!(polls <= 64, "{name}: {polls} polls in a turn");
                    assert!(read(&rounds) >= turn, "{name}: {} rounds", read(&rounds));
                }
            });
        }
    }
}

/// T1: as many new tasks begin as there is room for in a batch.
#[test]
fn t1_a_turn_takes_in_a_batch_of_new_tasks_in_their_order() {
    limited(|| {
        for batch in [1, 2, 5, 64] {
            let mut executor = Builder::new().batch(batch).build();
            let (handle, begun) = (executor.handle().clone(), Events::new());
            from_elsewhere(|| {
                for n in 0..500 {
                    let begun = begun.clone();
                    handle.call(move || begun.push(n)).detach();
                }
            });
            let mut seen = 0;
            while seen < 500 {
                let turn = executor.turn();
                // The way in of more than that is put in order in more than one turn.
                assert!(
                    turn.polls == batch.min(500 - seen) || seen == 0,
                    "batch {batch}: {turn:?}"
                );
                assert_eq!(handle.metrics().spawned as usize, seen + turn.polls, "taken in");
                seen += turn.polls;
            }
            assert!(begun.all().into_iter().eq(0..500), "batch {batch}");
            assert!(executor.turn().idle);
        }
    });
}

/// T1: where both are many, tasks of the loop and new ones get about as many polls.
#[test]
fn t1_tasks_of_the_loop_and_new_ones_alternate() {
    limited(|| {
        for batch in [1, 2, 3, 16, 64] {
            let mut executor = Builder::new().batch(batch).build();
            let all: Vec<_> = (0..100).map(|_| rounds(&executor)).collect();
            executor.turn();
            let (handle, begun) = (executor.handle().clone(), Arc::new(AtomicUsize::new(0)));
            from_elsewhere(|| {
                for _ in 0..20_000 {
                    let begun = Arc::clone(&begun);
                    let count = move || begun.fetch_add(1, Ordering::SeqCst);
                    handle.call(count).detach();
                }
            });
            while read(&begun) == 0 {
                executor.turn();
            }
            let own = || all.iter().map(|rounds| read(rounds)).sum::<usize>();
            let before = (own(), read(&begun));
            while read(&begun) < 8_000 {
                executor.turn();
            }
            let (own, new) = (own() - before.0, read(&begun) - before.1);
            assert!(
                own * 5 >= new * 4,
                "batch {batch}: {own} polls of its own, {new} of new tasks"
            );
        }
    });
}

/// T1: polls of tasks that are asked to end are polls (one of 20 000 such polls made a turn of a second).
#[test]
fn t1_urgent_polls_count_against_the_batch() {
    limited(|| {
        for batch in [1, 2, 64] {
            let mut executor = Builder::new().batch(batch).build();
            let group = TaskGroup::<()>::new(executor.handle());
            for _ in 0..1_000 {
                group.spawn_local(async { CancelGuard::new().requested().await });
            }
            executor.run_until_idle();
            let rounds = rounds(&executor);
            executor.run_until(|| read(&rounds) > 0);
            group.cancel();
            let before = read(&rounds);
            for turns in 1..20 {
                let polls = executor.turn().polls;
                assert!(polls <= batch, "batch {batch}: {polls} polls in a turn");
                assert!(read(&rounds) - before >= turns / 4, "batch {batch}: {turns} turns");
            }
        }
    });
}

pub(super) trait RunUntil {
    fn run_until(&mut self, done: impl Fn() -> bool);
}

impl RunUntil for Executor {
    fn run_until(&mut self, done: impl Fn() -> bool) {
        while !done() {
            self.turn();
        }
    }
}

/// O1: a snapshot shows the tasks that wait to be taken in as well.
#[test]
fn o1_a_snapshot_shows_the_backlog() {
    limited(|| {
        let mut executor = Builder::new().batch(4).build();
        let handle = executor.handle().clone();
        let (ids, tasks) = from_elsewhere(|| {
            let calls = (0..1_000).map(|_| handle.call(|| ()).id());
            let ids: Vec<_> = calls.collect();
            (ids, handle.tasks())
        });
        let early = executor.turn().polls;
        let seen: Vec<_> = executor.block_on(tasks).expect("made").iter().map(|t| t.id).collect();
        assert_eq!((seen, early), (ids, 0), "the first turn puts them in order");
    });
}

/// T1: requests to the loop are bounded as well: so many are answered in a turn, in their order.
#[test]
fn t1_a_turn_answers_a_bounded_number_of_requests() {
    limited(|| {
        let mut executor = Executor::new();
        let handle = executor.handle().clone();
        let stale = executor.spawn_local(async {}).id();
        executor.run_until_idle();
        let answers: Vec<_> = from_elsewhere(|| (0..1_000).map(|_| handle.cancel(stale)).collect());
        let answered = || answers.iter().take_while(|answer| answer.is_finished()).count();
        let mut before = 0;
        for _ in 0..8 {
            executor.turn();
            assert!(answered() - before <= INTAKE, "{} in a turn", answered() - before);
            before = answered();
        }
        assert_eq!(before, 1_000);
    });
}

/// T1: a snapshot costs what it lists, so that snapshots of many tasks are made one in a turn.
#[test]
fn t1_snapshots_of_many_tasks_share_no_turn() {
    limited(|| {
        let mut executor = Executor::new();
        (0..300).for_each(|_| executor.spawn_local(std::future::pending::<()>()).detach());
        executor.run_until_idle();
        let handle = executor.handle().clone();
        let snapshots: Vec<_> = from_elsewhere(|| (0..20).map(|_| handle.tasks()).collect());
        for made in 1..=20 {
            executor.turn();
            let finished = snapshots.iter().filter(|snapshot| snapshot.is_finished()).count();
            assert_eq!(finished, made);
        }
    });
}

/// T1: wakes by other threads are handled so many in a turn; timers and the tasks that they wake do not wait for that.
#[test]
fn t1_a_flood_of_wakes_is_taken_in_piece_by_piece() {
    limited(|| {
        let mut executor = Executor::new();
        let logs: Vec<_> = (0..2_000)
            .map(|_| {
                let (probe, log) = Probe::<()>::pending();
                executor.spawn_local(probe).detach();
                log
            })
            .collect();
        executor.run_until_idle();
        let rounds = rounds(&executor);
        executor.turn();
        from_elsewhere(|| logs.iter().for_each(|log| assert!(log.wake())));
        let woken = || logs.iter().filter(|log| log.polls() == 2).count();
        let mut turns = 0;
        while woken() < 2_000 {
            let polls = executor.turn().polls;
            turns += 1;
            assert!(polls <= 64);
        }
        assert!(turns > 2_000 / 64, "{turns} turns");
        assert!(read(&rounds) > turns / 40, "{} rounds in {turns} turns", read(&rounds));
    });
}

/// T1, M9: a task that sleeps comes round beside a flood that never ends.
#[test]
fn t1_a_sleeper_comes_round_beside_an_endless_flood() {
    limited(|| {
        let looped = loop_started();
        let stop = Arc::new(AtomicUsize::new(0));
        let floods: Vec<_> = (0..3)
            .map(|_| {
                let (handle, stop) = (looped.handle().clone(), Arc::clone(&stop));
                thread::spawn(move || {
                    let mut sent = 0_usize;
                    while read(&stop) == 0 {
                        handle.call(|| ()).detach();
                        sent += 1;
                        if sent % 10_000 == 0 {
                            // Memory is not what is tested here: the backlog may grow, but not for ever.
                            while read(&stop) == 0
                                && handle.metrics().spawned as usize + 400_000 < sent
                            {
                                thread::yield_now();
                            }
                        }
                    }
                })
            })
            .collect();
        let sleeper = looped.handle().spawn(async {
            for _ in 0..50 {
                time::sleep(std::time::Duration::from_millis(1)).await;
                spawn_local(async {}).await.expect("runs");
            }
        });
        let ended = join_soon(sleeper);
        stop.store(1, Ordering::SeqCst);
        floods.into_iter().for_each(|flood| flood.join().expect("floods"));
        ended.expect("it comes round");
    });
}
