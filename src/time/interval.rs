//! Ticks on a grid, and what becomes of those that nobody came for in time.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::sleep::Sleep;
use crate::error::ZeroPeriod;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Ticks every `period`, for the first time at once.
///
/// The grid begins here. Every period is accepted; a grid point that no `Instant` can hold never
/// comes.
///
/// # Errors
///
/// [`ZeroPeriod`] if `period` is zero.
///
/// # Examples
///
/// ```
/// use sideloop::time;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), sideloop::ZeroPeriod> {
/// sideloop::block_on(async {
///     let period = Duration::from_millis(1);
///     let mut interval = time::interval(period)?;
///     let first = interval.tick().await;
///     let second = interval.tick().await;
///     assert_eq!(second.scheduled, first.scheduled + period * (first.missed as u32 + 1));
///     Ok(())
/// })
/// # }
/// ```
pub fn interval(period: Duration) -> Result<Interval, ZeroPeriod> {
    interval_at(super::now(), period)
}

/// Ticks every `period`, for the first time at `first`, which may have passed.
///
/// # Errors
///
/// [`ZeroPeriod`] if `period` is zero.
///
/// # Examples
///
/// ```
/// use sideloop::time;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), sideloop::ZeroPeriod> {
/// sideloop::block_on(async {
///     let first = time::now() + Duration::from_millis(2);
///     let mut interval = time::interval_at(first, Duration::from_secs(3600))?;
///     assert_eq!(interval.tick().await.scheduled, first);
///     Ok(())
/// })
/// # }
/// ```
pub fn interval_at(first: Instant, period: Duration) -> Result<Interval, ZeroPeriod> {
    Interval::new(Some(first), period)
}

/// What an [`Interval`] does about the grid points that had passed when a tick was delivered.
///
/// # Examples
///
/// ```
/// use sideloop::Builder;
/// use sideloop::time::{self, MissedTick};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), sideloop::ZeroPeriod> {
/// Builder::new().virtual_time(0).build().block_on(async {
///     let mut samples = time::interval(Duration::from_secs(1))?;
///     samples.missed_tick(MissedTick::Burst); // none may be left out
///     let start = samples.tick().await.scheduled;
///     time::sleep(Duration::from_secs(3)).await; // something took long
///     assert_eq!(samples.tick().await.scheduled - start, Duration::from_secs(1));
///     assert_eq!(samples.tick().await.scheduled - start, Duration::from_secs(2));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MissedTick {
    /// Skips them: the next tick is the next grid point to come. The grid stays.
    #[default]
    Skip,
    /// Delivers each of them, one by one, without waiting. The grid stays.
    Burst,
    /// Begins a new grid: the next tick comes one period after this one was delivered, and so does
    /// each that follows. There is always a whole period between two ticks, and lateness adds up.
    Delay,
}

/// One tick of an [`Interval`].
///
/// # Examples
///
/// ```
/// use sideloop::{Builder, time};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), sideloop::ZeroPeriod> {
/// Builder::new().virtual_time(0).build().block_on(async {
///     let mut clock = time::interval(Duration::from_secs(1))?;
///     let first = clock.tick().await;
///     time::sleep(Duration::from_millis(3500)).await; // something took long
///     let late = clock.tick().await;
///     assert_eq!(late.scheduled - first.scheduled, clock.period());
///     assert_eq!(late.missed, 2); // they are skipped
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tick {
    /// The grid point that was waited for; the delivery is never before it.
    pub scheduled: Instant,
    /// How many later grid points had passed too when the tick was delivered. [`MissedTick`] says
    /// what becomes of them: under `Burst` that many ticks are still to be delivered late.
    pub missed: u64,
}

