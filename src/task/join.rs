//! The two holds on a task from outside: [`Join`], which owns the outcome, and [`TaskRef`], which can
//! only ask it to end.

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::task::{Context, Poll, Waker};

use super::cell::{Header, TaskMeta};
#[cfg(feature = "std")]
use super::loop_flags::EXPEDITED;
use super::remote_drop::drop_on_loop;
use super::run_queues::{Releasing, RunQueues, release};
use super::state::{CancelRequest, Detached, Request, Route, ScheduleAction};
use super::urgent;
use super::waker::Packed;
use crate::error::{JoinError, discard};
use crate::id::TaskId;
use crate::sync::Arc;

/// One counted reference to a task, good for its id, its state, and a request to end it.
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: everything a `TaskRef` does works from any thread: it reads what is never written after
// creation, goes through the atomic state word, or through the owner's run queues. The future is
// dropped by the loop and the outcome by its owner, never by a reference that ends (I2, I5).
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// # Safety
    ///
    /// `task` is alive.
    pub(super) unsafe fn new(task: NonNull<Header>) -> Self {
        // SAFETY: the caller's promise.
        unsafe { task.as_ref() }.state.retain();
        Self(task)
    }

    fn header(&self) -> &Header {
        // SAFETY: I2: this owns a reference.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.header().id()
    }

    pub(crate) fn subject(&self) -> TaskMeta {
        // SAFETY: this owns a reference.
        unsafe { TaskMeta::of(self.0) }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.header().state.load().is_done()
    }

    /// Asks the task to end. From any thread.
    pub(crate) fn request(&self, what: Request) -> CancelRequest {
        // SAFETY: this owns a reference.
        unsafe { request(self.0, what) }
    }

    #[cfg(feature = "std")]
    pub(crate) fn run_queues(&self) -> &Arc<RunQueues> {
        self.header().owner()
    }

    /// Whether a cancel of the task is pending.
    #[cfg(feature = "std")]
    pub(crate) fn is_asked(&self) -> bool {
        self.header().state.load().is_asked()
    }

    /// Whether the task was asked to end.
    #[cfg(feature = "std")]
    pub(crate) fn is_requested(&self) -> bool {
        self.header().state.load().is_requested()
    }

    /// The task's first guard is made. For the loop's thread, in a poll of the task.
    #[cfg(feature = "std")]
    pub(crate) fn guard(&self) {
        self.header().state.guard();
    }

    /// The task's last guard is gone, from any thread. The result is for [`TaskRef::expedite`].
    #[cfg(feature = "std")]
    pub(crate) fn unguard(&self) -> ScheduleAction {
        let local = RunQueues::is_current(self.run_queues());
        self.header().state.unguard(if local { Route::Local } else { Route::Remote })
    }

    /// Has the loop look at a task that is to end after all. Runs the loop's hook.
    #[cfg(feature = "std")]
    pub(crate) fn expedite(&self, then: ScheduleAction) {
        // SAFETY: this owns a reference; `Push` says that `QUEUED` was set for this call (I6).
        unsafe { expedite(self.0, then) }
    }

    /// Forgets a pending cancel, for a guard. From any thread.
    #[cfg(feature = "std")]
    pub(crate) fn refuse(&self) -> bool {
        let refused = self.header().state.refuse();
        if refused && RunQueues::is_current(self.run_queues()) {
            self.header().loop_flags.clear(EXPEDITED); // the next request goes ahead again
        }
        refused
    }

    /// The task's blocking job starts, on whichever thread. `false`: it must not.
    #[cfg(feature = "std")]
    pub(crate) fn pin(&self) -> bool {
        self.header().state.pin()
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        // SAFETY: this owns a reference.
        unsafe { Self::new(self.0) }
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        // SAFETY: this owns a reference, and ends here.
        unsafe { release(self.0) };
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskRef").field(&self.id()).finish()
    }
}

/// Asks a task to end: on its loop's thread by the urgent queue, elsewhere by the injection stack.
///
/// # Safety
///
/// The caller keeps the task alive by a reference.
pub(super) unsafe fn request(task: NonNull<Header>, what: Request) -> CancelRequest {
    // SAFETY: the caller's promise.
    let header = unsafe { task.as_ref() };
    let local = RunQueues::is_current(header.owner());
    let route = if local { Route::Local } else { Route::Remote };
    let (answer, then) = header.state.request(what, route);
    // SAFETY: the caller's promise; `Push` says that `QUEUED` was set for this call (I6), and `EnqueueUrgent` that this
    // is the loop's thread.
    unsafe { expedite(task, then) };
    answer
}

