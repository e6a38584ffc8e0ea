//! Turns: what one does and in which order, and who waits how long for whom.

mod backlog;
mod floods;
mod idle;
mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use sideloop::{Builder, Executor, JoinHandle, Shutdown, spawn_local, time, yield_now};

use crate::support::*;

/// A task that pushes `name` and yields, `rounds` times.
fn yielding(
    events: &Events<&'static str>,
    name: &'static str,
    rounds: usize,
) -> impl Future<Output = ()> + Send + use<> {
    let events = events.clone();
    async move {
        for _ in 0..rounds {
            events.push(name);
            yield_now().await;
        }
    }
}

/// A task that wakes itself until `stop` is set; counts its polls.
fn spinning(stop: &Arc<AtomicBool>, polls: &Arc<AtomicUsize>) -> impl Future + Send + use<> {
    let (stop, polls) = (Arc::clone(stop), Arc::clone(polls));
    std::future::poll_fn(move |cx| {
        polls.fetch_add(1, Ordering::SeqCst);
        if stop.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// T1: a turn polls at most `batch` tasks, in the order in which they became ready.
#[test]
fn a_turn_polls_at_most_a_batch_in_order() {
    limited(|| {
        let mut executor = Builder::new().batch(4).build();
        let polled = Events::new();
        for n in 0..10 {
            let polled = polled.clone();
            executor.handle().call(move || polled.push(n)).detach();
        }
        let turns = [executor.turn(), executor.turn(), executor.turn(), executor.turn()];
        assert_eq!(turns.clone().map(|turn| turn.polls), [4, 4, 2, 0]);
        assert_eq!(turns.map(|turn| turn.idle), [false, false, true, true]);
        assert!(polled.all().into_iter().eq(0..10));
    });
}

/// T1: the default batch is 64.
#[test]
fn the_default_batch_is_64() {
    limited(|| {
        let mut executor = Executor::new();
        (0..100).for_each(|_| executor.spawn_local(async {}).detach());
        assert_eq!(executor.turn().polls, 64);
        assert_eq!(executor.turn().polls, 36);
    });
}

/// T1: every size of a batch works; none at all cannot be meant.
#[test]
fn every_batch_runs_everything() {
    limited(|| {
        for batch in [0, 1, 2, 63, 65, usize::MAX] {
            let looped = Builder::new().batch(batch).start().expect("starts");
            let tasks: Vec<_> = (0..200)
                .map(|n| {
                    looped.handle().spawn(async move {
                        yield_now().await;
                        spawn_local(async move { n }).await.expect("runs")
                    })
                })
                .collect();
            let sum: u32 = tasks.into_iter().map(join_ok).sum();
            assert_eq!(sum, 19_900, "batch {batch}");
        }
    });
}

/// T1: injected work is taken in before the batch: it waits one batch at most.
#[test]
fn injected_work_waits_one_batch_at_most() {
    limited(|| {
        let (stop, polls) = (Arc::default(), Arc::default());
        let mut executor = Builder::new().batch(8).build();
        (0..8).for_each(|_| {
            executor.spawn_local(spinning(&stop, &polls)).detach();
        });
        executor.turn();
        for _ in 0..100 {
            let handle = executor.handle().clone();
            let called = thread::spawn(move || handle.call(|| ())).join().expect("calls");
            let before = polls.load(Ordering::SeqCst);
            while !called.is_finished() {
                assert!(!executor.turn().idle);
            }
            let waited = polls.load(Ordering::SeqCst) - before;
            assert!(
                waited <= 16,
                "waited for {waited} polls: one batch to be taken in, one to run"
            );
        }
        stop.store(true, Ordering::SeqCst);
        executor.run_until_idle();
    });
}

/// T1: a due timer waits one batch at most.
#[test]
fn a_due_timer_waits_one_batch_at_most() {
    limited(|| {
        let (stop, polls) = (Arc::default(), Arc::default());
        let mut executor = Builder::new().batch(8).build();
        (0..8).for_each(|_| {
            executor.spawn_local(spinning(&stop, &polls)).detach();
        });
        let sleeper = executor.spawn_local(time::sleep(Duration::from_millis(1)));
        executor.turn();
        executor.turn();
        let deadline = std::time::Instant::now() + Duration::from_millis(2);
        while std::time::Instant::now() < deadline {
            std::hint::spin_loop();
        }
        let before = polls.load(Ordering::SeqCst);
        while !sleeper.is_finished() {
            assert!(!executor.turn().idle);
        }
        let waited = polls.load(Ordering::SeqCst) - before;
        assert!(waited <= 16, "waited for {waited} polls");
        stop.store(true, Ordering::SeqCst);
    });
}

/// T1: so does one that comes due just after a task has looked at the clock.
#[test]
fn a_timer_due_since_the_last_look_at_the_clock_waits_one_batch_at_most() {
    const BATCH: usize = 4;
    limited(|| {
        let mut executor = Builder::new().batch(BATCH).build();
        let (fired, waker) = CountingWaker::new();
        let (due, waited) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let passed = due.clone();
        let arms = executor.spawn_local(async move {
            let mut sleep = Box::pin(time::sleep(Duration::from_micros(1)));
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            while std::time::Instant::now() <= sleep.deadline() {}
            passed.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        });
        let spins: Vec<_> = (0..BATCH)
            .map(|_| {
                let (fired, due, waited) = (fired.clone(), due.clone(), waited.clone());
                executor.spawn_local(async move {
                    while fired.count() == 0 {
                        waited.fetch_add(due.load(Ordering::SeqCst).into(), Ordering::SeqCst);
                        yield_now().await;
                    }
                })
            })
            .collect();
        executor.block_on(async move {
            for task in spins {
                task.await.expect("it ends");
            }
        });
        arms.abort();
        let waited = waited.load(Ordering::SeqCst);
        assert!(waited <= BATCH, "waited for {waited} polls");
    });
}

/// T1: tasks that never let go starve neither calls, nor timers, nor cancels, nor the shutdown.
#[test]
fn busy_tasks_starve_nobody() {
    limited(|| {
        let (stop, polls) = (Arc::default(), Arc::default());
        let looped = loop_started();
        let handle = looped.handle();
        let busy: Vec<JoinHandle<()>> = (0..200)
            .map(|_| {
                let spinning = spinning(&stop, &polls);
                handle.spawn(async move { drop(spinning.await) })
            })
            .collect();
        for n in 0..100 {
            assert_eq!(join_ok(handle.call(move || n)), n);
        }
        join_ok(handle.spawn(time::sleep(Duration::from_millis(1))));
        join_ok(handle.spawn(async {
            for _ in 0..10 {
                time::sleep(Duration::ZERO).await;
            }
        }));
        busy[17].cancel();
        let (pending, log) = Probe::pending();
        let pending = handle.spawn(pending);
        log.wait_polls(1);
        pending.cancel();
        join_err(pending);
        looped.shutdown(Shutdown::now());
        assert!(busy.into_iter().all(|task| join_soon(task).is_err()));
    });
}

/// T1: a flood of injected work does not starve tasks and timers.
#[test]
fn a_flood_of_calls_starves_nobody() {
    limited(|| {
        let looped = loop_started();
        let stop = Arc::new(AtomicBool::new(false));
        let floods: Vec<_> = (0..2)
            .map(|_| {
                let (handle, stop) = (looped.handle().clone(), Arc::clone(&stop));
                thread::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        // Bursts, each let through: a backlog without bound would measure memory.
                        (0..1000).for_each(|_| handle.call(|| ()).detach());
                        join_ok(handle.call(|| ()));
                    }
                })
            })
            .collect();
        let task = looped.handle().spawn(async {
            for _ in 0..20 {
                yield_now().await;
                time::sleep(Duration::from_micros(10)).await;
            }
        });
        let ended = join_soon(task);
        stop.store(true, Ordering::SeqCst);
        floods.into_iter().for_each(|flood| flood.join().expect("floods"));
        ended.expect("completes");
    });
}

