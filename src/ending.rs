//! Futures that announce a loop's end: that it was requested, and that it has come.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::handle::Handle;
use crate::runtime::latch::Latch;
use crate::runtime::shared::Shared;
use crate::runtime::waiters::Ticket;
use crate::shutdown::ShutdownReport;

impl Handle {
    /// Waits for the first request to end this loop: [`Handle::shutdown`], or anything else that ends it.
    ///
    /// Works on any executor and thread, for any number of tasks. It is ready before any limit of the shutdown
    /// has passed. A task that never ends by itself, such as an accept loop or the reader of a feed, awaits it
    /// beside its work, so that it does not delay a [drain](crate::Shutdown::drain).
    ///
    /// # Cancel safety
    ///
    /// Strict: once ready, it is always ready.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    /// use std::time::Duration;
    ///
    /// let side = LoopThread::start()?;
    /// let closing = side.handle().closing();
    /// let listener = side.handle().spawn(async move {
    ///     closing.await; // beside `accept`
    ///     "takes no more connections"
    /// });
    /// let report = side.shutdown(Shutdown::graceful(Duration::MAX).drain(Duration::MAX));
    /// assert_eq!((report.finished, listener.join()?), (1, "takes no more connections"));
    /// # Ok(()) }
    /// ```
    pub fn closing(&self) -> Closing {
        Closing(LatchWait::new(self, |shared| &shared.request.made))
    }

    /// Waits until this loop has ended, and returns its report.
    ///
    /// Works on any executor and thread, for any number of tasks. Once it is ready, no task, hook
    /// ([`on_stop`](crate::Builder::on_stop) included) or destructor of the loop runs any more. The loop's
    /// thread may still be on its way out: [`LoopThread::join`](crate::LoopThread::join) waits for that too.
    /// An [`Executor`](crate::Executor) has ended when its [`run`](crate::Executor::run) has returned, when a
    /// [turn](crate::Turn::ended) says so, or when it was dropped.
    ///
    /// A task of the same loop that awaits this waits until it is cancelled or aborted.
    ///
    /// # Cancel safety
    ///
    /// Strict: each call gives the same report.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    ///
    /// let (worker, main) = (LoopThread::start()?, LoopThread::start()?);
    /// let closed = worker.handle().closed();
    /// let supervisor = main.handle().spawn(async move { closed.await.aborted.len() });
    /// worker.handle().spawn(std::future::pending::<()>()).detach();
    /// worker.handle().shutdown(Shutdown::now());
    /// assert_eq!(supervisor.join()?, 1);
    /// # Ok(()) }
    /// ```
    pub fn closed(&self) -> Closed {
        Closed(LatchWait::new(self, |shared| &shared.ended))
    }

    /// Waits until the loop begins to drain.
    pub(crate) fn draining(&self) -> impl Future<Output = ()> + Send + Unpin + use<> {
        LatchWait::new(self, |shared| &shared.draining)
    }
}

/// The future of [`Handle::closing`].
///
/// # Cancel safety
///
/// Strict: once ready, it is always ready.
///
/// # Examples
///
/// ```
/// let mut executor = sideloop::Executor::new();
/// let handle = executor.handle().clone();
/// let closing = handle.closing();
/// handle.shutdown(sideloop::Shutdown::now());
/// sideloop::block_on(closing); // on any executor
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Closing(LatchWait);

impl Future for Closing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// The future of [`Handle::closed`].
///
/// # Cancel safety
///
/// Strict: each call gives the same report.
///
/// # Examples
///
/// ```
/// let mut executor = sideloop::Executor::new();
/// let closed = executor.handle().closed();
/// executor.handle().shutdown(sideloop::Shutdown::now());
/// assert!(executor.turn().ended);
/// assert_eq!(sideloop::block_on(closed).finished, 0);
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Closed(LatchWait);

impl Future for Closed {
    type Output = ShutdownReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ShutdownReport> {
        Pin::new(&mut self.0).poll(cx).map(|()| self.0.shared.last_report.lock().clone())
    }
}

/// Waits for an event of a loop.
struct LatchWait {
    shared: Arc<Shared>,
    latch: fn(&Shared) -> &Latch,
    waiter: Option<Ticket>,
}

impl LatchWait {
    fn new(handle: &Handle, latch: fn(&Shared) -> &Latch) -> Self {
        Self { shared: handle.shared().clone(), latch, waiter: None }
    }
}

impl Future for LatchWait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { shared, latch, waiter } = &mut *self;
        latch(shared).poll(waiter, cx.waker())
    }
}

impl Drop for LatchWait {
    fn drop(&mut self) {
        let Self { shared, latch, waiter } = self;
        latch(shared).leave(waiter);
    }
}

impl fmt::Debug for LatchWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let happened = (self.latch)(&self.shared).has_happened();
        f.debug_struct("Wait").field("happened", &happened).finish_non_exhaustive()
    }
}
