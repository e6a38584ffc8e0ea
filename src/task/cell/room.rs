//! Where a cell goes, and where its memory goes after it.

use alloc::alloc::Layout;
use core::ptr::{self, NonNull};

use super::Header;
use crate::sync::Arc;
use crate::task::blocks::{self, Kept};
use crate::task::mailbox::Mailbox;

/// Where a cell is made.
pub(in super::super) enum Room {
    /// In memory of the allocator.
    Fresh(Arc<Mailbox>),
    /// In a block that was [kept](blocks::Blocks) with its reference to the mailbox.
    Kept(Kept),
}

/// Takes the last there is of a cell apart, and gives its memory back to the allocator.
///
/// # Safety
///
/// `block` came from [`blocks::fresh`] with this layout, what is left in it is the header, and it is
/// not used again.
pub(in super::super) unsafe fn unmake_header(
    block: NonNull<Header>,
    layout: Layout,
) -> Arc<Mailbox> {
    // SAFETY: the caller's promise.
    let header = unsafe { block.as_ref() };
    // SAFETY: the caller's promise: it is taken out once.
    let owner = unsafe { header.take_owner() };
    // SAFETY: the caller's promise. The owner is not dropped with it.
    unsafe { ptr::drop_in_place(block.as_ptr()) };
    // SAFETY: the caller's promise.
    unsafe { blocks::give_back(block.cast(), layout) };
    owner
}
