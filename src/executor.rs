//! A loop without its own thread: the caller drives it.

mod guest;
mod host;

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_task::waker_ref;

use crate::error::StartError;
use crate::handle::Handle;
use crate::join::JoinHandle;
use crate::runtime::block_on_waker::BlockOnWaker;
use crate::runtime::context::{self, Held};
use crate::runtime::local::{Local, Settings};
use crate::scheduler::HostWaker;
use crate::shutdown::ShutdownReport;
use crate::spawning::LocalHandle;

/// A loop on the caller's thread, driven by the caller. Neither `Send` nor `Sync`.
///
/// Its [`Handle`] works from any thread. Dropping the executor aborts the tasks that still live, and waits for
/// the threads of its pool and its watchdog, but not for jobs that still run. A GUI or another host loop
/// drives it by [`turn`](Self::turn): see [the guide](crate::guide#inside-a-host-loop).
///
/// # Examples
///
/// ```
/// let mut executor = sideloop::Executor::new();
/// let task = executor.spawn_local(async { 2 });
/// assert_eq!(executor.block_on(async { task.await.unwrap() + 1 }), 3);
/// ```
///
/// ```
/// use std::rc::Rc;
///
/// let mut executor = sideloop::Executor::new();
/// let handle = executor.handle().clone();
/// let one = std::thread::spawn(move || handle.spawn(async { 1 })).join().unwrap();
/// let two = executor.local_handle().spawn_local(async { Rc::new(2) });
/// assert_eq!(executor.block_on(async { one.await.unwrap() + *two.await.unwrap() }), 3);
/// ```
pub struct Executor {
    local: Rc<Local>,
    handle: Handle,
    /// Its owner tells the end of the loop, because a hook is still to run.
    is_silent: bool,
}

/// The outcome of one turn, and the next deadline.
///
/// # Examples
///
/// ```
/// use sideloop::{Builder, time};
/// use std::time::Duration;
///
/// let mut executor = Builder::new().virtual_time(0).build();
/// executor.spawn_local(async { time::sleep(Duration::from_secs(60)).await }).detach();
/// let turn = executor.turn();
/// assert_eq!((turn.polls, turn.fired, turn.idle), (1, 0, true));
/// assert!(turn.next_deadline.is_some()); // the host sleeps until then, or until `on_wake`
/// ```
#[derive(Debug, Clone)]
pub struct Turn {
    /// How many tasks were polled.
    pub polls: usize,
    /// How many timers fired.
    pub fired: usize,
    /// Whether nothing is ready: the host may sleep until it is woken or `next_deadline` comes. If false, the
    /// host makes the next turn by itself: nothing will wake it.
    pub idle: bool,
    /// When the next timer is due; `None` if no timer is armed. Exact if the loop is idle; else it may be too
    /// early, after so many cancelled timers that finding the next one takes more than a turn.
    pub next_deadline: Option<Instant>,
    /// Whether the loop has ended after a request: there is nothing more to drive.
    pub ended: bool,
}

impl Executor {
    /// An executor with the defaults; [`Builder::build`](crate::Builder::build) makes one with other settings.
    #[must_use]
    pub fn new() -> Self {
        let executor = Self::living_here(Settings::default());
        executor.local.rest();
        executor
    }

    /// Makes a loop that lives on this thread. Only a driver of the user's may fail.
    #[allow(clippy::unnecessary_wraps, unused_mut)] // without I/O
    pub(crate) fn on_this_thread(mut settings: Settings) -> Result<Self, StartError> {
        #[cfg(all(feature = "io", unix))]
        let driver = settings.driver.take();
        let executor = Self::living_here(settings);
        #[cfg(all(feature = "io", unix))]
        if let Some(make) = driver {
            executor.local.make_driver(make)?;
        }
        // It is idle until it is first driven: what comes in before calls `on_wake`.
        executor.local.rest();
        Ok(executor)
    }

    fn living_here(settings: Settings) -> Self {
        let local = Local::new(settings);
        context::register(&local);
        Self { handle: local.handle(), local, is_silent: false }
    }

    /// The handle to the loop, for any thread.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The handle that spawns futures that cannot leave this thread.
    #[must_use]
    pub fn local_handle(&self) -> LocalHandle {
        LocalHandle::new(self.local.clone())
    }

