//! What only the loop's thread writes down in a cell (I4): whether it is queued, what has become of
//! it, and how often it was polled.
//!
//! Each note has a place of its own, written whole. A wake and the poll that follows it then pass
//! nothing but the fact that a byte is zero, on which a processor can bet; flags in one word, with a
//! count above them, made a chain of loads and stores that each poll had to wait for.

use crate::sync::UnsafeCell;

/// The cell is in the ready queue.
pub(super) const READY: u8 = 1;
/// The task is done: its cell goes into no queue any more.
pub(super) const ENDED: u8 = 1 << 1;
/// A panic has unwound out of the task's code (I10): what is left to do waits in the urgent queue.
pub(super) const BROKEN: u8 = 1 << 2;

/// The cell is in the urgent queue.
pub(super) const URGENT: u8 = 1;
/// The task is done, and the loop's reference waits for the cell to leave its last queue (I3).
pub(super) const RELEASE_PENDING: u8 = 1 << 1;
/// It is run when it is taken in: a request to the loop itself, kept in no registry; or, with `REMOTE`, a call
/// for later, whose first poll arms its timer.
pub(super) const CONTROL: u8 = 1 << 2;
/// The loop knows the task.
pub(super) const REGISTERED: u8 = 1 << 3;
/// The count of polls has run over, and goes on beside the cell.
pub(super) const POLLS_OVERFLOWED: u8 = 1 << 4;

/// The task came by the injection stack, so there may be ids of it without a key.
pub(super) const REMOTE: u8 = 1 << 5;

/// The task went ahead of all that is ready for the request that is pending.
pub(super) const EXPEDITED: u8 = 1 << 6;
/// The task holds a place at the gate until it first runs, or ends.
pub(super) const GATED: u8 = 1 << 7;

/// How many polls the cell's own count holds.
pub(super) const POLLS: u64 = u16::MAX as u64 + 1;

/// The notes of one cell. All methods but the first are for the loop's thread.
pub(crate) struct LoopFlags {
    /// `READY`, `ENDED` and `BROKEN`.
    standing: UnsafeCell<u8>,
    /// The other flags.
    flags: UnsafeCell<u8>,
    polls: UnsafeCell<u16>,
}

impl LoopFlags {
    /// Those of a new cell, which is its maker's.
    #[inline]
    pub(super) fn new(standing: u8, flags: u8) -> Self {
        Self {
            standing: UnsafeCell::new(standing),
            flags: UnsafeCell::new(flags),
            polls: UnsafeCell::new(0),
        }
    }

    /// Whether the cell is ready, or done.
    #[inline]
    pub(super) fn standing(&self) -> u8 {
        // SAFETY: I4: only the loop's thread reads or writes the notes of a published cell.
        self.standing.with(|standing| unsafe { *standing })
    }

    #[inline]
    pub(super) fn stand(&self, standing: u8) {
        // SAFETY: as in `standing`.
        self.standing.with_mut(|old| unsafe { *old = standing });
    }

    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.standing() & ENDED != 0
    }

    /// Whether the task is not to be polled any more.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.standing() & (ENDED | BROKEN) != 0
    }

    /// Whether a panic has unwound out of its code, and nothing has been done about it.
    #[inline]
    pub(super) fn is_broken(&self) -> bool {
        self.standing() & BROKEN != 0
    }

    /// The cell leaves the ready queue.
    #[inline]
    pub(super) fn unready(&self) {
        if self.standing() != READY {
            return self.unready_over();
        }
        self.stand(0); // and not what is left of what was loaded
    }

    #[cold]
    fn unready_over(&self) {
        self.stand(self.standing() & !READY);
    }

    /// The task is done.
    #[inline]
    pub(super) fn end(&self) {
        self.stand(self.standing() | ENDED);
    }

    /// What a panic has left is being done.
    #[inline]
    pub(super) fn mend(&self) {
        self.stand(self.standing() & !BROKEN);
    }

    #[inline]
    pub(super) fn flags(&self) -> u8 {
        // SAFETY: as in `standing`.
        self.flags.with(|flags| unsafe { *flags })
    }

    #[inline]
    pub(super) fn set(&self, flag: u8) {
        // SAFETY: as in `standing`.
        self.flags.with_mut(|flags| unsafe { *flags |= flag });
    }

    #[inline]
    pub(super) fn clear(&self, flag: u8) {
        // SAFETY: as in `standing`.
        self.flags.with_mut(|flags| unsafe { *flags &= !flag });
    }

    /// The task gives its place at the gate up. `false`: it has none.
    #[inline]
    pub(super) fn give_place_up(&self) -> bool {
        let held = self.flags() & GATED != 0;
        if held {
            self.clear(GATED);
        }
        held
    }

    /// Whether the cell is in a plain queue.
    #[inline]
    pub(super) fn is_queued(&self) -> bool {
        self.standing() & READY != 0 || self.flags() & URGENT != 0
    }

    /// How often the task was polled, as far as the cell knows.
    pub(super) fn polls(&self) -> u16 {
        // SAFETY: as in `standing`.
        self.polls.with(|polls| unsafe { *polls })
    }

    /// Counts a poll. `true`: the count has run over.
    #[inline]
    pub(super) fn count_poll(&self) -> bool {
        // SAFETY: as in `standing`.
        self.polls.with_mut(|polls| {
            // SAFETY: as in `standing`.
            let polls = unsafe { &mut *polls };
            *polls = polls.wrapping_add(1);
            *polls == 0
        })
    }
}

#[cfg(test)]
impl LoopFlags {
    /// Sets the cell's own count of polls.
    pub(super) fn set_polls(&self, polls: u16) {
        // SAFETY: as in `standing`.
        self.polls.with_mut(|old| unsafe { *old = polls });
    }
}
