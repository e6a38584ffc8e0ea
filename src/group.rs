//! Tasks that end together: spawned on one loop, given out as they end, cancelled as one.
//!
//! A group owns the join handles of its members. Each member's task holds a waker that tells the
//! member's key to the group's [`completions`] when the task has ended; the results stay with the tasks
//! until they are given out, so that the loop drops those which nobody takes. Tasks hold the completion queue, and
//! that holds no task of the group, so that nothing keeps itself alive.
//!
//! How they are given out, and to whom, is in [`Members`], with the rules K1 to K3.

mod all;
mod completions;
mod members;
mod next;
mod requests;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::task::Waker;

use self::members::Members;
use crate::error::{JoinError, discard};
use crate::handle::Handle;
use crate::id::TaskId;
use crate::join::JoinHandle;
use crate::runtime::context;

/// A member that was given out: its id, and how it ended.
type Given<T> = (TaskId, Result<T, JoinError>);

/// A member that was not given out.
enum Member<T> {
    /// Its number in the order of spawns, and its handle.
    Task(u64, JoinHandle<T>),
    /// [`all`](TaskGroup::all) has seen its end, and waits for the others.
    Ended(u64, TaskId, Result<T, JoinError>),
}

impl<T> Member<T> {
    /// Its handle, if its end was not looked at yet.
    fn task(&self) -> Option<&JoinHandle<T>> {
        match self {
            Self::Task(_, task) => Some(task),
            Self::Ended(..) => None,
        }
    }

    fn register(&mut self, waker: &Waker) -> bool {
        match self {
            Self::Task(_, task) => task.register(waker),
            Self::Ended(..) => false,
        }
    }

    /// Its number and how it ended. It has: to join it blocks no thread.
    fn end(self) -> (u64, TaskId, Result<T, JoinError>) {
        match self {
            Self::Task(number, task) => (number, task.id(), task.join()),
            Self::Ended(number, id, result) => (number, id, result),
        }
    }

    fn given(self) -> Given<T> {
        let (_, id, result) = self.end();
        (id, result)
    }
}

/// Tasks of one loop that belong together. Dropping the group cancels the members that still run.
///
/// Members are spawned through the group. [`next`](TaskGroup::next) and [`join_next`](TaskGroup::join_next)
/// return each of them once, in the order in which they ended. Otherwise they are ordinary tasks. The group
/// is `Send + Sync` if `T` is `Send`, may be used by several threads at once, and outlives its loop.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{LoopThread, TaskGroup};
///
/// let side = LoopThread::start()?;
/// let group = TaskGroup::new(side.handle());
/// for n in 1..=3 {
///     group.spawn(async move { n * n });
/// }
/// let mut sum = 0;
/// while let Some((_id, square)) = group.join_next() {
///     sum += square?;
/// }
/// assert_eq!(sum, 14);
/// # Ok(()) }
/// ```
#[must_use = "dropping it cancels its members"]
pub struct TaskGroup<T> {
    handle: Handle,
    members: Members<Member<T>>,
}

impl<T: 'static> TaskGroup<T> {
    /// Spawns a member like [`Handle::spawn`].
    ///
    /// May be called from any thread. If the loop refuses the future because it shuts down, the future is
    /// dropped here, and the member comes out of the group as [`JoinError::Closed`].
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> TaskId
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        let shared = self.handle.shared();
        let (way, vacant) = shared.open((), Location::caller());
        self.add(JoinHandle::new(shared.spawn(way, vacant.fill(future))))
    }

    /// Spawns a member like [`Handle::spawn_with`]; the future itself need not be `Send`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::rc::Rc;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let group = sideloop::TaskGroup::new(side.handle());
    /// group.spawn_with(|| {
    ///     let text = Rc::new("made on the loop's thread");
    ///     async move { text.len() }
    /// });
    /// let (_id, length) = group.join_next().expect("one member");
    /// assert_eq!(length?, 25);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_with<C, F>(&self, make: C) -> TaskId
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = T> + 'static,
        T: Send,
    {
        self.add(self.handle.spawn_with(make))
    }

    /// Spawns a member that cannot leave this thread, which must be the loop's. Its result need not be `Send`.
    ///
    /// # Panics
    ///
    /// If the loop of the group does not live on this thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::rc::Rc;
    /// use sideloop::{TaskGroup, block_on, current};
    ///
    /// let length = block_on(async {
    ///     let group = TaskGroup::new(&current());
    ///     group.spawn_local(async { Rc::new([0; 8]) });
    ///     let (_id, array) = group.next().await.expect("one member");
    ///     array.map(|array| array.len())
    /// });
    /// assert_eq!(length.unwrap(), 8);
    /// ```
    #[track_caller]
    pub fn spawn_local<F: Future<Output = T> + 'static>(&self, future: F) -> TaskId {
        let local = context::home(&self.handle.shared().run_queues)
            .expect("TaskGroup::spawn_local was called on a thread where the loop does not live");
        let (taken, vacant) = local.open((), Location::caller());
        self.add(JoinHandle::new(local.spawn_local(taken, vacant.fill(future))))
    }

    /// Runs a closure that may block as a member, as [`Handle::spawn_blocking`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let group = sideloop::TaskGroup::new(side.handle());
    /// let sum = group.spawn_blocking(|| (1..=100).sum::<u32>());
    /// assert_eq!(group.join_next().map(|(id, value)| (id, value.ok())), Some((sum, Some(5050))));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<C>(&self, f: C) -> TaskId
    where
        C: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.add(self.handle.spawn_blocking(f))
    }
}

impl<T> TaskGroup<T> {
    /// An empty group whose members run on the loop of `handle`.
    pub fn new(handle: &Handle) -> Self {
        Self { handle: handle.clone(), members: Members::new() }
    }

    /// Makes the task of a handle a member: one with a name, a timed call, a task of another loop, whatever has a
    /// handle.
    ///
    /// From any thread. A task that has ended comes out of the group as it ended; one whose result was taken before,
    /// by polling the handle, as [`JoinError::Closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, TaskGroup};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// group.adopt(side.handle().task().name("parser").spawn(async { "parsed" }));
    /// let (_id, text) = group.join_next().expect("one member");
    /// assert_eq!(text?, "parsed");
    /// # Ok(()) }
    /// ```
    pub fn adopt(&self, mut task: JoinHandle<T>) -> TaskId {
        // A waker that the handle was polled with is dropped here, and not under the group's lock (K3).
        task.register(Waker::noop());
        self.add(task)
    }

    /// How many members have not been returned yet, ended or not.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let group = sideloop::TaskGroup::new(side.handle());
    /// group.spawn(async {});
    /// assert_eq!(group.len(), 1);
    /// group.join_next();
    /// assert!(group.is_empty());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.lock().len()
    }

    /// Whether every member has been returned, or there never was one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes a task that was just spawned, and may have ended already, a member.
    fn add(&self, handle: JoinHandle<T>) -> TaskId {
        let id = handle.id();
        self.members.add(|number| Member::Task(number, handle), Member::register);
        id
    }
}

impl<T> Drop for TaskGroup<T> {
    fn drop(&mut self) {
        self.members.clear(|member| match member {
            Member::Task(_, task) => drop(task.cancel_on_drop()),
            Member::Ended(_, _, result) => discard(result),
        });
    }
}

impl<T> fmt::Debug for TaskGroup<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.members.lock().len(); // the formatter is user code (K3)
        f.debug_struct("TaskGroup").field("len", &len).finish_non_exhaustive()
    }
}
