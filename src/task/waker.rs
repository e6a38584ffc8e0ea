//! The waker of a task, and wakers packed into one word.
//!
//! One static vtable serves every task, so two wakers of one task satisfy `will_wake`. A waker's
//! data is the header pointer and counts as one reference (I2); the waker that a poll is lent
//! borrows the loop's reference instead, so that a poll costs no read-modify-write.

use alloc::boxed::Box;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::task::{RawWaker, RawWakerVTable, Waker};

use super::cell::Header;
use super::local_queues;
use super::run_queues::{Releasing, RunQueues};
use super::state::ScheduleAction;
use crate::sync;

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// The waker for the length of a poll: it owns no reference, and is never dropped as one.
///
/// # Safety
///
/// The task lives as long as the result is used.
pub(super) unsafe fn lend(task: NonNull<Header>) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(task.as_ptr().cast_const().cast(), &VTABLE);
    // SAFETY: the vtable's functions keep the contract of `RawWaker` for a header pointer (I1); the
    // reference that dropping would give back is never given back, by `ManuallyDrop`.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// # Safety
///
/// `data` is the data of a live waker with [`VTABLE`].
unsafe fn header<'a>(data: *const ()) -> &'a Header {
    // SAFETY: by I1 the data is a header pointer, and by I2 the waker's reference keeps it alive.
    unsafe { &*data.cast::<Header>() }
}

/// The header pointer itself.
///
/// # Safety
///
/// As [`header`].
unsafe fn pointer(data: *const ()) -> NonNull<Header> {
    // SAFETY: by I1 the data is a header pointer, which came from the allocator.
    unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }
}

/// # Safety
///
/// As [`header`].
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the caller's promise.
    unsafe { header(data) }.state.retain();
    RawWaker::new(data, &VTABLE)
}

/// # Safety
///
/// As [`header`]; the waker's reference becomes this function's.
unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's promise.
    let _reference = Releasing(unsafe { pointer(data) }); // held until the end
    // SAFETY: the caller's promise.
    unsafe { wake_by_ref(data) };
}

/// # Safety
///
/// As [`header`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the caller's promise.
    let header = unsafe { header(data) };
    // SAFETY: the caller's promise: the data is a header pointer (I1), which is never null. Not made
    // from the reference, which may not reach the rest of the cell.
    let task = unsafe { pointer(data) };
    let current = sync::current();
    if ptr::eq(current, RunQueues::address(header.owner())) {
        // By the address that is known already: that of the task has to be loaded from its cell.
        // SAFETY: the address was taken from a reference to run queues (I8), which are those that the task
        // holds, and so it is alive.
        let run_queues = unsafe { &*current.cast::<RunQueues>() };
        // SAFETY: the current loop is the task's, so this is its thread (I4), and the task is alive.
        unsafe { local_queues::wake(run_queues, task) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { wake_elsewhere(task) };
    }
}

/// Wakes a task from another thread, or from outside its loop's run.
///
/// # Safety
///
/// The task is alive until this returns.
#[inline(never)] // so that a wake on the loop saves no registers for it
unsafe fn wake_elsewhere(task: NonNull<Header>) {
    // SAFETY: the caller's promise.
    let header = unsafe { task.as_ref() };
    if header.state.wake() == ScheduleAction::Push {
        // SAFETY: this call set `QUEUED` (I6), and the waker's reference outlives it.
        unsafe { RunQueues::push_or_settle(header.owner(), task) };
    }
}

/// # Safety
///
/// As [`header`]; the waker's reference ends here.
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the caller's promise.
    let header = unsafe { header(data) };
    if header.state.release() {
        // SAFETY: the caller's promise.
        let task = unsafe { pointer(data) };
        // SAFETY: that was the last reference (I2).
        unsafe { (header.vtable().free)(task) };
    }
}

/// Whether `waker` is a waker of this task; compares addresses only.
#[inline]
pub(super) fn is_of(waker: &Waker, task: NonNull<Header>) -> bool {
    ptr::eq(waker.vtable(), &raw const VTABLE) && ptr::eq(waker.data(), task.as_ptr().cast())
}

/// A waker in one word: a task's own as its header pointer, any other in a box, marked by the low bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed(*const u8);

impl Packed {
    pub(super) const EMPTY: Self = Self(ptr::null());

    pub(super) fn pack(waker: Waker) -> Self {
        if ptr::eq(waker.vtable(), &raw const VTABLE) {
            return Self(ManuallyDrop::new(waker).data().cast());
        }
        Self(Box::into_raw(Box::new(waker)).cast::<u8>().wrapping_add(1))
    }

    /// Whether this is, by its mere address, the task's own waker `waker`.
    pub(super) fn is_task(self, waker: &Waker) -> bool {
        ptr::eq(waker.vtable(), &raw const VTABLE) && ptr::eq(self.0, waker.data().cast())
    }

    /// Whether this is the waker `waker`, a task's or another's.
    ///
    /// # Safety
    ///
    /// The value came from [`Packed::pack`] and has not been unpacked.
    pub(super) unsafe fn will_wake(self, waker: &Waker) -> bool {
        if self.0.addr() & 1 == 0 {
            return self.is_task(waker);
        }
        // SAFETY: a marked word is a box of a waker, its pointer raised by one.
        unsafe { &*self.0.wrapping_sub(1).cast::<Waker>() }.will_wake(waker)
    }

    /// # Safety
    ///
    /// The value came from [`Packed::pack`] and is not unpacked again.
    pub(super) unsafe fn unpack(self) -> Waker {
        if self.0.addr() & 1 == 0 {
            // SAFETY: an unmarked word is the data of a waker with this vtable, whose reference it
            // has kept.
            return unsafe { Waker::from_raw(RawWaker::new(self.0.cast(), &VTABLE)) };
        }
        let boxed = self.0.wrapping_sub(1).cast_mut().cast::<Waker>();
        // SAFETY: a marked word is a box of a waker, its pointer raised by one.
        *unsafe { Box::from_raw(boxed) }
    }
}

#[cfg(all(test, feature = "std", not(loom)))] // without it no panic is caught
mod tests;