/// Ticks at the points of a grid. Made by [`interval`] and [`interval_at`].
///
/// It waits on the loop that polls it, and may be moved between threads and loops. The cost of a
/// tick does not depend on how many grid points were missed.
///
/// # Examples
///
/// ```
/// use sideloop::time::{self, MissedTick};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), sideloop::ZeroPeriod> {
/// sideloop::block_on(async {
///     let mut heartbeat = time::interval(Duration::from_millis(1))?;
///     heartbeat.missed_tick(MissedTick::Skip); // the default
///     for _ in 0..3 {
///         let tick = heartbeat.tick().await;
///         if tick.missed > 0 {
///             println!("{} heartbeats were skipped", tick.missed);
///         }
///     }
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Interval {
    grid: Grid,
    /// Ends at the grid's next point.
    sleep: Sleep,
    /// Whether the loop has gone on since the last tick. A tick that is late must not come in the
    /// poll of the one before: a consumer slower than its period would never let anybody else run.
    yielded: bool,
}

impl Interval {
    /// An interval whose first tick is at `first`; `None` never comes.
    pub(super) fn new(first: Option<Instant>, period: Duration) -> Result<Self, ZeroPeriod> {
        if period.is_zero() {
            return Err(ZeroPeriod);
        }
        let grid = Grid { next: first, period, missed_tick: MissedTick::default() };
        Ok(Self { grid, sleep: Sleep::at(first), yielded: true })
    }

    /// Waits for the next tick.
    ///
    /// Between two ticks everything that is ready runs, also if both are late.
    ///
    /// # Panics
    ///
    /// If it has to wait outside of a loop's run, for want of a clock.
    ///
    /// # Cancel safety
    ///
    /// Strict: dropping the future loses no tick. The timer stays armed for the next call.
    pub async fn tick(&mut self) -> Tick {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Chooses what becomes of missed ticks, from the next delivery on.
    pub fn missed_tick(&mut self, missed_tick: MissedTick) {
        self.grid.missed_tick = missed_tick;
    }

    /// Begins a new grid: the next tick comes one period from now.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), sideloop::ZeroPeriod> {
    /// sideloop::block_on(async {
    ///     let period = Duration::from_millis(2);
    ///     let mut idle = time::interval(period)?;
    ///     let before = time::now();
    ///     idle.reset(); // there was traffic: no sign of life is needed yet
    ///     assert!(idle.tick().await.scheduled >= before + period);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn reset(&mut self) {
        self.grid.next = super::now().checked_add(self.grid.period);
        self.sleep = Sleep::at(self.grid.next);
    }

    /// The time between two grid points.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), sideloop::ZeroPeriod> {
    /// let minute = std::time::Duration::from_secs(60);
    /// assert_eq!(sideloop::time::interval(minute)?.period(), minute);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn period(&self) -> Duration {
        self.grid.period
    }

    pub(super) fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Tick> {
        let Some(scheduled) = self.grid.next else { return Poll::Pending };
        let mut now = super::now();
        if now < scheduled {
            self.yielded = true;
            ready!(Pin::new(&mut self.sleep).poll(cx));
            now = super::now();
        } else if !self.yielded {
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let tick = self.grid.take(scheduled, now);
        self.sleep = Sleep::at(self.grid.next);
        self.yielded = false;
        Poll::Ready(tick)
    }
}

/// The points that are still to come.
#[derive(Debug)]
struct Grid {
    /// `None`: never.
    next: Option<Instant>,
    /// Not zero.
    period: Duration,
    missed_tick: MissedTick,
}

impl Grid {
    /// The tick of `scheduled`, the next point, at the time `now`; then goes on to the one after it.
    fn take(&mut self, scheduled: Instant, now: Instant) -> Tick {
        // A clock that stepped back behind the point stands at the point.
        let now = now.max(scheduled);
        let (missed, rest) = divide(now.duration_since(scheduled), self.period);
        self.next = match self.missed_tick {
            MissedTick::Skip => now.checked_add(self.period - rest),
            MissedTick::Burst => scheduled.checked_add(self.period),
            MissedTick::Delay => now.checked_add(self.period),
        };
        Tick { scheduled, missed }
    }
}

