//! The handle to one task: waits for it, and requests its end.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
#[cfg(feature = "std")]
use core::task::Waker;
use core::task::{Context, Poll};
#[cfg(feature = "std")]
use std::time::{Duration, Instant};

use crate::cancel::{CancelOnDrop, Canceller};
use crate::error::JoinError;
use crate::id::TaskId;
#[cfg(feature = "std")]
use crate::runtime::{blocking_wait, context};
use crate::task::join::Join;
#[cfg(feature = "std")]
use crate::task::join::{TaskRef, fails};
use crate::task::state::{CancelRequest, Request};

/// The handle to a task and to its result.
///
/// `Send + Sync` if the result is `Send`. It is a future of the result, on any executor. Dropping it
/// detaches the task. It outlives the loop: the value of a finished task can still be joined.
///
/// # Cancel safety
///
/// Strict: it may be polled by reference, in a `select`, and polled again later; nothing is lost.
/// Polled again after it gave the result, it gives [`JoinError::Closed`]. If the task cannot end before the
/// polling thread goes on, it gives [`JoinError::WouldDeadlock`]: in a [`block_on`](crate::Executor::block_on)
/// inside a task of the same loop, and in the task's own blocking job.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let blocking = side.handle().spawn(async { "from a thread" });
/// assert_eq!(blocking.join()?, "from a thread");
/// let awaited = side.handle().spawn(async { "from another executor" });
/// assert_eq!(sideloop::block_on(awaited)?, "from another executor");
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
pub struct JoinHandle<T> {
    join: Join<T>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(join: Join<T>) -> Self {
        Self { join }
    }

