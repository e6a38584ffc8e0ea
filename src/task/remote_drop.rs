//! Bringing an outcome home: a handle that is dropped after its task's end, on whichever thread, has
//! the loop drop the output, as the loop would have done itself.
//!
//! The remote drop is a control request that owns the outcome and the handle's reference. If the loop
//! has ended it is refused, and the output is dropped where the handle was: the only place left,
//! and for an output that is not `Send` the loop's own thread.
//!
//! An output may own handles of others. On the loop these come home one by one, each in a turn; where
//! remote drops are refused, those of one thread wait for each other.

use core::mem;
use core::ptr::{self, NonNull};

use super::cell::{Header, Origin};
use super::loop_side::{UnobservedPanic, lose};
use super::run_queues::Releasing;
use super::spawn::NewTask;
use crate::error::{JoinError, forget_payload};
use crate::sync;

/// Owns a finished task's outcome (I5) and one reference to it (I2).
struct RemoteDrop(NonNull<Header>);

/// Has the loop drop the outcome. A panic in its destructor, or in it, goes to the loop's hook.
///
/// # Safety
///
/// The task is done; the caller owns its outcome and one reference, and gives both up.
pub(super) unsafe fn drop_on_loop(task: NonNull<Header>) {
    // SAFETY: the caller's reference.
    let header = unsafe { task.as_ref() };
    let run_queues = header.owner().clone();
    let origin = Origin { serial: header.id().as_u64(), location: header.location() };
    // SAFETY: the vtable is the task's (I1), which lives.
    let name = unsafe { (header.vtable().name)(task) };
    let remote_drop = RemoteDrop(task);
    let delivery = async move {
        if let Some(lost) = remote_drop.open() {
            #[cfg(feature = "std")]
            lost.payload.resume();
            #[cfg(not(feature = "std"))]
            forget_payload(lost.payload);
        }
    };
    if let Err(refused) =
        NewTask::request(delivery, name, origin, run_queues.clone()).post(&run_queues)
    {
        // SAFETY: it has not been published: its one reference is this one's.
        unsafe { drop_in_turn(refused.into_task()) };
    }
}

/// Drops a remote drop that was refused, with the output that it owns; where this thread is dropping another,
/// after that one. So outputs that own handles of others are never dropped inside one another, which would
/// take a stack as deep as their chain is long.
///
/// Without `std` there is nothing that belongs to a thread, and they nest, as boxes do.
///
/// # Safety
///
/// The remote drop has not been published; its one reference is given up.
unsafe fn drop_in_turn(remote_drop: NonNull<Header>) {
    let newest: *const Header = sync::late();
    let idle = newest.is_null();
    // SAFETY: the caller's promise.
    unsafe {
        replace_link(remote_drop, if idle || is_mark(newest) { ptr::null() } else { newest })
    };
    if !idle {
        return sync::set_late(remote_drop.as_ptr());
    }
    let mut batch: *const Header = remote_drop.as_ptr();
    while !batch.is_null() {
        sync::set_late(mark());
        while let Some(next) = NonNull::new(batch.cast_mut()) {
            // SAFETY: it waits, and so is alive and unpublished.
            batch = unsafe { replace_link(next, ptr::null()) };
            let _reference = Releasing(next);
            // SAFETY: as above.
            let header = unsafe { next.as_ref() };
            // SAFETY: it has not ended, and nobody else knows it.
            let _ = unsafe { (header.vtable().end)(next, JoinError::Closed) };
        }
        // SAFETY: what has come meanwhile waits.
        batch = unsafe { in_order(sync::late()) };
    }
    sync::set_late(ptr::null::<Header>());
}

/// Stands for: an output is being dropped on this thread, and no remote drop waits.
fn mark() -> *const Header {
    static MARK: u8 = 0;
    (&raw const MARK).cast()
}

fn is_mark(late: *const Header) -> bool {
    ptr::eq(late, mark())
}

/// Turns the list round that ends with the one that came first.
///
/// # Safety
///
/// `newest` begins a list of unpublished remote drops, or is the mark.
unsafe fn in_order(newest: *const Header) -> *const Header {
    let mut done = ptr::null();
    let mut rest = if is_mark(newest) { ptr::null() } else { newest };
    while let Some(next) = NonNull::new(rest.cast_mut()) {
        // SAFETY: the caller's promise.
        rest = unsafe { replace_link(next, done) };
        done = next.as_ptr();
    }
    done
}

/// # Safety
///
/// The remote drop is alive and has not been published: its link is its maker's (I6).
unsafe fn replace_link(remote_drop: NonNull<Header>, next: *const Header) -> *const Header {
    // SAFETY: the caller's promise.
    let link = unsafe { &remote_drop.as_ref().link };
    // SAFETY: the caller's promise.
    link.with_mut(|link| unsafe { ptr::replace(link, next) })
}

impl RemoteDrop {
    /// Drops the outcome; says so if it was, or became, a panic.
    fn open(self) -> Option<UnobservedPanic> {
        let task = self.0;
        mem::forget(self);
        let _reference = Releasing(task);
        // SAFETY: the remote drop owned the outcome and a reference.
        unsafe { lose(task) }
    }
}

impl Drop for RemoteDrop {
    /// The loop has ended: nobody will hear of a panic.
    fn drop(&mut self) {
        if let Some(lost) = Self(self.0).open() {
            forget_payload(lost.payload);
        }
    }
}
