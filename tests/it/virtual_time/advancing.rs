//! `Executor::advance`, and the rules of timers where the clock is in the test's hand.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sideloop::{Builder, Executor, time, yield_now};

use super::{DAY, HOUR, MS, SECOND, Times, clock, noting, virtually};
use crate::support::{Events, limited};

const NANO: Duration = Duration::from_nanos(1);

// ───────────── M11: advance ─────────────

/// M11: `advance` stops at every deadline on the way, also at those that come up on the way, and stands
/// in the end where it was told to.
#[test]
fn advance_stops_at_every_deadline_on_the_way() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        let times = Times::new();
        let ticks = times.clone();
        executor
            .spawn_local(async move {
                for tick in 1.. {
                    time::sleep(SECOND).await;
                    ticks.push((time::now() - begun, tick));
                }
            })
            .detach();
        executor.advance(3 * SECOND + MS);
        assert_eq!(times.all(), [(SECOND, 1), (2 * SECOND, 2), (3 * SECOND, 3)]);
        assert_eq!(clock(&mut executor), begun + 3 * SECOND + MS);
        executor.advance(SECOND - MS - NANO);
        assert_eq!(times.all().len(), 3, "a nanosecond too early");
        executor.advance(NANO);
        assert_eq!(times.all().last(), Some(&(4 * SECOND, 4)), "the end is part of the way");
    });
}

/// M11: at each stop everything is polled until idle, at that time; at the beginning and the end too.
#[test]
fn advance_polls_until_idle_at_each_stop() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        let times = Times::new();
        let steps = times.clone();
        let chain = move |number: usize| {
            let steps = steps.clone();
            async move {
                for _ in 0..100 {
                    sideloop::spawn_local(yield_now()).await.expect("ends");
                }
                steps.push((time::now() - begun, number));
            }
        };
        executor
            .spawn_local(async move {
                chain(0).await;
                time::sleep(SECOND).await;
                chain(1).await;
                time::sleep(SECOND).await;
                chain(2).await;
            })
            .detach();
        executor.advance(2 * SECOND);
        assert_eq!(times.all(), [(Duration::ZERO, 0), (SECOND, 1), (2 * SECOND, 2)]);
    });
}

/// M11: `advance` by nothing polls until idle and moves no clock.
#[test]
fn advance_by_nothing_polls_until_idle() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        let busy = executor.spawn_local(async {
            for _ in 0..200 {
                yield_now().await;
                time::sleep(Duration::ZERO).await;
            }
        });
        let asleep = executor.spawn_local(async { time::sleep(NANO).await });
        executor.advance(Duration::ZERO);
        assert!(busy.is_finished() && !asleep.is_finished());
        assert_eq!(clock(&mut executor), begun);
        assert_eq!(executor.run_until_idle(), 0);
    });
}

/// A program whose tasks sleep, yield and spawn; driven by steps; what happened when, and the time after.
fn trace(seed: u64, steps: &[Duration]) -> (Vec<(Duration, usize)>, Duration) {
    let mut executor = Builder::new().virtual_time(seed).batch(3).build();
    let begun = clock(&mut executor);
    let times = Times::new();
    for number in 0..8_usize {
        let times = times.clone();
        let nap = Duration::from_nanos(1 + number as u64 % 3 * 2);
        let task = async move {
            for step in 0..40 {
                times.push((time::now() - begun, number * 100 + step));
                match (number + step) % 3 {
                    0 => yield_now().await,
                    1 => time::sleep(nap).await,
                    _ => sideloop::spawn_local(time::sleep(nap)).await.expect("ends"),
                }
            }
        };
        executor.spawn_local(task).detach();
    }
    steps.iter().for_each(|by| executor.advance(*by));
    let now = clock(&mut executor);
    (times.all(), now - begun)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn advance_in_parts_equals_advance_of_the_sum(
        seed in 0..4_u64,
        parts in prop::collection::vec(0..12_u64, 1..8),
    ) {
        // M11: `advance(a)` and then `advance(b)` is `advance(a + b)`, whatever the seed.
        let parts: Vec<_> = parts.into_iter().map(Duration::from_nanos).collect();
        prop_assert_eq!(trace(seed, &parts), trace(seed, &[parts.iter().sum()]));
    }
}