/// How many whole periods `late` has, as far as that can be counted, and what remains of it: less
/// than one period.
fn divide(late: Duration, period: Duration) -> (u64, Duration) {
    if late < period {
        return (0, late);
    }
    let (late, period) = (late.as_nanos(), period.as_nanos());
    let (whole, rest) = (late / period, late % period);
    let seconds = (rest / NANOS_PER_SECOND) as u64; // fits: `rest` is less than some `Duration`
    (
        u64::try_from(whole).unwrap_or(u64::MAX),
        Duration::new(seconds, (rest % NANOS_PER_SECOND) as u32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow, obvious definition: walks the grid point by point.
    fn walk(scheduled: Instant, now: Instant, period: Duration) -> (u64, Instant) {
        let (mut missed, mut next) = (0, scheduled + period);
        while next <= now {
            missed += 1;
            next += period;
        }
        (missed, next)
    }

    fn grid(at: Instant, period: Duration, missed_tick: MissedTick) -> Grid {
        Grid { next: Some(at), period, missed_tick }
    }

    proptest! {
        #[test]
        fn a_skip_lands_where_a_walk_does(
            period in 1_u64..5_000_000_000,
            late in 0_u64..5_000_000_000,
            missed in 0_u64..500,
        ) {
            let start = Instant::now();
            // On a grid point, one nanosecond beside it, or anywhere.
            for late in [0, 1, late, period - 1] {
                let now = start + Duration::from_nanos(period * missed + late % period);
                let period = Duration::from_nanos(period);
                let (missed, next) = walk(start, now, period);
                for (policy, then) in [
                    (MissedTick::Skip, next),
                    (MissedTick::Burst, start + period),
                    (MissedTick::Delay, now + period),
                ] {
                    let mut grid = grid(start, period, policy);
                    prop_assert_eq!(grid.take(start, now), Tick { scheduled: start, missed });
                    prop_assert_eq!(grid.next, Some(then), "{:?}", policy);
                }
            }
        }
    }

    #[test]
    fn a_leap_over_a_century_of_nanoseconds_takes_one_step() {
        let start = Instant::now();
        let leap = Duration::from_secs(100 * 365 * 86_400);
        let mut grid = grid(start, Duration::from_nanos(1), MissedTick::Skip);
        let missed = u64::try_from(leap.as_nanos()).unwrap();
        assert_eq!(grid.take(start, start + leap), Tick { scheduled: start, missed });
        assert_eq!(grid.next, Some(start + leap + Duration::from_nanos(1)));
    }

    #[test]
    fn what_cannot_be_counted_or_represented_saturates() {
        let second = Duration::from_secs(1);
        let (whole, rest) = divide(Duration::MAX, Duration::from_nanos(3));
        assert_eq!(
            (whole, rest),
            (u64::MAX, Duration::from_nanos((Duration::MAX.as_nanos() % 3) as u64))
        );
        assert_eq!(divide(Duration::MAX, Duration::MAX), (1, Duration::ZERO));
        assert_eq!(divide(Duration::MAX - second, Duration::MAX), (0, Duration::MAX - second));
        for policy in [MissedTick::Skip, MissedTick::Burst, MissedTick::Delay] {
            let start = Instant::now();
            let mut grid = grid(start, Duration::MAX, policy);
            assert_eq!(grid.take(start, start + second).missed, 0);
            assert_eq!(grid.next, None, "{policy:?}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_moves_no_point() {
        let start = Instant::now();
        for policy in [MissedTick::Skip, MissedTick::Burst, MissedTick::Delay] {
            let mut grid = grid(start, Duration::from_secs(1), policy);
            let tick = grid.take(start, start - Duration::from_nanos(5));
            assert_eq!(tick, Tick { scheduled: start, missed: 0 });
            assert_eq!(grid.next, Some(start + Duration::from_secs(1)), "{policy:?}");
        }
    }
}
