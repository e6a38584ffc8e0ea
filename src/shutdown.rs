//! How a loop ends: what may be asked for, and what is reported.

use std::time::Duration;

use crate::metrics::TaskInfo;
use crate::tick::{Tick, nanos};

/// How a loop is to end: first let tasks finish, then cancel, then abort, each under its limit.
///
/// From the request on other threads' submissions are refused, blocking jobs' included, and
/// [`Handle::closing`](crate::Handle::closing) is ready. Then the loop goes through these phases, of which any
/// but the last may be left out, and is over as soon as nothing lives:
///
/// | phase | a task that lives | a task that is spawned by tasks, callbacks and destructors of the loop |
/// |---|---|---|
/// | [drain](Shutdown::drain) | may finish. [Repeated calls](crate::Handle::call_every) end. A task that would never end by itself awaits `closing` | is taken |
/// | [cancel](Shutdown::graceful) | is cancelled: told, where it holds a [`CancelGuard`](crate::CancelGuard), else dropped | is taken, as part of a clean-up: it is not cancelled, and is aborted with what spawned it |
/// | abort | is dropped, in the order of the spawns | is refused |
///
/// In the cancel phase every task is asked that lived when it began, some in each turn if they are many, and each
/// one that another thread submitted before the request and the loop finds later. Blocking jobs that run cannot be ended: the
/// loop waits for them until the abort phase.
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
    /// Aborts everything.
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

    /// Cancels everything, and aborts what still runs after `grace`. [`Duration::MAX`] waits for ever.
    pub const fn graceful(grace: Duration) -> Self {
        Self { drain: Duration::ZERO, grace: Some(grace) }
    }

    /// Before that, lets tasks finish for up to `limit`, or until there are none. Repeated calls end when it
    /// begins; a task that waits for ever and is not told, by [`Handle::closing`](crate::Handle::closing), makes it
    /// take all of its limit.
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

/// What became of the tasks from the request to shut down on.
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
    /// How many submissions of tasks were refused. The handle of each says
    /// [`JoinError::Closed`](crate::JoinError::Closed); [`try_spawn`](crate::Handle::try_spawn) gave the future back.
    pub refused: u64,
    /// How many tasks ended with a value.
    pub finished: u64,
    /// What was cancelled and ended in time.
    pub cancelled: Vec<TaskInfo>,
    /// What had to be aborted.
    pub aborted: Vec<TaskInfo>,
    /// What panicked, in its last poll or in its destructor.
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
