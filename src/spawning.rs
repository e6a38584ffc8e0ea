//! More ways to spawn: with a name, and on the loop's own thread.

use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use futures_task::{LocalFutureObj, LocalSpawn, SpawnError as Refused};

use crate::guard::CancelGuard;
use crate::handle::Handle;
use crate::id::TaskId;
use crate::join::JoinHandle;
use crate::runtime::blocking::current_job;
use crate::runtime::context;
use crate::runtime::local::Local;
use crate::runtime::shared::Refusal;

/// A task before its spawn, with its name. Made by [`Handle::task`].
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let named = side.handle().task().name("adder").spawn(async { 1 + 1 });
/// assert_eq!(named.join()?, 2);
/// # Ok(()) }
/// ```
///
/// ```
/// use std::rc::Rc;
///
/// sideloop::block_on(async {
///     let handle = sideloop::current();
///     let here = handle.task().name("here").spawn_local(async { Rc::new(1) });
///     let made = handle.task().name("made").spawn_with(|| async { 2 });
///     let file = handle.task().name("file").spawn_blocking(|| 3);
///     assert_eq!(*here.await.unwrap() + made.await.unwrap() + file.await.unwrap(), 6);
/// });
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder spawns nothing until it is told to"]
pub struct TaskBuilder<'a> {
    handle: &'a Handle,
    name: Option<Arc<str>>,
}

impl<'a> TaskBuilder<'a> {
    pub(crate) fn new(handle: &'a Handle) -> Self {
        Self { handle, name: None }
    }

    /// Names the task, for reports and hooks. Names need not be unique.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Spawns like [`Handle::spawn`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (way, vacant) = self.handle.shared().open(self.name, Location::caller());
        JoinHandle::new(self.handle.shared().spawn(way, vacant.fill(future)))
    }

    /// Spawns like [`Handle::spawn_with`].
    #[track_caller]
    pub fn spawn_with<C, F>(self, make: C) -> JoinHandle<F::Output>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let (way, vacant) = self.handle.shared().open_deferred(self.name, Location::caller());
        JoinHandle::new(self.handle.shared().spawn(way, vacant.plant(make)))
    }

    /// Spawns the future that `make` returns, guarded from this call on: like [`Handle::spawn_with`], but a
    /// task that is cancelled before its first poll is polled all the same, and told of the cancel.
    ///
    /// The first poll calls `make` with the guard of its task. If `make` drops the guard, the task is no
    /// longer protected: see [`CancelGuard`]. An abort before the first poll drops `make` uncalled.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    /// use std::time::Duration;
    ///
    /// let side = LoopThread::start()?;
    /// let answer = side.handle().task().name("request").spawn_guarded(|guard| async move {
    ///     let answer = guard.run(async { "in full" }).await; // `Err` if a cancel comes first
    ///     answer.unwrap_or("try again later")
    /// });
    /// side.shutdown(Shutdown::graceful(Duration::from_secs(1)));
    /// assert!(["in full", "try again later"].contains(&answer.join()?));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_guarded<C, F>(self, make: C) -> JoinHandle<F::Output>
    where
        C: FnOnce(CancelGuard) -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let make = move || make(CancelGuard::new());
        let (shared, location) = (self.handle.shared(), Location::caller());
        let (way, vacant) = shared.open_deferred(self.name, location);
        JoinHandle::new(shared.spawn(way, vacant.plant(make).guarded()))
    }

    /// Runs a blocking job like [`Handle::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<C, R>(self, f: C) -> JoinHandle<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        match self.name {
            Some(name) => self.handle.start_blocking(f, name, Location::caller()),
            None => self.handle.spawn_blocking(f),
        }
    }

    /// Spawns a future that cannot leave this thread, which must be the loop's.
    ///
    /// # Panics
    ///
    /// If the loop of the handle does not live on this thread.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(self, future: F) -> JoinHandle<F::Output> {
        let local = context::home(&self.handle.shared().run_queues)
            .expect("TaskBuilder::spawn_local was called on a thread where the loop does not live");
        let (taken, vacant) = local.open(self.name, Location::caller());
        JoinHandle::new(local.spawn_local(taken, vacant.fill(future)))
    }
}

/// A handle to a loop of this thread, which spawns futures that cannot leave the thread. Not `Send`.
///
/// # Examples
///
/// ```
/// use futures_task::{LocalFutureObj, LocalSpawn};
///
/// let mut executor = sideloop::Executor::new();
/// let spawner = executor.local_handle();
/// let here = std::rc::Rc::new(std::cell::Cell::new(0));
/// let there = here.clone();
/// let future = LocalFutureObj::new(Box::new(async move { there.set(1) }));
/// spawner.spawn_local_obj(future).unwrap();
/// executor.run_until_idle();
/// assert_eq!(here.get(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct LocalHandle {
    local: Rc<Local>,
}

