//! Intervals: the grid, what becomes of missed ticks, and what a tick may not do to others.
//!
//! How late a test's own thread comes is nobody's to say, so what is checked are grid points, which
//! are exact, and relations that hold however late it is.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::time::{self, Interval, MissedTick, Tick, interval, interval_at};
use sideloop::{Executor, JoinError, Shutdown, ZeroPeriod};

use crate::sleeping::{far_future, far_past};
use crate::sleeping_order::pass;
use crate::support::{Events, Latch, join_err, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Polls one tick once, and drops its future.
fn poll_tick(interval: &mut Interval) -> Poll<Tick> {
    pin!(interval.tick()).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a tick that must be pending, and gives the deadline it waits for.
#[track_caller]
fn pending_tick(executor: &mut Executor, interval: &mut Interval) -> Option<Instant> {
    executor.block_on(async { assert_eq!(poll_tick(interval), Poll::Pending) });
    executor.turn().next_deadline
}

/// The next tick, on `executor`.
fn tick(executor: &mut Executor, interval: &mut Interval) -> Tick {
    executor.block_on(interval.tick())
}

/// An interval whose first ten grid points have passed, and which missed that many ticks at least.
fn late(period: Duration, policy: MissedTick) -> (Instant, Interval) {
    let first = Instant::now();
    pass(first + 10 * period);
    let mut interval = interval_at(first, period).expect("not zero");
    interval.missed_tick(policy);
    (first, interval)
}

// ───────────── M10: the grid ─────────────

/// M10: a period of zero is an error, and no other is.
#[test]
fn a_period_of_zero_is_an_error() {
    assert_eq!(interval(Duration::ZERO).err(), Some(ZeroPeriod));
    assert_eq!(interval_at(Instant::now(), Duration::ZERO).err(), Some(ZeroPeriod));
    let error: Box<dyn std::error::Error + Send + Sync> = Box::new(ZeroPeriod);
    assert_eq!(error.to_string(), "the period is zero");
    for period in [Duration::from_nanos(1), HOUR, Duration::MAX] {
        assert_eq!(interval(period).expect("not zero").period(), period);
    }
}

/// M10: the first tick of an interval comes at once, in the first poll; it was scheduled for the beginning.
#[test]
fn the_first_tick_comes_at_once() {
    limited(|| {
        let mut executor = Executor::new();
        let before = Instant::now();
        let mut interval = interval(HOUR).expect("not zero");
        let after = Instant::now();
        match executor.block_on(async { poll_tick(&mut interval) }) {
            Poll::Ready(Tick { scheduled, missed: 0 }) => {
                assert!(before <= scheduled && scheduled <= after);
                assert_eq!(pending_tick(&mut executor, &mut interval), Some(scheduled + HOUR));
            }
            other => panic!("{other:?}"),
        }
    });
}

/// M10, M1: ticks keep to the grid, say which point they are, and are never early.
#[test]
fn ticks_keep_to_the_grid() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async {
            let first = time::now() + 2 * MS;
            let mut interval = interval_at(first, MS).expect("not zero");
            let mut next = first;
            for _ in 0..10 {
                let tick = interval.tick().await;
                assert_eq!(tick.scheduled, next);
                assert!(tick.scheduled <= Instant::now(), "early");
                next += MS * (u32::try_from(tick.missed).expect("a few") + 1);
            }
        }));
    });
}

/// M10: a first tick in the future is waited for, to the nanosecond.
#[test]
fn a_first_tick_in_the_future_is_waited_for() {
    limited(|| {
        let mut executor = Executor::new();
        let first = Instant::now() + HOUR + Duration::from_nanos(7);
        let mut interval = interval_at(first, MS).expect("not zero");
        assert_eq!(pending_tick(&mut executor, &mut interval), Some(first));
        drop(interval);
        assert_eq!(executor.turn().next_deadline, None, "M6: its timer is freed");
    });
}

/// M10: by default missed ticks are skipped and counted, and the next is the next point to come.
#[test]
fn missed_ticks_are_skipped_by_default() {
    limited(|| {
        assert_eq!(MissedTick::default(), MissedTick::Skip);
        let mut executor = Executor::new();
        let first = Instant::now();
        pass(first + 10 * MS);
        let mut interval = interval_at(first, MS).expect("not zero");
        let before = Instant::now();
        let late = tick(&mut executor, &mut interval);
        let after = Instant::now();
        assert_eq!(late.scheduled, first);
        assert!(late.missed >= 10, "{late:?}");
        let next = first + MS * (u32::try_from(late.missed).expect("some") + 1);
        assert!(before < next && next <= after + MS, "the next point to come");
        assert_eq!(tick(&mut executor, &mut interval).scheduled, next);
    });
}

