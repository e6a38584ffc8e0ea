//! The order of polls under a seed: reproducible, different for other seeds, and fair.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sideloop::{Builder, CancelRequest, Executor, time, yield_now};

use super::{MS, Times, clock};
use crate::support::{Drops, Events, Gate, join_ok, limited};

fn seeded(seed: u64) -> Builder {
    Builder::new().virtual_time(seed)
}

/// Spawns tasks that note their numbers and end.
fn note_all(executor: &Executor, noted: &Events<usize>, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let noted = noted.clone();
        executor.spawn_local(async move { noted.push(number) }).detach();
    }
}

/// The order in which `count` tasks are polled.
fn order(seed: u64, count: usize) -> Vec<usize> {
    let (mut executor, noted) = (seeded(seed).build(), Events::new());
    note_all(&executor, &noted, 0..count);
    executor.run_until_idle();
    noted.all()
}

/// A program of sleeps, yields, spawns, wakes and cancels; what its tasks did, in order, and when.
fn trace(seed: u64) -> Vec<(Duration, usize)> {
    let (mut executor, times) = (seeded(seed).batch(7).build(), Times::new());
    let begun = clock(&mut executor);
    let gates: Vec<_> = (0..12).map(|_| Gate::new()).collect();
    for number in 0..12 {
        let (times, gates) = (times.clone(), gates.clone());
        let task = async move {
            for step in 0..20 {
                times.push((time::now() - begun, number * 100 + step));
                match (number * 7 + step) % 5 {
                    0 => yield_now().await,
                    1 => time::sleep(MS * (number as u32 % 3)).await,
                    2 => gates[(number + step) % 12].open(),
                    3 if step > 10 => gates[number].passed().await,
                    _ => assert_eq!(
                        sideloop::spawn_local(yield_now()).cancel(),
                        CancelRequest::Requested
                    ),
                }
            }
        };
        executor.spawn_local(task).detach();
    }
    executor.advance(100 * MS);
    times.all()
}

// ───────────── M11: the seed ─────────────

/// M11: the same seed and the same program give the same trace.
#[test]
fn a_seed_gives_the_same_trace_each_time() {
    limited(|| {
        for seed in [0, 1, 2, 3, u64::MAX] {
            let first = trace(seed);
            assert!(first.len() > 100, "{first:?}");
            for _ in 0..3 {
                assert_eq!(trace(seed), first, "seed {seed}");
            }
        }
    });
}

/// M11: other seeds give other orders; what happens is the same.
#[test]
fn other_seeds_give_other_orders() {
    limited(|| {
        let orders: HashSet<_> = (0..50).map(|seed| order(seed, 8)).collect();
        assert!(orders.len() >= 45, "only {} orders from 50 seeds", orders.len());
        for mut drawn in orders {
            drawn.sort_unstable();
            assert_eq!(drawn, (0..8).collect::<Vec<_>>());
        }
        let traces: HashSet<_> = (0..20).map(trace).collect();
        assert!(traces.len() >= 18, "only {} traces from 20 seeds", traces.len());
    });
}

/// M11: a seed gives the same order on every machine: this one was worked out by another program.
#[test]
fn a_seed_is_worth_writing_down() {
    limited(|| {
        assert_eq!(order(1, 8), [0, 3, 7, 1, 2, 6, 5, 4]);
    });
}

