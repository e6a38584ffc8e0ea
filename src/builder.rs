//! How a loop is to be built.

mod making;

use std::fmt;
use std::time::Duration;

use crate::error::BoxError;
use crate::loop_thread::ThreadSettings;
use crate::panic::TaskPanic;
use crate::runtime::local::Settings;
use crate::runtime::watchdog::{Stall, StallHook};

/// The largest batch: some hundred microseconds of polls that do nothing.
const MOST_BATCH: usize = 65_536;

/// The settings of a loop; every setter takes and returns the builder.
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
    /// A builder with the defaults.
    pub fn new() -> Self {
        Self { thread: ThreadSettings::default(), settings: Settings::default(), watchdog: None }
    }

    /// Sets the thread's name; "sideloop" by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.thread.name = name.into();
        self
    }

    /// Sets the size of the thread's stack in bytes, at least 64 KiB; the standard library's by default.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.thread.stack_size = Some(bytes);
        self
    }

    /// Runs `f` on the loop's thread before any task. If it fails or panics, the start fails.
    ///
    /// It runs inside the loop, so it may spawn.
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

    /// Runs `f` on the loop's thread last, when nothing of the loop is left. A panic in it is ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{Builder, Shutdown};
    ///
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let side = Builder::new().on_stop(move || drop(tell.send("closed"))).start()?;
    /// side.shutdown(Shutdown::now());
    /// assert_eq!(told.try_recv()?, "closed");
    /// # Ok(()) }
    /// ```
    pub fn on_stop<F>(mut self, f: F) -> Self
    where
        F: FnOnce() + Send + 'static,
    {
        self.thread.on_stop = Some(Box::new(f));
        self
    }

    /// Calls `f`, on the loop's thread, for each panic that no handle will report. A panic in `f` is ignored.
    pub fn on_panic<F>(mut self, f: F) -> Self
    where
        F: Fn(&TaskPanic<'_>) + Send + 'static,
    {
        self.settings.on_panic = Some(Box::new(f));
        self
    }

    /// Calls `f` each time the loop turns from idle to ready: for a host that drives an [`Executor`](crate::Executor) by
    /// [`Executor::turn`](crate::Executor::turn), which has an example, and sleeps while it is idle.
    ///
    /// `f` runs on the thread that made the loop ready, which may be the host's own: it may leave a message,
    /// and must not drive the executor. After a turn that was not idle, the host goes on without a call. See
    /// [the guide](crate::guide#inside-a-host-loop). A panic in `f` is ignored.
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

    /// Spins for up to this long before the loop parks: spends processor time to answer sooner. Zero by default.
    ///
    /// The time adapts: after a spin in vain the next one is shorter, down to an eighth; after a successful one
    /// it is whole again. An idle loop parks and stays parked.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// // Answers to a busy caller without a system call on either side.
    /// let side = sideloop::Builder::new().spin(Duration::from_micros(50)).start()?;
    /// for n in 0..100 {
    ///     assert_eq!(side.handle().call(move || n + 1).join()?, n + 1);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn spin(mut self, time: Duration) -> Self {
        self.settings.spin = time;
        self
    }

    /// Bounds the submissions that have not begun: spawns, calls and blocking jobs from other threads. At
    /// least one; unbounded by default.
    ///
    /// A submission holds its place until its task is first polled, or ends unpolled. At the bound
    /// [`Handle::try_spawn`](crate::Handle::try_spawn) returns the future,
    /// [`Handle::spawn_when_free`](crate::Handle::spawn_when_free) waits, and the other methods block the
    /// calling thread until there is room or the loop is asked to end; so the loop must be running, or another
    /// thread must drive it. Waiting callers get room in the order in which they came. Nothing blocks on the
    /// loop's own thread, but a loop that submits to the full queue of another one blocks. The bound is on what
    /// waits to begin, not on the number of tasks or blocking jobs. Wakes, cancels, shutdown and snapshots are
    /// not submissions.
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

    /// Sets the largest number of threads of the pool of
    /// [`Handle::spawn_blocking`](crate::Handle::spawn_blocking); at least one, 16 by default.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // For a library that only one thread at a time may use.
    /// let side = sideloop::Builder::new().blocking_threads(1).start()?;
    /// let first = side.handle().spawn_blocking(std::thread::current);
    /// let second = side.handle().spawn_blocking(std::thread::current);
    /// assert_eq!(first.join()?.id(), second.join()?.id());
    /// # Ok(()) }
    /// ```
    pub fn blocking_threads(mut self, most: usize) -> Self {
        self.settings.blocking_threads = most;
        self
    }

    /// Calls `f`, on a thread of its own, once for each poll, callback or destructor of a task that runs for
    /// longer than `limit`, while it still runs.
    ///
    /// Each poll then costs two reads of the clock and two locks. An idle loop is not disturbed. A panic in `f`
    /// is ignored. The watchdog only reports: a poll cannot be ended from outside.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let side = sideloop::Builder::new()
    ///     .watchdog(std::time::Duration::from_millis(5), move |stall| drop(tell.send(stall.id())))
    ///     .start()?;
    /// let (go_on, until) = std::sync::mpsc::channel::<()>();
    /// let stuck = side.handle().call(move || until.recv().is_err());
    /// assert_eq!(told.recv()?, stuck.id());
    /// drop(go_on);
    /// # Ok(()) }
    /// ```
    pub fn watchdog<F>(mut self, limit: Duration, f: F) -> Self
    where
        F: Fn(&Stall) + Send + 'static,
    {
        self.watchdog = Some((limit, Box::new(f)));
        self
    }

    /// Whether the system ends the loop thread's sleeps as exactly as it can: on Linux, with a timer slack of
    /// 1 ns instead of the usual 50 µs. On by default; no effect on other systems.
    ///
    /// Without it timers are later, though never early: the system delays wake-ups so that they share an
    /// interrupt. The slack is set on the loop's thread only, at its start; if that fails, nothing else changes.
    /// As always on Linux, threads that tasks start inherit it.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // For a device on battery, where saved wake-ups matter more than exact timers.
    /// let side = sideloop::Builder::new().precise_timers(false).start()?;
    /// # Ok(()) }
    /// ```
    pub fn precise_timers(mut self, on: bool) -> Self {
        self.thread.precise = on;
        self
    }

    /// Gives the loop a clock of its own, which stands still and jumps; for tests and simulations.
    ///
    /// In [`Executor::run`](crate::Executor::run), in [`Executor::block_on`](crate::Executor::block_on) and on a [`LoopThread`](crate::LoopThread), the clock jumps to the next
    /// deadline, of a timer or of a shutdown, whenever nothing is ready: a day of timers passes in the time
    /// that its polls take. Without a deadline the loop sleeps as usual. In [`Executor::turn`](crate::Executor::turn) and
    /// [`Executor::run_until_idle`](crate::Executor::run_until_idle) the clock stands still; [`Executor::advance`](crate::Executor::advance) moves it.
    ///
    /// All times inside the loop are virtual: [`time::now`](crate::time::now), everything counted from it, and
    /// the limits of a shutdown. They begin at the instant the loop is built. Outside the loop `time::now()` is
    /// the real clock: a [`sleep`](crate::time::sleep()) made there has a deadline counted from
    /// [`Instant::now`](std::time::Instant::now), which the loop reads as a virtual one.
    /// [`spin`](Self::spin) and [`watchdog`](Self::watchdog) count in real time. Work from other threads is
    /// taken in before the next jump, and the clock stands while a blocking job of the loop waits or runs, in a
    /// shutdown too. It does not wait for work that other threads have not sent yet: a limit on their answer
    /// passes as soon as the loop has nothing else to do.
    ///
    /// # The seed
    ///
    /// With a seed other than 0 the order of polls is drawn from it, to find code that relies on an order.
    /// The same seed and program repeat the same order, if nothing else comes from outside: other threads,
    /// `Instant::now()`, addresses, the seeds of hash maps. With 0, tasks are polled in the order in which they
    /// became ready, as without virtual time.
    ///
    /// A turn polls, in the drawn order, exactly the tasks that were ready when its polls began and were not
    /// spawned in it; if there are more than a [`batch`](Self::batch), those that have been ready longest. So
    /// no task is starved. Tasks may start in another order than that of their spawns. Cancelled tasks still go
    /// first, and timers still fire in the order of their deadlines.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, time};
    /// use std::time::Duration;
    ///
    /// const DAY: Duration = Duration::from_secs(24 * 3600);
    /// let mut executor = Builder::new().virtual_time(0).build();
    /// executor.block_on(async {
    ///     let before = time::now();
    ///     time::sleep(365 * DAY).await; // takes no time
    ///     assert_eq!(time::now() - before, 365 * DAY);
    /// });
    /// ```
    pub fn virtual_time(mut self, seed: u64) -> Self {
        self.settings.virtual_time = Some(seed);
        self
    }

    /// Sets the largest number of polls between two looks at injected work and timers; 64 by default.
    ///
    /// Values are clamped to 1 to 65 536: without a limit one busy task would starve everything that comes
    /// from outside.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut executor = sideloop::Builder::new().batch(2).build();
    /// for _ in 0..5 {
    ///     executor.spawn_local(async {}).detach();
    /// }
    /// assert_eq!(executor.turn().polls, 2);
    /// assert_eq!(executor.run_until_idle(), 3);
    /// ```
    pub fn batch(mut self, polls: usize) -> Self {
        self.settings.batch = polls.clamp(1, MOST_BATCH);
        self
    }

    /// Sets how much longer than to the next deadline of a timer the loop may sleep, so that timers whose deadlines are
    /// close share a wake-up; zero by default, which is exact.
    ///
    /// Timers are never early, and what is due when the loop wakes up fires in the order of the deadlines. The limits of
    /// a shutdown stay exact. It has no effect on virtual time, nor on a host that drives the executor by turns.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// // A hundred thousand idle connections, whose limits need not be exact.
    /// let side = sideloop::Builder::new().timer_tolerance(Duration::from_millis(1)).start()?;
    /// # Ok(()) }
    /// ```
    pub fn timer_tolerance(mut self, time: Duration) -> Self {
        self.settings.timer_tolerance = time;
        self
    }

    /// Sets how long a poll may run before [`yield_if_due`](crate::yield_if_due) yields; 200 µs by default.
    /// Zero yields at every call, [`Duration::MAX`] at none.
    ///
    /// It ends no poll by itself: a task that never awaits cannot be interrupted.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mut executor = sideloop::Builder::new().poll_budget(Duration::ZERO).build();
    /// executor.spawn_local(sideloop::yield_if_due()).detach();
    /// assert_eq!(executor.run_until_idle(), 2); // polls
    /// ```
    pub fn poll_budget(mut self, time: Duration) -> Self {
        self.settings.poll_budget = time;
        self
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
            .field("precise_timers", &self.thread.precise)
            .field("batch", &self.settings.batch)
            .field("poll_budget", &self.settings.poll_budget)
            .field("timer_tolerance", &self.settings.timer_tolerance)
            .field("spin", &self.settings.spin)
            .field("virtual_time", &self.settings.virtual_time)
            .finish_non_exhaustive()
    }
}
