//! A task as the registry has it: the loop's reference to it.

use core::ptr::NonNull;

use super::cell::{Header, TaskMeta};
use super::join::{self, TaskRef};
use super::loop_flags::{CONTROL, GATED, REMOTE};
use super::state::{CancelRequest, Request};
use crate::id::TaskId;

/// A task that the loop knows: the loop's reference. Let go by being completed; merely dropped, it
/// leaks the task, which is safe and a bug.
#[must_use]
#[derive(Debug)]
pub(crate) struct OwnedTask(pub(super) NonNull<Header>);

impl OwnedTask {
    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: I2: this owns the loop's reference.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        self.header().id()
    }

    #[inline]
    pub(crate) fn set_key(&self, key: u32) {
        self.header().set_key(key);
    }

    /// Whether the task was asked to end.
    pub(crate) fn is_requested(&self) -> bool {
        self.header().state.load().is_requested()
    }

    /// Whether it is a call for later.
    pub(crate) fn is_timed(&self) -> bool {
        self.header().loop_flags.flags() & (CONTROL | REMOTE) == CONTROL | REMOTE
    }

    /// Whether it came by the injection stack, as what other threads spawn does.
    #[inline]
    pub(crate) fn is_foreign(&self) -> bool {
        self.header().loop_flags.flags() & REMOTE != 0
    }

    /// The task was taken in, and holds a place at the gate until it first runs, or ends.
    pub(crate) fn hold_place(&self) {
        self.header().loop_flags.set(GATED);
    }

    pub(crate) fn subject(&self) -> TaskMeta {
        // SAFETY: I2: this owns the loop's reference.
        unsafe { TaskMeta::of(self.0) }
    }

    /// Asks the task to end.
    pub(crate) fn request(&self, what: Request) -> CancelRequest {
        // SAFETY: this owns a reference.
        unsafe { join::request(self.0, what) }
    }

    /// Another reference to the task.
    pub(crate) fn task(&self) -> TaskRef {
        // SAFETY: this owns a reference.
        unsafe { TaskRef::new(self.0) }
    }
}
