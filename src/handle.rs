//! The handle to a loop, for every thread.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use futures_task::{FutureObj, Spawn, SpawnError as Refused};

use crate::error::SpawnError;
use crate::id::TaskId;
use crate::join::JoinHandle;
use crate::runtime::context;
use crate::runtime::guards::cancel_within;
use crate::runtime::local::Local;
use crate::runtime::shared::{OnFull, Refusal, Shared};
use crate::shutdown::Shutdown;
use crate::spawning::TaskBuilder;
use crate::task::cell::Label;
use crate::task::join::TaskRef;
use crate::task::spawn::NewTask;
use crate::task::state::{CancelRequest, Request};

/// The way to a loop from any thread: spawns, calls, cancels by id, requests the end.
///
/// It is cheap to clone, and all clones reach the same loop. A handle outlives its loop: every method
/// then returns at once, with an error or with a handle whose task has ended.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let handle = side.handle().clone();
/// let answer = std::thread::spawn(move || handle.spawn(async { 6 * 7 }).join());
/// assert_eq!(answer.join().unwrap()?, 42);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts `future` as a task on the loop and returns the handle to its result at once.
    ///
    /// May be called from any thread. On the loop's thread the task enters the ready queue directly;
    /// elsewhere it goes through the injection queue, and the loop is unparked. Either way its first poll
    /// happens in a later turn, never inside this call. Dropping the handle detaches the task.
    ///
    /// After a shutdown was requested, a spawn from another thread is refused: the future is dropped here
    /// and the handle reports [`JoinError::Closed`](crate::JoinError::Closed). Tasks, callbacks and destructors
    /// that run on the loop may spawn until the abort phase begins, in a drain too: see [`Shutdown`]. The
    /// report and [`Metrics::refused`](crate::Metrics::refused) count the refusals.
    ///
    /// With a [capacity](crate::Builder::capacity) this call blocks while the queue is full, except on the
    /// loop's own thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let sum = side.handle().spawn(async { (1..=10).sum::<u32>() });
    /// assert_eq!(sum.join()?, 55);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (way, vacant) = self.shared.open((), Location::caller());
        JoinHandle::new(self.shared.spawn(way, vacant.fill(future)))
    }

    /// Starts the future that `make` returns; the future itself need not be `Send`.
    ///
    /// May be called from any thread. The closure runs on the loop's thread, and the future is polled and
    /// dropped there. A panic in the closure counts as the task's. Otherwise like [`Handle::spawn`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::rc::Rc;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let length = side.handle().spawn_with(|| {
    ///     let text = Rc::new("an Rc never leaves its thread");
    ///     async move {
    ///         sideloop::yield_now().await;
    ///         text.len()
    ///     }
    /// });
    /// assert_eq!(length.join()?, 29);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_with<C, F>(&self, make: C) -> JoinHandle<F::Output>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let (way, vacant) = self.shared.open_deferred((), Location::caller());
        JoinHandle::new(self.shared.spawn(way, vacant.plant(make)))
    }

    /// Starts `future` like [`Handle::spawn`], or returns it.
    ///
    /// May be called from any thread. Never blocks.
    ///
    /// # Errors
    ///
    /// [`SpawnError::Closed`] where [`Handle::spawn`] would be refused, [`SpawnError::Full`] if the loop has a
    /// [capacity](crate::Builder::capacity) and its queue is full. The error holds the future, unpolled.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown, SpawnError};
    ///
    /// let side = LoopThread::start()?;
    /// let handle = side.handle().clone();
    /// assert_eq!(handle.try_spawn(async { 1 })?.join()?, 1);
    /// side.shutdown(Shutdown::now());
    /// assert!(matches!(handle.try_spawn(async { 2 }), Err(SpawnError::Closed(_))));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn try_spawn<F>(&self, future: F) -> Result<JoinHandle<F::Output>, SpawnError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (way, vacant) = self.shared.open((), Location::caller());
        match self.shared.submit(way, vacant.fill(future), OnFull::Tries) {
            Ok(join) => Ok(JoinHandle::new(join)),
            Err((task, why)) => give_back(task, why),
        }
    }

    /// Calls `f` on the loop's thread, soon, and returns the handle to its result.
    ///
    /// May be called from any thread. A call is a task like any other: it has an id, keeps its place among
    /// the caller's spawns, and can be cancelled until it runs.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::builder().name("radio").start()?;
    /// let name = side.handle().call(|| std::thread::current().name().map(String::from));
    /// assert_eq!(name.join()?.as_deref(), Some("radio"));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn call<C, R>(&self, f: C) -> JoinHandle<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (way, vacant) = self.shared.open((), Location::caller());
        JoinHandle::new(self.shared.spawn(way, vacant.plant_call(f)))
    }

    /// Begins a task that has a name or starts guarded.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    ///
    /// let side = LoopThread::start()?;
    /// side.handle().task().name("poller").spawn(std::future::pending::<()>()).detach();
    /// let report = side.shutdown(Shutdown::now());
    /// assert_eq!(report.aborted[0].name.as_deref(), Some("poller"));
    /// # Ok(()) }
    /// ```
    pub fn task(&self) -> TaskBuilder<'_> {
        TaskBuilder::new(self)
    }

    /// Cancels a task by id, ahead of any backlog.
    ///
    /// The loop looks for the task between two batches of polls, so a task that is always ready may be
    /// polled a few more times. A cancel by its own handle or a [`Canceller`](crate::Canceller) counts at
    /// once. Dropping the returned handle lets the request go on; cancelling it may withdraw the request.
    ///
    /// May be called from any thread; it does not wait. The returned handle reports what the request found:
    /// [`CancelRequest::NotFound`] if the loop does not know the task, or no longer does. A stale id, or one
    /// of another loop, touches nothing. On the loop's own thread the answer is ready at once; an unknown id
    /// costs a walk over all submissions that the loop has not taken in yet. After the loop's end the handle
    /// reports [`JoinError::Closed`](crate::JoinError::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelRequest, JoinError, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let stuck = side.handle().spawn(std::future::pending::<()>());
    /// assert_eq!(side.handle().cancel(stuck.id()).join()?, CancelRequest::Requested);
    /// assert!(matches!(stuck.join(), Err(JoinError::Cancelled)));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn cancel(&self, id: TaskId) -> JoinHandle<CancelRequest> {
        self.request(id, Request::Cancel)
    }

    /// Cancels a task by id, and aborts it if it still runs after `grace`:
    /// [`JoinHandle::cancel_within`](crate::JoinHandle::cancel_within) for callers that have only the id.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelRequest, LoopThread};
    /// use std::time::Duration;
    ///
    /// let side = LoopThread::start()?;
    /// let stuck = side.handle().spawn(std::future::pending::<()>());
    /// let request = side.handle().cancel_within(stuck.id(), Duration::from_secs(1));
    /// assert_eq!(request.join()?, CancelRequest::Requested);
    /// assert!(stuck.join().is_err());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn cancel_within(&self, id: TaskId, grace: Duration) -> JoinHandle<CancelRequest> {
        let known = move |local: &Local| {
            let task = local.scheduler.task(id);
            task.map_or(CancelRequest::NotFound, |task| cancel_within(task, grace))
        };
        let waiting = move |task| cancel_within(task, grace);
        JoinHandle::new(self.shared.control_of(id, known, waiting))
    }

    /// Aborts a task by id, ahead of any backlog: like [`Handle::cancel`], guard or not.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelRequest, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let done = side.handle().call(|| ());
    /// let id = done.id();
    /// done.join()?;
    /// assert_eq!(side.handle().abort(id).join()?, CancelRequest::NotFound);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn abort(&self, id: TaskId) -> JoinHandle<CancelRequest> {
        self.request(id, Request::Abort)
    }

    #[track_caller]
    fn request(&self, id: TaskId, what: Request) -> JoinHandle<CancelRequest> {
        let known = move |local: &Local| local.scheduler.request(id, what);
        let waiting = move |task: TaskRef| task.request(what);
        JoinHandle::new(self.shared.control_of(id, known, waiting))
    }

    /// Requests the end of the loop, from anywhere and any number of times; later requests can only shorten it.
    ///
    /// Returns at once. [`LoopThread::join`](crate::LoopThread::join) and [`Handle::closed`] wait for the end.
    /// This call wakes the tasks that await [`Handle::closing`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    ///
    /// let side = LoopThread::start()?;
    /// let handle = side.handle().clone();
    /// side.handle().call(move || handle.shutdown(Shutdown::now())).detach();
    /// side.join();
    /// # Ok(()) }
    /// ```
    pub fn shutdown(&self, how: Shutdown) {
        self.shared.shut_down(how);
    }

    /// Whether the caller is on this loop's thread, inside its run.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let handle = side.handle().clone();
    /// assert!(!handle.is_current());
    /// assert!(side.handle().call(move || handle.is_current()).join()?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_current(&self) -> bool {
        context::home(&self.shared.run_queues)
            .is_some_and(|local| local.scheduler.side.is_entered())
    }

    /// Whether a shutdown was requested, or the loop has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// assert!(!side.handle().is_closed());
    /// side.handle().shutdown(sideloop::Shutdown::now());
    /// assert!(side.handle().is_closed());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Starts a task; if the loop takes nothing more, it is ended here.
    pub(crate) fn start<F, L>(
        &self,
        future: F,
        label: L,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
        L: Label,
    {
        let (way, vacant) = self.shared.open(label, location);
        JoinHandle::new(self.shared.spawn(way, vacant.fill(future)))
    }
}

/// Two handles are equal if they belong to the same loop.
impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Handle {}

impl Hash for Handle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.shared).hash(state);
    }
}

/// The future of a task that was refused. A function of its own, so that the caller needs no stack for it.
#[inline(never)]
fn give_back<F: Future, L: Label>(
    task: NewTask<F, L>,
    why: Refusal,
) -> Result<JoinHandle<F::Output>, SpawnError<F>> {
    Err(match why {
        Refusal::Closed => SpawnError::Closed(task.into_future()),
        Refusal::Full => SpawnError::Full(task.into_future()),
    })
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Spawn for Handle {
    #[track_caller]
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), Refused> {
        self.try_spawn(future).map(JoinHandle::detach).map_err(|_| Refused::shutdown())
    }

    fn status(&self) -> Result<(), Refused> {
        if self.shared.accepts() { Ok(()) } else { Err(Refused::shutdown()) }
    }
}
