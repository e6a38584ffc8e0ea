//! How a loop is to be built.

use std::fmt;
use std::time::Duration;

use super::executor::Executor;
use super::local::{Local, Settings};
use super::thread::{LoopThread, ThreadSettings};
use super::watchdog::{Stall, StallHook, Watchdog};
use crate::error::{BoxError, StartError};
use crate::panic::TaskPanic;

/// Most polls between two looks at injected work and timers, unless [`Builder::batch`] says otherwise.
const BATCH: usize = 64;

/// Most threads of the pool for blocking jobs, unless [`Builder::blocking_threads`] says otherwise.
const BLOCKING_THREADS: usize = 16;

/// The largest batch: some hundred microseconds of polls that do nothing.
const MOST_BATCH: usize = 65_536;

/// The settings of a loop; every setter takes and returns it.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::Builder::new()
///     .name("telemetry")
///     .stack_size(256 * 1024)
///     .on_panic(|panic| eprintln!("{:?} panicked", panic.id()))
///     .start()?;
/// assert_eq!(side.handle().call(|| 1).join()?, 1);
/// # Ok(()) }
/// ```
#[must_use = "a builder builds nothing until it is told to"]
pub struct Builder {
    thread: ThreadSettings,
    settings: Settings,
    watchdog: Option<(Duration, StallHook)>,
}

impl Builder {
    /// The defaults.
    pub fn new() -> Self {
        let settings = Settings {
            batch: BATCH,
            spin: Duration::ZERO,
            on_panic: None,
            on_wake: None,
            capacity: None,
            blocking_threads: BLOCKING_THREADS,
            watchdog: None,
        };
        Self { thread: ThreadSettings::default(), settings, watchdog: None }
    }

