//! Calls at a later time, and repeated calls.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::interval::Interval;
use super::sleep::{Armed, Sleep};
use crate::error::ZeroPeriod;
use crate::handle::Handle;
use crate::join::JoinHandle;
use crate::runtime::clock::Moment;
use crate::scheduler::wheel::TimerKey;

impl Handle {
    /// Calls `f` on the loop's thread when `delay` has passed, and returns the handle to its result.
    ///
    /// May be called from any thread. The delay counts from this call, by the loop's clock. Zero means soon;
    /// [`Duration::MAX`], or a time that no `Instant` can hold, means never. The call is a task like any other:
    /// it has an id, and can be cancelled until it runs. Dropping the handle does not cancel it.
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

    /// Calls `f` on the loop's thread at `when`, or soon if that has passed. Otherwise like
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
    /// May be called from any thread. The calls keep a grid: a late call does not move those that follow, and
    /// grid points that have passed meanwhile are skipped. Between two calls everything that is ready runs. The
    /// calls go on until they are cancelled, by handle or by id, or until `f` panics; then the handle reports
    /// [`JoinError::Panicked`](crate::JoinError::Panicked). They end with `Ok(())` when the loop begins to
    /// [drain](crate::Shutdown::drain). Dropping the handle does not cancel them;
    /// [`JoinHandle::cancel_on_drop`] makes a handle that does.
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
        if period.is_zero() {
            return Err(ZeroPeriod);
        }
        let first = self.shared().clock.now_instant().checked_add(period);
        let location = Location::caller();
        let mut drain = self.draining();
        // Polled at once, to be told when a drain begins.
        Ok(self.start_at(first, true, location, move |sleep| async move {
            let mut interval = Interval::begun(first, period, sleep);
            let next = |cx: &mut Context<'_>| match Pin::new(&mut drain).poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => interval.poll_later_tick(cx).map(Some),
            };
            let mut next = poll_fn(next);
            while (&mut next).await.is_some() {
                f();
            }
        }))
    }

    #[track_caller]
    fn call_when<C, R>(&self, at: Option<Instant>, f: C) -> JoinHandle<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.start_at(at, false, Location::caller(), move |mut sleep| async move {
            (&mut sleep).await; // by reference: a future that is moved to be awaited is stored twice
            f()
        })
    }

    /// Starts a task that waits for `at` first. Its timer is armed when the task is handed in: on the
    /// loop's own thread here, else when it is taken in. So tasks that are late together begin in the
    /// order of their deadlines.
    fn start_at<F>(
        &self,
        at: Option<Instant>,
        at_once: bool,
        location: &'static Location<'static>,
        make: impl FnOnce(Sleep) -> F,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let deadline = at.map_or(Moment::Never, Moment::of);
        let home = self.shared().number;
        let make = |key: Option<TimerKey>| {
            make(match key {
                Some(key) => Sleep::armed(deadline, Armed { key, home }),
                None => Sleep::at(at),
            })
        };
        JoinHandle::new(self.shared().spawn_timed(deadline, make, at_once, location))
    }
}
