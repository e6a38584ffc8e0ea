//! One task's turn: popped, polled or dropped, completed.
//!
//! Completion is in this order: the future is dropped, the outcome stored, the registry lets the
//! task go, `DONE` is set, and only then the joiner is woken.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::task::Context;

use super::cell::{End, Header, Subject};
use super::loop_side::{Enrolled, LoopSide, Lost, lose};
use super::notes::{EXPEDITED, LEFT};
use super::queues::Queues;
use super::state::{Last, Request};
use super::waker;
use crate::error::{JoinError, contain, forget_payload};
use crate::id::TaskId;

/// A task taken from its queue, to be run.
#[must_use]
#[derive(Debug)]
pub(crate) struct Popped<'a>(pub(super) NonNull<Header>, pub(super) &'a LoopSide);

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

/// While it lives, the task's code runs. A guard, because a panic is not caught without `std`.
struct Running<'a>(&'a LoopSide);

impl Drop for Running<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.queues(Queues::finish);
    }
}

impl<'a> Popped<'a> {
    /// What there is to say of the task.
    pub(crate) fn subject(&self) -> Subject {
        // SAFETY: as in `run`.
        unsafe { Subject::of(self.0) }
    }

    /// The task is about to run, or to end: it gives its place at the gate up. `false`: it has none.
    pub(crate) fn give_place_up(&self) -> bool {
        // SAFETY: as in `run`.
        unsafe { self.0.as_ref() }.notes.give_place_up()
    }

    /// Polls the task, or drops its future if it is to end. Runs user code, and contains it.
    #[inline(always)]
    pub(crate) fn run(self) -> Ran<'a> {
        let Self(task, side) = self;
        // SAFETY: the cell was in a queue until just now, or is enrolled: it is alive (I3).
        let header = unsafe { task.as_ref() };
        if header.notes.has_ended() {
            // SAFETY: on the loop's thread; not used again.
            unsafe { side.settle(task) };
            return Ran::Nothing;
        }
        if header.state.load().is_quiet() { side.poll(task, header) } else { self.heed() }
    }

    /// Polls a task that was woken elsewhere, or was asked to end: its future is dropped then, unless
    /// it has the say over that.
    #[inline(never)]
    fn heed(self) -> Ran<'a> {
        let Self(task, side) = self;
        // SAFETY: as in `run`.
        let header = unsafe { task.as_ref() };
        let now = header.state.begin_poll();
        if !now.is_requested() {
            header.notes.clear(EXPEDITED); // the request was refused on another thread
            return side.poll(task, header);
        }
        if !now.is_ending() {
            return Ran::Asked(Asked(task, PhantomData));
        }
        let (ending, end) = self.end(JoinError::Cancelled);
        Ran::Dropped(ending, end)
    }

    /// Drops the task's future. Runs user code, and contains it.
    pub(super) fn end(self, reason: JoinError) -> (Ending<'a>, End) {
        let Self(task, side) = self;
        // SAFETY: as in `run`.
        let header = unsafe { task.as_ref() };
        // PANICS: it cannot: only a task that has not ended gets here. Dropping a future twice would
        // be unsound, so this is checked at all times.
        assert!(!header.notes.has_ended(), "a task was ended twice");
        side.queues(|queues| queues.begin(task));
        let running = Running(side);
        // SAFETY: as in `run`.
        let end = unsafe { (header.vtable().end)(task, reason) };
        drop(running);
        header.notes.end();
        (Ending(task, PhantomData), end)
    }
}

impl<'a> Asked<'a> {
    pub(crate) fn id(&self) -> TaskId {
        // SAFETY: the cell was in a queue until just now, and the task has not ended (I3).
        unsafe { self.0.as_ref() }.id()
    }

    /// Polls the task. Runs user code, and contains it.
    pub(crate) fn run(self, side: &'a LoopSide) -> Ran<'a> {
        // SAFETY: as in `id`: what user code did since cannot have ended it either.
        let header = unsafe { self.0.as_ref() };
        side.poll(self.0, header)
    }
}

impl LoopSide {
    /// What tells the poll that is being made from those before it and after: the task's serial, and the
    /// lower bits of its count of polls.
    pub(crate) fn poll_number(&self) -> Option<(u64, u16)> {
        let task = self.queues(|queues| queues.running())?;
        // SAFETY: a task that is being run is alive (I3).
        let header = unsafe { task.as_ref() };
        Some((header.id().as_u64(), header.notes.polls()))
    }

    /// Runs a task that has just come in at once, after `register` has put it where it is found.
    pub(crate) fn run_first(&self, task: Enrolled, register: impl FnOnce(Enrolled)) -> Ran<'_> {
        let popped = Popped(task.0, self);
        // It is alive until it is completed, which takes both an `Ending` and what is registered.
        register(task);
        popped.run()
    }

