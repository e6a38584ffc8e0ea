//! The memory of tasks that have ended, kept for the tasks to come.
//!
//! Lists of free blocks by exact size, for the loop's thread alone (I4): a task that is spawned there
//! after another of its size has ended there costs no call of the allocator. What is kept is bounded,
//! and given back with the loop. Switched off where it would hide faults from tools that watch the
//! allocator: in models, under a fuzzer, and with `--cfg sideloop_plain_memory`.

use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::ptr::{self, NonNull};

use super::cell::{Header, unmake_header};
use super::run_queues::RunQueues;
use crate::sync::Arc;

/// The alignment that is served, that of most cells; sizes are counted in words of this many bytes.
const WORD: usize = align_of::<Header>();
/// How many sizes there are: blocks of up to 1 KiB are kept.
const SIZES: usize = 1024 / WORD + 1;
/// How many bytes are kept at most.
const MOST: usize = 256 * 1024;

const RECYCLES: bool = !cfg!(any(loom, shuttle, fuzzing, miri, sideloop_plain_memory));

/// The free blocks of one loop (I9). Each still has the header of a task that has ended, with two fields
/// that count: `next_ready` links it, and `owner` keeps its reference to the run queues for the next task,
/// so that this one need not be counted.
#[derive(Debug)]
pub(super) struct BlockCache {
    lists: [*const Header; SIZES],
    bytes: usize,
    /// Which list gives a block up next, if there is no room for one of another size.
    hand: usize,
}

/// A block that was taken out, for a cell of the layout that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CachedBlock(NonNull<Header>);

impl CachedBlock {
    /// The block, and the reference to the run queues that was kept with it.
    #[inline]
    pub(super) fn open(self) -> (NonNull<Header>, Arc<RunQueues>) {
        // SAFETY: by I9 there is what is left of a header, and nobody else has it.
        let header = unsafe { self.0.as_ref() };
        // SAFETY: by I9 the reference is there, and it is taken out once.
        (self.0, unsafe { header.take_owner() })
    }
}

impl CachedBlock {
    /// Frees the block, and gives up its reference.
    ///
    /// # Safety
    ///
    /// The block has this layout.
    pub(super) unsafe fn give_up(self, layout: Layout) {
        // SAFETY: by I9 what is left of it is a header, it came from `fresh`, and is in no list any more.
        drop(unsafe { unmake_header(self.0, layout) });
    }
}

/// Allocates memory for a cell. The layout has a size.
#[inline]
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

impl BlockCache {
    pub(super) const fn new() -> Self {
        Self { lists: [ptr::null(); SIZES], bytes: 0, hand: 0 }
    }

    /// The list of blocks with this layout, if such blocks are kept.
    #[inline]
    fn list(&mut self, layout: Layout) -> Option<&mut *const Header> {
        let fits = RECYCLES && layout.align() == WORD && layout.size() % WORD == 0;
        if fits { self.lists.get_mut(layout.size() / WORD) } else { None }
    }

    /// A kept block of this layout, with its reference to the run queues.
    #[inline]
    pub(super) fn take(&mut self, layout: Layout) -> Option<CachedBlock> {
        let list = self.list(layout)?;
        let block = NonNull::new(list.cast_mut())?;
        // SAFETY: what is in a list is a free block, which is alive.
        let header = unsafe { block.as_ref() };
        // SAFETY: I4: the loop's thread.
        *list = header.next_ready.with(|next| unsafe { *next });
        self.bytes -= layout.size();
        Some(CachedBlock(block))
    }

