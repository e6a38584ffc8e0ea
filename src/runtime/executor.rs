//! A loop without a thread of its own: the caller drives it.

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

use super::block_on_waker::BlockOnWaker;
use super::builder::Builder;
use super::context::{self, Held};
use super::local::{Local, Settings};
use crate::error::StartError;
use crate::handle::Handle;
use crate::join::JoinHandle;
use crate::scheduler::HostWaker;
use crate::shutdown::ShutdownReport;
use crate::spawning::LocalHandle;

/// A loop on the caller's thread, driven by the caller. Neither `Send` nor `Sync`.
///
/// Its [`Handle`] works from any thread. Dropping it aborts what still lives, and waits for the threads of its
/// pool and its watchdog, but not for jobs that run on.
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

/// What one turn did, and what comes next.
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
    /// Nothing is ready: the host may sleep until it is woken or `next_deadline` comes.
    pub idle: bool,
    /// When the next timer is due; `None`: no timer is armed. Exact if the loop is idle; else it may be too
    /// early, where so many timers were cancelled that it takes more than a turn to find the next one.
    pub next_deadline: Option<Instant>,
    /// The loop was asked to end, and has: there is nothing more to drive.
    pub ended: bool,
}

impl Executor {
    /// An executor with the defaults; [`Builder::build`] makes one with others.
    #[must_use]
    pub fn new() -> Self {
        Builder::new().build()
    }

    /// Makes a loop that lives on this thread. Only a driver of the user's may fail.
    #[allow(clippy::unnecessary_wraps, unused_mut)] // without I/O
    pub(crate) fn on_this_thread(mut settings: Settings) -> Result<Self, StartError> {
        #[cfg(all(feature = "io", unix))]
        let driver = settings.driver.take();
        let local = Local::new(settings);
        context::register(&local);
        let executor = Self { handle: local.handle(), local, is_silent: false };
        #[cfg(all(feature = "io", unix))]
        if let Some(make) = driver {
            executor.local.make_driver(make)?;
        }
        // It is idle until it is first driven: what comes in before calls `on_wake`.
        executor.local.rest();
        Ok(executor)
    }

    /// The handle to the loop, for any thread.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The handle that spawns what cannot leave this thread.
    #[must_use]
    pub fn local_handle(&self) -> LocalHandle {
        LocalHandle::new(self.local.clone())
    }

    /// Spawns a future that need not be `Send`. It is first polled in a turn, never in this call.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let (taken, vacant) = self.local.open((), Location::caller());
        JoinHandle::new(self.local.spawn_local(taken, vacant.fill(future)))
    }

    /// Runs the loop until `future` is ready, blocking the thread when nothing is.
    ///
    /// Inside of a task of another loop it holds that loop up until it is done: to wait there for a task of
    /// that very loop gives [`JoinError::WouldDeadlock`](crate::JoinError::WouldDeadlock). For a host with an `on_wake` hook: what is
    /// ready, or has come in, when it returns is told by no hook; the next turn is the host's to make.
    ///
    /// The future need not be `'static` or `Send`, and is not a task: it has no id, and a panic in it
    /// reaches the caller. Tasks that are not finished stay, for the next time the loop is driven.
    ///
    /// # Panics
    ///
    /// With what `future` panics with.
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

    /// Runs the loop until a shutdown is requested and done, blocking the thread when nothing is ready.
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

    /// Runs turns until nothing is ready and no timer due, and says how many polls were made. Never
    /// blocks, except in what it polls; a task that keeps waking itself keeps it going. Virtual time does
    /// not jump.
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
            let is_due = turn.next_deadline.is_some_and(|at| self.has_come(at));
            if turn.idle && !is_due && !self.look() {
                return polls;
            }
        }
    }

    /// Lets virtual time pass: `by` from now, from deadline to deadline, with everything polled until
    /// idle at each.
    ///
    /// First what is ready now is polled until nothing is. Then the clock stops at every deadline on
    /// the way, those that come up on the way and the limits of a shutdown included, and stands in the
    /// end at now + `by`, or as far as time goes. So `advance(a)` and then `advance(b)` are the same as
    /// `advance(a + b)`, and `advance(Duration::ZERO)` polls until idle. What other threads send
    /// meanwhile is taken in.
    ///
    /// Never blocks, except in what it polls; a task that keeps waking itself, or sleeps for no time,
    /// over and over, keeps it at one moment for ever.
    ///
    /// # Panics
    ///
    /// If the executor was built without [`Builder::virtual_time`].
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

    /// Has virtual time stand at `at`, over whatever is due on the way, or back: how a clock that jumps
    /// looks to a loop. For tests of that, and outside of what semantic versioning promises.
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

/// Runs `future` to its end on this thread, with a whole executor of its own: it may spawn, sleep and
/// join. What it spawned and did not wait for is aborted when it is done.
///
/// # Panics
///
/// With what `future` panics with.
///
/// # Examples
///
/// ```
/// assert_eq!(sideloop::block_on(async { 1 + 1 }), 2);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    Executor::new().block_on(future)
}
