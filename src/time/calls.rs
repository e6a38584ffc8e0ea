//! Calls at a later time, and again and again.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::interval::Interval;
use super::sleep::Sleep;
use crate::error::ZeroPeriod;
use crate::handle::Handle;
use crate::join::JoinHandle;

impl Handle {
    /// Calls `f` on the loop's thread when `delay` has passed, and returns the handle to what it
    /// returns.
    ///
    /// From any thread. The delay counts from this call, by the loop's clock; zero is soon, and
    /// [`Duration::MAX`], or what no `Instant` can hold, is never. It is a task like any other: it has
    /// an id, and can be cancelled before it ran. Dropping the handle does not cancel it.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let late = side.handle().call_after(Duration::from_millis(5), || "now");
    /// let never = side.handle().call_after(Duration::from_secs(3600), || "too late");
    /// never.cancel();
    /// assert_eq!(late.join()?, "now");
    /// assert!(never.join().is_err());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn call_after<C, R>(&self, delay: Duration, f: C) -> JoinHandle<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        if delay.is_zero() {
            return self.call(f);
        }
        self.call_when(self.shared().clock.now_instant().checked_add(delay), f)
    }

    /// Calls `f` on the loop's thread at `when`; soon if that has passed. Otherwise as
    /// [`Handle::call_after`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::{Duration, Instant};
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let when = Instant::now() + Duration::from_millis(5);
    /// let called = side.handle().call_at(when, Instant::now);
    /// assert!(called.join()? >= when);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn call_at<C, R>(&self, when: Instant, f: C) -> JoinHandle<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.call_when(Some(when), f)
    }

    /// Calls `f` on the loop's thread every `period`, for the first time one period from now.
    ///
    /// From any thread. It keeps its grid: a call that comes late moves none of those that follow, and
    /// the grid points that passed meanwhile are skipped. Between two calls everything that is ready
    /// runs. It goes on until it is cancelled, by its handle or by id, or until `f` panics: then the
    /// handle reports [`JoinError::Panicked`](crate::JoinError::Panicked). It ends, and its handle gives
    /// `Ok(())`, when the loop begins to [drain](crate::Shutdown::drain), which waits for what comes to an end.
    /// Dropping the handle does not cancel it; [`JoinHandle::cancel_on_drop`] makes a handle that does.
    ///
    /// # Errors
    ///
    /// [`ZeroPeriod`] if `period` is zero; `f` is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let (beat, beats) = mpsc::channel();
    /// let heart = side.handle().call_every(Duration::from_millis(1), move || {
    ///     let _ = beat.send("beat");
    /// })?;
    /// assert_eq!(beats.iter().take(3).count(), 3);
    /// heart.cancel();
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn call_every<C>(&self, period: Duration, mut f: C) -> Result<JoinHandle<()>, ZeroPeriod>
    where
        C: FnMut() + Send + 'static,
    {
        let first = self.shared().clock.now_instant().checked_add(period);
        let mut interval = Interval::new(first, period)?;
        let mut drain = self.draining();
        let calls = async move {
            let next = |cx: &mut Context<'_>| match Pin::new(&mut drain).poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => interval.poll_tick(cx).map(Some),
            };
            let mut next = poll_fn(next);
            while (&mut next).await.is_some() {
                f();
            }
        };
        Ok(self.start(calls, (), Location::caller()))
    }

    #[track_caller]
    fn call_when<C, R>(&self, at: Option<Instant>, f: C) -> JoinHandle<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let mut sleep = Sleep::at(at);
        let call = async move {
            (&mut sleep).await; // by reference: a future that is moved to be awaited is stored twice
            f()
        };
        self.start(call, (), Location::caller())
    }
}