/// M10: under `Burst` each missed tick is delivered, and each says how many are still late.
#[test]
fn a_burst_delivers_each_missed_tick() {
    limited(|| {
        let mut executor = Executor::new();
        let (first, mut interval) = late(MS, MissedTick::Burst);
        let mut late = tick(&mut executor, &mut interval);
        assert_eq!(late.scheduled, first);
        assert!(late.missed >= 10, "{late:?}");
        while late.missed > 0 {
            let next = tick(&mut executor, &mut interval);
            assert_eq!(next.scheduled, late.scheduled + MS);
            assert!(next.missed + 1 >= late.missed, "{next:?} after {late:?}");
            late = next;
        }
        assert!(late.scheduled >= first + 10 * MS);
    });
}

/// M10: under `Delay` the next tick comes one period after the late one was delivered.
#[test]
fn a_delay_begins_a_new_grid() {
    limited(|| {
        let mut executor = Executor::new();
        let (first, mut interval) = late(MS, MissedTick::Delay);
        let before = Instant::now();
        let late = tick(&mut executor, &mut interval);
        let after = Instant::now();
        assert!(late.scheduled == first && late.missed >= 10, "{late:?}");
        let next = tick(&mut executor, &mut interval).scheduled;
        assert!(before + MS <= next && next <= after + MS);
    });
}

/// M10: the choice may change between ticks, and holds from the next delivery on.
#[test]
fn the_choice_may_change() {
    limited(|| {
        let mut executor = Executor::new();
        let (first, mut interval) = late(MS, MissedTick::Burst);
        let late = tick(&mut executor, &mut interval);
        interval.missed_tick(MissedTick::Skip);
        let last = tick(&mut executor, &mut interval);
        assert_eq!((late.scheduled, last.scheduled), (first, first + MS));
        let next = tick(&mut executor, &mut interval).scheduled;
        assert_eq!(next, last.scheduled + MS * (u32::try_from(last.missed).expect("some") + 1));
    });
}

/// M10: after a reset the next tick is one period from then, also if one was overdue or waited for.
#[test]
fn a_reset_begins_a_new_grid() {
    limited(|| {
        let mut executor = Executor::new();
        for first in [Instant::now(), Instant::now() + 2 * HOUR] {
            let mut interval = interval_at(first, HOUR).expect("not zero");
            if first > Instant::now() {
                assert_eq!(pending_tick(&mut executor, &mut interval), Some(first));
            }
            let before = Instant::now();
            interval.reset();
            let after = Instant::now();
            assert_eq!(executor.turn().next_deadline, None, "M6: the old timer is freed");
            let next = pending_tick(&mut executor, &mut interval).expect("it waits");
            assert!(before + HOUR <= next && next <= after + HOUR);
        }
    });
}

/// M10: a tick that was dropped while it waited comes at the same point, with one timer.
#[test]
fn a_tick_that_is_dropped_is_not_lost() {
    limited(|| {
        let mut executor = Executor::new();
        let first = Instant::now() + 5 * MS;
        let mut interval = interval_at(first, HOUR).expect("not zero");
        executor.block_on(async {
            while Instant::now() < first {
                if let Poll::Ready(tick) = poll_tick(&mut interval) {
                    assert_eq!(tick, Tick { scheduled: first, missed: 0 });
                    return;
                }
            }
            assert_eq!(interval.tick().await, Tick { scheduled: first, missed: 0 });
        });
        assert_eq!(pending_tick(&mut executor, &mut interval), Some(first + HOUR));
        drop(interval);
        assert_eq!(executor.turn().next_deadline, None);
    });
}

/// M10: a late tick that was dropped while it let others run is not lost either.
#[test]
fn a_late_tick_that_is_dropped_is_not_lost() {
    limited(|| {
        let mut executor = Executor::new();
        let (first, mut interval) = late(MS, MissedTick::Burst);
        for n in 0..10 {
            let tick = executor.block_on(async {
                match poll_tick(&mut interval) {
                    Poll::Ready(tick) => tick,
                    Poll::Pending => interval.tick().await,
                }
            });
            assert_eq!(tick.scheduled, first + MS * n);
        }
    });
}

// ───────────── M5, M8: every duration, any clock ─────────────

/// M5: a period without end gives the first tick and no other; a far first tick never comes.
#[test]
fn a_point_that_cannot_be_represented_never_comes() {
    limited(|| {
        let mut executor = Executor::new();
        for policy in [MissedTick::Skip, MissedTick::Burst, MissedTick::Delay] {
            let mut interval = interval(Duration::MAX).expect("not zero");
            interval.missed_tick(policy);
            assert_eq!(tick(&mut executor, &mut interval).missed, 0);
            assert_eq!(pending_tick(&mut executor, &mut interval), None, "{policy:?}");
            interval.reset();
            assert_eq!(pending_tick(&mut executor, &mut interval), None, "{policy:?}");
        }
        let mut far = interval_at(far_future(), Duration::from_nanos(1)).expect("not zero");
        let next = pending_tick(&mut executor, &mut far);
        let beyond = Instant::now() + HOUR * 24 * 365 * 20;
        assert!(next.is_none_or(|at| at > beyond), "{next:?}");
    });
}

