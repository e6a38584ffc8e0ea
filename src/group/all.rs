//! All members of a group as one: their values, or the first failure.
//!
//! The results stay in the group until every member has ended: what was looked at is put back, so that a future that
//! is dropped loses none.

use super::members::Members;
use super::{Member, TaskGroup};
use crate::error::{JoinError, discard};
use crate::id::TaskId;

impl<T> TaskGroup<T> {
    /// Waits until all members have ended, and gives their values in the order in which they were spawned.
    ///
    /// At the first member that ends without a value, by a panic or because it was cancelled, the others are
    /// [cancelled](TaskGroup::cancel). They are waited for, too, and then that member's id and error are returned; the
    /// values of the others are dropped, as are further errors. Members that are added meanwhile are waited for like
    /// the others. An empty group gives an empty list. On any executor.
    ///
    /// # Errors
    ///
    /// The first member that ended without a value, and why: [`JoinError::Cancelled`], [`JoinError::Panicked`] or
    /// [`JoinError::Closed`].
    ///
    /// # Cancel safety
    ///
    /// Strict: the results stay in the group until all are there. After the future was dropped they come out of
    /// [`next`](TaskGroup::next) like others.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{JoinError, LoopThread, TaskGroup, block_on};
    ///
    /// let side = LoopThread::start()?;
    /// let group = TaskGroup::new(side.handle());
    /// for n in 1..=3 {
    ///     group.spawn(async move { n * n });
    /// }
    /// assert_eq!(block_on(group.all()).map_err(|(_id, error)| error)?, [1, 4, 9]);
    ///
    /// group.spawn(std::future::pending());
    /// let failed = group.spawn(async { panic!("no answer") });
    /// let (id, error) = block_on(group.all()).unwrap_err(); // the other one is cancelled
    /// assert!(id == failed && matches!(error, JoinError::Panicked(_)));
    /// # Ok(()) }
    /// ```
    pub async fn all(&self) -> Result<Vec<T>, (TaskId, JoinError)> {
        let gathering = Gathering(&self.members);
        let mut has_failed = self.members.lock().iter().any(Member::has_failed);
        while let Some(member) = self.members.next_keyed().await {
            let (number, id, result) = member.end();
            let fails = result.is_err() && !has_failed;
            gathering.0.put_back(Member::Ended(number, id, result));
            if fails {
                has_failed = true;
                self.cancel();
            }
        }
        let mut failure = None;
        let mut values = Vec::new();
        for (number, id, result) in self.members.take_back().into_iter().map(Member::end) {
            match result {
                Ok(value) => values.push((number, value)),
                Err(error) if failure.is_none() => failure = Some((id, error)),
                Err(error) => discard(error),
            }
        }
        if let Some(failure) = failure {
            values.into_iter().for_each(discard);
            return Err(failure);
        }
        values.sort_unstable_by_key(|(number, _)| *number);
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }
}

impl<T> Member<T> {
    fn has_failed(&self) -> bool {
        matches!(self, Self::Ended(_, _, Err(_)))
    }
}

/// While it lives, ends are taken from the queue and put back. Who else waits is called when it is dropped, to look
/// for what was put back, or for the end of the group.
struct Gathering<'a, M>(&'a Members<M>);

impl<M> Drop for Gathering<'_, M> {
    fn drop(&mut self) {
        self.0.call_all();
    }
}
