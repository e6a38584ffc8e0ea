//! Where the timers lie: a vector whose lowest free places are taken first.
//!
//! A list of free places, last freed first taken, would be in no order once timers have fired: those
//! armed next, which are neighbours in their lists, would lie all over memory, and arming and
//! cancelling would wait for it. Here they lie together again. The free places are a tree of bitmaps,
//! 64 to a word, so that a million of them takes four words to search. One word of the lowest level is
//! taken out of the tree at a time, and handed out place by place. The place that was freed last is
//! kept out of both and taken before all others, because a timer that is armed and cancelled, over and
//! over, then touches nothing else.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// Places for values, each found by its number.
#[derive(Debug)]
pub(super) struct Arena<T> {
    /// As many as some words have bits.
    places: Vec<Option<T>>,
    /// The lowest level has a bit for each place, set where it is free; each other level has a bit for
    /// each word below, set where that is not zero. The last level has one word.
    free: Vec<Vec<u64>>,
    /// The word that is handed out, which is zero in the tree.
    hand: u64,
    /// Which one that is.
    hand_at: usize,
    /// The free place that is in neither; else [`NOWHERE`].
    last: usize,
    len: usize,
}

/// How many places a word tells of.
const BITS: usize = u64::BITS as usize;

/// No place: a vector does not get so long.
const NOWHERE: usize = usize::MAX;

impl<T> Arena<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), hand: 0, hand_at: 0, last: NOWHERE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a value into the place that was freed last, or else into one of the lowest that are free, and
    /// says which.
    #[inline]
    pub(super) fn insert(&mut self, value: T) -> usize {
        let mut place = core::mem::replace(&mut self.last, NOWHERE);
        if place == NOWHERE {
            if self.hand == 0 {
                self.take_in_hand();
            }
            place = self.hand_at * BITS + self.hand.trailing_zeros() as usize;
            self.hand &= self.hand - 1;
        }
        let free = &mut self.places[place];
        // It always is: said here so that the value is made where it stays.
        if free.is_none() {
            *free = Some(value);
        }
        self.len += 1;
        place
    }

    /// Takes the lowest word that is not zero out of the tree, or adds one.
    #[inline(never)]
    fn take_in_hand(&mut self) {
        if self.free.last().is_none_or(|top| top[0] == 0) {
            return self.grow();
        }
        // Where a word has a bit, the word below it has one, too.
        let down = |at: usize, level: &Vec<u64>| at * BITS + level[at].trailing_zeros() as usize;
        self.hand_at = self.free[1..].iter().rev().fold(0, down);
        let mut at = self.hand_at;
        self.hand = core::mem::take(&mut self.free[0][at]);
        for level in &mut self.free[1..] {
            let word = &mut level[at / BITS];
            *word &= !(1 << (at % BITS));
            if *word != 0 {
                return;
            }
            at /= BITS;
        }
    }

    /// Adds a word of places, and takes it in hand; none was free, so all words are zero, those that are
    /// added too.
    #[cold]
    fn grow(&mut self) {
        self.places.resize_with(self.places.len() + BITS, || None);
        let mut words = self.places.len() / BITS;
        for level in 0.. {
            if self.free.len() == level {
                self.free.push(Vec::new());
            }
            self.free[level].resize(words, 0);
            if words == 1 {
                break;
            }
            words = words.div_ceil(BITS);
        }
        // Last: whoever has no memory for them must not hand them out.
        (self.hand_at, self.hand) = (self.places.len() / BITS - 1, u64::MAX);
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
        let mut at = place / BITS;
        if at == self.hand_at {
            self.hand |= 1 << (place % BITS);
            return;
        }
        let mut bit = place % BITS;
        for level in &mut self.free {
            let word = &mut level[at];
            let was = *word;
            *word |= 1 << bit;
            if was != 0 {
                break;
            }
            (at, bit) = (at / BITS, at % BITS);
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

    /// The slow twin: a map of what is there, and sets of the free places below its end: those of the
    /// word in hand, and the others.
    #[derive(Default)]
    struct Twin {
        values: BTreeMap<usize, u64>,
        end: usize,
        free: BTreeSet<usize>,
        hand: BTreeSet<usize>,
        hand_at: usize,
        last: Option<usize>,
    }

    impl Twin {
        fn insert(&mut self, value: u64) -> usize {
            let place = self.last.take().unwrap_or_else(|| {
                if self.hand.is_empty() {
                    self.take_in_hand();
                }
                self.hand.pop_first().expect("the word is not zero")
            });
            self.values.insert(place, value);
            place
        }

        fn take_in_hand(&mut self) {
            if self.free.is_empty() {
                self.free.extend(self.end..self.end + BITS);
                self.end += BITS;
            }
            self.hand_at = self.free.first().expect("it is not empty") / BITS;
            let others = self.free.split_off(&((self.hand_at + 1) * BITS));
            self.hand = core::mem::replace(&mut self.free, others);
        }

        fn remove(&mut self, place: usize) -> Option<u64> {
            let value = self.values.remove(&place)?;
            if let Some(before) = self.last.replace(place) {
                let in_hand = before / BITS == self.hand_at;
                if in_hand { &mut self.hand } else { &mut self.free }.insert(before);
            }
            Some(value)
        }
    }

    #[test]
    fn the_place_freed_last_is_taken_and_then_the_lowest_of_the_word_in_hand() {
        for seed in 1..60_u64 {
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut next = |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let (mut arena, mut twin) = (Arena::new(), Twin::default());
            // Around the sizes at which a level of bitmaps is added: 64 and 64 · 64.
            let most = [70, 300, 4_200][seed as usize % 3];
            let growing = |round: u64| round / most % 2 == 0;
            for round in 0..most * 4 {
                if twin.values.is_empty() || next(8) < if growing(round) { 7 } else { 1 } {
                    assert_eq!(arena.insert(round), twin.insert(round), "{seed}");
                } else {
                    let place = next(twin.end as u64) as usize;
                    assert_eq!(arena.get(place), twin.values.get(&place));
                    assert_eq!(arena.remove(place), twin.remove(place));
                }
                assert_eq!(
                    (arena.len(), arena.is_empty()),
                    (twin.values.len(), twin.values.is_empty())
                );
            }
            let mut words = arena.free.iter().map(Vec::len);
            assert_eq!(words.clone().next(), Some(twin.end / BITS), "a bit for each place");
            assert_eq!(words.next_back(), Some(1), "one word at the top");
            assert!(
                arena.iter().eq(twin.values.iter().map(|(place, value)| (*place, value))),
                "{seed}"
            );
        }
    }
}
