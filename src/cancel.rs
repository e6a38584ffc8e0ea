//! Ending tasks: handles that can only request it, and handles that request it when dropped.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
#[cfg(feature = "std")]
use core::time::Duration;

use crate::error::JoinError;
use crate::id::TaskId;
use crate::join::JoinHandle;
#[cfg(feature = "std")]
use crate::runtime::guards::cancel_within;
use crate::task::join::TaskRef;
use crate::task::state::{CancelRequest, Request};

/// A handle that can only request the end of one task: from any thread, also after the task has ended.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let task = side.handle().spawn(std::future::pending::<()>());
/// let canceller = task.canceller();
/// std::thread::spawn(move || canceller.cancel());
/// assert!(task.join().is_err());
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{CancelRequest, LoopThread};
/// use std::time::Duration;
///
/// let side = LoopThread::start()?;
/// let task = side.handle().spawn(std::future::pending::<()>());
/// let stop = task.canceller();
/// assert!(stop.id() == task.id() && !stop.is_finished());
/// assert_eq!(stop.cancel_within(Duration::from_secs(1)), CancelRequest::Requested);
/// assert!(task.join().is_err());
/// assert_eq!(stop.abort(), CancelRequest::Finished);
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Canceller {
    task: TaskRef,
}

impl Canceller {
    pub(crate) fn new(task: TaskRef) -> Self {
        Self { task }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// Like [`JoinHandle::cancel`].
    pub fn cancel(&self) -> CancelRequest {
        self.task.request(Request::Cancel)
    }

    /// Like [`JoinHandle::cancel_within`].
    #[cfg(feature = "std")]
    pub fn cancel_within(&self, grace: Duration) -> CancelRequest {
        cancel_within(self.task.clone(), grace)
    }

    /// Like [`JoinHandle::abort`].
    pub fn abort(&self) -> CancelRequest {
        self.task.request(Request::Abort)
    }

    /// Like [`JoinHandle::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_done()
    }
}

/// A join handle that cancels its task when it is dropped. Made by [`JoinHandle::cancel_on_drop`].
///
/// # Cancel safety
///
/// Dropping it cancels the task. Polling it by reference is strict, as for a [`JoinHandle`].
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let task = side.handle().spawn(std::future::pending::<()>());
/// let canceller = task.canceller();
/// drop(task.cancel_on_drop());
/// assert_ne!(canceller.cancel(), sideloop::CancelRequest::Requested);
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{CancelRequest, LoopThread};
/// use std::time::Duration;
///
/// let side = LoopThread::start()?;
/// let sum = side.handle().spawn(async { 1 + 1 }).cancel_on_drop();
/// let (id, stop) = (sum.id(), sum.canceller());
/// let sum = sum.into_inner(); // dropping this detaches the task
/// assert!(sum.id() == id && sum.join()? == 2);
/// assert_eq!(stop.cancel(), CancelRequest::Finished);
///
/// let stuck = side.handle().spawn(std::future::pending::<()>()).cancel_on_drop();
/// assert!(!stuck.is_finished());
/// assert_eq!(stuck.cancel(), CancelRequest::Requested);
/// stuck.cancel_within(Duration::from_secs(1)); // a second request, with a limit
/// stuck.abort(); // and an abort
/// assert!(sideloop::block_on(stuck).is_err());
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[derive(Debug)]
#[must_use = "dropping it cancels the task"]
pub struct CancelOnDrop<T> {
    /// `None` once it has been disarmed.
    handle: Option<JoinHandle<T>>,
}

impl<T> CancelOnDrop<T> {
    pub(crate) fn new(handle: JoinHandle<T>) -> Self {
        Self { handle: Some(handle) }
    }

    fn handle(&self) -> &JoinHandle<T> {
        // PANICS: it cannot: only `into_inner`, which consumes it, takes the handle.
        self.handle.as_ref().expect("the handle is there until it is taken")
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.handle().id()
    }

    /// Like [`JoinHandle::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle().is_finished()
    }

    /// Like [`JoinHandle::cancel`].
    pub fn cancel(&self) -> CancelRequest {
        self.handle().cancel()
    }

    /// Like [`JoinHandle::cancel_within`].
    #[cfg(feature = "std")]
    pub fn cancel_within(&self, grace: Duration) -> CancelRequest {
        self.handle().cancel_within(grace)
    }

    /// Like [`JoinHandle::abort`].
    pub fn abort(&self) -> CancelRequest {
        self.handle().abort()
    }

    /// Like [`JoinHandle::canceller`].
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.handle().canceller()
    }

    /// Disarms it: returns the plain handle, whose drop detaches the task.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it cannot: nothing else takes the handle")]
    pub fn into_inner(mut self) -> JoinHandle<T> {
        // PANICS: it cannot: as in `handle`.
        self.handle.take().expect("the handle is there until it is taken")
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.cancel();
        }
    }
}

impl<T> Future for CancelOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // PANICS: it cannot: as in `handle`.
        Pin::new(self.handle.as_mut().expect("the handle is there until it is taken")).poll(cx)
    }
}
