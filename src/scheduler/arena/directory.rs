//! The pages of an arena, and the tree of bitmaps that says which of their places are free.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use super::{BITS, Page};

/// The pages, and what is known of them.
#[derive(Debug)]
pub(crate) struct Directory<T> {
    /// One for each word. None is there where all places are free, but for the first two and the one in hand.
    pub(super) pages: Vec<Option<Box<Page<T>>>>,
    /// The lowest level has a bit for each place, set where it is free; each other level has a bit for
    /// each word below, set where that is not zero. The last level has one word.
    pub(super) free: Vec<Vec<u64>>,
}

impl<T> Directory<T> {
    pub(super) const fn empty() -> Self {
        Self { pages: Vec::new(), free: Vec::new() }
    }

    /// One of so many pages, of which none is there.
    pub(super) fn new(pages: usize) -> Self {
        let (mut free, mut below) = (vec![vec![u64::MAX; pages]], pages);
        while below > 1 {
            let words = below.div_ceil(BITS);
            let mut level = vec![u64::MAX; words];
            if below % BITS != 0 {
                level[words - 1] = (1 << (below % BITS)) - 1;
            }
            free.push(level);
            below = words;
        }
        let mut all = Vec::new();
        all.resize_with(pages, || None);
        Self { pages: all, free }
    }

    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    /// The lowest word that is not zero.
    pub(super) fn lowest(&self) -> Option<usize> {
        if self.free.last()?[0] == 0 {
            return None;
        }
        // Where a word has a bit, the word below it has one, too.
        let down = |at: usize, level: &Vec<u64>| at * BITS + level[at].trailing_zeros() as usize;
        Some(self.free[1..].iter().rev().fold(0, down))
    }

    /// Makes a word zero, and says what it was.
    pub(super) fn take(&mut self, word: usize) -> u64 {
        let mut at = word;
        let taken = mem::take(&mut self.free[0][at]);
        for level in &mut self.free[1..] {
            let word = &mut level[at / BITS];
            *word &= !(1 << (at % BITS));
            if *word != 0 {
                break;
            }
            at /= BITS;
        }
        taken
    }

    /// Sets bits of a word; what it is then.
    #[inline]
    pub(super) fn set(&mut self, word: usize, bits: u64) -> u64 {
        let lowest = &mut self.free[0][word];
        let was = mem::replace(lowest, *lowest | bits);
        if was == 0 {
            self.set_above(word);
        }
        was | bits
    }

    /// A word of the lowest level is not zero any more.
    fn set_above(&mut self, word: usize) {
        let mut at = word;
        for level in &mut self.free[1..] {
            let word = &mut level[at / BITS];
            let was = mem::replace(word, *word | 1 << (at % BITS));
            if was != 0 {
                break;
            }
            at /= BITS;
        }
    }
}
