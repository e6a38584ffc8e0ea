//! Spawning on a loop with a full queue, without blocking.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::SpawnError;
use crate::handle::Handle;
use crate::join::JoinHandle;
use crate::runtime::gate::GateWaiter;
use crate::runtime::shared::{Refusal, Shared};

impl Handle {
    /// Starts `future` like [`Handle::spawn`] as soon as there is room, and waits for room without blocking.
    ///
    /// It is for tasks of other loops, which a blocking spawn would delay altogether. Two loops with small
    /// capacities may submit to each other in this way.
    ///
    /// Works from any thread, on any executor. Nothing is spawned before the first poll of the returned future.
    /// Callers that wait, blocking or not, get room in the order in which they came. On the loop's own thread,
    /// and without a [capacity](crate::Builder::capacity), it is ready at once.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let narrow = sideloop::LoopThread::builder().capacity(1).start()?;
    /// let handle = narrow.handle().clone();
    /// let feeder = sideloop::LoopThread::start()?;
    /// let sum = feeder.handle().spawn(async move {
    ///     let mut sum = 0;
    ///     for n in 0..100 {
    ///         let Ok(task) = handle.spawn_when_free(async move { n }).await else { break };
    ///         sum += task.await.unwrap_or(0);
    ///     }
    ///     sum
    /// });
    /// assert_eq!(sum.join()?, 4950);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_when_free<F>(&self, future: F) -> SpawnWhenFree<F>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (shared, location) = (self.shared().clone(), Location::caller());
        SpawnWhenFree { shared, future: Some(future), waiting: None, location }
    }
}

/// The future of [`Handle::spawn_when_free`].
///
/// # Errors
///
/// [`SpawnError::Closed`] where [`Handle::spawn`] would be refused; it holds the future, unpolled. Never
/// [`SpawnError::Full`].
///
/// # Panics
///
/// If it is polled after it was ready.
///
/// # Cancel safety
///
/// Lossy: the future to be spawned is dropped with it, unpolled. Its place in the queue of waiting callers, or
/// the room that it was given, goes to the next one. If it is kept, and not polled after it was woken, it keeps
/// that room.
///
/// # Examples
///
/// ```
/// use sideloop::{Builder, Shutdown, SpawnError, block_on};
///
/// let side = Builder::new().capacity(1).start().unwrap();
/// let handle = side.handle().clone();
/// side.shutdown(Shutdown::now());
/// let refused = block_on(handle.spawn_when_free(async { 1 }));
/// assert!(matches!(refused, Err(SpawnError::Closed(_))));
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct SpawnWhenFree<F> {
    shared: Arc<Shared>,
    /// `None` once it was spawned, or given back. It is not polled here.
    future: Option<F>,
    /// Once it had to wait.
    waiting: Option<GateWaiter>,
    location: &'static Location<'static>,
}

impl<F> Unpin for SpawnWhenFree<F> {}

impl<F> Future for SpawnWhenFree<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = Result<JoinHandle<F::Output>, SpawnError<F>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        assert!(this.future.is_some(), "a SpawnWhenFree was polled after it was ready");
        let Poll::Ready(patience) = this.shared.poll_place(&mut this.waiting, cx.waker()) else {
            return Poll::Pending;
        };
        // PANICS: it cannot: it is there, and a poll of its own is not within this one.
        let future = this.future.take().expect("what is to be spawned");
        let (way, vacant) = this.shared.open((), this.location);
        Poll::Ready(match this.shared.submit(way, vacant.fill(future), patience) {
            Ok(join) => Ok(JoinHandle::new(join)),
            Err((task, Refusal::Closed)) => Err(SpawnError::Closed(task.into_future())),
            Err((task, Refusal::Full)) => Err(SpawnError::Full(task.into_future())),
        })
    }
}

impl<F> fmt::Debug for SpawnWhenFree<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = self.waiting.is_some();
        f.debug_struct("SpawnWhenFree").field("waits", &waits).finish_non_exhaustive()
    }
}