    /// Polls a task that lives.
    #[inline(always)]
    fn poll<'a>(&'a self, task: NonNull<Header>, header: &Header) -> Ran<'a> {
        let runs_over = self.queues(|queues| {
            queues.begin(task);
            header.notes.count_poll()
        });
        if runs_over {
            self.carry(header);
        }
        let running = Running(self);
        // SAFETY: only a task that has ended is let go, so this one lives until the poll is over (I3).
        let waker = unsafe { waker::lend(task) };
        // SAFETY: the task is of the vtable's type, not done, and on its loop's thread.
        let end = unsafe { (header.vtable().poll)(task, &mut Context::from_waker(&waker)) };
        drop(running);
        let Some(end) = end else { return self.suspended(task, header) };
        header.notes.end();
        Ran::Ended(Ending(task, PhantomData), end)
    }

    /// A poll was pending. What was asked of the task meanwhile, from whichever thread, takes effect here,
    /// before any other task is polled.
    #[inline]
    fn suspended<'a>(&'a self, task: NonNull<Header>, header: &Header) -> Ran<'a> {
        if header.state.load().is_requested() {
            self.end_suspended(task, header)
        } else {
            Ran::Pending
        }
    }

    #[cold]
    fn end_suspended<'a>(&'a self, task: NonNull<Header>, header: &Header) -> Ran<'a> {
        if !header.state.load().is_ending() {
            return Ran::Pending;
        }
        let (ending, end) = Popped(task, self).end(JoinError::Cancelled);
        Ran::Ended(ending, end)
    }
}

impl Ending<'_> {
    /// The task's id, by which the registry finds what has to be given to [`Ending::complete`].
    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        // SAFETY: the loop's reference is still enrolled.
        unsafe { self.0.as_ref() }.id()
    }

    /// Whether it is that of this task.
    #[inline]
    pub(crate) fn is_of(&self, enrolled: &Enrolled) -> bool {
        self.0 == enrolled.0
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
    pub(crate) fn complete(self, enrolled: Enrolled, side: &LoopSide) -> Option<Lost> {
        let task = self.0;
        // PANICS: it cannot: the registry compares them too. The wrong reference given back would
        // be unsound, so this is checked at all times.
        assert!(self.is_of(&enrolled), "the registry gave another task");
        // SAFETY: the loop's reference is this function's now.
        let header = unsafe { task.as_ref() };
        side.forget(header);
        let keep = header.notes.is_queued();
        let free = header.vtable().free;
        let completed = match header.state.complete(keep) {
            Err(Last(last)) => {
                if last {
                    // SAFETY: the reference went with `DONE`, and was the last (I2).
                    unsafe { free(task) };
                }
                return None;
            }
            Ok(completed) => completed,
        };
        if completed.has_waker {
            // SAFETY: by I7 the slot is the loop's now.
            let packed = header.slot.with(|slot| unsafe { *slot });
            // SAFETY: as above: it is emptied here, once.
            let waker = unsafe { packed.unpack() };
            if let Err(payload) = contain(|| waker.wake()) {
                forget_payload(payload);
            }
        }
        // SAFETY: without `JOIN` the outcome is the loop's (I5), which still has its reference.
        let lost = if completed.wanted { None } else { unsafe { lose(task) } };
        header.notes.set(LEFT);
        // SAFETY: on the loop's thread; not used again.
        unsafe { side.settle(task) };
        lost
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::boxed::Box;
    use core::future::pending;
    use core::panic::Location;

    use super::*;
    use crate::task::cell::Origin;
    use crate::task::state::CancelRequest;

    /// The wrong reference given back would be unsound.
    #[test]
    fn an_ending_is_that_of_its_own_task_and_of_what_was_asked_of_it() {
        let side = LoopSide::new(Box::new(|| ()));
        let _entered = side.enter();
        let origin = |serial| Origin { serial, location: Location::caller() };
        let tasks = [1, 2].map(|serial| side.spawn(pending::<()>(), (), origin(serial)).0);
        assert_eq!(tasks[0].request(Request::Cancel), CancelRequest::Requested);
        let endings = tasks.each_ref().map(|task| side.end(task, JoinError::Cancelled).0);
        let requests = |how| endings.each_ref().map(|ending| ending.request(how));
        assert_eq!(requests(End::Cancelled), [Some(Request::Cancel), None]);
        assert_eq!(requests(End::Finished), [None, None], "its value won");
        for (at, ending) in endings.iter().enumerate() {
            assert_eq!(tasks.each_ref().map(|task| ending.is_of(task)), [at == 0, at == 1]);
        }
        for (ending, task) in endings.into_iter().zip(tasks) {
            assert!(ending.complete(task, &side).is_none());
        }
        side.resume();
        side.begin_batch(usize::MAX);
        let mut batch = side.batch();
        while let Some(popped) = batch.next() {
            assert!(matches!(popped.run(), Ran::Nothing));
        }
    }
}
