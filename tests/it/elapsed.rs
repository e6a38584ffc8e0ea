//! M4: `is_elapsed` says what a poll says, and `deadline` what was asked for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use sideloop::time::{self, Sleep};
use sideloop::{Builder, block_on};

use crate::sleeping::{far_future, far_past};
use crate::sleeping_order::pass;
use crate::support::limited;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Whether a poll, without a waker, says that it has ended; `is_elapsed` has to have said so before.
#[track_caller]
fn polled(sleep: &mut Sleep) -> bool {
    let said = sleep.is_elapsed();
    let is = Pin::new(&mut *sleep).poll(&mut Context::from_waker(Waker::noop())).is_ready();
    assert_eq!(said, is, "`is_elapsed` and the poll disagree");
    assert_eq!(sleep.is_elapsed(), is);
    is
}

/// M4: a deadline that has passed is not elapsed until the loop has yielded.
#[test]
fn a_deadline_that_has_passed_is_elapsed_only_after_a_yield() {
    block_on(async {
        for make in [|| time::sleep(Duration::ZERO), || time::sleep_until(time::now())] {
            let mut sleep = make();
            assert!(!polled(&mut sleep));
            assert!(!polled(&mut sleep), "no turn since");
            sideloop::yield_now().await;
            assert!(polled(&mut sleep));
        }
        let mut never_polled = time::sleep_until(far_past());
        sideloop::yield_now().await;
        assert!(!polled(&mut never_polled), "its first poll yields");
    });
}

/// M4: the same for one that was armed in time, and passed in the middle of a poll.
#[test]
fn a_deadline_that_passes_in_a_poll_is_elapsed_in_the_next() {
    block_on(async {
        let mut sleep = time::sleep(MS);
        assert!(!polled(&mut sleep));
        pass(sleep.deadline() + MS);
        assert!(!polled(&mut sleep));
        time::sleep(Duration::ZERO).await;
        assert!(polled(&mut sleep));
        Pin::new(&mut sleep).reset(time::now() + HOUR);
        assert!(!polled(&mut sleep));
    });
}

/// M4: also outside of the run, where virtual time has brought it about.
#[test]
#[allow(clippy::async_yields_async)] // it is looked at from outside
fn a_sleep_is_elapsed_for_who_looks_from_outside_of_the_run() {
    let mut executor = Builder::new().virtual_time(0).build();
    let mut sleep = executor.block_on(async {
        let mut sleep = time::sleep(HOUR);
        assert!(!polled(&mut sleep));
        sleep
    });
    executor.advance(HOUR - MS);
    assert!(!sleep.is_elapsed());
    executor.advance(MS);
    assert!(sleep.is_elapsed());
    executor.block_on(async { assert!(polled(&mut sleep)) });
    let sleep = std::thread::spawn(move || {
        assert!(sleep.is_elapsed(), "it was told so");
        sleep
    });
    drop(sleep.join().expect("no panic"));
}

/// M4, M5: the deadline is the instant that was asked for, however far ahead or back, on either clock.
#[test]
fn the_deadline_is_what_was_asked_for() {
    limited(|| {
        let years = |years: u64| Duration::from_secs(years * 365 * 24 * 3600);
        let now = Instant::now();
        let near = [1, 100, 583, 585, 1000, 100_000].map(years);
        let all = || {
            let ahead = near.iter().filter_map(|time| now.checked_add(*time));
            let back = near.iter().filter_map(|time| now.checked_sub(*time));
            ahead.chain(back).chain([now, far_future(), far_past()])
        };
        for virtual_time in [false, true] {
            let builder = Builder::new();
            let builder = if virtual_time { builder.virtual_time(0) } else { builder };
            builder.build().block_on(async {
                for at in all() {
                    assert_eq!(time::sleep_until(at).deadline(), at);
                    let mut moved = Box::pin(time::sleep(HOUR));
                    moved.as_mut().reset(at);
                    assert_eq!(moved.deadline(), at);
                }
                for time in near {
                    let (before, sleep) = (time::now(), time::sleep(time));
                    let after = time::now();
                    let Some(first) = before.checked_add(time) else { continue };
                    assert!(first <= sleep.deadline() && sleep.deadline() <= after + time);
                }
            });
        }
    });
}

/// M5: what is further away than any timer reaches is still no timer that fires.
#[test]
fn what_is_beyond_all_ticks_never_comes() {
    let mut executor = Builder::new().virtual_time(0).build();
    executor.block_on(async {
        let mut far = time::sleep_until(far_future());
        let mut never = time::sleep(Duration::MAX);
        time::sleep(Duration::from_secs(500 * 365 * 24 * 3600)).await;
        assert!(!polled(&mut far) && !polled(&mut never));
    });
}

/// A sleep is as small as it can be: it is part of every future with a limit.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn a_sleep_takes_40_bytes() {
    assert_eq!(size_of::<Sleep>(), 40);
}
