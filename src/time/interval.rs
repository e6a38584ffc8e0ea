//! Ticks on a grid, and the treatment of missed ticks.

mod grid;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use self::grid::Grid;
use super::sleep::Sleep;
use crate::error::ZeroPeriod;

/// Ticks every `period`, for the first time at once.
///
/// The grid begins at this call. Every period but zero is accepted; a grid point that no `Instant` can hold
/// never comes.
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

/// How an [`Interval`] treats the grid points that have passed when it delivers a tick.
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
    /// Skips them: the next tick comes at the next grid point. The grid stays.
    #[default]
    Skip,
    /// Delivers them one by one, without waiting. The grid stays.
    Burst,
    /// Begins a new grid with each tick: the next tick comes one period after this one was delivered. There is
    /// always a whole period between two ticks, and lateness adds up.
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
    /// The grid point of this tick, which is never delivered before it.
    pub scheduled: Instant,
    /// How many later grid points had also passed when the tick was delivered. [`MissedTick`] says how they
    /// are treated: under `Burst` that many late ticks follow.
    pub missed: u64,
}

/// Ticks at the points of a grid. Made by [`interval`] and [`interval_at`].
///
/// It waits on the loop that polls it, and may move between threads and loops. The cost of a tick does not
/// depend on the number of missed grid points.
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
    /// Whether the first tick has been waited for.
    begun: bool,
}

impl Interval {
    /// An interval whose first tick is at `first`; `None` never comes.
    pub(super) fn new(first: Option<Instant>, period: Duration) -> Result<Self, ZeroPeriod> {
        if period.is_zero() {
            return Err(ZeroPeriod);
        }
        Ok(Self::begun(first, period, Sleep::at(first)))
    }

    /// An interval that waits for its first tick by `sleep`, which ends at `first`. The period is not zero.
    pub(super) fn begun(first: Option<Instant>, period: Duration, sleep: Sleep) -> Self {
        let grid = Grid { next: first, period, missed_tick: MissedTick::default() };
        Self { grid, sleep, yielded: true, begun: false }
    }

    /// As [`Interval::poll_tick`], but that the first tick is pending at least once, also if it has been due
    /// for long.
    pub(super) fn poll_later_tick(&mut self, cx: &mut Context<'_>) -> Poll<Tick> {
        if !self.begun {
            ready!(Pin::new(&mut self.sleep).poll(cx));
            self.begun = true;
        }
        self.poll_tick(cx)
    }

    /// Waits for the next tick.
    ///
    /// Between two ticks everything that is ready runs, even if both are late.
    ///
    /// # Panics
    ///
    /// If it has to wait outside a loop's run, where there is no clock.
    ///
    /// # Cancel safety
    ///
    /// Strict: dropping the future loses no tick. The timer stays armed for the next call.
    pub async fn tick(&mut self) -> Tick {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Sets the treatment of missed ticks, from the next delivery on.
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
    ///     idle.reset(); // there was traffic: no heartbeat is needed yet
    ///     assert!(idle.tick().await.scheduled >= before + period);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn reset(&mut self) {
        self.reset_after(self.grid.period);
    }

    /// Begins a new grid: the next tick comes at `at`, which may have passed.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), sideloop::ZeroPeriod> {
    /// sideloop::block_on(async {
    ///     let mut interval = time::interval(Duration::from_secs(3600))?;
    ///     let at = time::now() + Duration::from_millis(1);
    ///     interval.reset_at(at);
    ///     assert_eq!(interval.tick().await.scheduled, at);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn reset_at(&mut self, at: Instant) {
        self.begin_at(Some(at));
    }

    /// Begins a new grid: the next tick comes `duration` from now.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), sideloop::ZeroPeriod> {
    /// sideloop::block_on(async {
    ///     let mut retry = time::interval(Duration::from_secs(3600))?;
    ///     retry.tick().await;
    ///     retry.reset_after(Duration::from_millis(1)); // sooner, this once
    ///     retry.tick().await;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn reset_after(&mut self, duration: Duration) {
        self.begin_at(super::now().checked_add(duration));
    }

    /// Begins a new grid: the next tick comes at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), sideloop::ZeroPeriod> {
    /// sideloop::block_on(async {
    ///     let mut refresh = time::interval(Duration::from_secs(3600))?;
    ///     refresh.tick().await;
    ///     refresh.reset_immediately(); // somebody pressed the button
    ///     assert_eq!(refresh.tick().await.missed, 0);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn reset_immediately(&mut self) {
        self.begin_at(Some(super::now()));
    }

    fn begin_at(&mut self, next: Option<Instant>) {
        self.grid.next = next;
        self.sleep = Sleep::at(next);
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

    /// Polls for the next tick: [`Interval::tick`] for futures and streams written by hand. After `Pending` the
    /// waker of `cx` is woken when it is time to poll again; only that of the last poll is.
    ///
    /// # Panics
    ///
    /// If it has to wait outside a loop's run, where there is no clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::future::poll_fn;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), sideloop::ZeroPeriod> {
    /// sideloop::block_on(async {
    ///     let mut beat = time::interval(Duration::from_millis(1))?;
    ///     let first = poll_fn(|cx| beat.poll_tick(cx)).await;
    ///     assert!(poll_fn(|cx| beat.poll_tick(cx)).await.scheduled > first.scheduled);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Tick> {
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
