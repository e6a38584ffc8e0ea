//! Tasks and counters, observed from outside.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::handle::Handle;
use crate::id::TaskId;
use crate::join::JoinHandle;
use crate::runtime::local::Local;
use crate::runtime::shared::Shared;

/// A snapshot of one task.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// side.handle().task().name("feed").spawn(std::future::pending::<()>()).detach();
/// for task in side.handle().tasks().join()? {
///     println!("{} {:?} from {}: {} polls in {:?}", task.id, task.name, task.location, task.polls, task.age);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct TaskInfo {
    /// The task's id.
    pub id: TaskId,
    /// The task's name, if it was given one.
    pub name: Option<Arc<str>>,
    /// Where the task was spawned.
    pub location: &'static Location<'static>,
    /// Its state at the moment of the snapshot; [`TaskState::Idle`] for a task that has ended.
    pub state: TaskState,
    /// How often it has been polled.
    pub polls: u64,
    /// The time since its loop took it in.
    pub age: Duration,
}

/// The counters of a loop.
///
/// At rest `spawned = finished + cancelled + panicked + live`. A submission counts once the loop has taken it
/// in. Read from another thread while the loop runs, each number is correct, at slightly different moments. A
/// counter wraps around to zero after 2^64, or after 2^32 on a target without 64-bit atomics. There, take the
/// difference of two readings modulo 2^32; `live`, itself a difference, is correct until `spawned` wraps.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// side.handle().call(|| ()).join()?;
/// let metrics = side.handle().metrics();
/// assert_eq!((metrics.spawned, metrics.finished, metrics.live), (1, 1, 0));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Metrics {
    /// Tasks that the loop has taken in: futures, calls and blocking jobs.
    pub spawned: u64,
    /// Tasks that ended with a value.
    pub finished: u64,
    /// Tasks that were cancelled or aborted.
    pub cancelled: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that have not ended.
    pub live: u64,
    /// Submissions of tasks that were refused: after a request to shut down, or because a bounded queue was
    /// full. Counted on the submitting thread.
    pub refused: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Wakes of tasks on the loop's own thread.
    pub local_wakes: u64,
    /// Wakes of tasks from other threads, as the loop takes them in: several wakes of one task count once.
    pub remote_wakes: u64,
    /// How often the loop has gone to sleep.
    pub parks: u64,
    /// How often another thread has ended a sleep: the system calls made to wake the loop.
    pub unparks: u64,
    /// Timers that were armed, or armed again by a reset.
    pub timers_armed: u64,
    /// Timers that have fired.
    pub timers_fired: u64,
    /// Events of readiness that the loop's driver has reported.
    #[cfg(all(feature = "io", unix))]
    pub io_events: u64,
    /// How often the loop has slept in its driver; each of these is counted in `parks`, too.
    #[cfg(all(feature = "io", unix))]
    pub io_waits: u64,
    /// Tasks that were ready when the loop last counted them, around a batch of polls; with a
    /// [capacity](crate::Builder::capacity) also the submissions not taken in yet, which are not counted otherwise.
    pub queued: u64,
    /// The time spent in tasks. Measured only with a [watchdog](crate::Builder::watchdog), else zero.
    pub busy: Duration,
}

impl Metrics {
    pub(crate) fn read(shared: &Shared) -> Self {
        let counters = &shared.run_queues.counters;
        let (closed, full) = shared.refused();
        // What has ended is read first, so that it is never more than what was spawned.
        let (finished, cancelled) = (counters.finished.get(), counters.cancelled.get());
        let panicked = counters.panicked.get();
        let spawned = counters.spawned.get();
        Self {
            spawned,
            finished,
            cancelled,
            panicked,
            live: spawned.saturating_sub(finished + cancelled + panicked),
            refused: closed + full,
            polls: counters.polls.get(),
            local_wakes: counters.local_wakes.get(),
            remote_wakes: counters.remote_wakes.get(),
            parks: counters.parks.get(),
            unparks: counters.unparks.get(),
            timers_armed: counters.timers_armed.get(),
            timers_fired: counters.timers_fired.get(),
            #[cfg(all(feature = "io", unix))]
            io_events: counters.io_events.get(),
            #[cfg(all(feature = "io", unix))]
            io_waits: counters.io_waits.get(),
            queued: counters.ready.get() + shared.submitted() as u64,
            busy: shared.busy(),
        }
    }
}

/// The state of a task.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{TaskState, current};
///
/// let side = sideloop::LoopThread::start()?;
/// let looks = side.handle().spawn(async { current().tasks().await });
/// assert_eq!(looks.join()??[0].state, TaskState::Running); // itself
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It waits to be woken.
    Idle,
    /// It waits to be polled.
    Ready,
    /// It is being polled.
    Running,
}

impl Handle {
    /// Lists all tasks that have not ended, in spawn order: one consistent snapshot, made by the loop ahead of
    /// any backlog.
    ///
    /// May be called from any thread; it does not wait. After the loop's end the handle reports
    /// [`JoinError::Closed`](crate::JoinError::Closed).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let stuck = side.handle().task().name("stuck").spawn(std::future::pending::<()>());
    /// let tasks = side.handle().tasks().join()?;
    /// assert_eq!((tasks[0].id, tasks[0].name.as_deref()), (stuck.id(), Some("stuck")));
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn tasks(&self) -> JoinHandle<Vec<TaskInfo>> {
        JoinHandle::new(self.shared().control(Local::tasks))
    }

    /// The loop's counters. May be called from any thread; answers even while the loop is stuck.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let (go_on, until) = std::sync::mpsc::channel::<()>();
    /// let stuck = side.handle().call(move || until.recv().is_err());
    /// while side.handle().metrics().live == 0 {} // answers though the loop is stuck
    /// drop(go_on);
    /// assert!(stuck.join()?);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::read(self.shared())
    }
}