/// M11, M5: time ends before never: what never comes does not come, whatever the clock is moved by.
#[test]
fn advance_goes_no_further_than_time() {
    limited(|| {
        let mut executor = virtually();
        let begun = clock(&mut executor);
        let never = executor.spawn_local(async { time::sleep(Duration::MAX).await });
        let late = executor.spawn_local(async { time::sleep(400 * 365 * DAY).await });
        executor.advance(HOUR);
        executor.advance(Duration::MAX);
        assert!(late.is_finished() && !never.is_finished());
        let end = clock(&mut executor);
        assert!(end > begun + 580 * 365 * DAY, "{:?}", end - begun);
        executor.advance(Duration::MAX);
        executor.advance(NANO);
        assert_eq!(clock(&mut executor), end);
        let past_the_end = executor.spawn_local(async { time::sleep(SECOND).await });
        executor.advance(Duration::MAX);
        assert!(!past_the_end.is_finished() && !never.is_finished());
        assert_eq!(executor.block_on(async { 1 }), 1);
    });
}

/// X1, M11: a panic on the way ends the task and not the advance.
#[test]
fn a_panic_does_not_stop_the_advance() {
    limited(|| {
        let mut executor = virtually();
        let times = Times::new();
        let bad = executor.spawn_local(async {
            time::sleep(SECOND).await;
            panic!("on the way");
        });
        noting(&mut executor, &times, 0, 2 * SECOND).detach();
        let advanced = catch_unwind(AssertUnwindSafe(|| executor.advance(3 * SECOND)));
        assert!(advanced.is_ok() && bad.is_finished());
        assert_eq!(times.all(), [(2 * SECOND, 0)]);
    });
}

// ───────────── M2, M8, M9, T4 ─────────────

/// M2: timers fire in the order of deadlines, equal ones in the order of arming, `reset` being one.
#[test]
fn timers_fire_in_order_under_virtual_time() {
    limited(|| {
        let mut executor = virtually();
        let times = Times::new();
        let after = |number: usize| SECOND * (number as u32 * 7_919 % 13);
        for number in 0..500 {
            noting(&mut executor, &times, number, after(number)).detach();
        }
        let (begun, noted) = (clock(&mut executor), times.clone());
        executor
            .spawn_local(async move {
                let mut sleep = std::pin::pin!(time::sleep(5 * SECOND));
                let armed = std::future::poll_fn(|cx| sleep.as_mut().poll(cx).map(drop));
                assert!(futures::poll!(armed).is_pending());
                yield_now().await;
                sleep.as_mut().reset(begun + 5 * SECOND);
                sleep.await;
                noted.push((5 * SECOND, 1_000));
            })
            .detach();
        noting(&mut executor, &times, 999, 5 * SECOND).detach();
        executor.advance(13 * SECOND);
        let mut expected: Vec<_> = (0..500).map(|number| (after(number), number)).collect();
        expected.extend([(5 * SECOND, 999), (5 * SECOND, 1_000)]);
        expected.sort_unstable();
        assert_eq!(times.all(), expected);
    });
}

/// M8: a clock that stalls fires nothing and loses nothing; one that jumps ahead fires all, in order.
#[test]
fn a_clock_that_stalls_or_jumps_loses_no_timer() {
    limited(|| {
        let mut executor = virtually();
        let times = Times::new();
        let after = |number: usize| (NANO * 17_u32.pow(number as u32 % 7)) * (1 + number as u32);
        for number in 0..1_000 {
            noting(&mut executor, &times, number, after(number)).detach();
        }
        executor.run_until_idle();
        for _ in 0..1_000 {
            let turn = executor.turn();
            assert!(turn.idle && turn.fired == 0 && turn.polls == 0, "{turn:?}");
        }
        executor.advance(100 * 365 * DAY);
        let mut expected: Vec<_> = (0..1_000).map(|number| (after(number), number)).collect();
        expected.sort_unstable();
        assert_eq!(times.all(), expected);
        assert_eq!(executor.turn().next_deadline, None);
    });
}

