//! The memory of tasks that have ended, kept for the tasks to come.
//!
//! Lists of free blocks by exact size, for the loop's thread alone (I4): a task that is spawned there
//! after another of its size has ended there costs no call of the allocator. What is kept is bounded,
//! and given back with the loop. Switched off where it would hide faults from tools that watch the
//! allocator: in models, under a fuzzer, and with `--cfg sideloop_plain_memory`.

use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// Sizes are counted in words of this many bytes, which is also the most alignment that is served.
const WORD: usize = 8;
/// How many sizes there are: blocks of up to 1 KiB are kept.
const SIZES: usize = 129;
/// How many bytes are kept at most.
const MOST: usize = 256 * 1024;

const RECYCLES: bool = !cfg!(any(loom, fuzzing, miri, sideloop_plain_memory));

/// A free block: the next one of its size is written into it.
struct Free {
    next: *mut Free,
}

/// The free blocks of one loop.
#[derive(Debug)]
pub(super) struct Blocks {
    lists: [*mut Free; SIZES],
    bytes: usize,
}

/// Allocates memory for a cell. The layout has a size.
pub(super) fn fresh(layout: Layout) -> NonNull<u8> {
    // SAFETY: a cell has a header, so its size is not zero.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Gives memory back to the allocator.
///
/// # Safety
///
/// `block` came from [`fresh`] with this layout, and is not used again.
pub(super) unsafe fn give_back(block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { dealloc(block.as_ptr(), layout) }
}

impl Blocks {
    pub(super) const fn new() -> Self {
        Self { lists: [ptr::null_mut(); SIZES], bytes: 0 }
    }

    /// The list of blocks with this layout, if such blocks are kept.
    #[inline]
    fn list(&mut self, layout: Layout) -> Option<&mut *mut Free> {
        let fits = RECYCLES && layout.align() == WORD && layout.size() % WORD == 0;
        if fits { self.lists.get_mut(layout.size() / WORD) } else { None }
    }

    /// A kept block of this layout.
    #[inline]
    pub(super) fn take(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let list = self.list(layout)?;
        let block = NonNull::new(*list)?;
        // SAFETY: what is in a list is a free block, whose link was written by `put`.
        *list = unsafe { block.as_ref() }.next;
        self.bytes -= layout.size();
        Some(block.cast())
    }

    /// Keeps a block. `false`: it is still the caller's to give back.
    ///
    /// # Safety
    ///
    /// `block` came from [`fresh`] with this layout; if it is kept, the caller does not use it again.
    #[inline]
    pub(super) unsafe fn put(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        if self.bytes + layout.size() > MOST {
            return false;
        }
        let Some(list) = self.list(layout) else { return false };
        let free = block.cast::<Free>();
        // SAFETY: the block is the caller's, has room for a word, and the alignment of one.
        unsafe { free.write(Free { next: *list }) };
        *list = free.as_ptr();
        self.bytes += layout.size();
        true
    }

    /// Gives everything back.
    pub(super) fn clear(&mut self) {
        for words in 0..SIZES {
            // PANICS: it cannot: the size is small, and the alignment a power of two.
            let layout = Layout::from_size_align(words * WORD, WORD).expect("a small layout");
            while let Some(block) = self.take(layout) {
                // SAFETY: it came from `fresh` with this layout, and is in no list any more.
                unsafe { give_back(block, layout) };
            }
        }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, WORD).expect("a small layout")
    }

    #[test]
    fn a_kept_block_comes_back_for_its_size_alone() {
        let mut blocks = Blocks::new();
        let one = fresh(layout(136));
        // SAFETY: made with this layout, and not used again unless it comes back.
        let kept = unsafe { blocks.put(one, layout(136)) };
        assert_eq!(kept, RECYCLES);
        assert_eq!(blocks.take(layout(128)), None);
        assert_eq!(blocks.take(layout(136)), RECYCLES.then_some(one));
        assert_eq!(blocks.take(layout(136)), None);
        // SAFETY: as above: it is this test's, taken out or never kept.
        unsafe { give_back(one, layout(136)) };
    }

    #[test]
    fn what_is_kept_is_bounded_and_given_back() {
        let mut blocks = Blocks::new();
        let mut kept = 0;
        loop {
            let block = fresh(layout(1024));
            // SAFETY: made with this layout, and not used again if it is kept.
            if !unsafe { blocks.put(block, layout(1024)) } {
                // SAFETY: it was not kept.
                unsafe { give_back(block, layout(1024)) };
                break;
            }
            kept += 1;
        }
        assert_eq!(kept, if RECYCLES { 256 } else { 0 });
        blocks.clear();
        assert_eq!((blocks.bytes, blocks.take(layout(1024))), (0, None));
    }

    #[test]
    fn a_block_that_is_taken_again_and_again_uses_up_no_room() {
        let mut blocks = Blocks::new();
        let one = fresh(layout(1024));
        for _ in 0..1_000 {
            // SAFETY: made with this layout, and not used again unless it comes back.
            assert_eq!(unsafe { blocks.put(one, layout(1024)) }, RECYCLES);
            assert_eq!(blocks.take(layout(1024)), RECYCLES.then_some(one));
        }
        assert_eq!(blocks.bytes, 0);
        // SAFETY: as above: it is this test's, taken out or never kept.
        unsafe { give_back(one, layout(1024)) };
    }

    #[test]
    fn large_and_over_aligned_blocks_are_not_kept() {
        let mut blocks = Blocks::new();
        for odd in [layout(2048), Layout::from_size_align(128, 64).expect("a small layout")] {
            let block = fresh(odd);
            // SAFETY: made with this layout.
            assert!(!unsafe { blocks.put(block, odd) }, "{odd:?}");
            // SAFETY: it was not kept.
            unsafe { give_back(block, odd) };
        }
    }
}