impl LocalHandle {
    pub(crate) fn new(local: Rc<Local>) -> Self {
        Self { local }
    }

    /// The handle to the loop that the caller runs on.
    ///
    /// # Panics
    ///
    /// Outside a loop's run.
    ///
    /// # Examples
    ///
    /// ```
    /// let length = sideloop::block_on(async {
    ///     let here = sideloop::LocalHandle::current();
    ///     here.spawn_local(async { std::rc::Rc::new([0; 8]) }).await.unwrap().len()
    /// });
    /// assert_eq!(length, 8);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        Self { local: here("LocalHandle::current") }
    }

    /// Spawns a future that cannot leave this thread.
    ///
    /// After a request to shut down, the future is dropped and the handle reports
    /// [`JoinError::Closed`](crate::JoinError::Closed) if the loop is not running, or is in its abort phase.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let (taken, vacant) = self.local.open((), Location::caller());
        JoinHandle::new(self.local.spawn_local(taken, vacant.fill(future)))
    }
}

impl LocalSpawn for LocalHandle {
    #[track_caller]
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), Refused> {
        if let Err(refused) = self.status_local() {
            self.local.shared.refusal(Refusal::Closed);
            return Err(refused);
        }
        self.spawn_local(future).detach();
        Ok(())
    }

    fn status_local(&self) -> Result<(), Refused> {
        if self.local.accepts() { Ok(()) } else { Err(Refused::shutdown()) }
    }
}

#[track_caller]
fn here(caller: &str) -> Rc<Local> {
    match context::current() {
        Some(local) => local,
        None => panic!(
            "{caller} was called outside of a sideloop loop: no loop is running on this thread"
        ),
    }
}

/// Spawns a future that need not be `Send` on the loop that the caller runs on.
///
/// The task enters the ready queue directly, makes no system call, and is first polled in a later turn. In a
/// [shutdown](crate::Shutdown) it is accepted until the abort phase begins; after that the future is dropped
/// and the handle reports [`JoinError::Closed`](crate::JoinError::Closed).
///
/// # Panics
///
/// Outside a loop's run.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// let value = sideloop::block_on(async {
///     let shared = Rc::new(20);
///     let task = sideloop::spawn_local(async move { *shared + 1 });
///     task.await.unwrap()
/// });
/// assert_eq!(value, 21);
/// ```
#[track_caller]
pub fn spawn_local<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    let local = here("spawn_local");
    let (taken, vacant) = local.open((), Location::caller());
    JoinHandle::new(local.spawn_inside(taken, vacant.fill(future)))
}

/// The handle of the loop that the caller runs on, or on which its blocking job was spawned.
///
/// # Panics
///
/// Outside a loop's run and outside a blocking job. [`try_current`] returns `None` there.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let sum = side.handle().spawn(async {
///     let part = sideloop::current().spawn(async { 40 });
///     part.await.unwrap() + 2
/// });
/// assert_eq!(sum.join()?, 42);
/// # Ok(()) }
/// ```
#[must_use]
#[track_caller]
pub fn current() -> Handle {
    match try_current() {
        Some(handle) => handle,
        None => here("current").handle(), // which says that there is none
    }
}

/// The handle of the loop that the caller runs on, or on which its blocking job was spawned, if there is one.
///
/// # Examples
///
/// ```
/// assert!(sideloop::try_current().is_none());
/// assert!(sideloop::block_on(async { sideloop::try_current() }).is_some());
/// ```
#[must_use]
pub fn try_current() -> Option<Handle> {
    let here = context::current().map(|local| local.handle());
    here.or_else(|| context::job_of().map(Handle::new))
}

/// The id of the current task: the task that is being polled on this thread, or whose future or output is
/// being dropped, or the blocking job that runs here.
///
/// `None` outside a loop, in a hook, and in the future of a `block_on`, which is not a task.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let task = side.handle().spawn(async { sideloop::current_task() });
/// let id = task.id();
/// assert_eq!(task.join()?, Some(id));
/// # Ok(()) }
/// ```
#[must_use]
pub fn current_task() -> Option<TaskId> {
    match context::current() {
        Some(local) => local.scheduler.side.running(),
        None => current_job().map(|job| job.id()),
    }
}

/// The name of the current task, as [`current_task`] determines it, if it was given one.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let named = || side.handle().task().name("reader");
/// let task = named().spawn(async { sideloop::current_task_name() });
/// let job = named().spawn_blocking(sideloop::current_task_name);
/// assert_eq!(task.join()?.as_deref(), Some("reader"));
/// assert_eq!(job.join()?.as_deref(), Some("reader"));
/// # Ok(()) }
/// ```
#[must_use]
pub fn current_task_name() -> Option<Arc<str>> {
    let task = match context::current() {
        Some(local) => local.scheduler.side.running_task()?,
        None => current_job()?,
    };
    task.subject().name
}