    /// Keeps the block of a task that has ended. `false`: it is still the caller's to give back.
    ///
    /// # Safety
    ///
    /// `block` came from [`fresh`] with this layout, and what is left in it is its header; if it is
    /// kept, the caller does not use it again.
    #[inline]
    pub(super) unsafe fn put(&mut self, block: NonNull<Header>, layout: Layout) -> bool {
        if self.bytes + layout.size() > MOST {
            return false;
        }
        let Some(list) = self.list(layout) else { return false };
        // SAFETY: the caller's promise.
        let header = unsafe { block.as_ref() };
        // SAFETY: I4: the loop's thread.
        header.next_ready.with_mut(|next| unsafe { *next = *list });
        *list = block.as_ptr();
        self.bytes += layout.size();
        true
    }

    /// Whether a block of another size could be given up, for one of this layout that there was no room for.
    /// The sizes are looked at in turns, one by each call; a list that is empty, or the same, gives none.
    #[inline]
    pub(super) fn has_other(&mut self, layout: Layout) -> bool {
        self.hand = if self.hand + 1 < SIZES { self.hand + 1 } else { 0 };
        !self.lists[self.hand].is_null() && self.hand * WORD != layout.size()
    }

    /// Takes that block out.
    pub(super) fn take_other(&mut self, layout: Layout) -> Option<(CachedBlock, Layout)> {
        self.list(layout)?;
        let other = Layout::from_size_align(self.hand * WORD, WORD).ok()?;
        self.take(other).map(|kept| (kept, other))
    }