    /// Names the thread; "sideloop" unless set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.thread.name = name.into();
        self
    }

    /// The thread's stack in bytes, at least 64 KiB; the standard library's default unless set.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.thread.stack_size = Some(bytes);
        self
    }

    /// Has `f` run on the loop's thread before any task. If it fails or panics, so does the start.
    ///
    /// It is inside the loop's run: it may spawn.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, StartError};
    ///
    /// let failed = Builder::new().on_start(|| Err("no device".into())).start();
    /// assert!(matches!(failed, Err(StartError::Init(error)) if error.to_string() == "no device"));
    /// ```
    pub fn on_start<F>(mut self, f: F) -> Self
    where
        F: FnOnce() -> Result<(), BoxError> + Send + 'static,
    {
        self.thread.on_start = Some(Box::new(f));
        self
    }

    /// Has `f` run on the loop's thread last, when nothing of the loop is left. A panic in it is swallowed.
    pub fn on_stop<F>(mut self, f: F) -> Self
    where
        F: FnOnce() + Send + 'static,
    {
        self.thread.on_stop = Some(Box::new(f));
        self
    }

    /// Has `f` called, on the loop's thread, for each panic that no handle will report. A panic in it
    /// is swallowed.
    pub fn on_panic<F>(mut self, f: F) -> Self
    where
        F: Fn(&TaskPanic<'_>) + Send + 'static,
    {
        self.settings.on_panic = Some(Box::new(f));
        self
    }

    /// Has `f` called once for each change of the loop from idle to ready, on the thread that caused
    /// it: for a host loop that drives an [`Executor`] by [`Executor::turn`].
    ///
    /// A panic in it is swallowed.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::sync::Arc;
    ///
    /// let calls = Arc::new(AtomicU32::new(0));
    /// let seen = calls.clone();
    /// let mut executor =
    ///     sideloop::Builder::new().on_wake(move || drop(seen.fetch_add(1, Ordering::Relaxed))).build();
    /// executor.handle().call(|| ()).detach();
    /// executor.handle().call(|| ()).detach();
    /// assert_eq!(calls.load(Ordering::Relaxed), 1);
    /// while !executor.turn().idle {}
    /// ```
    pub fn on_wake<F>(mut self, f: F) -> Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.settings.on_wake = Some(Box::new(f));
        self
    }

    /// The most polls between two looks at injected work and timers; 64 unless set.
    ///
    /// From 1 to 65 536, to which other values are brought: without a limit one busy task would
    /// starve everything that comes from outside.
    pub fn batch(mut self, polls: usize) -> Self {
        self.settings.batch = polls.clamp(1, MOST_BATCH);
        self
    }

    /// Busy-waits this long before it parks: spends processor time to answer sooner. Zero unless set.
    pub fn spin(mut self, time: Duration) -> Self {
        self.settings.spin = time;
        self
    }

    /// Bounds the submissions that the loop has not taken in yet: spawns, calls and blocking jobs of
    /// other threads. At least one; without this there is no bound.
    ///
    /// At the bound [`Handle::try_spawn`](crate::Handle::try_spawn) gives the future back, and the
    /// others block the calling thread until there is room or the loop is asked to end: so the loop
    /// must be running, or another thread have it driven. On the loop's own thread nothing blocks.
    /// Wakes, cancels, shutdown and snapshots are not submissions.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, SpawnError};
    ///
    /// let mut executor = Builder::new().capacity(1).build();
    /// let handle = executor.handle().clone();
    /// let from_elsewhere = std::thread::spawn(move || {
    ///     let first = handle.try_spawn(async { 1 });
    ///     assert!(matches!(handle.try_spawn(async { 2 }), Err(SpawnError::Full(_))));
    ///     first.unwrap()
    /// });
    /// let first = from_elsewhere.join().unwrap();
    /// assert_eq!(executor.block_on(first).unwrap(), 1);
    /// ```
    pub fn capacity(mut self, submissions: usize) -> Self {
        self.settings.capacity = Some(submissions);
        self
    }

    /// Most threads of the pool of [`Handle::spawn_blocking`](crate::Handle::spawn_blocking); at least
    /// one, 16 unless set.
    pub fn blocking_threads(mut self, most: usize) -> Self {
        self.settings.blocking_threads = most;
        self
    }

    /// Has `f` called, on a thread of its own, once for each poll, callback or destructor of a task
    /// that takes longer than `limit`, while it still does.
    ///
    /// Each poll then costs two reads of the clock and two locks. An idle loop is left alone. A panic
    /// in `f` is swallowed. It reports and does nothing else: nobody can end a poll from outside.
    pub fn watchdog<F>(mut self, limit: Duration, f: F) -> Self
    where
        F: Fn(&Stall) + Send + 'static,
    {
        self.watchdog = Some((limit, Box::new(f)));
        self
    }

    /// Starts the watchdog, if there is to be one.
    fn settle(mut self) -> (ThreadSettings, Settings, std::io::Result<()>) {
        let watchdog = self.watchdog.map(|(limit, hook)| Watchdog::start(limit, hook)).transpose();
        let outcome = watchdog.map(|watchdog| self.settings.watchdog = watchdog);
        (self.thread, self.settings, outcome)
    }

    /// Starts the loop on its own thread. When this returns `Ok`, `on_start` has finished and a call
    /// made at once runs.
    ///
    /// # Errors
    ///
    /// [`StartError::Thread`] if there is no thread to be had, [`StartError::Init`] and
    /// [`StartError::Panicked`] as `on_start` ended. Nothing is left of the loop then.
    pub fn start(self) -> Result<LoopThread, StartError> {
        let (thread, settings, watchdog) = self.settle();
        watchdog.map_err(StartError::Thread)?;
        LoopThread::launch(thread, settings)
    }

    /// Builds the executor on the caller's thread. What belongs to a thread (name, stack size,
    /// `on_start`, `on_stop`) does not apply. If there is no thread for a watchdog it goes without.
    #[must_use]
    pub fn build(self) -> Executor {
        let (_, settings, _) = self.settle();
        Executor::on_this_thread(Local::new(settings))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.thread.name)
            .field("stack_size", &self.thread.stack_size)
            .field("batch", &self.settings.batch)
            .field("spin", &self.settings.spin)
            .finish_non_exhaustive()
    }
}
