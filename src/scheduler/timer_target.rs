//! Whom a timer wakes.
//!
//! Most timers are armed by a future in its own poll, with the waker it was lent. To keep a clone of
//! that would cost two read-modify-writes for each timer; who armed it can be named instead, and is
//! looked up if the timer ever fires. Any other waker is kept as it is.

use core::cell::Cell;
use core::ptr;
use core::task::{RawWakerVTable, Waker};

use crate::id::{NO_KEY, TaskId};

/// Whom a timer wakes: two words, like a waker.
#[derive(Debug)]
pub(crate) enum TimerTarget {
    /// Who armed it, in its own poll.
    TaskKey(TaskKey),
    /// Anybody else.
    Waker(Waker),
}

/// Names a task of this loop, or the host's own future. One that has ended is named by nothing until
/// 2^32 tasks later, and then a task is woken for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskKey {
    pub(super) key: u32,
    /// The lower half of the serial.
    serial: u32,
}

impl TaskKey {
    const HOST: Self = Self { key: NO_KEY, serial: 0 };

    /// A task that the registry has.
    #[allow(clippy::cast_possible_truncation)] // the lower half
    #[inline]
    pub(crate) fn to(task: TaskId) -> Self {
        Self { key: task.key(), serial: task.as_u64() as u32 }
    }

    pub(super) fn is_of_host(self) -> bool {
        self == Self::HOST
    }
}

impl TimerTarget {
    /// Whether it wakes `waker`, whose owner `lent` names if that is being polled.
    #[inline]
    pub(super) fn is(&self, waker: &Waker, lent: impl FnOnce() -> Option<TaskKey>) -> bool {
        match self {
            Self::TaskKey(whom) => lent() == Some(*whom),
            Self::Waker(own) => own.will_wake(waker),
        }
    }
}

/// The waker of the future that the host polls beside the tasks, by its addresses: never used, only
/// compared.
#[derive(Debug)]
pub(crate) struct HostWaker(Cell<(*const (), *const RawWakerVTable)>);

impl Default for HostWaker {
    fn default() -> Self {
        Self(Cell::new((ptr::null(), ptr::null())))
    }
}

impl HostWaker {
    /// From here on `waker` is the host's; returns what was.
    pub(crate) fn replace(&self, waker: Self) -> Self {
        Self(Cell::new(self.0.replace(waker.0.get())))
    }

    pub(crate) fn of(waker: &Waker) -> Self {
        Self(Cell::new((waker.data(), waker.vtable())))
    }

    #[inline]
    pub(super) fn lent(&self, waker: &Waker) -> Option<TaskKey> {
        let (data, vtable) = self.0.get();
        (ptr::eq(waker.data(), data) && ptr::eq(waker.vtable(), vtable)).then_some(TaskKey::HOST)
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_takes_no_more_room_than_a_waker() {
        assert_eq!(size_of::<TimerTarget>(), size_of::<Waker>());
    }

    #[test]
    fn a_timer_takes_two_tasks_for_one_only_if_they_are_2_to_the_32_apart() {
        let serial = (5 << 32) - 1; // the last that a half can tell
        let lent = TaskKey::to(TaskId::new(serial, 3));
        assert_eq!(lent, TaskKey::to(TaskId::new(serial + (1 << 32), 3)));
        for (serial, key) in [(serial + 1, 3), (serial - 1, 3), (serial, 4)] {
            assert_ne!(lent, TaskKey::to(TaskId::new(serial, key)));
        }
    }
}
