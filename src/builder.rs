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
        Self { thread: ThreadSettings::default(), settings: Settings::default(), watchdog: None }
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

    /// Looks for work for up to this long before it parks: spends processor time to answer sooner.
    /// Zero unless set.
    ///
    /// It adapts: while what ends the waits comes later than that, the loop looks for less and less,
    /// down to an eighth; as soon as something comes in time it looks for all of it again. An idle
    /// loop parks, and stays parked.
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

    /// Bounds the submissions that have not begun: spawns, calls and blocking jobs of other threads. At
    /// least one; without this there is no bound.
    ///
    /// A submission holds its place until its task is first polled, or ends without. At the bound
    /// [`Handle::try_spawn`](crate::Handle::try_spawn) gives the future back,
    /// [`Handle::spawn_when_free`](crate::Handle::spawn_when_free) waits, and the others block the calling
    /// thread until there is room or the loop is asked to end: so the loop must be running, or another thread
    /// have it driven. Room goes to those who wait in the order in which they came. On the loop's own thread
    /// nothing blocks; a loop that submits to another one's full queue does. It bounds what waits to begin, not how
    /// many tasks or blocking jobs there are.
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
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A library that may be used by one thread at a time.
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

    /// Has `f` called, on a thread of its own, once for each poll, callback or destructor of a task
    /// that takes longer than `limit`, while it still does.
    ///
    /// Each poll then costs two reads of the clock and two locks. An idle loop is left alone. A panic
    /// in `f` is swallowed. It reports and does nothing else: nobody can end a poll from outside.
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

    /// Whether the system is to end the loop thread's sleeps as exactly as it can: on Linux, with a
    /// timer slack of 1 ns instead of the usual 50 µs. On unless set; has no effect elsewhere.
    ///
    /// Without it timers are still never early, but later: the system puts wake-ups off to have them
    /// share an interrupt. It is set at the start of the loop's thread, on no other, and where that
    /// fails nothing else changes. As always on Linux, a thread begins with the slack of the one that
    /// starts it: what tasks start inherits it.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A loop on a battery, whose timers may wait for company.
    /// let side = sideloop::Builder::new().precise_timers(false).start()?;
    /// # Ok(()) }
    /// ```
    pub fn precise_timers(mut self, on: bool) -> Self {
        self.thread.precise = on;
        self
    }

    /// Has the loop live by a clock of its own, which stands still and jumps; for tests and simulations.
    ///
    /// In [`Executor::run`], in [`Executor::block_on`] and on a [`LoopThread`] the clock jumps to the
    /// next deadline, of a timer or of a shutdown, whenever nothing is ready: nobody waits, and a day
    /// of timers passes in the time that its polls take. Without any deadline the loop sleeps as
    /// always. Driven by [`Executor::turn`] or [`Executor::run_until_idle`] the clock stands still;
    /// [`Executor::advance`] moves it.
    ///
    /// Inside the loop all times are virtual: [`time::now`](crate::time::now), what counts from it,
    /// and the limits of a shutdown. They begin at the instant of the building. Outside of the loop
    /// `time::now()` stays the real clock: a [`sleep`](crate::time::sleep()) that is made there has a
    /// deadline counted from [`Instant::now`](std::time::Instant::now), which the loop then takes for
    /// one of its own time; [`spin`](Self::spin) and [`watchdog`](Self::watchdog) count in real time. What
    /// another thread sent is always taken in before the next jump, and the clock stands while a blocking
    /// job of the loop waits or runs, in a shutdown too; but it does not wait for what other threads are
    /// still about to send: a limit for their answer is over as soon as the loop has nothing else to do.
    ///
    /// # The seed
    ///
    /// With a seed other than 0 the order of polls is drawn from it, to find what relies on an order.
    /// The same seed and the same program give the same order, as long as nothing else comes in from
    /// outside: other threads, `Instant::now()`, addresses, the seeds of hash maps. With 0, tasks are
    /// polled in the order in which they became ready, as without virtual time.
    ///
    /// A turn polls, in the drawn order, exactly those tasks that were ready when its polls began and
    /// not spawned in it; of more than [`batch`](Self::batch), those that have been ready longest. So nobody is
    /// starved: each task is polled within the batch in which it would be if the order were not
    /// drawn and what becomes ready during a batch waited for the next. Tasks may then start in
    /// another order than they were spawned in. Cancelled tasks still go first, and timers still fire
    /// in the order of their deadlines.
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

    /// The most polls between two looks at injected work and timers; 64 unless set.
    ///
    /// From 1 to 65 536, to which other values are brought: without a limit one busy task would
    /// starve everything that comes from outside.
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

    /// How long a poll may run before [`yield_if_due`](crate::yield_if_due) yields in it; 200 µs unless
    /// set. Zero yields at every call, [`Duration::MAX`] at none.
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
            .field("spin", &self.settings.spin)
            .field("virtual_time", &self.settings.virtual_time)
            .finish_non_exhaustive()
    }
}
