//! Cooperative cancellation: guards, by which a task is told of a cancel and decides about it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::Cancelled;
use crate::runtime::blocking::current_job;
use crate::runtime::context;
use crate::runtime::guards::Record;
use crate::runtime::waiters::Ticket;

/// While a guard lives, a cancel of its task is a request that the task may honour, clean up after, or
/// refuse.
///
/// Without a guard, a cancel drops the task's future at its next suspension. With one, the task goes on,
/// learns of the request, and may await whatever its clean-up needs; the value that it then returns is its
/// result. A second cancel does not interrupt the clean-up; an abort does. When the last guard of a task is
/// dropped while a request is pending and not [refused](CancelGuard::refuse), the task is dropped at its
/// next suspension.
///
/// A guard protects from the poll in which it is made; a cancel before that drops the task. A task of
/// [`TaskBuilder::spawn_guarded`](crate::TaskBuilder::spawn_guarded) is guarded from its spawn on. A guard
/// protects the task it was made for, wherever it is moved; after the end of its task it does nothing. A
/// guard in the closure of a repeated call protects that call for good.
///
/// # What a clean-up may do
///
/// Everything that its task could do before: sleep, set limits, spawn, call, start blocking jobs, await
/// other tasks. In a graceful [`Shutdown`](crate::Shutdown), which cancels every task, this holds until the
/// grace is over. Then the clean-up is aborted, together with the tasks that it has spawned; so it awaits
/// those that matter. A clean-up must not block the thread, on which all others run too. Its limit is set by
/// the caller: the grace of the shutdown, or [`cancel_within`](crate::JoinHandle::cancel_within).
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{CancelGuard, LoopThread};
/// use std::sync::mpsc;
///
/// let side = LoopThread::start()?;
/// let (alive, is_alive) = mpsc::channel();
/// let task = side.handle().spawn(async move {
///     let guard = CancelGuard::new();
///     alive.send(()).unwrap();
///     guard.requested().await; // work would be here
///     sideloop::yield_now().await; // clean-up may await
///     "saved"
/// });
/// is_alive.recv()?;
/// task.cancel();
/// assert_eq!(task.join()?, "saved");
/// # Ok(()) }
/// ```
#[must_use = "a guard that is dropped at once guards nothing"]
pub struct CancelGuard {
    record: Arc<Record>,
}

impl CancelGuard {
    /// Guards the current task. A guard that is made too late, after a cancel has been decided or while the
    /// task's future is being dropped, changes nothing.
    ///
    /// # Panics
    ///
    /// Outside a task: on a thread without a loop, in a hook, in a blocking job, in the future of a
    /// `block_on`. [`CancelGuard::try_new`] returns `None` there.
    #[expect(clippy::new_without_default, reason = "it depends on where it is called")]
    #[track_caller]
    pub fn new() -> Self {
        match Self::try_new() {
            Some(guard) => guard,
            None => panic!("CancelGuard::new was called outside of a sideloop task"),
        }
    }

    /// Guards the current task, or returns `None` where [`CancelGuard::new`] would panic: for code that runs
    /// both in tasks and elsewhere.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::CancelGuard;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let commit = || CancelGuard::try_new().is_some(); // guarded where there is a task
    /// assert!(!commit());
    /// assert!(side.handle().call(commit).join()?);
    /// # Ok(()) }
    /// ```
    #[must_use = "a guard that is dropped at once guards nothing"]
    pub fn try_new() -> Option<Self> {
        let local = context::current()?;
        let task = local.scheduler.side.running_task()?;
        Some(Self { record: local.guards.guard(task, &local) })
    }

