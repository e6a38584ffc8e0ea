//! Timers: never early, in order, for every duration, freed at once.
//!
//! There is no virtual clock here: sleeps are real and a few milliseconds long. Only lower bounds
//! and order are checked; upper limits exist to turn a hang into a failure.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::time::{self, Sleep};
use sideloop::{Executor, JoinError, Shutdown};

use crate::support::{CountingWaker, Events, Latch, join_err, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Polls a timer once with a waker that does nothing.
fn poll_once(sleep: &mut Pin<Box<Sleep>>) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// The greatest instant that this platform can represent, to the second.
pub(crate) fn far_future() -> Instant {
    let (mut at, mut step) = (Instant::now(), Duration::from_secs(1 << 62));
    while step >= Duration::from_secs(1) {
        match at.checked_add(step) {
            Some(later) => at = later,
            None => step /= 2,
        }
    }
    at
}

/// The least instant that this platform can represent, to the second.
pub(crate) fn far_past() -> Instant {
    let (mut at, mut step) = (Instant::now(), Duration::from_secs(1 << 62));
    while step >= Duration::from_secs(1) {
        match at.checked_sub(step) {
            Some(earlier) => at = earlier,
            None => step /= 2,
        }
    }
    at
}

/// Polls `sleep` to its end and counts the polls that gave `Pending`.
async fn pending_polls(sleep: Sleep) -> usize {
    let (mut sleep, mut pending) = (Box::pin(sleep), 0);
    std::future::poll_fn(|cx| {
        let poll = sleep.as_mut().poll(cx);
        pending += usize::from(poll.is_pending());
        poll
    })
    .await;
    pending
}

// ───────────── M1 ─────────────

/// M1: no timer fires before its deadline, by the caller's own clock, whatever its odd length.
#[test]
fn no_timer_fires_early() {
    limited(|| {
        let side = loop_started();
        let tasks: Vec<_> = (0..400_u64)
            .map(|n| {
                let delay = Duration::from_nanos(1 + n * 12_347);
                let before = Instant::now();
                let task = side.handle().spawn(async move {
                    time::sleep(delay).await;
                    Instant::now()
                });
                (before + delay, task)
            })
            .collect();
        for (n, (earliest, task)) in tasks.into_iter().enumerate() {
            let fired = join_ok(task);
            assert!(fired >= earliest, "timer {n} is {:?} early", earliest - fired);
        }
    });
}

/// M1: a sleep that begins late in a long poll counts from then, not from the turn's own time.
#[test]
fn a_sleep_after_a_long_poll_is_not_early() {
    limited(|| {
        let side = loop_started();
        let (asked, slept) = join_ok(side.handle().spawn(async {
            let busy = Instant::now();
            while busy.elapsed() < 6 * MS {
                std::hint::spin_loop();
            }
            let before = Instant::now();
            time::sleep(4 * MS).await;
            (4 * MS, before.elapsed())
        }));
        assert!(slept >= asked, "slept {slept:?} of {asked:?}");
    });
}

/// M1: `sleep_until` is exact: not before the instant, and that instant is its deadline.
#[test]
fn sleep_until_is_exact() {
    limited(|| {
        let side = loop_started();
        for n in 0..20 {
            let at = Instant::now() + Duration::from_nanos(500_003 + n * 77_777);
            let sleep = time::sleep_until(at);
            assert_eq!(sleep.deadline(), at);
            let fired = join_ok(side.handle().spawn(async move {
                sleep.await;
                Instant::now()
            }));
            assert!(fired >= at, "{:?} early", at - fired);
        }
    });
}

/// M1, G2: `turn` knows the next deadline to the nanosecond, for near, far and odd ones.
#[test]
fn the_next_deadline_is_exact() {
    limited(|| {
        for delay in [MS, MS * 64 + Duration::from_nanos(1), HOUR, HOUR * 24 * 365 * 20] {
            let mut executor = Executor::new();
            let at = Instant::now() + HOUR + delay + Duration::from_nanos(7);
            executor.spawn_local(time::sleep_until(at)).detach();
            executor.run_until_idle();
            let turn = executor.turn();
            assert_eq!(turn.next_deadline, Some(at), "{delay:?}");
            assert!(turn.idle, "{turn:?}");
            assert_eq!(turn.fired, 0);
        }
    });
}

/// M1, G2: of many timers the next deadline is the least, in whichever order they were armed.
#[test]
fn the_next_deadline_is_the_least() {
    limited(|| {
        let mut executor = Executor::new();
        let start = Instant::now() + HOUR;
        let mut least = None;
        for n in [50_u32, 7, 900, 8, 6, 100_000, 5, 5, 3_000_000] {
            let at = start + MS * n;
            executor.spawn_local(time::sleep_until(at)).detach();
            executor.run_until_idle();
            least = Some(least.map_or(at, |least: Instant| least.min(at)));
            assert_eq!(executor.turn().next_deadline, least, "after {n} ms");
        }
    });
}

/// M1: an executor that is told to turn before the deadline fires nothing.
#[test]
fn a_turn_before_the_deadline_fires_nothing() {
    limited(|| {
        let mut executor = Executor::new();
        let at = Instant::now() + 3 * MS;
        let task = executor.spawn_local(time::sleep_until(at));
        while !task.is_finished() {
            executor.turn();
        }
        assert!(Instant::now() >= at, "it fired early");
    });
}

// ───────────── M3 ─────────────

/// M3: the deadline is fixed when the timer is made, on whichever thread.
#[test]
fn the_deadline_is_fixed_at_creation() {
    limited(|| {
        let side = loop_started();
        let before = Instant::now();
        let sleep = time::sleep(5 * MS);
        let after = Instant::now();
        let deadline = sleep.deadline();
        assert!(before + 5 * MS <= deadline && deadline <= after + 5 * MS, "{deadline:?}");
        let fired = join_ok(side.handle().spawn(async move {
            assert_eq!(sleep.deadline(), deadline);
            sleep.await;
            Instant::now()
        }));
        assert!(fired >= deadline);
    });
}

/// M3: a timer is armed by its first pending poll, not before.
#[test]
fn a_timer_is_armed_by_its_first_poll() {
    limited(|| {
        let mut executor = Executor::new();
        let polled = executor.block_on(async {
            let mut sleep = Box::pin(time::sleep(HOUR));
            let unarmed = time::sleep(MS);
            assert!(poll_once(&mut sleep).is_pending());
            (sleep, unarmed)
        });
        let deadline = polled.0.deadline();
        assert_eq!(executor.turn().next_deadline, Some(deadline));
    });
}

/// M3: `is_elapsed` is false before and true after.
#[test]
fn is_elapsed_tells_before_from_after() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async {
            let mut sleep = Box::pin(time::sleep(HOUR));
            assert!(!sleep.is_elapsed());
            assert!(poll_once(&mut sleep).is_pending());
            assert!(!sleep.is_elapsed());
            sleep.as_mut().reset(Instant::now() + MS);
            sleep.as_mut().await;
            assert!(sleep.is_elapsed());
        }));
    });
}

