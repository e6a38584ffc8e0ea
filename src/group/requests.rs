//! What is asked of all members of a group, or of one of them.

use std::time::Duration;

use super::{Member, TaskGroup};
use crate::cancel::Canceller;
use crate::error::discard;
use crate::id::TaskId;
use crate::join::JoinHandle;
use crate::task::state::CancelRequest;

impl<T> TaskGroup<T> {
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
        self.ask(Canceller::cancel);
    }

    /// Asks as [`TaskGroup::cancel`] does, and aborts the members that still run when `grace` is over, as
    /// [`JoinHandle::cancel_within`] does.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelGuard, JoinError, LoopThread, TaskGroup};
    /// use std::time::Duration;
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// let (begun, has_begun) = std::sync::mpsc::channel();
    /// group.spawn(async move {
    ///     let _guard = CancelGuard::new(); // it is asked, and does not listen
    ///     begun.send(()).ok();
    ///     std::future::pending::<()>().await
    /// });
    /// has_begun.recv()?;
    /// group.cancel_within(Duration::from_millis(5));
    /// let (_id, ended) = group.join_next().expect("one member");
    /// assert!(matches!(ended, Err(JoinError::Cancelled)));
    /// # Ok(()) }
    /// ```
    pub fn cancel_within(&self, grace: Duration) {
        self.ask(|member| member.cancel_within(grace));
    }

    /// Aborts every member that still runs, guarded or not, as [`JoinHandle::abort`] does. It does not wait.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, TaskGroup};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::<()>::new(side.handle());
    /// group.spawn(std::future::pending());
    /// group.abort();
    /// assert!(group.join_next().is_some_and(|(_id, ended)| ended.is_err()));
    /// # Ok(()) }
    /// ```
    pub fn abort(&self) {
        self.ask(Canceller::abort);
    }

    /// Lets all members go on by themselves, as [`JoinHandle::detach`] does, and empties the group.
    ///
    /// Results that were not given out are dropped. Whoever waits in [`next`](TaskGroup::next) gets `None`. The group
    /// stays usable.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, TaskGroup};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// let (done, is_done) = std::sync::mpsc::channel();
    /// group.spawn(async move { done.send("written").ok() });
    /// group.detach_all();
    /// assert!(group.is_empty() && group.join_next().is_none());
    /// assert_eq!(is_done.recv()?, "written");
    /// # Ok(()) }
    /// ```
    pub fn detach_all(&self) {
        self.members.take_all().for_each(|member| match member {
            Member::Task(_, task) => task.detach(),
            Member::Ended(_, _, result) => discard(result),
        });
    }

    /// What can ask one member to end, also after it was given out; `None` if the group has no such member, or not
    /// any more. Looks through the members.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, TaskGroup};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// let (slow, quick) = (group.spawn(std::future::pending()), group.spawn(async { 1 }));
    /// group.canceller(slow).ok_or("no member")?.cancel();
    /// while let Some((id, ended)) = group.join_next() {
    ///     assert!(id == quick || ended.is_err());
    /// }
    /// assert!(group.canceller(slow).is_none());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn canceller(&self, id: TaskId) -> Option<Canceller> {
        let members = self.members.lock();
        let mut tasks = members.iter().filter_map(Member::task);
        tasks.find(|task| task.id() == id).map(JoinHandle::canceller)
    }

    /// Asks every member that was not given out. Asking wakes the loop, and with it perhaps a host's hook: not under
    /// the lock (K3).
    fn ask(&self, ask: impl Fn(&Canceller) -> CancelRequest) {
        let asked: Vec<Canceller> = {
            let members = self.members.lock();
            members.iter().filter_map(Member::task).map(JoinHandle::canceller).collect()
        };
        for member in asked {
            ask(&member);
        }
    }
}
