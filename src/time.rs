//! Timers as futures, which count by the clock of the loop that polls them.
//!
//! | to | use | cancel safety |
//! |---|---|---|
//! | wait | [`sleep()`], [`sleep_until`] | strict |
//! | limit a future | [`timeout()`], [`timeout_at`] | that of the future; the limit itself is strict |
//! | repeat on a grid | [`interval()`], [`interval_at`] | [`Interval::tick`] is strict |
//! | wait by another loop's clock | [`Handle::sleep`], [`Handle::timeout`] | strict |
//! | call from any thread | [`Handle::call_after`], [`call_at`], [`call_every`] | not futures: dropping the handle does not stop the call |
//!
//! Strict means that dropping the future and calling again later is the same as waiting. A dropped or
//! cancelled timer is freed at once.
//!
//! # Precision
//!
//! Deadlines are exact to the nanosecond: there is no tick and no rounding. A timer never fires before
//! its deadline, measured by the caller's own `Instant::now()`. Every `Duration` and `Instant` is
//! accepted; a deadline that cannot be represented never comes. A deadline that has passed yields once,
//! so that a loop around it starves no other task. A future inside a [`timeout()`] that is ready in the
//! poll that finds the limit past wins.
//!
//! # Lateness
//!
//! Timers are late, never early. Three things make them late:
//!
//! - *The system's wake-up.* A sleeping thread is woken late: on Linux by the timer slack of the thread
//!   (1 ns on a [`LoopThread`](crate::LoopThread) unless [set otherwise](crate::Builder::precise_timers),
//!   else 50 µs; see `PR_SET_TIMERSLACK` in [prctl(2)]) and by some microseconds of scheduling, on
//!   Windows by up to the timer resolution of the system, about 16 ms by default.
//! - *The turn that runs.* Due timers fire between two batches of polls, so they wait for at most one
//!   batch. A poll that computes for a second makes every timer a second late; so may the poll after it,
//!   if the time was read before the first.
//! - *Other timers.* A turn fires or moves a bounded number of timers, then polls; so a flood of timers
//!   delays its own last ones, and other work only briefly.
//!
//! # Cost
//!
//! An armed timer takes 48 bytes in the loop's wheel, besides the future that holds it; the wheel
//! itself takes 21 KiB per loop. Arming, re-arming and cancelling take constant time, and a waiting
//! loop wakes up once for each distinct deadline. A timer is armed by its first pending poll:
//! a [`timeout()`] around a future that is ready at once arms none.
//!
//! # When the machine is suspended
//!
//! The clock is that of `std::time::Instant`. Whether it counts while the machine is suspended depends on
//! the system; the standard library [leaves it open][instant]:
//!
//! | system | clock | counts suspended time |
//! |---|---|---|
//! | Linux, Android | `CLOCK_MONOTONIC` | no: timers come later by that time ([clock_gettime(2)]) |
//! | macOS, iOS | `CLOCK_UPTIME_RAW` | no ([mach_absolute_time], which it equals) |
//! | Windows | `QueryPerformanceCounter` | yes: timers that came due meanwhile fire at once afterwards ([time stamps]) |
//!
//! Where it counts, an [`Interval`] reports missed ticks. For an event at a time of the calendar, check
//! `SystemTime` after each tick of a moderate interval.
//!
//! [`Handle::sleep`]: crate::Handle::sleep
//! [`Handle::timeout`]: crate::Handle::timeout
//! [`Handle::call_after`]: crate::Handle::call_after
//! [`call_at`]: crate::Handle::call_at
//! [`call_every`]: crate::Handle::call_every
//! [prctl(2)]: https://man7.org/linux/man-pages/man2/PR_SET_TIMERSLACK.2const.html
//! [instant]: https://doc.rust-lang.org/std/time/struct.Instant.html#underlying-system-calls
//! [clock_gettime(2)]: https://man7.org/linux/man-pages/man2/clock_gettime.2.html
//! [mach_absolute_time]: https://developer.apple.com/documentation/kernel/1462446-mach_absolute_time
//! [time stamps]: https://learn.microsoft.com/en-us/windows/win32/sysinfo/acquiring-high-resolution-time-stamps

mod away;
mod by_handle;
mod calls;
mod interval;
mod sleep;
mod timeout;

use std::time::Instant;

pub use self::interval::{Interval, MissedTick, Tick, interval, interval_at};
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::timeout::{Timeout, timeout, timeout_at};
pub use crate::error::Elapsed;
use crate::runtime::context;

/// The time on the clock of the loop that the caller runs on; elsewhere `Instant::now()`.
///
/// # Examples
///
/// ```
/// use sideloop::time;
/// use std::time::Duration;
///
/// sideloop::block_on(async {
///     let before = time::now();
///     time::sleep(Duration::from_millis(2)).await;
///     assert!(time::now() - before >= Duration::from_millis(2));
/// });
/// ```
#[must_use]
pub fn now() -> Instant {
    context::current().map_or_else(Instant::now, |local| local.shared.clock.now_instant())
}