// ───────────── M4 and M5 ─────────────

/// M4: `sleep(0)` and deadlines in the past yield once, then complete.
#[test]
fn a_deadline_that_is_past_yields_once() {
    limited(|| {
        let side = loop_started();
        for at in [None, Some(Instant::now()), Some(far_past())] {
            let polls = join_ok(side.handle().spawn(async move {
                pending_polls(at.map_or_else(|| time::sleep(Duration::ZERO), time::sleep_until))
                    .await
            }));
            assert_eq!(polls, 1, "{at:?}");
        }
    });
}

/// M4: what was ready before a task sleeps for zero runs before it goes on.
#[test]
fn a_sleep_of_zero_lets_others_run() {
    limited(|| {
        let mut executor = Executor::new();
        let order = Events::new();
        let (one, two) = (order.clone(), order.clone());
        executor
            .spawn_local(async move {
                one.push("before");
                time::sleep(Duration::ZERO).await;
                one.push("after");
            })
            .detach();
        executor.spawn_local(async move { two.push("between") }).detach();
        executor.run_until_idle();
        assert_eq!(order.all(), ["before", "between", "after"]);
    });
}

/// M5: maximal durations and far instants mean never: no panic, no wake-up, and they can be ended.
#[test]
fn maximal_durations_mean_never() {
    limited(|| {
        let side = loop_started();
        let far = far_future();
        let never = [
            side.handle().spawn(time::sleep(Duration::MAX)),
            side.handle().spawn(time::sleep(Duration::MAX - Duration::from_nanos(1))),
            side.handle().spawn(time::sleep(Duration::from_secs(u64::MAX / 2))),
            side.handle().spawn(time::sleep_until(far)),
        ];
        join_ok(side.handle().spawn(time::sleep(MS)));
        for task in never {
            assert!(!task.is_finished());
            task.cancel();
            assert!(matches!(join_err(task), JoinError::Cancelled));
        }
    });
}