    /// Spawns a future that need not be `Send`. It is first polled in a turn, never inside this call.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let (taken, vacant) = self.local.open((), Location::caller());
        JoinHandle::new(self.local.spawn_local(taken, vacant.fill(future)))
    }

    /// Runs the loop until `future` is ready, blocking the thread when nothing is.
    ///
    /// The future need not be `'static` or `Send`, and is not a task: it has no id, and a panic in it
    /// reaches the caller. Unfinished tasks stay until the loop is driven again.
    ///
    /// Inside a task of another loop, this call delays that loop until it returns; waiting in it for a task of
    /// that loop gives [`JoinError::WouldDeadlock`](crate::JoinError::WouldDeadlock). A host with an `on_wake`
    /// hook makes a turn afterwards: the hook does not announce work that is ready when this returns.
    ///
    /// # Panics
    ///
    /// With the panic of `future`.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut executor = sideloop::Executor::new();
    /// let text = String::from("borrowed");
    /// assert_eq!(executor.block_on(async { text.len() }), 8);
    /// ```
    pub fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        let local = &*self.local;
        let _held = Held::by(local);
        let _resting = Resting(local);
        let _entered = local.scheduler.side.enter();
        local.forget_reading();
        local.keep_pace();
        let main = Arc::new(BlockOnWaker::new(local.shared.run_queues.clone()));
        let waker = waker_ref(&main);
        let _beside = Beside::new(local, &main, &waker);
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if main.take() {
                local.leave_turn();
                local.pace.begin_main();
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return output;
                }
            }
            let done = local.turn();
            local.end_if_empty();
            if local.is_idle() && !done.more_timers && !main.is_woken() {
                local.park();
            } else {
                local.look_if_due();
            }
        }
    }

    /// Runs the loop until it has been shut down, blocking the thread when nothing is ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Executor, Shutdown};
    ///
    /// let mut executor = Executor::new();
    /// let handle = executor.handle().clone();
    /// executor.spawn_local(async move { handle.shutdown(Shutdown::now()) }).detach();
    /// assert!(executor.run().panicked.is_empty());
    /// ```
    pub fn run(&mut self) -> ShutdownReport {
        self.local.run();
        if self.is_silent { self.local.report() } else { self.local.tell_end() }
    }

    /// Its end is not the loop's: the caller tells when that comes.
    pub(super) fn silenced(mut self) -> Self {
        self.is_silent = true;
        self
    }

    /// Runs turns until nothing is ready and no timer is due, and returns the number of polls. It blocks only
    /// where a task blocks, and does not return while a task keeps waking itself. Virtual time does not jump.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut executor = sideloop::Executor::new();
    /// executor.spawn_local(async { sideloop::yield_now().await }).detach();
    /// assert_eq!(executor.run_until_idle(), 2);
    /// ```
    pub fn run_until_idle(&mut self) -> usize {
        let mut polls = 0;
        loop {
            let turn = self.turn();
            polls += turn.polls;
            if turn.idle && !self.is_due(&turn) && !self.look() {
                return polls;
            }
        }
    }

    /// Advances virtual time by `by`, from deadline to deadline, and polls until idle at each.
    ///
    /// First it polls until nothing is ready. Then the clock stops at every deadline on the way, including
    /// those that are armed on the way and the limits of a shutdown, and ends at now + `by`, or at the end of
    /// time. So `advance(a)` and then `advance(b)` equal `advance(a + b)`, and `advance(Duration::ZERO)` polls
    /// until idle. Work that other threads send meanwhile is taken in.
    ///
    /// It blocks only where a task blocks. A task that keeps waking itself, or sleeps for zero time over and
    /// over, keeps it at one moment for ever.
    ///
    /// # Panics
    ///
    /// If the executor was built without [`Builder::virtual_time`](crate::Builder::virtual_time).
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, time};
    /// use std::time::Duration;
    ///
    /// let mut executor = Builder::new().virtual_time(0).build();
    /// let task = executor.spawn_local(async {
    ///     time::sleep(Duration::from_secs(24 * 3600)).await;
    /// });
    /// executor.advance(Duration::from_secs(24 * 3600 - 1));
    /// assert!(!task.is_finished());
    /// executor.advance(Duration::from_secs(1));
    /// assert!(task.is_finished());
    /// ```
    #[track_caller]
    pub fn advance(&mut self, by: Duration) {
        let local = self.local.clone();
        let clock = &local.shared.clock;
        assert!(
            clock.is_virtual(),
            "Executor::advance was called without virtual time: Builder::virtual_time gives it"
        );
        let end = clock.after(by);
        self.run_until_idle();
        // An idle loop knows its next deadline.
        while let Some(next) = local.next_deadline().ok().flatten().filter(|tick| *tick < end) {
            clock.jump(next);
            self.run_until_idle();
        }
        clock.jump(end);
        self.run_until_idle();
    }

    /// Sets virtual time to `at`, forward over deadlines or back, to test a loop under a clock that jumps.
    /// Exempt from semantic versioning.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, time};
    /// use std::time::Duration;
    ///
    /// let mut executor = Builder::new().virtual_time(0).build();
    /// let begun = executor.block_on(async { time::now() });
    /// executor.set_clock(begun + Duration::from_secs(60));
    /// executor.set_clock(begun + Duration::from_secs(59)); // a step back
    /// assert_eq!(executor.block_on(async { time::now() }), begun + Duration::from_secs(59));
    /// ```
    #[doc(hidden)]
    pub fn set_clock(&mut self, at: Instant) {
        self.local.shared.clock.set(at);
    }

    /// Calls `f` as if from inside the loop's run.
    pub(crate) fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
        let _entered = self.local.scheduler.side.enter();
        f()
    }
}

impl Default for Executor {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.local.close();
        context::move_out(&self.local);
        self.local.guest.set(None);
        self.local.join_threads();
        if !self.is_silent {
            self.local.tell_end();
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// When the loop is no longer driven it is idle again, if it is: what comes in then calls `on_wake`.
struct Resting<'a>(&'a Local);

impl Drop for Resting<'_> {
    fn drop(&mut self) {
        if self.0.scheduler.is_idle() {
            self.0.rest_at_last();
        }
    }
}

/// While it lives, timers know the future of a `block_on` by its waker.
struct Beside<'a> {
    local: &'a Local,
    main: Option<Arc<BlockOnWaker>>,
    waker: HostWaker,
}

impl<'a> Beside<'a> {
    fn new(local: &'a Local, main: &Arc<BlockOnWaker>, waker: &Waker) -> Self {
        let main = local.main.replace(Some(main.clone()));
        let waker = local.scheduler.host_waker.replace(HostWaker::of(waker));
        Self { local, main, waker }
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.local.main.replace(self.main.take());
        self.local.scheduler.host_waker.replace(mem::take(&mut self.waker));
    }
}

/// Runs `future` on this thread until it is ready, on a new executor: it may spawn, sleep and join. Tasks that
/// still run then are aborted.
///
/// # Panics
///
/// With the panic of `future`.
///
/// # Examples
///
/// ```
/// assert_eq!(sideloop::block_on(async { 1 + 1 }), 2);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    Executor::new().block_on(future)
}