/// T1: tasks that sleep for no time at all, over and over, starve no other task.
#[test]
fn a_flood_of_timers_starves_nobody() {
    limited(|| {
        let looped = loop_started();
        let nap = || async {
            loop {
                time::sleep(Duration::ZERO).await
            }
        };
        (0..1000).for_each(|_| {
            looped.handle().spawn(async move { nap().await }).detach();
        });
        let yields = looped.handle().spawn(async {
            for _ in 0..100 {
                yield_now().await
            }
        });
        join_ok(yields);
        assert_eq!(join_ok(looped.handle().call(|| 1)), 1);
    });
}

/// T2: a task that wakes itself goes behind everything that is ready.
#[test]
fn a_self_waking_task_goes_to_the_back() {
    limited(|| {
        for batch in [1, 2, 3, 64] {
            let mut executor = Builder::new().batch(batch).build();
            let events = Events::new();
            for name in ["a", "b", "c"] {
                executor.spawn_local(yielding(&events, name, 3)).detach();
            }
            executor.run_until_idle();
            let expected = ["a", "b", "c", "a", "b", "c", "a", "b", "c"];
            assert_eq!(events.all(), expected, "batch {batch}");
        }
    });
}

/// T2: also behind what became ready during its own poll, before its own wake.
#[test]
fn a_self_wake_goes_behind_what_was_woken_before_it() {
    limited(|| {
        let mut executor = Executor::new();
        let events = Events::new();
        let gate = Gate::new();
        let (passed, waits) = (gate.passed(), events.clone());
        executor
            .spawn_local(async move {
                passed.await;
                waits.push("woken");
            })
            .detach();
        let wakes = events.clone();
        executor
            .spawn_local(async move {
                wakes.push("wakes");
                gate.open();
                yield_now().await;
                wakes.push("goes on");
            })
            .detach();
        executor.run_until_idle();
        assert_eq!(events.all(), ["wakes", "woken", "goes on"]);
    });
}

