//! Groups of tasks: spawned on one loop, returned as they end, cancelled together.
//!
//! A group owns the join handles of its members. Each member's task holds a waker that tells the
//! member's key to the group's [`completions`] when the task has ended; the results stay with the tasks
//! until they are given out, so that the loop drops those which nobody takes. Tasks hold the board and
//! the board holds no task of the group, so that nothing keeps itself alive.
//!
//! How they are given out, and to whom, is in [`Members`], with the rules K1 to K3.

mod completions;
mod members;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use self::members::Members;
use crate::cancel::Canceller;
use crate::error::JoinError;
use crate::handle::Handle;
use crate::id::TaskId;
use crate::join::JoinHandle;
use crate::runtime::{blocking_wait, context};

/// A member that was given out: its id, and how it ended.
type Given<T> = (TaskId, Result<T, JoinError>);

/// What is told of a member that has ended: to join it blocks on no thread.
fn given<T>(member: JoinHandle<T>) -> Given<T> {
    (member.id(), member.join())
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
    members: Members<JoinHandle<T>>,
}

impl<T: 'static> TaskGroup<T> {
    /// An empty group whose members run on the loop of `handle`.
    pub fn new(handle: &Handle) -> Self {
        Self { handle: handle.clone(), members: Members::new() }
    }

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

    /// Waits for the next member to end; `None` when the group is empty.
    ///
    /// Members come in the order in which they ended; one that ends before the call that spawned it returns
    /// counts as ending there. Works on any executor. Any number of callers may wait at once: each member
    /// goes to one of them, the longest waiting is woken first, and when the group becomes empty all of them
    /// get `None`.
    ///
    /// # Cancel safety
    ///
    /// Strict: dropping the future loses no member. If it had just been woken, another waiter is woken in
    /// its place. A future that is kept, and not polled after it was woken, keeps that wake to itself; any
    /// other caller that polls may take the member.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{JoinError, LoopThread, TaskGroup, block_on};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// let stuck = group.spawn(std::future::pending());
    /// let ready = group.spawn(async { "ready" });
    /// block_on(async {
    ///     let (id, first) = group.next().await.expect("two members");
    ///     assert!(id == ready && first.is_ok());
    ///     group.cancel();
    ///     let (id, second) = group.next().await.expect("one member");
    ///     assert!(id == stuck && matches!(second, Err(JoinError::Cancelled)));
    ///     assert!(group.next().await.is_none());
    /// });
    /// # Ok(()) }
    /// ```
    pub async fn next(&self) -> Option<(TaskId, Result<T, JoinError>)> {
        self.members.next().await.map(given)
    }

    /// Waits like [`TaskGroup::next`], blocking the calling thread.
    ///
    /// It does not block if a running member needs the calling thread: on the loop's own thread, or in the
    /// member's own blocking job. If no member has ended there, it returns the id of that member with
    /// [`JoinError::WouldDeadlock`], and the member stays in the group.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, TaskGroup};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// let only = group.spawn(async { 7 });
    /// let (id, value) = group.join_next().expect("one member");
    /// assert_eq!((id, value?), (only, 7));
    /// assert!(group.join_next().is_none());
    /// # Ok(()) }
    /// ```
    pub fn join_next(&self) -> Option<(TaskId, Result<T, JoinError>)> {
        if context::is_needed() {
            if let Poll::Ready(answer) = self.members.take(&mut None) {
                return answer.map(given);
            }
            // A member that needs this thread cannot have ended since.
            if let Some(id) = self.needs_this_thread() {
                return Some((id, Err(JoinError::WouldDeadlock)));
            }
        }
        let mut next = self.members.next();
        let answer = blocking_wait::block(None, |waker| {
            Pin::new(&mut next).poll(&mut Context::from_waker(waker))
        });
        answer.flatten().map(given) // without a limit there is always an answer
    }

    /// Cancels every member that still runs, like [`JoinHandle::cancel`], and no other task.
    ///
    /// It does not wait. The group stays usable: the members come out of it as they end.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{JoinError, LoopThread, TaskGroup};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::<()>::new(side.handle());
    /// group.spawn(std::future::pending());
    /// group.cancel();
    /// let (_id, ended) = group.join_next().expect("one member");
    /// assert!(matches!(ended, Err(JoinError::Cancelled)));
    /// # Ok(()) }
    /// ```
    pub fn cancel(&self) {
        // Asking wakes the loop, and with it perhaps a host's hook: not under the lock (K3).
        let asked: Vec<Canceller> =
            self.members.lock().iter().map(|(_, member)| member.canceller()).collect();
        for member in asked {
            member.cancel();
        }
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
}

impl<T> TaskGroup<T> {
    /// Makes a task that was just spawned, and may have ended already, a member.
    fn add(&self, handle: JoinHandle<T>) -> TaskId {
        let id = handle.id();
        self.members.add(handle, JoinHandle::register);
        id
    }

    /// A member that has not ended, and cannot while this thread waits for it.
    fn needs_this_thread(&self) -> Option<TaskId> {
        let members = self.members.lock();
        let mut members = members.iter().map(|(_, member)| member);
        members.find(|member| member.would_deadlock()).map(JoinHandle::id)
    }
}

impl<T> Drop for TaskGroup<T> {
    fn drop(&mut self) {
        self.members.clear(|member| drop(member.cancel_on_drop()));
    }
}

impl<T> fmt::Debug for TaskGroup<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.members.lock().len(); // the formatter is user code (K3)
        f.debug_struct("TaskGroup").field("len", &len).finish_non_exhaustive()
    }
}
