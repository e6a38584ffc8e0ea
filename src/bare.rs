//! A loop without the standard library: the caller brings the thread, the clock and the idle hook.
//!
//! It has the task cells, the wakers, the lock-free injection queue, the registry and the timer wheel of the
//! full loop. The time is the one passed to [`Loop::turn`], in nanoseconds from an origin of your choice.
//!
//! | here | not here, since it needs `std` |
//! |---|---|
//! | [`Loop::spawn_local`], [`Remote::spawn`] | `spawn_with`, `call`, names, capacities, blocking jobs |
//! | `.await` and [`try_join`](JoinHandle::try_join) | blocking joins, groups |
//! | `cancel` and `abort` by handle, [`Canceller`](crate::Canceller), [`CancelOnDrop`](crate::CancelOnDrop) | guards, `cancel_within`, cancelling by id |
//! | [`Timer::sleep_until`], [`Timer::now`] | time limits, intervals, timed calls, virtual time |
//! | the drop of the loop, which drops its tasks | shutdown in phases, reports |
//! | | snapshots, metrics, watchdog; `current`, `yield_now` and all that knows its loop without being told |
//!
//! Without `std` a panic is not caught: it unwinds out of the turn that ran the task, and the next turn ends
//! that task. With `std` panics are caught here too, and handles can join; a blocking join on the loop's own
//! thread gives [`JoinError::WouldDeadlock`].
//!
//! # Examples
//!
//! ```
//! use sideloop::bare::Loop;
//!
//! let mut bare = Loop::new(|| { /* end the wait for an interrupt */ });
//! let timer = bare.timer();
//! let task = bare.spawn_local(async move {
//!     timer.sleep_until(1_000).await;
//!     "late enough"
//! });
//! let waiting = bare.turn(0);
//! assert_eq!((waiting.idle, waiting.next_deadline), (true, Some(1_000)));
//! while !bare.turn(1_000).idle {}
//! assert!(task.is_finished());
//! ```

use alloc::rc::Rc;
use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::panic::Location;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::error::{JoinError, forget_payload};
use crate::id::{self, TaskId};
use crate::join::JoinHandle;
#[cfg(feature = "std")]
use crate::runtime::context;
use crate::scheduler::wheel::TimerKey;
use crate::scheduler::{Ended, Host, Scheduler, TaskMeta};
use crate::sync::Arc;
use crate::task::cell::Origin;
use crate::task::loop_side::{LoopSide, UnobservedPanic};
use crate::task::run_queues::RunQueues;
use crate::task::spawn::{Kind, Vacant};

/// Most polls of one turn.
const BATCH: usize = 64;

/// A loop that its caller drives, turn by turn. Neither `Send` nor `Sync`.
///
/// Dropping it drops every task that was accepted and still lives; the handles report
/// [`JoinError::Cancelled`]. Handles of later spawns report [`JoinError::Closed`].
///
/// # Examples
///
/// ```
/// use sideloop::bare::Loop;
///
/// let mut bare = Loop::new(|| ());
/// let (remote, timer) = (bare.remote(), bare.timer());
/// let sum = bare.spawn_local(async move {
///     let part = remote.spawn(async { 40 });
///     timer.sleep_until(5).await;
///     part.await.map(|part| part + 2)
/// });
/// while !bare.turn(0).idle {}
/// while !bare.turn(5).idle {}
/// assert!(sum.is_finished());
/// ```
pub struct Loop {
    inner: Rc<LoopInner>,
}

struct LoopInner {
    scheduler: Scheduler,
    now: Cell<u64>,
}

/// The outcome of one turn, and the next deadline.
///
/// # Examples
///
/// ```
/// let mut bare = sideloop::bare::Loop::new(|| ());
/// let timer = bare.timer();
/// bare.spawn_local(async move { timer.sleep_until(20).await }).detach();
/// let turn = bare.turn(10);
/// assert_eq!((turn.polls, turn.fired), (1, 0));
/// assert!(turn.idle && turn.next_deadline == Some(20)); // until then there is nothing to do
/// ```
#[derive(Debug, Clone)]
pub struct Turn {
    /// How many tasks were polled.
    pub polls: usize,
    /// How many timers fired.
    pub fired: usize,
    /// Whether nothing is ready: the caller may wait for its hook or for `next_deadline`. If false, the caller
    /// makes the next turn by itself.
    pub idle: bool,
    /// When the next timer is due, in the caller's nanoseconds. Exact if the loop is idle; else it may be too
    /// early, after so many cancelled timers that finding the next one takes more than a turn.
    pub next_deadline: Option<u64>,
}

impl Loop {
    /// A loop without tasks. `unpark` is called once each time the loop turns from idle to ready, on the thread
    /// or in the interrupt that causes it.
    #[must_use]
    pub fn new(unpark: impl Fn() + Send + Sync + 'static) -> Self {
        let scheduler = Scheduler::new(LoopSide::new(alloc::boxed::Box::new(unpark)), 0);
        scheduler.rest();
        #[cfg(feature = "std")]
        context::move_in_bare(scheduler.side.run_queues());
        Self { inner: Rc::new(LoopInner { scheduler, now: Cell::new(0) }) }
    }

