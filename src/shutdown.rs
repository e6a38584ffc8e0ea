//! How a loop ends: the request, and the report.

use std::time::Duration;

use crate::metrics::TaskInfo;
use crate::tick::{Tick, nanos};

/// How a loop ends: it lets tasks finish, then cancels them, then aborts them, each phase under its limit.
///
/// From the request on, [`Handle::closing`](crate::Handle::closing) is ready, and what other threads submit is
/// refused, from blocking jobs too. The loop goes through these phases, of which all but the last are optional,
/// and ends as soon as no task is left:
///
/// | phase | living tasks | tasks spawned on the loop: by tasks, callbacks, destructors |
/// |---|---|---|
/// | [drain](Shutdown::drain) | may finish; [repeated calls](crate::Handle::call_every) end; a task that never ends by itself awaits `closing` | accepted |
/// | [cancel](Shutdown::graceful) | cancelled: a task with a [`CancelGuard`](crate::CancelGuard) is told, the others are dropped | accepted, as part of a clean-up: not cancelled, but aborted with the task that spawned them |
/// | abort | dropped, in spawn order | refused |
///
/// So a clean-up may [use the loop](crate::CancelGuard#what-a-clean-up-may-do) as before: spawn, sleep, await,
/// run blocking jobs. A destructor may spawn until the abort phase; it cannot await. The clean-up ends before
/// the grace is over, or is dropped at its current `.await`.
///
/// The cancel phase reaches every task that lives when it begins, some in each turn if there are many, and
/// each task that another thread submitted before the request and that the loop takes in later. A blocking job
/// that runs cannot be ended: the loop waits for it until the abort phase.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{LoopThread, Shutdown};
/// use std::time::Duration;
///
/// let side = LoopThread::start()?;
/// side.handle().call(|| "in time").detach();
/// let patient = Shutdown::graceful(Duration::from_secs(1)).drain(Duration::from_secs(5));
/// assert!(side.shutdown(patient).cancelled.is_empty());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Shutdown {
    drain: Duration,
    /// `None`: no cancelling, abort at once.
    grace: Option<Duration>,
}

impl Shutdown {
    /// Aborts every task.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    ///
    /// let side = LoopThread::start()?;
    /// side.handle().spawn(std::future::pending::<()>()).detach();
    /// assert_eq!(side.shutdown(Shutdown::now()).aborted.len(), 1);
    /// # Ok(()) }
    /// ```
    pub const fn now() -> Self {
        Self { drain: Duration::ZERO, grace: None }
    }

    /// Cancels every task, and aborts those that still run after `grace`. [`Duration::MAX`] waits for ever.
    pub const fn graceful(grace: Duration) -> Self {
        Self { drain: Duration::ZERO, grace: Some(grace) }
    }

    /// Before that, lets tasks finish for up to `limit`, or until none is left. They may still spawn; other
    /// threads may not. Repeated calls end when the drain begins. A task that waits for ever, and not for
    /// [`Handle::closing`](crate::Handle::closing), makes the drain take all of its limit.
    pub const fn drain(mut self, limit: Duration) -> Self {
        self.drain = limit;
        self
    }

    /// The same in the loop's time.
    pub(crate) fn plan(&self, now: Tick) -> Plan {
        let cancel_at = now.saturating_add(nanos(self.drain));
        match self.grace {
            None => Plan { cancel_at: Tick::MAX, abort_at: cancel_at },
            Some(grace) => Plan { cancel_at, abort_at: cancel_at.saturating_add(nanos(grace)) },
        }
    }
}

/// When the loop cancels, and when it aborts, what is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) cancel_at: Tick,
    pub(crate) abort_at: Tick,
}

impl Plan {
    /// Of two requests, each limit that is shorter.
    pub(crate) fn or_sooner(self, other: Self) -> Self {
        Self {
            cancel_at: self.cancel_at.min(other.cancel_at),
            abort_at: self.abort_at.min(other.abort_at),
        }
    }
}

/// How far the loop has come in ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not asked to end.
    Running,
    /// Tasks may finish, and spawn.
    Draining,
    /// Tasks are cancelled, and may clean up.
    Cancelling,
    /// What is left is dropped, and nothing is accepted any more.
    Aborting,
    /// Nothing lives any more, and nothing is accepted.
    Ended,
}

/// The fate of the tasks, counted from the request to shut down.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{LoopThread, Shutdown};
/// use std::time::Duration;
///
/// let side = LoopThread::start()?;
/// side.handle().task().name("feed").spawn(std::future::pending::<()>()).detach();
/// let report = side.shutdown(Shutdown::graceful(Duration::from_secs(1)));
/// for task in &report.cancelled {
///     println!("{:?} was cancelled", task.name);
/// }
/// assert_eq!((report.finished, report.cancelled.len()), (0, 1));
/// assert!(report.aborted.is_empty() && report.panicked.is_empty());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct ShutdownReport {
    /// How many submissions of tasks were refused. The handle of each reports
    /// [`JoinError::Closed`](crate::JoinError::Closed); [`try_spawn`](crate::Handle::try_spawn) returned the future.
    pub refused: u64,
    /// How many tasks ended with a value.
    pub finished: u64,
    /// The tasks that were cancelled and ended in time.
    pub cancelled: Vec<TaskInfo>,
    /// The tasks that had to be aborted.
    pub aborted: Vec<TaskInfo>,
    /// The tasks that panicked, in their last poll or in their destructor.
    pub panicked: Vec<TaskInfo>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_request_only_shortens() {
        let second = Duration::from_secs(1);
        let slow = Shutdown::graceful(second * 2).drain(second * 3).plan(10);
        let sooner = slow.or_sooner(Shutdown::graceful(second).plan(20));
        assert_eq!(sooner, Plan { cancel_at: 20, abort_at: 1_000_000_020 });
        assert_eq!(sooner.or_sooner(slow), sooner);
        let now = sooner.or_sooner(Shutdown::now().plan(30));
        assert_eq!(now.abort_at, 30);
    }

    #[test]
    fn limits_that_do_not_fit_are_never() {
        let plan = Shutdown::graceful(Duration::MAX).drain(Duration::MAX).plan(7);
        assert_eq!(plan, Plan { cancel_at: Tick::MAX, abort_at: Tick::MAX });
    }
}