/// M5: a timer that never fires gives `turn` no deadline to wait for, or one beyond all reason.
#[test]
fn never_is_no_deadline_to_wait_for() {
    limited(|| {
        let mut executor = Executor::new();
        executor.spawn_local(time::sleep(Duration::MAX)).detach();
        executor.run_until_idle();
        let turn = executor.turn();
        let beyond = Instant::now() + HOUR * 24 * 365 * 20;
        assert!(turn.next_deadline.is_none_or(|at| at > beyond), "{turn:?}");
        let near = Instant::now() + HOUR;
        executor.spawn_local(time::sleep_until(near)).detach();
        executor.run_until_idle();
        assert_eq!(executor.turn().next_deadline, Some(near));
    });
}

/// M5: `deadline` and `reset` accept every instant, between never and the distant past.
#[test]
fn reset_accepts_every_instant() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async {
            let mut sleep = Box::pin(time::sleep(Duration::MAX));
            for _ in 0..3 {
                let _ = sleep.deadline();
                assert!(poll_once(&mut sleep).is_pending());
                sleep.as_mut().reset(far_future());
                assert!(poll_once(&mut sleep).is_pending());
                assert!(!sleep.is_elapsed());
                sleep.as_mut().reset(far_past());
                sleep.as_mut().await;
                assert!(sleep.is_elapsed());
                sleep = Box::pin(time::sleep(Duration::MAX));
            }
        }));
    });
}

/// M8: a loop that was stuck beyond many deadlines loses none of its timers.
#[test]
fn a_late_loop_loses_no_timer() {
    limited(|| {
        let side = loop_started();
        let tasks: Vec<_> = (0..300)
            .map(|n| side.handle().spawn(time::sleep(Duration::from_micros(n * 10))))
            .collect();
        let until = Instant::now() + 5 * MS;
        join_ok(side.handle().call(move || {
            while Instant::now() < until {
                thread::yield_now();
            }
        }));
        tasks.into_iter().for_each(join_ok);
    });
}

/// M1: the loop's own clock never runs ahead of the caller's, nor backwards.
#[test]
fn the_loops_clock_is_never_ahead() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async {
            let mut last = time::now();
            for _ in 0..200 {
                sideloop::yield_now().await;
                let now = time::now();
                assert!(now >= last, "backwards by {:?}", last - now);
                assert!(now <= Instant::now(), "ahead of the real clock");
                last = now;
            }
        }));
    });
}

/// J3: a sleeping task that the shutdown ends has let go of its waker.
#[test]
fn a_timer_lets_go_of_its_waker_at_the_end() {
    limited(|| {
        let side = loop_started();
        let (counter, waker) = CountingWaker::new();
        let armed = Latch::new("the timer is armed");
        let there = armed.clone();
        side.handle()
            .spawn(async move {
                let mut sleep = Box::pin(time::sleep(HOUR));
                let poll = sleep.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(poll.is_pending());
                drop(waker);
                there.set();
                sleep.await;
            })
            .detach();
        armed.wait();
        side.shutdown(Shutdown::now());
        assert_eq!((std::sync::Arc::strong_count(&counter), counter.count()), (1, 0));
    });
}

/// M6: a timer that outlives its loop lets go of its waker with the loop.
#[test]
fn a_timer_that_is_held_elsewhere_lets_go_of_its_waker_at_the_end() {
    limited(|| {
        let mut executor = Executor::new();
        let (counter, waker) = CountingWaker::new();
        let armed = executor.spawn_local(async move {
            let mut sleep = Box::pin(time::sleep(HOUR));
            let poll = sleep.as_mut().poll(&mut Context::from_waker(&waker));
            poll.is_pending().then_some(sleep)
        });
        executor.run_until_idle();
        let held = join_ok(armed).expect("it is armed");
        assert_eq!(std::sync::Arc::strong_count(&counter), 2, "the timer has none");
        executor.handle().shutdown(Shutdown::now());
        executor.run();
        assert_eq!((std::sync::Arc::strong_count(&counter), counter.count()), (1, 0));
        drop(held);
    });
}
