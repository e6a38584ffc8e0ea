//! Tasks that are made on their loop's own thread.

use core::future::Future;
use core::ptr::NonNull;

use crate::task::cell::{Cell, Header, Label, Origin, Room};
use crate::task::join::Join;
use crate::task::loop_side::{Enrolled, LoopSide};
use crate::task::notes::{ADOPTED, Notes, READY};
use crate::task::state::State;

impl LoopSide {
    /// Makes a task that is ready at once, behind everything ready before it.
    #[inline]
    pub(crate) fn spawn<F: Future, L: Label>(
        &self,
        future: F,
        label: L,
        origin: Origin,
    ) -> (Enrolled, Join<F::Output>) {
        let task = self.make(future, label, origin, READY);
        self.queues(|queues| {
            queues.fence();
            // SAFETY: on the loop's thread; the task has just been made, as one that is ready.
            unsafe { queues.append(task) }
        });
        // SAFETY: of the two references one goes to the registry and one to the handle (I2).
        (Enrolled(task), unsafe { Join::new(task) })
    }

    /// Makes a task that waits for its first wake.
    pub(crate) fn spawn_idle<F: Future, L: Label>(
        &self,
        future: F,
        label: L,
        origin: Origin,
    ) -> (Enrolled, Join<F::Output>) {
        let task = self.make(future, label, origin, 0);
        // SAFETY: as in `spawn`.
        (Enrolled(task), unsafe { Join::new(task) })
    }

    #[inline]
    fn make<F: Future, L: Label>(
        &self,
        future: F,
        label: L,
        origin: Origin,
        standing: u8,
    ) -> NonNull<Header> {
        let layout = Cell::<F, L>::LAYOUT;
        let block = self.queues(|queues| queues.blocks.take(layout));
        let room = block.map_or_else(|| Room::Fresh(self.mailbox().clone()), Room::Kept);
        let notes = Notes::new(standing, ADOPTED);
        Cell::allocate(future, label, origin, room, State::new(false), notes)
    }
}