    /// Whether a cancel is pending.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let calm = side.handle().call(|| sideloop::CancelGuard::new().is_requested());
    /// assert!(!calm.join()?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.record.task().is_asked()
    }

    /// Waits for a cancel. An abort does not count: it ends the task without asking.
    ///
    /// May be awaited on any thread and executor, by several callers at once. If the guard has outlived its
    /// task, it is ready at once; [`CancelGuard::is_requested`] tells the two cases apart.
    ///
    /// # Cancel safety
    ///
    /// Strict: the request stays pending until it is refused.
    pub fn requested(&self) -> Requested<'_> {
        Requested { record: &self.record, waiter: None }
    }

    /// Runs `future` until it is ready or a cancel comes, whichever is first. If a request is already
    /// pending, the future is not polled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the cancel came first; the future has been dropped.
    ///
    /// # Cancel safety
    ///
    /// That of `future`, which is dropped too.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelGuard, LoopThread};
    /// use std::sync::mpsc;
    ///
    /// let side = LoopThread::start()?;
    /// let (alive, is_alive) = mpsc::channel();
    /// let task = side.handle().spawn(async move {
    ///     let guard = CancelGuard::new();
    ///     alive.send(()).unwrap();
    ///     match guard.run(std::future::pending::<u32>()).await {
    ///         Ok(value) => format!("got {value}"),
    ///         Err(cancelled) => format!("{cancelled}, and cleaned up"),
    ///     }
    /// });
    /// is_alive.recv()?;
    /// task.cancel();
    /// assert_eq!(task.join()?, "cancelled, and cleaned up");
    /// # Ok(()) }
    /// ```
    pub async fn run<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        let mut requested = self.requested();
        let mut future = pin!(future);
        poll_fn(|cx| match Pin::new(&mut requested).poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(Cancelled)),
            Poll::Pending => future.as_mut().poll(cx).map(Ok),
        })
        .await
    }

    /// Forgets a pending cancel: the task goes on as if it had not been asked. `true` if there was a cancel;
    /// an abort cannot be refused.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelGuard, CancelRequest, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let (alive, is_alive) = std::sync::mpsc::channel();
    /// let stubborn = side.handle().spawn(async move {
    ///     let guard = CancelGuard::new();
    ///     alive.send(()).unwrap();
    ///     guard.requested().await;
    ///     guard.refuse()
    /// });
    /// is_alive.recv()?;
    /// assert_eq!(stubborn.cancel(), CancelRequest::Requested);
    /// assert!(stubborn.join()?);
    /// # Ok(()) }
    /// ```
    #[expect(clippy::must_use_candidate, reason = "to refuse is the point")]
    pub fn refuse(&self) -> bool {
        self.record.task().refuse()
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.record.unguard();
    }
}

impl fmt::Debug for CancelGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelGuard")
            .field("task", &self.record.task().id())
            .field("requested", &self.is_requested())
            .finish()
    }
}

/// The future of [`CancelGuard::requested`].
///
/// # Cancel safety
///
/// Strict: the request stays pending until it is refused.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{CancelGuard, LoopThread, time};
/// use std::time::Duration;
///
/// let side = LoopThread::start()?;
/// let calm = side.handle().spawn(async {
///     let guard = CancelGuard::new();
///     time::timeout(Duration::from_millis(1), guard.requested()).await
/// });
/// assert!(calm.join()?.is_err()); // nobody asked within the limit
/// # Ok(()) }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Requested<'a> {
    record: &'a Record,
    waiter: Option<Ticket>,
}

impl Future for Requested<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let record = self.record;
        if record.register(&mut self.waiter, cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Requested<'_> {
    fn drop(&mut self) {
        self.record.unregister(&mut self.waiter);
    }
}

impl fmt::Debug for Requested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requested").field("task", &self.record.task().id()).finish_non_exhaustive()
    }
}

/// Whether the end of the current task, or of the blocking job on this thread, was requested. `false`
/// outside both.
///
/// # Examples
///
/// ```
/// assert!(!sideloop::cancel_requested());
/// ```
#[must_use]
pub fn cancel_requested() -> bool {
    let task = context::current().and_then(|local| local.scheduler.side.running_task());
    task.or_else(current_job).is_some_and(|task| task.is_requested())
}