    /// The task's id.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let task = side.handle().spawn(async { sideloop::current_task() });
    /// let id = task.id(); // known before the task begins
    /// assert_eq!(task.join()?, Some(id));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.join.id()
    }

    /// Blocks the calling thread until the task has ended, and returns its result.
    ///
    /// # Errors
    ///
    /// [`JoinError::Cancelled`], [`JoinError::Panicked`] or [`JoinError::Closed`], as the task ended.
    /// [`JoinError::WouldDeadlock`], at once, if the task has not finished and the calling thread would have
    /// to run it: the thread of its loop, or of its own blocking job. The task is then detached. Use `.await`
    /// on a loop's thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{JoinError, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let outer = side.handle().call(|| {
    ///     sideloop::current().call(|| 1).join() // on the loop's own thread
    /// });
    /// assert!(matches!(outer.join()?, Err(JoinError::WouldDeadlock)));
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "std")]
    pub fn join(mut self) -> Result<T, JoinError> {
        if self.would_deadlock() {
            return Err(JoinError::WouldDeadlock);
        }
        self.wait(None);
        self.join.take() // without a limit there is always an answer
    }

    /// Blocks the calling thread until the task has ended, for at most `limit`.
    ///
    /// Zero checks once and never blocks; [`Duration::MAX`] waits for ever. The task is never affected.
    ///
    /// # Errors
    ///
    /// `Err` holds the handle if the task still runs. The inner result is that of [`JoinHandle::join`]. On
    /// the loop's own thread, a limit of zero returns the handle, and any longer one
    /// [`JoinError::WouldDeadlock`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use core::time::Duration;
    ///
    /// let side = sideloop::LoopThread::start()?;
    /// let stuck = side.handle().spawn(std::future::pending::<()>());
    /// let stuck = stuck.join_timeout(Duration::from_millis(5)).unwrap_err();
    /// assert!(!stuck.is_finished());
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "std")]
    pub fn join_timeout(mut self, limit: Duration) -> Result<Result<T, JoinError>, Self> {
        if !self.is_finished() && !limit.is_zero() {
            if self.would_deadlock() {
                return Ok(Err(JoinError::WouldDeadlock));
            }
            self.wait(Instant::now().checked_add(limit));
        }
        self.try_join()
    }

    /// Returns the task's result if it has ended, else the handle. Never waits, on any thread.
    ///
    /// Without the standard library this is the only way to a result without a waker.
    ///
    /// # Errors
    ///
    /// `Err` holds the handle if the task has not ended. The inner result is as the task ended:
    /// [`JoinError::Cancelled`], [`JoinError::Panicked`] or [`JoinError::Closed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::bare::Loop;
    ///
    /// let mut bare = Loop::new(|| ());
    /// let task = bare.spawn_local(async { 42 });
    /// let task = task.try_join().unwrap_err(); // it has not run
    /// bare.turn(0);
    /// assert_eq!(task.try_join().unwrap().unwrap(), 42);
    /// ```
    pub fn try_join(mut self) -> Result<Result<T, JoinError>, Self> {
        if self.is_finished() { Ok(self.join.take()) } else { Err(self) }
    }

    /// Whether the task has ended. Once true, `join` does not block, on any thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let task = side.handle().call(|| 1);
    /// while !task.is_finished() {
    ///     std::thread::yield_now(); // a game draws its next frame here
    /// }
    /// assert_eq!(task.join()?, 1);
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.join.is_done()
    }

    /// Cancels the task, and does not wait for its end.
    ///
    /// May be called from any thread. The task's future is dropped on the loop's thread at its next
    /// suspension, or at once if it is suspended; a task that was never polled will not be. A task that holds
    /// a [`CancelGuard`](crate::CancelGuard) is told instead, and may clean up or refuse.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelRequest, JoinError, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let stuck = side.handle().spawn(std::future::pending::<()>());
    /// assert_eq!(stuck.cancel(), CancelRequest::Requested);
    /// assert!(matches!(stuck.join(), Err(JoinError::Cancelled)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    pub fn cancel(&self) -> CancelRequest {
        self.join.request(Request::Cancel)
    }

    /// Cancels the task, and aborts it if it still runs after `grace`. Does not wait.
    ///
    /// The grace is the time that the task has for its clean-up, counted from the moment the loop learns of
    /// the request. Zero cancels and aborts at once; [`Duration::MAX`] never aborts. Of several graces the
    /// one that ends first counts. The answer is that of [`JoinHandle::cancel`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelGuard, JoinError, LoopThread};
    /// use std::time::Duration;
    ///
    /// let side = LoopThread::start()?;
    /// let (alive, is_alive) = std::sync::mpsc::channel();
    /// let deaf = side.handle().spawn(async move {
    ///     let _guard = CancelGuard::new();
    ///     alive.send(()).unwrap();
    ///     std::future::pending::<()>().await
    /// });
    /// is_alive.recv()?;
    /// deaf.cancel_within(Duration::from_millis(5));
    /// assert!(matches!(deaf.join(), Err(JoinError::Cancelled)));
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "std")]
    pub fn cancel_within(&self, grace: Duration) -> CancelRequest {
        self.canceller().cancel_within(grace)
    }

    /// Ends the task at its next suspension, whether it holds a guard or not. Does not wait. After a cancel
    /// the answer is `AlreadyRequested`, and the task is aborted all the same.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{JoinError, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let stuck = side.handle().spawn(std::future::pending::<()>());
    /// stuck.abort();
    /// assert!(matches!(stuck.join(), Err(JoinError::Cancelled)));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    pub fn abort(&self) -> CancelRequest {
        self.join.request(Request::Abort)
    }

    /// A handle that can request the end of this task and do nothing else. It can be cloned freely.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let task = side.handle().spawn(std::future::pending::<()>());
    /// let stop = task.canceller();
    /// let button = std::thread::spawn(move || stop.cancel()); // while this thread joins
    /// assert!(task.join().is_err());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller::new(self.join.task())
    }

    #[cfg(feature = "std")]
    pub(crate) fn task(&self) -> TaskRef {
        self.join.task()
    }

    /// Gives up the handle; the task goes on. Its result is dropped on the loop's thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let (tell, told) = std::sync::mpsc::channel();
    /// side.handle().spawn(async move { tell.send("done") }).detach();
    /// assert_eq!(told.recv()?, "done");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    pub fn detach(self) {}

    /// Ties the task to its handle: dropping the returned handle cancels the task.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let stuck = side.handle().spawn(std::future::pending::<()>()).cancel_on_drop();
    /// let outer = side.handle().spawn(stuck); // this task owns the other one
    /// outer.cancel();
    /// assert!(outer.join().is_err()); // and has cancelled it, too
    /// assert!(side.shutdown(sideloop::Shutdown::now().drain(std::time::Duration::MAX)).aborted.is_empty());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[must_use = "dropping it cancels the task"]
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop::new(self)
    }

    /// Leaves `waker` with the task, which wakes it once when it ends. `false`: it has ended.
    #[cfg(feature = "std")]
    pub(crate) fn register(&mut self, waker: &Waker) -> bool {
        !self.is_finished() && self.join.register(waker)
    }

    /// Whether the task has not ended, and cannot while this thread waits for it.
    #[cfg(feature = "std")]
    pub(crate) fn would_deadlock(&self) -> bool {
        !self.is_finished()
            && (context::lives_here(self.join.run_queues()) || context::is_own_job(self.id()))
    }

    /// Whether the task has not ended, and cannot before this thread goes on, whoever is woken then.
    #[cfg(feature = "std")]
    #[inline]
    fn would_wait_for_ever(&self) -> bool {
        !self.is_finished() && self.is_held()
    }

    #[cfg(feature = "std")]
    #[inline(never)]
    fn is_held(&self) -> bool {
        context::is_held(self.join.run_queues(), self.id())
    }

    /// Blocks until the task has ended, or the deadline comes.
    #[cfg(feature = "std")]
    fn wait(&mut self, deadline: Option<Instant>) {
        if !self.is_finished() {
            blocking_wait::wait(deadline, |waker| {
                let waits = match waker {
                    Some(waker) => self.join.leave_waker(waker),
                    None => !self.join.is_done(),
                };
                if waits { Poll::Pending } else { Poll::Ready(()) }
            });
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        #[cfg(feature = "std")]
        if self.would_wait_for_ever() {
            return fails(JoinError::WouldDeadlock);
        }
        self.join.poll(cx)
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