/// Has the loop look at a task that was asked to end: on its thread by the urgent queue, elsewhere
/// by the injection stack.
///
/// # Safety
///
/// The caller keeps the task alive by a reference, and with `Push` has set its `QUEUED`; with `EnqueueUrgent` this is the
/// thread of its loop, inside the run.
#[inline]
unsafe fn expedite(task: NonNull<Header>, then: ScheduleAction) {
    // SAFETY: the caller's promise.
    let header = unsafe { task.as_ref() };
    match then {
        // SAFETY: the caller's promise.
        ScheduleAction::Push => unsafe { RunQueues::push_or_settle(header.owner(), task) },
        // SAFETY: the caller's promise.
        ScheduleAction::EnqueueUrgent => unsafe { urgent::enqueue_urgent(header.owner(), task) },
        ScheduleAction::Nothing => {}
    }
}

/// The join handle's hold on a task: it owns the outcome.
pub(crate) struct Join<T> {
    task: NonNull<Header>,
    taken: bool,
    _outcome: PhantomData<T>,
}

// SAFETY: as for `TaskRef`; besides, the outcome moves to the thread that holds the handle, so it
// must be `Send`.
unsafe impl<T: Send> Send for Join<T> {}
// SAFETY: by a shared reference no outcome can be reached: only what `TaskRef` can do is offered.
unsafe impl<T: Send> Sync for Join<T> {}

impl<T> Unpin for Join<T> {}

/// What a poll says instead of a value. A function of its own: without optimisation each place where this is
/// made has room for a whole outcome in its frame.
#[cold]
#[inline(never)]
pub(crate) fn fails<T>(reason: JoinError) -> Poll<Result<T, JoinError>> {
    Poll::Ready(Err(reason))
}

impl<T> Join<T> {
    /// # Safety
    ///
    /// `task` is of a future with output `T`, and the caller gives up the join handle's reference
    /// (and interest), which nobody else has.
    pub(super) unsafe fn new(task: NonNull<Header>) -> Self {
        Self { task, taken: false, _outcome: PhantomData }
    }

    fn header(&self) -> &Header {
        // SAFETY: I2: this owns the handle's reference.
        unsafe { self.task.as_ref() }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.header().id()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.header().state.load().is_done()
    }

    /// Whether the outcome was taken before.
    #[cfg(all(test, feature = "std", not(loom)))]
    pub(crate) fn is_taken(&self) -> bool {
        self.taken
    }

    pub(crate) fn run_queues(&self) -> &Arc<RunQueues> {
        self.header().owner()
    }

    pub(crate) fn request(&self, what: Request) -> CancelRequest {
        // SAFETY: this owns a reference.
        unsafe { request(self.task, what) }
    }

    /// Another reference to the task.
    pub(crate) fn task(&self) -> TaskRef {
        // SAFETY: this owns a reference.
        unsafe { TaskRef::new(self.task) }
    }

