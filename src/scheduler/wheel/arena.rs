//! Where the timers lie: a vector whose lowest free place is taken first.
//!
//! A list of free places, last freed first taken, would be in no order once timers have fired: those
//! armed next, which are neighbours in their lists, would lie all over memory, and arming and
//! cancelling would wait for it. Here they lie together again. The free places are a tree of bitmaps,
//! 64 to a word, so that a million of them takes four words to search. The place that was freed last
//! is the exception: it is kept out of the tree and taken before all others, because a timer that is
//! armed and cancelled, over and over, then touches nothing else.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// Places for values, each found by its number.
#[derive(Debug)]
pub(super) struct Arena<T> {
    places: Vec<Option<T>>,
    /// The lowest level has a bit for each place, set where it is free; each other level has a bit for
    /// each word below, set where that is not zero. The last level has one word.
    free: Vec<Vec<u64>>,
    /// The free place that is not in the tree; else [`NOWHERE`].
    last: usize,
    len: usize,
}

/// No place: a vector does not get so long.
const NOWHERE: usize = usize::MAX;

impl<T> Arena<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), last: NOWHERE, len: 0 }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a value into the place that was freed last, or else into the lowest free one, and says which.
    #[inline]
    pub(super) fn insert(&mut self, value: T) -> usize {
        let mut place = core::mem::replace(&mut self.last, NOWHERE);
        if place == NOWHERE {
            place = self.take_lowest();
        }
        let free = &mut self.places[place];
        // It always is: said here so that the value is made where it stays.
        if free.is_none() {
            *free = Some(value);
        }
        self.len += 1;
        place
    }

    /// Takes the lowest free place out of the tree, or adds one.
    #[inline(never)]
    fn take_lowest(&mut self) -> usize {
        let place = self.lowest();
        if place == self.places.len() {
            self.grow();
        }
        self.note_taken(place);
        place
    }

    /// The lowest place of the tree, or the one behind all.
    #[inline]
    fn lowest(&self) -> usize {
        let Some((top, below)) = self.free.split_last() else { return self.places.len() };
        if top[0] == 0 {
            return self.places.len();
        }
        let lowest = |word: u64| word.trailing_zeros() as usize;
        // Where a word has a bit, the word below it has one, too.
        below.iter().rev().fold(lowest(top[0]), |at, level| at * 64 + lowest(level[at]))
    }

    /// Adds a place; none was free, so all words are zero, those that are added too.
    #[cold]
    fn grow(&mut self) {
        self.places.push(None);
        let mut words = self.places.len().div_ceil(64);
        for level in 0.. {
            if self.free.len() == level {
                self.free.push(Vec::new());
            }
            self.free[level].resize(words, 0);
            if words == 1 {
                break;
            }
            words = words.div_ceil(64);
        }
    }

    /// Notes that a free place is so no more.
    #[inline]
    fn note_taken(&mut self, place: usize) {
        let mut at = place;
        for level in &mut self.free {
            let word = &mut level[at / 64];
            *word &= !(1 << (at % 64));
            if *word != 0 {
                return;
            }
            at /= 64;
        }
    }

    /// Takes the value out of its place.
    #[inline]
    pub(super) fn remove(&mut self, place: usize) -> Option<T> {
        let value = self.places.get_mut(place)?.take()?;
        self.len -= 1;
        let before = core::mem::replace(&mut self.last, place);
        if before != NOWHERE {
            self.note_free(before);
        }
        Some(value)
    }

    #[inline]
    fn note_free(&mut self, place: usize) {
        let mut at = place;
        for level in &mut self.free {
            let word = &mut level[at / 64];
            let was = *word;
            *word |= 1 << (at % 64);
            if was != 0 {
                break;
            }
            at /= 64;
        }
    }

    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.places.get(place)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.places.get_mut(place)?.as_mut()
    }

    /// All values with their places.
    #[cfg(any(test, fuzzing))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(place, value)| Some((place, value.as_ref()?)))
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.places.capacity()
    }
}

impl<T> Index<usize> for Arena<T> {
    type Output = T;

    // PANICS: as a vector does; the wheel's lists hold places that are taken.
    #[inline]
    fn index(&self, place: usize) -> &T {
        self.places[place].as_ref().expect("the place is taken")
    }
}

impl<T> IndexMut<usize> for Arena<T> {
    // PANICS: as `index`.
    #[inline]
    fn index_mut(&mut self, place: usize) -> &mut T {
        self.places[place].as_mut().expect("the place is taken")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The slow twin: a map of what is there, and a set of the free places below its end.
    #[test]
    fn the_place_freed_last_is_taken_and_then_the_lowest() {
        for seed in 1..60_u64 {
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut next = |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let (mut arena, mut twin) = (Arena::new(), BTreeMap::new());
            let (mut free, mut end, mut last) = (BTreeSet::new(), 0, None);
            // Around the sizes at which a level of bitmaps is added: 64 and 64 · 64.
            let most = [70, 300, 4_200][seed as usize % 3];
            let growing = |round: u64| round / most % 2 == 0;
            for round in 0..most * 4 {
                if twin.is_empty() || next(8) < if growing(round) { 7 } else { 1 } {
                    let place = last.take().or_else(|| free.pop_first()).unwrap_or(end);
                    end = end.max(place + 1);
                    assert_eq!(arena.insert(round), place, "{seed}");
                    twin.insert(place, round);
                } else {
                    let place = next(end as u64) as usize;
                    let gone = twin.remove(&place);
                    assert_eq!(arena.get(place), gone.as_ref());
                    assert_eq!(arena.remove(place), gone);
                    if gone.is_some() {
                        free.extend(last.replace(place));
                    }
                }
                assert_eq!((arena.len(), arena.is_empty()), (twin.len(), twin.is_empty()));
            }
            assert!(arena.iter().eq(twin.iter().map(|(place, value)| (*place, value))), "{seed}");
        }
    }
}
