//! One task's turn: popped, polled or dropped, completed.
//!
//! Completion is in this order: the future is dropped, the outcome stored, the registry lets the
//! task go, `DONE` is set, and only then the joiner is woken.

use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;
use core::task::Context;

use super::cell::{End, Header, TaskMeta};
use super::join;
use super::local_queues::LocalQueues;
use super::loop_flags::{EXPEDITED, RELEASE_PENDING};
use super::loop_side::{LoopSide, UnobservedPanic, lose};
use super::owned_task::OwnedTask;
use super::run_queues::RunQueues;
use super::state::{Completed, Request};
use super::waker;
use crate::error::{JoinError, PanicPayload, call_contained, forget_payload};
use crate::id::TaskId;

/// A task taken from its queue, to be run.
#[must_use]
#[derive(Debug)]
pub(crate) struct Runnable<'a>(pub(super) NonNull<Header>, pub(super) &'a LoopSide);

/// A task that was asked to end and has the say over that: to be told, and polled.
#[must_use]
#[derive(Debug)]
pub(crate) struct Asked<'a>(NonNull<Header>, PhantomData<&'a LoopSide>);

/// A task whose future is gone and whose outcome is in place, not yet announced.
#[must_use]
#[derive(Debug)]
pub(crate) struct Ending<'a>(NonNull<Header>, PhantomData<&'a LoopSide>);

/// What running a task came to.
#[must_use]
#[derive(Debug)]
pub(crate) enum Ran<'a> {
    /// It waits for its next wake.
    Pending,
    /// It had ended before; there was nothing to run.
    Nothing,
    /// It has not been polled: who waits for a request comes first.
    Asked(Asked<'a>),
    /// Its poll ended it.
    Ended(Ending<'a>, End),
    /// It has not been polled: it was asked to end, and did.
    Dropped(Ending<'a>, End),
}

/// The same without the task, so that it comes back in registers from what is not inlined.
enum How {
    Pending,
    Nothing,
    Asked,
    Ended(End),
    Dropped(End),
}

impl How {
    #[inline(always)]
    fn of<'a>(self, task: NonNull<Header>) -> Ran<'a> {
        match self {
            Self::Pending => Ran::Pending,
            Self::Nothing => Ran::Nothing,
            Self::Asked => Ran::Asked(Asked(task, PhantomData)),
            Self::Ended(end) => Ran::Ended(Ending(task, PhantomData), end),
            Self::Dropped(end) => Ran::Dropped(Ending(task, PhantomData), end),
        }
    }
}

/// While it lives, a task's code runs. Dropped by a panic, which without `std` nobody catches, it leaves the
/// task to be ended later (I10).
struct Running<'a>(&'a LoopSide);

impl Drop for Running<'_> {
    #[inline(always)] // so that it lies in a register
    fn drop(&mut self) {
        self.0.queues(LocalQueues::unwound);
    }
}

/// While it lives, the output of a task that has ended is dropped: on the loop's thread that task is the
/// current one, and then again the one before.
#[derive(Debug)]
pub(super) struct Parting(NonNull<Header>, Option<Option<NonNull<Header>>>);

impl Parting {
    /// # Safety
    ///
    /// `task` lives as long as the result.
    pub(super) unsafe fn begin(task: NonNull<Header>) -> Self {
        // SAFETY: the caller's promise.
        let owner = unsafe { task.as_ref() }.owner();
        Self(task, RunQueues::is_current(owner).then(|| Self::replace(owner, Some(task))))
    }

    /// On the loop's thread, inside its run.
    fn replace(owner: &RunQueues, task: Option<NonNull<Header>>) -> Option<NonNull<Header>> {
        owner.queues.with_mut(|queues| {
            // SAFETY: I4: the loop's thread, inside its run, and no other borrow is open.
            unsafe { &mut *queues }.replace_running(task)
        })
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        if let Some(before) = self.1 {
            // SAFETY: the promise of `begin`.
            Self::replace(unsafe { self.0.as_ref() }.owner(), before);
        }
    }
}

/// Settles a task that is done when it is dropped, also by a panic of what is called meanwhile.
struct Settling<'a>(NonNull<Header>, &'a LoopSide);

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        // SAFETY: the loop's reference keeps it alive until now.
        unsafe { self.0.as_ref() }.loop_flags.set(RELEASE_PENDING);
        // SAFETY: on the loop's thread; not used again.
        unsafe { self.1.settle(self.0) };
    }
}

/// A control request that runs. Dropped by a panic, it is ended and let go like any other.
struct Control<'a>(NonNull<Header>, &'a LoopSide);

impl Control<'_> {
    fn complete(self) -> Option<UnobservedPanic> {
        let Self(task, side) = self;
        mem::forget(self);
        // SAFETY: a request is alive until it is completed, here.
        let header = unsafe { task.as_ref() };
        if !header.loop_flags.has_ended() {
            // SAFETY: it has not ended, and is on its loop's thread.
            let _ = unsafe { (header.vtable().end)(task, JoinError::Cancelled) };
        }
        Ending(task, PhantomData).complete(OwnedTask(task), side)
    }
}