    /// Whether the outcome is there to be taken.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        !self.taken && self.is_done()
    }

    /// The outcome, if the task is done and it has not been taken.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn try_take(&mut self) -> Option<Result<T, JoinError>> {
        // SAFETY: the condition.
        if self.is_ready() { Some(unsafe { self.read_out() }) } else { None }
    }

    /// The outcome; `Closed` if it is not there, or not any more.
    pub(crate) fn take(&mut self) -> Result<T, JoinError> {
        // SAFETY: the condition.
        if self.is_ready() { unsafe { self.read_out() } } else { Err(JoinError::Closed) }
    }

    /// # Safety
    ///
    /// The outcome [is there](Self::is_ready).
    #[inline]
    unsafe fn read_out(&mut self) -> Result<T, JoinError> {
        self.taken = true;
        let mut place = MaybeUninit::<Result<T, JoinError>>::uninit();
        let take = self.header().vtable().take;
        // SAFETY: with `DONE` and `JOIN` the outcome is the handle's (I5); `taken` makes it once;
        // the place has the type that the task was made with.
        unsafe { take(self.task, place.as_mut_ptr().cast()) };
        // SAFETY: `take` has filled it. Not `assume_init`, whose frame would hold another copy.
        unsafe { ptr::read(place.as_ptr().cast()) }
    }

    /// The outcome, or the promise to wake `cx` when it is there. After it was given: `Closed`.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        if !self.is_ready() {
            if self.waits(cx) {
                return Poll::Pending;
            }
            if !self.is_ready() {
                return fails(JoinError::Closed);
            }
        }
        // SAFETY: the condition. Here alone, because each frame may hold a copy.
        Poll::Ready(unsafe { self.read_out() })
    }

    #[inline(never)] // so that a join of what has ended saves no registers for it
    fn waits(&mut self, cx: &Context<'_>) -> bool {
        self.leave_waker(cx.waker())
    }

    /// Leaves `waker` with the task if there is something to wait for.
    pub(crate) fn leave_waker(&mut self, waker: &Waker) -> bool {
        !self.taken && self.register(waker)
    }

    /// Leaves `waker` with the task. `false`: it is done, nobody will wake.
    pub(crate) fn register(&mut self, waker: &Waker) -> bool {
        let header = self.header();
        if header.state.load().has_waker() {
            // SAFETY: by I7 nobody writes the slot while it is lent; only the word is compared.
            let packed = header.slot.with(|slot| unsafe { *slot });
            if packed.is_task(waker) {
                return !self.is_done();
            }
            if !header.state.reclaim_waker() {
                return false;
            }
            // SAFETY: by I7 the slot is the handle's again, as it was: nobody wrote it while it was lent,
            // and the loop unpacks what is in it only after `DONE`, which was not there to be reclaimed from.
            if !unsafe { packed.will_wake(waker) } {
                self.empty_slot();
                self.fill_slot(waker);
            }
        } else {
            self.fill_slot(waker);
        }
        if self.header().state.lend_waker() {
            return true;
        }
        self.empty_slot();
        false
    }

    /// Puts a clone of a waker into the slot, which is the handle's and empty.
    fn fill_slot(&self, waker: &Waker) {
        // The clone is user code and may panic: nothing is held yet.
        let packed = Packed::pack(waker.clone());
        // SAFETY: by I7 the slot is the handle's while `WAKER` is clear.
        self.header().slot.with_mut(|slot| unsafe { *slot = packed });
    }

    /// Drops the waker in the slot, which is the handle's.
    fn empty_slot(&self) {
        // SAFETY: by I7 the slot is the handle's; it was filled, and is refilled before it is read again.
        let packed = self.header().slot.with(|slot| unsafe { *slot });
        // SAFETY: as above: what was packed is unpacked once.
        let waker = unsafe { packed.unpack() };
        discard(waker);
    }

    /// Gives up the outcome with the handle's reference: neither is used again.
    fn detach(&mut self) {
        let free = self.header().vtable().free;
        match self.header().state.detach() {
            Detached::Released => {}
            // SAFETY: the reference went with the flag, and was the last (I2).
            Detached::Last => unsafe { free(self.task) },
            Detached::HasWaker => {
                let _reference = Releasing(self.task); // the handle's
                self.empty_slot();
            }
            Detached::HasOutcome => self.leave_outcome(),
        }
    }

    /// The task is done and the outcome was not taken: the loop is to drop it, on its own thread and
    /// with its hook for panics.
    fn leave_outcome(&self) {
        // SAFETY: the outcome is the handle's (I5), and the task is of the vtable's type.
        if unsafe { (self.header().vtable().is_plain)(self.task) } {
            // SAFETY: the handle's reference ends here.
            unsafe { release(self.task) };
        } else {
            // SAFETY: outcome and reference are the handle's, and given up here. If the outcome is not
            // `Send` neither is the handle, so this is the loop's thread, whether or not the loop runs.
            unsafe { drop_on_loop(self.task) };
        }
    }
}

impl<T> Drop for Join<T> {
    #[inline]
    fn drop(&mut self) {
        if self.taken {
            // SAFETY: the handle's reference ends here.
            unsafe { release(self.task) };
            return;
        }
        self.detach();
    }
}

#[cfg(all(test, feature = "std", not(loom)))] // without it the loop has no thread of its own
mod tests;
