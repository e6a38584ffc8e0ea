//! What came in by the [way in](super::injection): looked at, taken in, and handed on.

use core::ptr::NonNull;

use super::cell::Header;
use super::cell::TaskMeta;
use super::injection::Lane;
use super::join::TaskRef;
use super::loop_flags::{EXPEDITED, REGISTERED, REMOTE};
use super::loop_side::LoopSide;
use super::owned_task::OwnedTask;
use super::run_queues::release;
use super::state::Snapshot;
use super::urgent;
use crate::id::TaskId;

impl LoopSide {
    /// Whether something came in that has not been handled. A hint.
    #[inline]
    pub(crate) fn has_arrivals(&self) -> bool {
        self.run_queues().has_any() || !self.queues(|queues| queues.hands.are_empty())
    }

    /// Takes what other threads pushed on a lane, if all that was taken before has been handled, and reverses
    /// at most `most` cells of what is in hand. `true`: it took something.
    ///
    /// Of two lanes the one that is looked at first shows nothing whose sender pushed something on the other
    /// one before, and that is not found there.
    #[inline]
    pub(crate) fn look(&self, lane: Lane, most: usize) -> bool {
        self.queues(|queues| {
            let took = queues.hands.refill(lane, self.run_queues().stack(lane));
            match lane {
                _ if queues.hands.of(lane).is_reversed() => {}
                Lane::Known => queues.reverse_known(most),
                Lane::Control | Lane::New => queues.hands.of(lane).reverse(most, |_| ()),
            }
            took
        })
    }

    /// Refuses every later push on a lane, and takes what is there. Nothing of that lane is in hand.
    pub(crate) fn close(&self, lane: Lane) {
        self.queues(|queues| queues.hands.close(lane, self.run_queues().stack(lane)));
    }

    /// How many new tasks this turn takes in.
    #[inline]
    pub(crate) fn room_for_new(&self, batch: usize) -> usize {
        self.queues(|queues| queues.room_for_new(batch))
    }

    /// Whether something that was taken out of this lane has not been handled.
    #[inline]
    pub(crate) fn has_in_hand(&self, lane: Lane) -> bool {
        self.queues(|queues| !queues.hands.of(lane).is_empty())
    }

    /// Whether new tasks wait to be taken in: whether any are in hand, and whether any are on their way.
    #[inline]
    pub(crate) fn has_new(&self) -> (bool, bool) {
        (self.has_in_hand(Lane::New), self.run_queues().stack(Lane::New).has_any())
    }

    /// Whether anything waits to be taken in that may be a task.
    pub(crate) fn has_submissions(&self) -> bool {
        [Lane::New, Lane::Control]
            .into_iter()
            .any(|lane| self.has_in_hand(lane) || self.run_queues().stack(lane).has_any())
    }

