//! A future with a time limit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::sleep::{Sleep, sleep, sleep_until};
use crate::error::Elapsed;

/// Limits `future` to `limit` from now.
///
/// This call fixes the deadline. [`Duration::MAX`], or a time that no `Instant` can hold, sets no limit. With a
/// limit of zero the future still gets its first poll, and one more after everything that is ready now, as
/// with [`sleep`].
///
/// # Examples
///
/// ```
/// use sideloop::time;
/// use std::time::Duration;
///
/// sideloop::block_on(async {
///     let quick = time::timeout(Duration::from_secs(30), async { 42 });
///     assert_eq!(quick.await, Ok(42));
///     let stuck = time::timeout(Duration::from_millis(2), std::future::pending::<()>());
///     assert_eq!(stuck.await.unwrap_err().to_string(), "the time limit has passed");
/// });
/// ```
#[inline]
pub fn timeout<F>(limit: Duration, future: F) -> Timeout<F> {
    Timeout::new(future, sleep(limit))
}

/// Limits `future` until `at`; otherwise like [`timeout`].
///
/// # Examples
///
/// ```
/// use sideloop::time;
/// use std::time::Duration;
///
/// sideloop::block_on(async {
///     let deadline = time::now() + Duration::from_millis(2); // for all of them together
///     assert_eq!(time::timeout_at(deadline, async { 1 }).await, Ok(1));
///     assert!(time::timeout_at(deadline, std::future::pending::<()>()).await.is_err());
/// });
/// ```
pub fn timeout_at<F>(at: Instant, future: F) -> Timeout<F> {
    Timeout::new(future, sleep_until(at))
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`]: the output of the inner future, or [`Elapsed`].
    ///
    /// The inner future is polled first: if it is ready in the poll that finds the limit past, it wins. Only a
    /// poll that finds it pending arms a timer, which is freed as soon as the future is ready. After `Elapsed`
    /// the inner future is still there, untouched: it may be polled again, or taken out.
    ///
    /// # Panics
    ///
    /// If it is polled outside a loop's run, where there is no clock, and the inner future is pending; one made
    /// by [`Handle::timeout`](crate::Handle::timeout) may be polled anywhere.
    ///
    /// # Cancel safety
    ///
    /// That of the inner future, which is dropped too. The timer is strict: it is freed at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::pin::pin;
    /// use std::time::Duration;
    ///
    /// // A limit that only warns.
    /// sideloop::block_on(async {
    ///     let slow = time::sleep(Duration::from_millis(3));
    ///     let mut limited = pin!(time::timeout(Duration::from_millis(1), slow));
    ///     while limited.as_mut().await.is_err() {
    ///         println!("this takes a while");
    ///         time::sleep(Duration::from_millis(1)).await;
    ///     }
    /// });
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        limit: Sleep,
    }
}

impl<F> Timeout<F> {
    pub(super) fn new(future: F, limit: Sleep) -> Self {
        Self { future, limit }
    }

    /// The deadline; for a limit that never comes, an instant in the far future.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::time::Duration;
    ///
    /// sideloop::block_on(async {
    ///     let at = time::now() + Duration::from_secs(1);
    ///     assert_eq!(time::timeout_at(at, async {}).deadline(), at);
    /// });
    /// ```
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.limit.deadline()
    }

    /// Moves the deadline to `at`, also after the limit has passed. A task that awaits it need not poll it
    /// again.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::pin::pin;
    /// use std::time::Duration;
    ///
    /// sideloop::block_on(async {
    ///     let answer = time::sleep(Duration::from_millis(3));
    ///     let mut limited = pin!(time::timeout(Duration::from_millis(1), answer));
    ///     assert!(limited.as_mut().await.is_err());
    ///     limited.as_mut().reset(time::now() + Duration::from_secs(60)); // a sign of life
    ///     assert!(limited.await.is_ok());
    /// });
    /// ```
    pub fn reset(self: Pin<&mut Self>, at: Instant) {
        Pin::new(self.project().limit).reset(at);
    }

    /// The inner future.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::{Ready, ready};
    /// use std::pin::Pin;
    /// use std::time::Duration;
    ///
    /// let mut limited = sideloop::time::timeout(Duration::from_secs(1), ready(7));
    /// let inner: &Ready<i32> = limited.get_ref();
    /// *limited.get_mut() = ready(8);
    /// *Pin::new(&mut limited).get_pin_mut() = ready(9);
    /// assert_eq!(sideloop::block_on(limited), Ok(9));
    /// ```
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// The inner future, mutably.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// The inner future, pinned, to be changed or polled in place.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut F> {
        self.project().future
    }

    /// Takes the inner future out, without its limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let limited = sideloop::time::timeout(Duration::from_secs(1), async { 7 });
    /// assert_eq!(sideloop::block_on(limited.into_inner()), 7);
    /// ```
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            this.limit.disarm();
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.limit).poll(cx).map(|()| Err(Elapsed))
    }
}