/// M8, M5: a leap over more grid points than can be counted takes no time, and keeps the grid.
#[test]
fn a_leap_over_billions_of_points_takes_no_time() {
    limited(|| {
        let mut executor = Executor::new();
        let first = far_past();
        let mut interval = interval_at(first, Duration::from_nanos(1)).expect("not zero");
        let leap = tick(&mut executor, &mut interval);
        assert_eq!(leap.scheduled, first);
        assert!(leap.missed > 1_000_000_000 || first + HOUR > Instant::now(), "{leap:?}");
        assert!(tick(&mut executor, &mut interval).scheduled > first);
        let mut coarse = interval_at(first, HOUR).expect("not zero");
        let points = tick(&mut executor, &mut coarse).missed;
        let next = pending_tick(&mut executor, &mut coarse).expect("within the hour");
        assert!(next <= Instant::now() + HOUR);
        let ahead = next.duration_since(first).as_nanos();
        assert_eq!(ahead, HOUR.as_nanos() * (u128::from(points) + 1));
    });
}

// ───────────── T1: others run too ─────────────

/// T1, M10: a task that has millions of late ticks to take lets the others run between two of them.
#[test]
fn late_ticks_starve_nobody() {
    limited(|| {
        for policy in [MissedTick::Skip, MissedTick::Burst, MissedTick::Delay] {
            let mut executor = Executor::new();
            let (ticks, seen) = (Events::new(), Events::new());
            let mut late = interval_at(far_past(), Duration::from_nanos(1)).expect("not zero");
            late.missed_tick(policy);
            let note = ticks.clone();
            executor
                .spawn_local(async move {
                    loop {
                        note.push(late.tick().await.scheduled);
                    }
                })
                .detach();
            let (note, count) = (seen.clone(), ticks.clone());
            let other = executor.spawn_local(async move {
                for _ in 0..100 {
                    note.push(count.all().len());
                    sideloop::yield_now().await;
                }
            });
            while !other.is_finished() {
                executor.turn();
            }
            let seen = seen.all();
            assert!(seen.windows(2).all(|two| two[1] <= two[0] + 1), "{policy:?}: {seen:?}");
            assert!(ticks.all().len() > 50, "{policy:?}: the ticks came too");
        }
    });
}

// ───────────── M7: intervals that travel ─────────────

/// M7: an interval may be made anywhere, wait on one loop, go on on another, and be dropped elsewhere.
#[test]
fn an_interval_moves_to_another_loop() {
    limited(|| {
        let first = Instant::now() + 3 * MS;
        let mut interval = interval_at(first, HOUR).expect("not zero");
        let mut one = Executor::new();
        assert_eq!(pending_tick(&mut one, &mut interval), Some(first));
        let other = loop_started();
        let (tick, mut interval) = join_ok(other.handle().spawn(async move {
            let tick = interval.tick().await;
            (tick, interval)
        }));
        assert_eq!(tick.scheduled, first);
        one.run_until_idle();
        assert_eq!(one.turn().next_deadline, None, "it left no timer behind");
        assert_eq!(pending_tick(&mut one, &mut interval), Some(first + HOUR));
        thread::spawn(move || drop(interval)).join().expect("no panic");
        one.run_until_idle();
        assert_eq!(one.turn().next_deadline, None, "M6: freed from another thread");
    });
}

/// M7, H4: a shutdown ends the task that waits for a tick; the interval may go on on another loop.
#[test]
fn an_interval_outlives_its_loop() {
    limited(|| {
        fn travels<T: Send + Sync + 'static>(value: T) -> T {
            value
        }
        let (side, first) = (loop_started(), Instant::now() + HOUR);
        let mut interval = travels(interval_at(first, HOUR).expect("not zero"));
        let mut interval = join_ok(side.handle().call(move || {
            assert_eq!(poll_tick(&mut interval), Poll::Pending);
            interval
        }));
        let waits = Latch::new("a task waits for a tick");
        let there = waits.clone();
        let task = side.handle().spawn(async move {
            let mut never = interval_at(far_future(), MS).expect("not zero");
            there.set();
            never.tick().await
        });
        waits.wait();
        side.shutdown(Shutdown::now());
        assert!(matches!(join_err(task), JoinError::Cancelled));
        assert_eq!(pending_tick(&mut Executor::new(), &mut interval), Some(first));
    });
}
