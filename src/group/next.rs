//! Waiting for the members of a group, one after the other.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Member, TaskGroup};
use crate::error::JoinError;
use crate::id::TaskId;
use crate::join::JoinHandle;
use crate::runtime::{blocking_wait, context};

impl<T> TaskGroup<T> {
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
        self.members.next().await.map(Member::given)
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
                return answer.map(Member::given);
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
        answer.flatten().map(Member::given) // without a limit there is always an answer
    }

    /// The member that ended first of those that were not given out; `None` if none has ended, or there is none.
    /// Never waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, TaskGroup};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// group.spawn(std::future::pending::<()>());
    /// assert!(group.try_next().is_none() && group.len() == 1); // it runs
    /// # Ok(()) }
    /// ```
    pub fn try_next(&self) -> Option<(TaskId, Result<T, JoinError>)> {
        match self.members.take(&mut None) {
            Poll::Ready(answer) => answer.map(Member::given),
            Poll::Pending => None,
        }
    }

    /// As [`TaskGroup::next`], for futures that are written by hand: ready with the next member to end, or with `None`
    /// when the group is empty.
    ///
    /// Pending, the waker of `cx` is kept until a member ends, and woken then. Any number of tasks may poll, and
    /// others wait in `next`: whichever comes first takes the member.
    ///
    /// # Cancel safety
    ///
    /// Strict: no member is lost if nobody polls again.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, TaskGroup, block_on};
    /// use std::future::poll_fn;
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// group.spawn(async { 7 });
    /// let (_id, value) = block_on(poll_fn(|cx| group.poll_next(cx))).expect("one member");
    /// assert_eq!(value?, 7);
    /// # Ok(()) }
    /// ```
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<(TaskId, Result<T, JoinError>)>> {
        self.members.poll(cx.waker()).map(|member| member.map(Member::given))
    }

    /// A member that has not ended, and cannot while this thread waits for it.
    fn needs_this_thread(&self) -> Option<TaskId> {
        let members = self.members.lock();
        let mut tasks = members.iter().filter_map(Member::task);
        tasks.find(|task| task.would_deadlock()).map(JoinHandle::id)
    }
}
