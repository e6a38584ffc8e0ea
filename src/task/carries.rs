//! Counts of polls that have run over their field in the cell.
//!
//! They lie in a map beside the cells, which is out of the queues while it is changed: it allocates and frees, and
//! an allocator is user code.

use alloc::collections::BTreeMap;
use core::mem;

use super::cell::Header;
use super::loop_side::LoopSide;
use super::notes::{CARRIED, POLLS};

impl LoopSide {
    /// The count of polls in the task's cell has run over.
    #[cold]
    #[inline(never)]
    pub(super) fn carry(&self, header: &Header) {
        header.notes.set(CARRIED);
        self.change_carries(|all| *all.entry(header.id().as_u64()).or_default() += POLLS);
    }

    /// Forgets what was kept about a task beside its cell.
    #[inline]
    pub(super) fn forget(&self, header: &Header) {
        if header.notes.flags() & CARRIED != 0 {
            self.change_carries(|all| {
                all.remove(&header.id().as_u64());
            });
        }
    }

    #[cold]
    fn change_carries(&self, change: impl FnOnce(&mut BTreeMap<u64, u64>)) {
        let mut all = self.queues(|queues| mem::take(&mut queues.carries));
        change(&mut all);
        let none = self.queues(|queues| mem::replace(&mut queues.carries, all));
        debug_assert!(none.is_empty(), "no task is polled inside of an allocator");
    }
}
