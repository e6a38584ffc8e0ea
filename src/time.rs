//! Time as futures: they count by the clock of the loop that polls them.
//!
//! Deadlines are exact to the nanosecond, never early, and what cannot be represented never comes.

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

/// The time on the clock of the loop that the caller is running on; elsewhere `Instant::now()`.
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