/// M11: each order of three tasks comes up about as often, so none goes untested for long.
#[test]
fn seeds_reach_every_order() {
    limited(|| {
        let mut seen = HashMap::new();
        for seed in 1..=600 {
            *seen.entry(order(seed, 3)).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert!(seen.values().all(|count| (60..150).contains(count)), "{seen:?}");
    });
}

/// M11, T1: seed 0 is first come, first served.
#[test]
fn seed_0_draws_nothing() {
    limited(|| {
        assert_eq!(order(0, 1_000), (0..1_000).collect::<Vec<_>>());
        let (mut executor, noted) = (seeded(0).build(), Events::new());
        for number in 0..3 {
            let noted = noted.clone();
            let task = async move {
                for round in 0..3 {
                    noted.push(round * 10 + number);
                    yield_now().await;
                }
            };
            executor.spawn_local(task).detach();
        }
        executor.run_until_idle();
        assert_eq!(noted.all(), [0, 1, 2, 10, 11, 12, 20, 21, 22]);
    });
}

/// M11: a wake, too, is drawn among those of its batch: what one task wakes has no order of its own.
#[test]
fn woken_tasks_are_drawn() {
    limited(|| {
        let orders: HashSet<_> = (1..=30)
            .map(|seed| {
                let (mut executor, noted, gate) =
                    (seeded(seed).build(), Events::new(), Gate::new());
                for number in 0..6 {
                    let (noted, passed) = (noted.clone(), gate.passed());
                    let task = async move {
                        passed.await;
                        noted.push(number);
                    };
                    executor.spawn_local(task).detach();
                }
                executor.run_until_idle();
                executor.spawn_local(async move { gate.open() }).detach();
                executor.run_until_idle();
                noted.all()
            })
            .collect();
        assert!(orders.len() >= 25, "{orders:?}");
    });
}

// ───────────── T1, T2, T3: fairness ─────────────

/// T1, M11: a turn polls those that have been ready longest; only their order is drawn.
#[test]
fn a_seed_moves_no_task_to_another_batch() {
    limited(|| {
        for seed in 1..50 {
            let (mut executor, noted) = (seeded(seed).batch(4).build(), Events::new());
            note_all(&executor, &noted, 0..14);
            for batch in 0..4 {
                let turn = executor.turn();
                let first = batch * 4;
                let last = (first + 4).min(14);
                assert_eq!(turn.polls, last - first, "seed {seed}: {turn:?}");
                let mut polled = noted.all().split_off(first);
                polled.sort_unstable();
                assert_eq!(polled, (first..last).collect::<Vec<_>>(), "seed {seed}");
            }
            assert!(executor.turn().idle);
        }
    });
}

/// T1, M11: what becomes ready in a batch is polled in the next, however much room there is.
#[test]
fn a_batch_is_what_was_ready_when_it_began() {
    limited(|| {
        for seed in 1..20 {
            let (mut executor, noted, gate) = (seeded(seed).build(), Events::new(), Gate::new());
            let (passed, woken) = (gate.passed(), noted.clone());
            executor
                .spawn_local(async move {
                    passed.await;
                    woken.push(2);
                })
                .detach();
            executor.run_until_idle();
            let busy = noted.clone();
            executor
                .spawn_local(async move {
                    busy.push(1);
                    gate.open();
                    yield_now().await;
                    busy.push(2);
                })
                .detach();
            assert_eq!((executor.turn().polls, noted.all()), (1, vec![1]), "seed {seed}");
            assert_eq!((executor.turn().polls, noted.all()), (2, vec![1, 2, 2]), "seed {seed}");
        }
    });
}

/// T1, T2: tasks that keep waking themselves starve nobody, and not each other, under any seed.
#[test]
fn busy_tasks_starve_nobody_under_a_seed() {
    limited(|| {
        for seed in 1..20 {
            let (mut executor, noted) = (seeded(seed).batch(5).build(), Events::new());
            let polls: Vec<_> = (0..4).map(|_| Events::new()).collect();
            for polled in polls.clone() {
                let busy = async move {
                    loop {
                        polled.push(());
                        yield_now().await;
                    }
                };
                executor.spawn_local(busy).detach();
            }
            note_all(&executor, &noted, 0..40);
            // 44 are ready: nine batches reach the last of them.
            assert!((0..9).all(|_| !executor.turn().idle));
            assert_eq!(noted.all().len(), 40, "seed {seed}");
            assert!((0..100).all(|_| !executor.turn().idle));
            let polls: Vec<_> = polls.iter().map(|polled| polled.all().len()).collect();
            let (least, most) = (polls.iter().min().unwrap(), polls.iter().max().unwrap());
            assert!(*least >= 100 && most - least <= 1, "seed {seed}: {polls:?}");
        }
    });
}

/// T3, M11: what is cancelled still goes before everything that is ready.
#[test]
fn a_cancelled_task_goes_first_under_a_seed() {
    limited(|| {
        for seed in 1..20 {
            let (mut executor, noted, drops) = (seeded(seed).build(), Events::new(), Drops::new());
            note_all(&executor, &noted, 0..20);
            let sees = noted.clone();
            let token = drops.token_then(move || sees.push(1_000));
            let doomed = executor.spawn_local(async move {
                let _token = token;
                std::future::pending::<()>().await;
            });
            note_all(&executor, &noted, 20..40);
            assert_eq!(doomed.cancel(), CancelRequest::Requested);
            executor.turn();
            assert_eq!(noted.all()[0], 1_000, "seed {seed}: {:?}", noted.all());
        }
    });
}

/// P6, T1: the queue stays whole however it is drawn: around the batch's size, with spawns, wakes and
/// cancels in between, every task is polled, once for each wake.
#[test]
fn a_drawn_queue_loses_no_task() {
    limited(|| {
        for seed in 1..6 {
            for count in [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 1_000] {
                let (mut executor, noted) = (seeded(seed).batch(4).build(), Events::new());
                for number in 0..count {
                    let noted = noted.clone();
                    let task = async move {
                        yield_now().await;
                        let child = noted.clone();
                        let child = async move { child.push(number * 2) };
                        sideloop::spawn_local(std::future::pending::<()>()).cancel();
                        sideloop::spawn_local(child).await.expect("ends");
                        noted.push(number * 2 + 1);
                    };
                    executor.spawn_local(task).detach();
                }
                executor.run_until_idle();
                let mut all = noted.all();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..2 * count), "seed {seed}, {count} tasks");
            }
        }
    });
}

/// P6, J3: a loop thread with a seed takes work from everywhere, and ends well in the middle of it.
#[test]
fn a_loop_thread_may_have_a_seed() {
    limited(|| {
        for seed in 1..10 {
            let drops = Drops::new();
            let side = seeded(seed).start().expect("starts");
            let calls: Vec<_> = (0..500).map(|n| side.handle().call(move || n)).collect();
            assert!(calls.into_iter().map(join_ok).eq(0..500));
            for _ in 0..500 {
                let token = drops.token();
                let task = async move {
                    let _token = token;
                    loop {
                        yield_now().await;
                    }
                };
                side.handle().spawn(task).detach();
            }
            drop(side);
            assert_eq!(drops.count(), 500);
        }
    });
}
