//! Counts of polls that have run over their field in the cell.
//!
//! They lie in a map beside the cells, which is out of the queues while it is changed: it allocates and frees, and
//! an allocator is user code.

use alloc::collections::BTreeMap;
use core::mem;

use super::cell::Header;
use super::loop_flags::{POLLS, POLLS_OVERFLOWED};
use super::loop_side::LoopSide;

impl LoopSide {
    /// The count of polls in the task's cell has run over.
    #[cold]
    #[inline(never)]
    pub(super) fn count_overflow(&self, header: &Header) {
        header.loop_flags.set(POLLS_OVERFLOWED);
        self.change_polls_overflow(|all| *all.entry(header.id().as_u64()).or_default() += POLLS);
    }

    /// Forgets what was kept about a task beside its cell.
    #[inline]
    pub(super) fn forget(&self, header: &Header) {
        if header.loop_flags.flags() & POLLS_OVERFLOWED != 0 {
            self.change_polls_overflow(|all| {
                all.remove(&header.id().as_u64());
            });
        }
    }

    #[cold]
    fn change_polls_overflow(&self, change: impl FnOnce(&mut BTreeMap<u64, u64>)) {
        let mut all = self.queues(|queues| mem::take(&mut queues.polls_overflow));
        change(&mut all);
        let none = self.queues(|queues| mem::replace(&mut queues.polls_overflow, all));
        debug_assert!(none.is_empty(), "no task is polled inside of an allocator");
    }
}