impl Drop for Control<'_> {
    #[cold]
    fn drop(&mut self) {
        if let Some(lost) = Self(self.0, self.1).complete() {
            forget_payload(lost.payload);
        }
    }
}

impl<'a> Runnable<'a> {
    /// What there is to say of the task.
    pub(crate) fn subject(&self) -> TaskMeta {
        // SAFETY: as in `run`.
        unsafe { TaskMeta::of(self.0) }
    }

    /// The task is about to run, or to end: it gives its place at the gate up. `false`: it has none.
    pub(crate) fn give_place_up(&self) -> bool {
        // SAFETY: as in `run`.
        unsafe { self.0.as_ref() }.loop_flags.give_place_up()
    }

    /// Polls the task, or drops its future if it is to end. Runs user code, and contains it.
    #[inline(always)]
    pub(crate) fn run(self) -> Ran<'a> {
        let Self(task, side) = self;
        // SAFETY: the cell was in a queue until just now, or is registered: it is alive (I3).
        let header = unsafe { task.as_ref() };
        let is_quiet = !header.loop_flags.is_over() && header.state.load().is_quiet();
        if is_quiet { side.poll(task, header).of(task) } else { self.run_other().of(task) }
    }

    /// Runs a task that has ended, was woken elsewhere, or was asked to end: its future is dropped then, unless
    /// it has the say over that.
    #[inline(never)]
    fn run_other(self) -> How {
        let Self(task, side) = self;
        // SAFETY: as in `run`.
        let header = unsafe { task.as_ref() };
        if header.loop_flags.is_over() {
            return self.leave();
        }
        let now = header.state.begin_poll();
        if !now.is_requested() {
            header.loop_flags.clear(EXPEDITED); // the request was refused on another thread
            return side.poll(task, header);
        }
        if !now.is_ending() {
            return How::Asked;
        }
        How::Dropped(self.end(JoinError::Cancelled).1)
    }

    /// Lets the cell of a task go that has ended, or ends one that a panic has left (I10).
    fn leave(self) -> How {
        let Self(task, side) = self;
        // SAFETY: as in `run`.
        if unsafe { task.as_ref() }.loop_flags.is_broken() {
            return How::Dropped(self.end(JoinError::Closed).1);
        }
        // SAFETY: on the loop's thread; not used again.
        unsafe { side.settle(task) };
        How::Nothing
    }

    /// Asks the task to end, and ends it.
    pub(crate) fn abort(self) -> (Ending<'a>, End) {
        // SAFETY: the task is alive, as in `run`.
        if !unsafe { self.0.as_ref() }.state.load().is_ending() {
            // SAFETY: as above.
            let _ = unsafe { join::request(self.0, Request::Abort) };
        }
        // SAFETY: as above.
        let now = unsafe { self.0.as_ref() }.state.load();
        // A job that runs on is not of this loop any more: its handle cannot say how it ends.
        self.end(if now.is_pinned() { JoinError::Closed } else { JoinError::Cancelled })
    }

    /// Drops the task's future. Runs user code, and contains it. If that has panicked before, this is
    /// what the handle will say.
    #[inline]
    pub(crate) fn end(self, reason: JoinError) -> (Ending<'a>, End) {
        let Self(task, side) = self;
        // SAFETY: as in `run`.
        let header = unsafe { task.as_ref() };
        let broken = header.loop_flags.is_broken();
        // PANICS: it cannot: only a task that has not ended gets here, or that has not been told so.
        // Dropping a future twice would be unsound, so this is checked at all times.
        assert!(broken || !header.loop_flags.has_ended(), "a task was ended twice");
        header.loop_flags.mend();
        let reason = if broken { JoinError::Panicked(PanicPayload::uncaught()) } else { reason };
        side.queues(|queues| queues.begin(task));
        let running = Running(side);
        // SAFETY: as in `run`.
        let end = unsafe { (header.vtable().end)(task, reason) };
        mem::forget(running);
        side.queues(LocalQueues::finish);
        (Ending(task, PhantomData), end)
    }
}

impl<'a> Asked<'a> {
    pub(crate) fn id(&self) -> TaskId {
        // SAFETY: the cell was in a queue until just now, and the task has not ended (I3).
        unsafe { self.0.as_ref() }.id()
    }

    /// Polls the task. Runs user code, and contains it.
    #[inline(always)]
    pub(crate) fn run(self, side: &'a LoopSide) -> Ran<'a> {
        self.poll(side).of(self.0)
    }

    #[inline(never)]
    fn poll(&self, side: &LoopSide) -> How {
        // SAFETY: as in `id`: what user code did since cannot have ended it either.
        side.poll(self.0, unsafe { self.0.as_ref() })
    }
}

impl LoopSide {
    /// Runs a task that has just come in at once, after `register` has put it where it is found.
    pub(crate) fn run_first(&self, task: OwnedTask, register: impl FnOnce(OwnedTask)) -> Ran<'_> {
        let popped = Runnable(task.0, self);
        // It is alive until it is completed, which takes both an `Ending` and what is registered.
        register(task);
        popped.run()
    }

