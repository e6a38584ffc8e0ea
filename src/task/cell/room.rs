//! Where a cell goes, and where its memory goes after it.

use alloc::alloc::Layout;
use core::ptr::{self, NonNull};

use super::Header;
use crate::sync::Arc;
use crate::task::block_cache::{self, CachedBlock};
use crate::task::run_queues::RunQueues;

/// Where a cell is made.
pub(in super::super) enum CellMemory {
    /// In memory of the allocator.
    Fresh(Arc<RunQueues>),
    /// In a block that was [kept](block_cache::BlockCache) with its reference to the run queues.
    CachedBlock(CachedBlock),
}

/// Takes the last there is of a cell apart, and gives its memory back to the allocator.
///
/// # Safety
///
/// `block` came from [`block_cache::fresh`] with this layout, what is left in it is the header, and it is
/// not used again.
pub(in super::super) unsafe fn unmake_header(
    block: NonNull<Header>,
    layout: Layout,
) -> Arc<RunQueues> {
    // SAFETY: the caller's promise.
    let header = unsafe { block.as_ref() };
    // SAFETY: the caller's promise: it is taken out once.
    let owner = unsafe { header.take_owner() };
    // SAFETY: the caller's promise. The owner is not dropped with it.
    unsafe { ptr::drop_in_place(block.as_ptr()) };
    // SAFETY: the caller's promise.
    unsafe { block_cache::give_back(block.cast(), layout) };
    owner
}