/// T2: and behind what it spawned.
#[test]
fn a_self_wake_goes_behind_what_it_spawned() {
    limited(|| {
        let mut executor = Executor::new();
        let events = Events::new();
        let (parent, child) = (events.clone(), events.clone());
        executor
            .spawn_local(async move {
                spawn_local(async move { child.push("child") }).detach();
                yield_now().await;
                parent.push("parent");
            })
            .detach();
        executor.run_until_idle();
        assert_eq!(events.all(), ["child", "parent"]);
    });
}

/// T1, T2: wakes are served in the order in which they came.
#[test]
fn tasks_are_polled_in_the_order_of_their_wakes() {
    limited(|| {
        let mut executor = Executor::new();
        let polled = Events::new();
        let logs: Vec<_> = (0..10)
            .map(|n| {
                let polled = polled.clone();
                let (probe, log) = Probe::<()>::scripted(move |poll, _| {
                    if poll > 1 {
                        polled.push(n);
                    }
                    Poll::Pending
                });
                executor.spawn_local(probe).detach();
                log
            })
            .collect();
        executor.run_until_idle();
        let order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7];
        let wakes: Vec<_> = order.iter().map(|&n| logs[n].clone()).collect();
        let remote = wakes.clone();
        executor.spawn_local(async move { wakes.iter().for_each(|log| assert!(log.wake())) });
        executor.run_until_idle();
        assert_eq!(polled.all(), order, "local wakes");
        thread::spawn(move || remote.iter().for_each(|log| assert!(log.wake())))
            .join()
            .expect("wakes");
        executor.run_until_idle();
        assert_eq!(polled.all()[10..], order, "remote wakes");
    });
}