    /// Polls a task that lives.
    #[inline(always)]
    fn poll(&self, task: NonNull<Header>, header: &Header) -> How {
        let runs_over = self.queues(|queues| {
            queues.begin(task);
            header.loop_flags.count_poll()
        });
        if runs_over {
            self.count_overflow(header);
        }
        let running = Running(self);
        // SAFETY: only a task that has ended is let go, so this one lives until the poll is over (I3).
        let waker = unsafe { waker::lend(task) };
        let mut cx = Context::from_waker(&waker);
        // SAFETY: the task is of the vtable's type, not done, and on its loop's thread.
        let end = unsafe { (header.vtable().poll)(task, &mut cx) };
        mem::forget(running);
        self.queues(LocalQueues::finish);
        match end {
            Some(end) => How::Ended(end),
            // What was asked of it meanwhile takes effect before any other task is polled (C1).
            None if header.state.load().is_ending() => self.end_suspended(task),
            None => How::Pending,
        }
    }

    /// Runs a request to the loop, and lets it go. It is no task: none is current meanwhile. `Err`: it waits, as
    /// it says by `may_wait`, and is to be run again.
    pub(crate) fn run_control(
        &self,
        request: OwnedTask,
        may_wait: impl FnOnce() -> bool,
    ) -> Result<Option<UnobservedPanic>, OwnedTask> {
        let task = request.0;
        let control = Control(task, self);
        // SAFETY: a request is alive until it is completed, below.
        let header = unsafe { task.as_ref() };
        if !header.state.load().is_requested() {
            // SAFETY: as above.
            let waker = unsafe { waker::lend(task) };
            // SAFETY: the request has been taken in and has not ended; on its loop's thread.
            let ended = unsafe { (header.vtable().poll)(task, &mut Context::from_waker(&waker)) };
            if ended.is_none() && may_wait() {
                mem::forget(control);
                return Err(request);
            }
        }
        Ok(control.complete()) // any other request is ready at once
    }

    #[cold]
    fn end_suspended(&self, task: NonNull<Header>) -> How {
        How::Ended(Runnable(task, self).end(JoinError::Cancelled).1)
    }
}

impl Ending<'_> {
    /// The task's id, by which the registry finds what has to be given to [`Ending::complete`].
    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        // SAFETY: the loop's reference is still registered.
        unsafe { self.0.as_ref() }.id()
    }

    /// Whether it is that of this task.
    #[inline]
    pub(crate) fn is_of(&self, owned_task: &OwnedTask) -> bool {
        self.0 == owned_task.0
    }

    /// What was asked of a task that ended in this way, and had to do with it.
    pub(crate) fn request(&self, how: End) -> Option<Request> {
        // SAFETY: as in `id`.
        let now = unsafe { self.0.as_ref() }.state.load();
        // A value that came in spite of a request won over it, unless guards cleaned up for it.
        if how == End::Finished && !now.is_heeded() { None } else { now.requested() }
    }

    /// Announces the end: sets `DONE`, wakes the joiner, drops what nobody wants, and gives the
    /// loop's reference back as soon as the cell is in no queue. Runs user code, and contains it.
    #[inline]
    pub(crate) fn complete(
        self,
        owned_task: OwnedTask,
        side: &LoopSide,
    ) -> Option<UnobservedPanic> {
        let task = self.0;
        // PANICS: it cannot: the registry compares them too. The wrong reference given back would
        // be unsound, so this is checked at all times.
        assert!(self.is_of(&owned_task), "the registry gave another task");
        // SAFETY: the loop's reference is this function's now.
        let header = unsafe { task.as_ref() };
        side.forget(header);
        let keep = header.loop_flags.is_queued();
        let free = header.vtable().free;
        let (wanted, has_waker) = match header.state.complete(keep) {
            Completed::Released => return None,
            Completed::Last => {
                // SAFETY: the reference went with `DONE`, and was the last (I2).
                unsafe { free(task) };
                return None;
            }
            Completed::Kept { wanted, has_waker } => (wanted, has_waker),
        };
        let _settling = Settling(task, side);
        if has_waker {
            // SAFETY: by I7 the slot is the loop's now.
            let packed = header.slot.with(|slot| unsafe { *slot });
            // SAFETY: as above: it is emptied here, once.
            let waker = unsafe { packed.unpack() };
            call_contained(|| waker.wake());
        }
        // SAFETY: without `JOIN` the outcome is the loop's (I5), which still has its reference.
        if wanted { None } else { unsafe { lose(task) } }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
