//! Bringing an outcome home: a handle that is dropped after its task's end, on whichever thread, has
//! the loop drop the output, as the loop would have done itself.
//!
//! The courier is a control request that owns the outcome and the handle's reference. If the loop
//! has ended it is refused, and the output is dropped where the handle was: the only place left,
//! and for an output that is not `Send` the loop's own thread.

use core::mem;
use core::ptr::NonNull;

use super::cell::{Header, Origin};
use super::loop_side::{Lost, lose};
use super::mailbox::release;
use super::spawn::NewTask;
use crate::error::forget_payload;

/// Owns a finished task's outcome (I5) and one reference to it (I2).
struct Courier(NonNull<Header>);

/// Has the loop drop the outcome. A panic in its destructor, or in it, goes to the loop's hook.
///
/// # Safety
///
/// The task is done; the caller owns its outcome and one reference, and gives both up.
pub(super) unsafe fn send_home(task: NonNull<Header>) {
    // SAFETY: the caller's reference.
    let header = unsafe { task.as_ref() };
    let mailbox = header.owner().clone();
    let origin = Origin { serial: header.id().as_u64(), location: header.location() };
    // SAFETY: the vtable is the task's (I1), which lives.
    let name = unsafe { (header.vtable().name)(task) };
    let courier = Courier(task);
    let delivery = async move {
        if let Some(lost) = courier.open() {
            #[cfg(feature = "std")]
            lost.payload.resume();
            #[cfg(not(feature = "std"))]
            forget_payload(lost.payload);
        }
    };
    NewTask::request(delivery, name, origin, mailbox.clone()).post(&mailbox);
}

impl Courier {
    /// Drops the outcome; says so if it was, or became, a panic.
    fn open(self) -> Option<Lost> {
        let task = self.0;
        mem::forget(self);
        // SAFETY: the courier owned the outcome and a reference.
        let lost = unsafe { lose(task) };
        // SAFETY: that reference ends here.
        unsafe { release(task) };
        lost
    }
}

impl Drop for Courier {
    /// The loop has ended: nobody will hear of a panic.
    fn drop(&mut self) {
        if let Some(lost) = Self(self.0).open() {
            forget_payload(lost.payload);
        }
    }
}
