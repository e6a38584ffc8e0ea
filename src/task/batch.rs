//! The batch of a turn: tasks out of the ready queue, one after the other.
//!
//! It has the ready queue's list in hand while it lasts, and whatever becomes ready meanwhile begins a
//! new one behind it. So the way from a task to the next does not lead through the queue's head in
//! memory, which each wake writes.

use core::ptr::{self, NonNull};

use super::cell::Header;
use super::loop_side::LoopSide;
use super::run::Runnable;

/// What is left of a batch. What is left when it is dropped goes back to where it came from.
#[must_use]
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    side: &'a LoopSide,
    /// The next cell, or null where the list in hand is at its end.
    rest: *const Header,
    /// The last cell of that list, if it is not.
    last: *const Header,
}

impl<'a> Batch<'a> {
    /// What [`LoopSide::begin_batch`] allows.
    #[inline]
    pub(super) fn new(side: &'a LoopSide) -> Self {
        Self { side, rest: ptr::null(), last: ptr::null() }
    }

    /// The next task of the batch: an urgent one, else the oldest ready one.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Runnable<'a>> {
        let side = self.side;
        side.queues(|queues| {
            if let Some(task) = queues.pop_urgent() {
                return Some(task);
            }
            if queues.is_over() {
                return None;
            }
            if self.rest.is_null() {
                (self.rest, self.last) = queues.take_ready();
            }
            let task = NonNull::new(self.rest.cast_mut())?;
            // SAFETY: the cell is in the list, so it is alive (I3).
            let header = unsafe { task.as_ref() };
            // SAFETY: I4: the loop's thread.
            self.rest = header.next_ready.with(|next| unsafe { *next });
            queues.popped();
            header.loop_flags.unready();
            Some(task)
        })
        .map(|task| Runnable(task, side))
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.rest.is_null() {
            let Self { side, rest, last } = self;
            // SAFETY: the rest of the list begins and ends with these, and none of it was popped.
            side.queues(|queues| unsafe { queues.put_back(*rest, *last) });
        }
    }
}