    /// What there is to say of each task that waits to be taken in, in no particular order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = TaskMeta> {
        // SAFETY: they are alive, as below.
        self.waiting_cells().map(|task| unsafe { TaskMeta::of(task) })
    }

    /// A task that waits to be taken in.
    pub(crate) fn find_waiting(&self, id: TaskId) -> Option<TaskRef> {
        // SAFETY: they are alive, as below.
        let task = self.waiting_cells().find(|task| unsafe { task.as_ref() }.id() == id)?;
        // SAFETY: as above.
        Some(unsafe { TaskRef::new(task) })
    }

    fn waiting_cells(&self) -> impl Iterator<Item = NonNull<Header>> {
        let lanes = [Lane::New, Lane::Control].into_iter();
        let cells = lanes.flat_map(|lane| {
            let in_hand = self.queues(|queues| queues.hands.of(lane).cells());
            in_hand.chain(self.run_queues().stack(lane).peek())
        });
        // SAFETY: the cells are alive, as nothing is taken out while this is used: the caller runs no user code.
        // The notes of one that was pushed are the loop's (I4).
        cells.filter(|task| unsafe { task.as_ref() }.loop_flags.flags() & REMOTE != 0)
    }

    /// Takes the next cell of a lane in, in the order in which they came.
    #[inline]
    fn next(&self, lane: Lane) -> Option<NonNull<Header>> {
        self.queues(|queues| queues.hands.of(lane).next())
    }

    /// Handles at most `most` wakes and requests of tasks that the loop knows.
    #[inline]
    pub(crate) fn take_in_known(&self, most: usize) {
        for _ in 0..most {
            let Some(task) = self.next(Lane::Known) else { return };
            // SAFETY: a cell that was taken out is alive by its entry's reference (I3).
            unsafe { self.take_in(task) };
        }
    }

    /// Takes the next new task in, and queues it.
    #[inline]
    pub(crate) fn take_in_new(&self) -> Option<OwnedTask> {
        let task = self.next(Lane::New)?;
        // SAFETY: a cell that was taken out is alive by its entry's reference (I3).
        let header = unsafe { task.as_ref() };
        let old = header.state.take_in();
        header.loop_flags.set(REGISTERED);
        if old.is_requested() {
            // SAFETY: on the loop's thread, and the task lives.
            unsafe { urgent::enqueue_urgent(self.run_queues(), task) };
        } else {
            // SAFETY: as above.
            self.queues(|queues| unsafe { queues.enqueue(task) });
        }
        Some(OwnedTask(task))
    }

    /// Takes the next request to the loop in, to be run at once and kept in no registry, or a call for later,
    /// to be polled once, so that its timer is armed.
    pub(crate) fn take_in_control(&self) -> Option<OwnedTask> {
        let task = self.next(Lane::Control)?;
        // SAFETY: as in `take_in_new`.
        let header = unsafe { task.as_ref() };
        let old = header.state.take_in();
        if header.loop_flags.flags() & REMOTE != 0 {
            header.loop_flags.set(REGISTERED);
            if old.is_requested() {
                // SAFETY: on the loop's thread, and the task lives.
                unsafe { urgent::enqueue_urgent(self.run_queues(), task) };
            }
        }
        Some(OwnedTask(task))
    }

    /// # Safety
    ///
    /// `task` was taken out of the stack, and its link has been read.
    #[inline]
    unsafe fn take_in(&self, task: NonNull<Header>) {
        // SAFETY: the entry's reference keeps it alive (I3).
        let old = unsafe { task.as_ref() }.state.take_in();
        if old.is_wake_alone() {
            // SAFETY: on the loop's thread, and the task lives.
            self.queues(|queues| unsafe { queues.enqueue(task) });
            self.counters().remote_wakes.add(1);
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.take_in_more(task, old) };
        }
    }

    /// The same for what is more than a wake, or nothing by now.
    ///
    /// # Safety
    ///
    /// As [`LoopSide::take_in`], which has found `old`.
    #[inline(never)]
    unsafe fn take_in_more(&self, task: NonNull<Header>, old: Snapshot) {
        // SAFETY: the entry's reference keeps it alive (I3).
        let header = unsafe { task.as_ref() };
        if old.queue_owns_ref() {
            // SAFETY: by I3 the loop's reference is the entry's.
            unsafe { release(task) };
            return;
        }
        // What is done is in a plain queue still, and is let go when it leaves that. What nothing is asked of
        // was polled while the entry waited, which has answered every wake.
        if old.is_requested() && !old.is_done() {
            let was_ahead = old.is_woken() && header.loop_flags.flags() & EXPEDITED != 0;
            if old.is_ending() || !was_ahead {
                // SAFETY: on the loop's thread, and the task lives.
                unsafe { urgent::enqueue_urgent(self.run_queues(), task) };
            } else {
                // SAFETY: as above. It goes ahead once for each request.
                self.queues(|queues| unsafe { queues.enqueue(task) });
            }
        }
        self.counters().remote_wakes.add(old.is_woken().into());
    }
}
