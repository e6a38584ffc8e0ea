//! Timers by the clock of one loop, awaited anywhere.

use std::time::{Duration, Instant};

use super::sleep::Sleep;
use super::timeout::Timeout;
use crate::handle::Handle;
use crate::runtime::clock::Moment;

impl Handle {
    /// The time on this loop's clock, from any thread; virtual under virtual time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mut executor = sideloop::Builder::new().virtual_time(0).build();
    /// let before = executor.handle().now();
    /// executor.advance(Duration::from_secs(60));
    /// assert_eq!(executor.handle().now() - before, Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared().clock.now_instant()
    }

    /// Waits for `duration` by this loop's clock; may be polled on any executor or thread.
    ///
    /// Otherwise like [`time::sleep`](crate::time::sleep()): the deadline is fixed here, and zero yields once.
    /// If the loop ends first, the sleep is ready at once, and
    /// [`is_elapsed`](crate::time::Sleep::is_elapsed) tells whether its deadline had come.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let mut nap = side.handle().sleep(Duration::from_millis(1));
    /// futures::executor::block_on(&mut nap); // an executor without timers of its own
    /// assert!(nap.is_elapsed());
    /// # Ok(()) }
    /// ```
    pub fn sleep(&self, duration: Duration) -> Sleep {
        let (home, clock) = (self.shared().number, &self.shared().clock);
        Sleep::of_loop(home, clock.moment_after(clock.now(), duration))
    }

    /// Waits until `at` by this loop's clock; otherwise like [`Handle::sleep`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let at = side.handle().now() + Duration::from_millis(1);
    /// futures::executor::block_on(side.handle().sleep_until(at));
    /// assert!(side.handle().now() >= at);
    /// # Ok(()) }
    /// ```
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep::of_loop(self.shared().number, Moment::of(at))
    }

    /// Limits `future` to `limit` from now, by this loop's clock; may be polled on any executor or thread.
    ///
    /// Otherwise like [`time::timeout`](crate::time::timeout()). If the loop ends, a pending future is out of
    /// time at once.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let never = side.handle().timeout(Duration::from_millis(1), std::future::pending::<()>());
    /// assert!(futures::executor::block_on(never).is_err());
    /// # Ok(()) }
    /// ```
    pub fn timeout<F>(&self, limit: Duration, future: F) -> Timeout<F> {
        Timeout::new(future, self.sleep(limit))
    }
}
