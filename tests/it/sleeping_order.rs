//! Timers: the order of firing, how much of it in one turn, and `reset`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sideloop::Executor;
use sideloop::time::{self, Sleep};

use crate::support::{CountingWaker, Events, join_ok, limited, loop_started};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn poll_with(sleep: &mut Pin<Box<Sleep>>, waker: &Waker) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(waker))
}

/// An armed timer that notes `number` when it fires.
fn noting(executor: &Executor, fired: &Events<usize>, number: usize, at: Instant) {
    let fired = fired.clone();
    executor
        .spawn_local(async move {
            time::sleep_until(at).await;
            fired.push(number);
        })
        .detach();
}

/// Turns the executor until `count` timers have fired.
fn turn_until(executor: &mut Executor, fired: &Events<usize>, count: usize) {
    while fired.all().len() < count {
        executor.turn();
    }
}

/// Waits, awake, until `at` has passed.
pub(crate) fn pass(at: Instant) {
    while Instant::now() <= at {
        thread::yield_now();
    }
}

// ───────────── M2: order ─────────────

/// M2: timers with one deadline fire in the order in which they were armed, also many of them.
#[test]
fn equal_deadlines_fire_in_the_order_of_arming() {
    limited(|| {
        let mut executor = Executor::new();
        let fired = Events::new();
        let at = Instant::now() + 10 * MS;
        for number in 0..1_000 {
            noting(&executor, &fired, number, at);
        }
        executor.run_until_idle();
        turn_until(&mut executor, &fired, 1_000);
        assert_eq!(fired.all(), (0..1_000).collect::<Vec<_>>());
    });
}

/// M2: a loop that comes late fires in the order of deadlines, not of arming.
#[test]
fn a_late_loop_fires_in_the_order_of_deadlines() {
    const STEP: Duration = Duration::from_nanos(7_919);
    limited(|| {
        let mut executor = Executor::new();
        let (mut fired, mut start) = (Events::new(), Instant::now());
        for margin in [50 * MS, 500 * MS, 5_000 * MS] {
            (fired, start) = (Events::new(), Instant::now() + margin);
            for number in (0..500).rev() {
                noting(&executor, &fired, number, start + number as u32 * STEP);
            }
            executor.run_until_idle();
            if Instant::now() < start {
                break; // all are armed, and none is due
            }
        }
        let last = start + 500 * STEP;
        pass(last);
        turn_until(&mut executor, &fired, 500);
        assert_eq!(fired.all(), (0..500).collect::<Vec<_>>());
    });
}

/// M2, M3: the order of arming is that of the first polls, not that of creation.
#[test]
fn arming_is_the_first_poll() {
    limited(|| {
        let mut executor = Executor::new();
        let fired = Events::new();
        let at = Instant::now() + 3 * MS;
        let mut sleeps: Vec<_> = (0..10).map(|n| (n, time::sleep_until(at))).collect();
        sleeps.reverse();
        for (number, sleep) in sleeps {
            let fired = fired.clone();
            executor
                .spawn_local(async move {
                    sleep.await;
                    fired.push(number);
                })
                .detach();
        }
        executor.run_until_idle();
        turn_until(&mut executor, &fired, 10);
        assert_eq!(fired.all(), (0..10).rev().collect::<Vec<_>>());
    });
}

/// M2: `reset` counts as arming, also to the same deadline: the timer goes to the end of its line.
#[test]
fn reset_counts_as_arming() {
    limited(|| {
        let mut executor = Executor::new();
        let (fired, wakes) = (Events::new(), Events::new());
        let at = Instant::now() + 5 * MS;
        let noted = wakes.clone();
        executor.block_on(async {
            let mut first = Box::pin(time::sleep_until(at));
            let wake = |number: usize| {
                let noted = noted.clone();
                Waker::from(Arc::new(Note(noted, number)))
            };
            let mut second = Box::pin(time::sleep_until(at));
            assert!(poll_with(&mut first, &wake(1)).is_pending());
            assert!(poll_with(&mut second, &wake(2)).is_pending());
            first.as_mut().reset(at);
            let _ = poll_with(&mut first, &wake(1));
            time::sleep_until(at + MS).await;
            fired.push(0);
        });
        assert_eq!((wakes.all(), fired.all().len()), (vec![2, 1], 1));
    });
}

/// A waker that notes its number.
struct Note(Events<usize>, usize);

impl std::task::Wake for Note {
    fn wake(self: Arc<Self>) {
        self.0.push(self.1);
    }
}