    /// Spawns a future that need not be `Send`. It is first polled in a later turn.
    #[track_caller]
    pub fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let LoopInner { scheduler, now } = &*self.inner;
        let task = scheduler.vacant((), Location::caller()).fill(future);
        let join = scheduler.spawn(task, now.get());
        scheduler.side.run_queues().notify();
        JoinHandle::new(join)
    }

    /// A handle for other threads, and for interrupts that may allocate, to spawn on this loop.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote { run_queues: self.inner.scheduler.side.run_queues().clone() }
    }

    /// A handle for tasks of this loop to wait for a time.
    #[must_use]
    pub fn timer(&self) -> Timer {
        Timer { inner: self.inner.clone() }
    }

    /// Takes in new work, fires the timers that are due at `now`, and polls one batch of 64 tasks. It blocks only
    /// where a task blocks. `now` may stall, jump ahead or step back.
    pub fn turn(&mut self, now: u64) -> Turn {
        let LoopInner { scheduler, now: told } = &*self.inner;
        told.set(now);
        let _entered = scheduler.side.enter();
        scheduler.side.resume();
        let done = scheduler.turn(&*self.inner, BATCH);
        let next = scheduler.next_deadline();
        let idle = next.is_ok() && scheduler.is_idle() && !done.more_timers && scheduler.rest();
        let next_deadline = next.unwrap_or_else(Some).filter(|at| *at != u64::MAX);
        Turn { polls: done.polls, fired: done.fired, idle, next_deadline }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // Should a destructor panic, and nobody catch it, the others are called all the same, as those of a
        // `Vec`'s elements are.
        let rest = CloseOnDrop(&self.inner);
        rest.close();
        #[cfg(feature = "std")]
        context::move_out_bare(self.inner.scheduler.side.run_queues());
    }
}

/// Ends a loop, and goes on with that when it is dropped.
struct CloseOnDrop<'a>(&'a LoopInner);

impl CloseOnDrop<'_> {
    fn close(&self) {
        let scheduler = &self.0.scheduler;
        let _entered = scheduler.side.enter();
        scheduler.close(self.0);
        scheduler.disarm_all();
    }
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.close(); // of a loop that is closed already it does nothing
    }
}

impl Host for LoopInner {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn lost(&self, lost: UnobservedPanic) {
        forget_payload(lost.payload);
    }

    fn records(&self) -> bool {
        false
    }

    fn ended(&self, _: Ended) {}

    fn cancels_new(&self) -> bool {
        false
    }

    fn takes_in(&self) -> bool {
        false
    }

    fn admitted(&self) {}

    #[inline]
    fn looks_on(&self) -> bool {
        false
    }

    fn watches(&self) -> bool {
        false
    }

    fn begins(&self, _: TaskMeta) {}

    fn returns(&self) {}

    fn wake_main(&self) {}

    fn asked(&self, _: TaskId) {}

    fn retired(&self, _: TaskId) {}
}

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("live", &self.inner.scheduler.live()).finish_non_exhaustive()
    }
}

/// The way to a [`Loop`] from other threads. Outlives the loop.
///
/// # Examples
///
/// ```
/// let mut bare = sideloop::bare::Loop::new(|| ());
/// let remote = bare.remote();
/// let other = std::thread::spawn(move || remote.spawn(async { 6 * 7 }));
/// let task = other.join().unwrap();
/// bare.turn(0);
/// assert!(task.is_finished());
/// ```
#[derive(Debug, Clone)]
pub struct Remote {
    run_queues: Arc<RunQueues>,
}

impl Remote {
    /// Spawns on the loop, from any thread. After the loop's end the future is dropped here, and the handle
    /// reports [`JoinError::Closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::bare::Loop;
    ///
    /// let mut bare = Loop::new(|| ());
    /// let task = bare.remote().spawn(async { 1 });
    /// while !bare.turn(0).idle {}
    /// assert!(task.is_finished());
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let origin = Origin { serial: id::draw(), location: Location::caller() };
        let task = Vacant::new((), origin, self.run_queues.clone(), Kind::Task).fill(future);
        JoinHandle::new(
            task.push(&self.run_queues).unwrap_or_else(|task| task.end(JoinError::Closed)),
        )
    }
}

/// The timers of a [`Loop`], for its tasks. Not `Send`.
///
/// # Examples
///
/// ```
/// use sideloop::bare::Loop;
///
/// let mut bare = Loop::new(|| ());
/// let timer = bare.timer();
/// let late = bare.spawn_local(async move {
///     timer.sleep_until(7).await;
///     assert_eq!(timer.now(), 9);
/// });
/// while !bare.turn(0).idle {}
/// while !bare.turn(9).idle {} // late, never early
/// assert!(late.is_finished());
/// ```
#[derive(Clone)]
pub struct Timer {
    inner: Rc<LoopInner>,
}

impl Timer {
    /// The time passed to the loop's last turn, in the caller's nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.inner.now.get()
    }

    /// Waits until a turn is told `deadline` or later. A deadline that has passed yields once.
    pub fn sleep_until(&self, deadline: u64) -> Sleep {
        Sleep { inner: self.inner.clone(), deadline, state: Wait::New }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// The future of [`Timer::sleep_until`].
///
/// # Cancel safety
///
/// Strict: dropping it frees its timer at once; polled again later, it goes on waiting.
///
/// # Examples
///
/// ```
/// let mut bare = sideloop::bare::Loop::new(|| ());
/// let sleep = bare.timer().sleep_until(3);
/// bare.spawn_local(sleep).detach();
/// assert_eq!(bare.turn(0).next_deadline, Some(3));
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    inner: Rc<LoopInner>,
    deadline: u64,
    state: Wait,
}

enum Wait {
    New,
    Armed(TimerKey),
    Over,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.state {
            Wait::Over => return Poll::Ready(()),
            Wait::New => {
                let key = self.inner.scheduler.arm(self.deadline, cx.waker());
                self.state = Wait::Armed(key);
            }
            Wait::Armed(key) if self.inner.scheduler.swap_waker(key, cx.waker()).is_none() => {
                self.state = Wait::Over;
                return Poll::Ready(());
            }
            Wait::Armed(_) => {}
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Wait::Armed(key) = self.state {
            self.inner.scheduler.disarm(key);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