/// A waker that counts.
struct Count(Arc<AtomicUsize>);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// M9: of 10 000 timers that are due at once at most 256 fire between two looks at ready tasks.
#[test]
fn a_ready_task_is_polled_among_ten_thousand_timers() {
    const TIMERS: usize = 10_000;
    /// What one turn may spend on timers.
    const BUDGET: usize = 256;
    limited(|| {
        let mut executor = virtually();
        let at = clock(&mut executor) + HOUR;
        let (fired, seen) = (Arc::new(AtomicUsize::new(0)), Events::new());
        let (count, sees) = (Arc::clone(&fired), seen.clone());
        // Armed first, so ready from the first turn of the deadline on.
        executor
            .spawn_local(async move {
                time::sleep_until(at).await;
                while sees.all().last() != Some(&TIMERS) {
                    assert_eq!(time::now(), at);
                    sees.push(count.load(Ordering::SeqCst));
                    yield_now().await;
                }
            })
            .detach();
        executor.run_until_idle();
        let waker = Waker::from(Arc::new(Count(Arc::clone(&fired))));
        let timers = executor.block_on(async {
            let mut timers: Vec<_> = (0..TIMERS).map(|_| Box::pin(time::sleep_until(at))).collect();
            let mut cx = Context::from_waker(&waker);
            assert!(timers.iter_mut().all(|timer| timer.as_mut().poll(&mut cx).is_pending()));
            timers
        });
        executor.advance(HOUR);
        let seen = seen.all();
        assert_eq!(fired.load(Ordering::SeqCst), TIMERS);
        let most = seen.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(seen[0] <= BUDGET && most <= Some(BUDGET), "{seen:?}");
        drop(timers);
    });
}

/// Arms timers that share five deadlines, and some that are cancelled; returns the five.
fn five_deadlines(executor: &mut Executor, apart: Duration) -> Vec<Instant> {
    let begun = clock(executor);
    let deadlines: Vec<_> = (1..=5).map(|number| begun + apart * number).collect();
    for number in 0..200 {
        let at = deadlines[number % 5];
        executor.spawn_local(async move { time::sleep_until(at).await }).detach();
        let cancelled = executor.spawn_local(time::sleep_until(at + apart / 2));
        executor.run_until_idle();
        cancelled.cancel();
    }
    executor.run_until_idle();
    deadlines
}

/// T4: on virtual time the loop looks again once for each distinct deadline, and never in between.
#[test]
fn virtual_time_stops_once_for_each_deadline() {
    limited(|| {
        let mut executor = virtually();
        let deadlines = five_deadlines(&mut executor, HOUR);
        let mut stops = Vec::new();
        while let Some(at) = executor.turn().next_deadline {
            stops.push(at);
            let now = clock(&mut executor);
            executor.advance(at - now);
        }
        assert_eq!(stops, deadlines);
    });
}

/// T4: on real time a host that turns the loop when it asks for it does so once for each deadline.
#[test]
fn real_time_needs_one_turn_for_each_deadline() {
    limited(|| {
        let mut executor = Executor::new();
        let deadlines = five_deadlines(&mut executor, 100 * MS);
        let (mut turns, mut turn) = (0, executor.turn());
        while let Some(at) = turn.next_deadline {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            turn = executor.turn();
            turns += 1;
            assert!(turn.fired > 0, "a turn for nothing: {turn:?}");
        }
        assert!(turns <= deadlines.len(), "{turns} turns for {} deadlines", deadlines.len());
    });
}
