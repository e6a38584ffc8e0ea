//! The urgent queue: tasks that are to be looked at ahead of everything that is ready.
//!
//! It neither allocates nor frees by itself, because it lies under the loop's borrow of its queues and an
//! allocator is user code. Whoever makes room for more tasks in the registry has it [`provide`] for as many:
//! a task is in here once at most, so a cancel allocates nothing. The new memory is neither cleared nor
//! copied into, but for the tasks that wait, so that there is no pause.

use alloc::collections::VecDeque;
use core::mem;
use core::ptr::NonNull;

use super::cell::Header;
use super::local_queues::LocalQueues;
use super::loop_side::LoopSide;
use super::run_queues::RunQueues;

/// So much room is kept.
const FEW: usize = 64;

/// The queue. First in, first out.
#[derive(Debug, Default)]
pub(super) struct Urgent {
    tasks: VecDeque<NonNull<Header>>,
    /// The last one has been taken out, and there is more room than is kept.
    is_slack: bool,
}

impl Urgent {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Appends a task. `false`: there is no room, see [`provide`].
    #[must_use]
    pub(super) fn push(&mut self, task: NonNull<Header>) -> bool {
        let has_room = self.tasks.len() < self.tasks.capacity();
        if has_room {
            self.tasks.push_back(task);
        }
        has_room
    }

    pub(super) fn pop(&mut self) -> Option<NonNull<Header>> {
        let task = self.tasks.pop_front();
        if self.tasks.is_empty() {
            self.emptied();
        }
        task
    }

    #[cold]
    fn emptied(&mut self) {
        self.is_slack |= self.tasks.capacity() > 4 * FEW;
    }

    /// Whether it was emptied since this was last asked, so that there may be [too much room](provide).
    #[inline]
    pub(super) fn take_slack(&mut self) -> bool {
        self.is_slack && mem::take(&mut self.is_slack)
    }

    /// How much room there should be for so many tasks, if there is too little or much too much.
    fn wanted(&self, tasks: usize) -> Option<usize> {
        let (room, wanted) = (self.tasks.capacity(), tasks.max(self.tasks.len()).max(FEW));
        if room < wanted {
            Some(wanted.max(room * 2))
        } else {
            (room > wanted * 4).then_some(wanted * 2)
        }
    }

    /// Goes over to other memory, if what waits fits into it; gives back what is to be freed.
    fn exchange(&mut self, mut room: VecDeque<NonNull<Header>>) -> VecDeque<NonNull<Header>> {
        if room.capacity() >= self.tasks.len() {
            room.extend(self.tasks.drain(..));
            mem::swap(&mut self.tasks, &mut room);
        }
        room
    }
}

/// Makes room for so many tasks, or gives back what is much more. On the loop's thread, outside of every
/// borrow.
#[cold]
pub(super) fn provide(owner: &RunQueues, tasks: usize) {
    if let Some(wanted) = borrow(owner, |queues| queues.urgent.wanted(tasks)) {
        let room = VecDeque::with_capacity(wanted);
        let left = borrow(owner, |queues| queues.urgent.exchange(room));
        drop(left);
    }
}

/// Has a task that was asked to end looked at ahead of all that is ready.
///
/// # Safety
///
/// On the thread of the task's loop; `task` is alive.
#[inline]
pub(super) unsafe fn enqueue_urgent(owner: &RunQueues, task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    while !borrow(owner, |queues| unsafe { queues.enqueue_urgent(task) }) {
        provide(owner, borrow(owner, |queues| queues.urgent.len()) + 1);
    }
}

impl LoopSide {
    /// Whether there may be [too much room](Self::provide_for), since this was last asked.
    #[inline]
    pub(crate) fn take_slack(&self) -> bool {
        self.queues(|queues| queues.urgent.take_slack())
    }

    /// Has the urgent queue have room for so many tasks, and not much more.
    pub(crate) fn provide_for(&self, tasks: usize) {
        provide(self.run_queues(), tasks);
    }
}

#[inline]
fn borrow<R>(owner: &RunQueues, f: impl FnOnce(&mut LocalQueues) -> R) -> R {
    owner.queues.with_mut(|queues| {
        // SAFETY: I4: the callers are on the loop's thread, and `f` calls nothing that could come back here.
        f(unsafe { &mut *queues })
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// M6, and a cancel that allocates nothing.
    #[test]
    fn there_is_room_for_each_task_and_not_much_more() {
        let mut urgent = Urgent::default();
        assert!(!urgent.push(NonNull::dangling()), "there is no room yet");
        for tasks in (1..5_000).chain((0..5_000).rev()) {
            if let Some(wanted) = urgent.wanted(tasks) {
                urgent.exchange(VecDeque::with_capacity(wanted));
            }
            let room = urgent.tasks.capacity();
            assert!(room >= tasks && room <= (4 * tasks).max(4 * FEW), "{room} for {tasks}");
        }
        for _ in 0..FEW {
            assert!(urgent.push(NonNull::dangling()));
        }
        assert_eq!(urgent.exchange(VecDeque::new()).capacity(), 0, "it does not fit");
        assert_eq!(urgent.len(), FEW);
    }
}