    /// Gives everything back. Somebody else holds the run queues meanwhile.
    pub(super) fn clear(&mut self) {
        for words in 0..SIZES {
            // PANICS: it cannot: the size is small, and the alignment a power of two.
            let layout = Layout::from_size_align(words * WORD, WORD).expect("a small layout");
            while let Some(kept) = self.take(layout) {
                // SAFETY: it was in the list of this layout.
                unsafe { kept.give_up(layout) };
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::boxed::Box;
    use core::future::Future;
    use core::panic::Location;
    use core::pin::Pin;
    use core::task::{Context, Poll};

    use super::*;
    use crate::task::cell::{Cell, CellMemory, Origin};
    use crate::task::loop_flags::LoopFlags;
    use crate::task::spawn::Vacant;
    use crate::task::state::State;

    /// As many words as the largest block that is kept has for a future.
    const MOST_WORDS: usize = (1024 - size_of::<Header>()) / 8;

    /// A future of so many words.
    struct Words<const N: usize>([u64; N]);
    #[repr(align(64))]
    struct Aligned;

    impl<const N: usize> Future for Words<N> {
        type Output = u64;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
            Poll::Ready(self.0[0])
        }
    }

    impl Future for Aligned {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    /// The block of a task whose future needs no destructor, and its layout.
    fn ended<F: Future>(future: F, owner: &Arc<RunQueues>) -> (NonNull<Header>, Layout) {
        let origin = Origin { serial: 1, location: Location::caller() };
        let (room, loop_flags) = (CellMemory::Fresh(owner.clone()), LoopFlags::new(0, 0));
        let vacant = Vacant::allocate((), origin, room, State::new(false), loop_flags);
        (vacant.fill(future).into_task(), Cell::<F, ()>::LAYOUT)
    }

    fn run_queues() -> Arc<RunQueues> {
        Arc::new(RunQueues::new(Box::new(|| ())))
    }

    /// # Safety
    ///
    /// As [`unmake_header`].
    unsafe fn give_up(block: NonNull<Header>, layout: Layout) {
        // SAFETY: the caller's promise.
        drop(unsafe { unmake_header(block, layout) });
    }

    #[test]
    fn a_kept_block_comes_back_for_its_size_alone() {
        let owner = run_queues();
        let mut block_cache = BlockCache::new();
        let (one, layout) = ended(Words([0; 8]), &owner);
        // SAFETY: made with this layout, and not used again unless it comes back.
        let kept = unsafe { block_cache.put(one, layout) };
        assert_eq!(kept, RECYCLES);
        assert_eq!(block_cache.take(Cell::<Words<7>, ()>::LAYOUT), None);
        assert_eq!(block_cache.take(layout), RECYCLES.then_some(CachedBlock(one)));
        assert_eq!(block_cache.take(layout), None);
        assert_eq!(Arc::strong_count(&owner), 2, "with its reference");
        // SAFETY: as above: it is this test's, taken out or never kept.
        unsafe { give_up(one, layout) };
        assert_eq!(Arc::strong_count(&owner), 1);
    }

    #[test]
    fn what_is_kept_is_bounded_and_given_back() {
        let owner = run_queues();
        let mut block_cache = BlockCache::new();
        let mut kept = 0;
        loop {
            let (block, layout) = ended(Words([0; MOST_WORDS]), &owner);
            // SAFETY: made with this layout, and not used again if it is kept.
            if !unsafe { block_cache.put(block, layout) } {
                // SAFETY: it was not kept.
                unsafe { give_up(block, layout) };
                break;
            }
            kept += 1;
        }
        let layout = Cell::<Words<MOST_WORDS>, ()>::LAYOUT;
        assert_eq!(kept, if RECYCLES { 256 * 1024 / layout.size() } else { 0 });
        assert_eq!(Arc::strong_count(&owner), 1 + kept);
        block_cache.clear();
        assert_eq!((block_cache.bytes, block_cache.take(layout)), (0, None));
        assert_eq!(Arc::strong_count(&owner), 1);
    }

    /// M6: however many of one size are kept, another size gets its share when it is freed more often.
    #[test]
    fn one_size_does_not_keep_the_others_out() {
        let owner = run_queues();
        let mut block_cache = BlockCache::new();
        let (mut large, mut small) = (0, 0);
        while RECYCLES {
            let (block, layout) = ended(Words([0; MOST_WORDS]), &owner);
            // SAFETY: made with this layout, and not used again if it is kept.
            if !unsafe { block_cache.put(block, layout) } {
                // SAFETY: it was not kept.
                unsafe { give_up(block, layout) };
                break;
            }
            large += 1;
        }
        for _ in 0..1_000 {
            let (block, layout) = ended(Words([0; MOST_WORDS - 1]), &owner);
            let other = block_cache.has_other(layout).then(|| block_cache.take_other(layout));
            if let Some((CachedBlock(other), layout)) = other.flatten() {
                // SAFETY: it was taken out.
                unsafe { give_up(other, layout) };
                large -= 1;
            }
            // SAFETY: as above.
            if unsafe { block_cache.put(block, layout) } {
                small += 1;
            } else {
                // SAFETY: it was not kept.
                unsafe { give_up(block, layout) };
            }
        }
        assert_eq!(Arc::strong_count(&owner), 1 + large + small);
        assert_eq!(small > 0, RECYCLES, "{large} large ones, {small} small ones");
        block_cache.clear();
    }

    #[test]
    fn a_block_that_is_taken_again_and_again_uses_up_no_room() {
        let owner = run_queues();
        let mut block_cache = BlockCache::new();
        let (one, layout) = ended(Words([0; 100]), &owner);
        for _ in 0..1_000 {
            // SAFETY: made with this layout, and not used again unless it comes back.
            assert_eq!(unsafe { block_cache.put(one, layout) }, RECYCLES);
            assert_eq!(block_cache.take(layout), RECYCLES.then_some(CachedBlock(one)));
        }
        assert_eq!(block_cache.bytes, 0);
        // SAFETY: as above: it is this test's, taken out or never kept.
        unsafe { give_up(one, layout) };
    }

    #[test]
    fn large_and_over_aligned_blocks_are_not_kept() {
        let owner = run_queues();
        let mut block_cache = BlockCache::new();
        for (block, odd) in [ended(Words([0; MOST_WORDS + 1]), &owner), ended(Aligned, &owner)] {
            // SAFETY: made with this layout.
            assert!(!unsafe { block_cache.put(block, odd) }, "{odd:?}");
            // SAFETY: it was not kept.
            unsafe { give_up(block, odd) };
        }
    }
}