/// M9, T1: of many timers that come due at once, a turn fires a bounded number, and polls a batch.
#[test]
fn a_turn_fires_a_bounded_number_of_timers() {
    limited(|| {
        const TIMERS: usize = 20_000;
        let mut executor = Executor::new();
        let fired = Events::new();
        let at = Instant::now() + 100 * MS;
        for number in 0..TIMERS {
            noting(&executor, &fired, number, at);
        }
        executor.run_until_idle();
        pass(at);
        let mut turns = 0;
        while fired.all().len() < TIMERS {
            let turn = executor.turn();
            assert!(turn.fired <= 4_096, "{turn:?}");
            assert!(turn.polls <= 64, "{turn:?}");
            turns += 1;
            assert!(turns < 2 * TIMERS, "not all have fired after {turns} turns");
        }
        assert_eq!(fired.all(), (0..TIMERS).collect::<Vec<_>>());
    });
}

// ───────────── reset ─────────────

/// M2: an armed timer that is reset to an earlier time wakes its task then, without another poll.
#[test]
fn reset_to_earlier_needs_no_poll() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async {
            let mut sleep = Box::pin(time::sleep(Duration::MAX));
            let mut at = None;
            std::future::poll_fn(|cx| match at {
                None => {
                    assert!(sleep.as_mut().poll(cx).is_pending());
                    let soon = Instant::now() + 2 * MS;
                    sleep.as_mut().reset(soon);
                    at = Some(soon);
                    Poll::Pending
                }
                Some(at) => {
                    assert!(Instant::now() >= at, "woken early");
                    sleep.as_mut().poll(cx)
                }
            })
            .await;
        }));
    });
}

/// M1: an armed timer that is reset to a later time does not fire at the old one.
#[test]
fn reset_to_later_forgets_the_old_deadline() {
    limited(|| {
        let mut executor = Executor::new();
        executor.block_on(async {
            let mut sleep = Box::pin(time::sleep(MS));
            let (counter, waker) = CountingWaker::new();
            assert!(poll_with(&mut sleep, &waker).is_pending());
            let later = Instant::now() + HOUR;
            sleep.as_mut().reset(later);
            assert_eq!(sleep.deadline(), later);
            time::sleep(3 * MS).await;
            assert_eq!(counter.count(), 0);
            assert!(!sleep.is_elapsed());
            assert!(poll_with(&mut sleep, &waker).is_pending());
        });
    });
}

/// M1: a timer that has fired, and is reset before anybody looked, waits for the new deadline.
#[test]
fn a_timer_reset_after_it_fired_waits_again() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async {
            let (counter, waker) = CountingWaker::new();
            let mut sleep = Box::pin(time::sleep(MS));
            assert!(poll_with(&mut sleep, &waker).is_pending());
            time::sleep_until(sleep.deadline() + MS).await;
            assert_eq!(counter.count(), 1, "it has fired");
            sleep.as_mut().reset(Instant::now() + HOUR);
            assert!(!sleep.is_elapsed());
            assert!(poll_with(&mut sleep, &waker).is_pending());
            let at = Instant::now() + MS;
            sleep.as_mut().reset(at);
            sleep.as_mut().await;
            assert!(Instant::now() >= at);
        }));
    });
}

/// M3: a reset before the first poll only changes the deadline; one after the end sleeps again.
#[test]
fn a_timer_can_be_reset_before_and_after() {
    limited(|| {
        let side = loop_started();
        join_ok(side.handle().spawn(async {
            let mut sleep = Box::pin(time::sleep(HOUR));
            for _ in 0..3 {
                let at = Instant::now() + MS;
                sleep.as_mut().reset(at);
                assert!(!sleep.is_elapsed() || Instant::now() >= at);
                sleep.as_mut().await;
                assert!(Instant::now() >= at);
            }
        }));
    });
}

/// G2: after a reset, and after the drop of the earlier timer, the next deadline is exact again.
#[test]
fn the_next_deadline_follows_reset_and_drop() {
    limited(|| {
        let mut executor = Executor::new();
        let start = Instant::now() + HOUR;
        let arm = |at: Instant| {
            let mut sleep = Box::pin(time::sleep_until(at));
            assert!(poll_with(&mut sleep, Waker::noop()).is_pending());
            sleep
        };
        let (mut early, late) =
            executor.block_on(async { (arm(start), arm(start + Duration::from_nanos(1))) });
        assert_eq!(executor.turn().next_deadline, Some(start));
        executor.block_on(async { early.as_mut().reset(start + 5 * MS) });
        assert_eq!(executor.turn().next_deadline, Some(start + Duration::from_nanos(1)));
        executor.block_on(async { drop(late) });
        assert_eq!(executor.turn().next_deadline, Some(start + 5 * MS));
        drop(early);
        assert_eq!(executor.turn().next_deadline, None);
    });
}
