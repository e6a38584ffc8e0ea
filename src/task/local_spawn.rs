//! Tasks that are made on their loop's thread: ready at once, and known to nobody else.

use core::future::Future;
use core::ptr;

use super::cell::{Cell, CellMemory, Label, Origin};
use super::join::Join;
use super::loop_flags::{LoopFlags, READY, REGISTERED};
use super::loop_side::LoopSide;
use super::owned_task::OwnedTask;
use super::spawn::{NewTask, Vacant};
use super::state::State;

impl LoopSide {
    /// A cell for a task that is spawned on the loop's thread.
    #[inline]
    pub(crate) fn vacant<F: Future, L: Label>(&self, label: L, origin: Origin) -> Vacant<F, L> {
        self.vacant_with(label, origin, READY)
    }

    #[inline]
    fn vacant_with<F: Future, L: Label>(
        &self,
        label: L,
        origin: Origin,
        standing: u8,
    ) -> Vacant<F, L> {
        let layout = Cell::<F, L>::LAYOUT;
        let block = self.queues(|queues| queues.block_cache.take(layout));
        let room = block
            .map_or_else(|| CellMemory::Fresh(self.run_queues().clone()), CellMemory::CachedBlock);
        Vacant::allocate(
            label,
            origin,
            room,
            State::new(false),
            LoopFlags::new(standing, REGISTERED),
        )
    }

    /// Takes on what was made in a cell [of its own](Self::vacant): a task that is ready at once, behind
    /// everything ready before it.
    #[inline]
    pub(crate) fn register_local<F: Future, L: Label>(
        &self,
        task: NewTask<F, L>,
    ) -> (OwnedTask, Join<F::Output>) {
        let task = task.into_task();
        // SAFETY: the maker's references.
        let header = unsafe { task.as_ref() };
        // PANICS: it cannot: nobody has made it for another way, or loop. It would be unsound here, so this
        // is checked at all times.
        assert!(
            header.loop_flags.standing() == READY
                && ptr::eq(&**header.owner(), &**self.run_queues()),
            "a task of another loop was registered"
        );
        self.queues(|queues| {
            queues.fence();
            // SAFETY: on the loop's thread; the task has just been made, as one that is ready.
            unsafe { queues.append(task) }
        });
        // SAFETY: of the two references one goes to the registry and one to the handle (I2).
        (OwnedTask(task), unsafe { Join::new(task) })
    }
}

impl LoopSide {
    /// Makes a task that waits for its first wake.
    pub(crate) fn spawn_idle<F: Future, L: Label>(
        &self,
        future: F,
        label: L,
        origin: Origin,
    ) -> (OwnedTask, Join<F::Output>) {
        let task = self.vacant_with(label, origin, 0).fill(future).into_task();
        // SAFETY: of the two references one goes to the registry and one to the handle (I2).
        (OwnedTask(task), unsafe { Join::new(task) })
    }
}

/// What the scheduler does in parts, in one, for tests.
#[cfg(any(test, fuzzing))]
mod whole {
    use super::*;
    use crate::error::JoinError;
    use crate::task::cell::End;
    use crate::task::run::{Ending, Ran};

    impl LoopSide {
        /// Makes a task that is ready at once.
        pub(crate) fn spawn<F: Future, L: Label>(
            &self,
            future: F,
            label: L,
            origin: Origin,
        ) -> (OwnedTask, Join<F::Output>) {
            self.register_local(self.vacant(label, origin).fill(future))
        }

        /// Runs a task at once.
        pub(crate) fn run_now(&self, task: &OwnedTask) -> Ran<'_> {
            self.out_of_turn(task).run()
        }

        /// Ends a task that has not ended.
        pub(crate) fn end(&self, task: &OwnedTask, reason: JoinError) -> (Ending<'_>, End) {
            self.out_of_turn(task).end(reason)
        }
    }
}
