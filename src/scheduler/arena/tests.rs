//! The order in which places are handed out, against a slow twin; and what stays of pages.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::RefCell;

use super::*;
use crate::testing::cases;

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
        self.hand = mem::replace(&mut self.free, others);
    }

    fn remove(&mut self, place: usize) -> Option<u64> {
        let value = self.values.remove(&place)?;
        let before = self.last.replace(place);
        if self.values.is_empty() && place >= KEPT * BITS {
            *self = Self::default();
        } else if let Some(before) = before {
            let at = before / BITS;
            if at == self.hand_at {
                self.hand.insert(before);
                let lowest = self.free.first().map_or(self.end, |place| *place) / BITS;
                if self.hand.len() == BITS && lowest < self.hand_at / 2 {
                    self.free.append(&mut self.hand);
                }
            } else {
                self.free.insert(before);
                let all = at * BITS..(at + 1) * BITS;
                let is_free = self.free.range(all.clone()).count() == BITS;
                if is_free && self.hand.len() == BITS && at < self.hand_at {
                    self.free.append(&mut self.hand);
                    self.free.retain(|place| !all.contains(place));
                    (self.hand, self.hand_at) = (all.collect(), at);
                }
            }
        }
        Some(value)
    }
}

/// A generator of numbers below a limit.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    }
}

#[test]
fn the_place_freed_last_is_taken_and_then_the_lowest_of_the_word_in_hand() {
    for seed in 1..=cases(59) {
        let mut next = random(seed);
        let (mut arena, mut twin) = (Arena::new(), Twin::default());
        // Around the sizes at which a level of bitmaps is added: 64 and 64 · 64.
        let most = [70, 300, 4_200][seed as usize % 3];
        let growing = |round: u64| round / most % 2 == 0;
        for round in 0..most * 4 {
            if twin.values.is_empty() || next(8) < if growing(round) { 7 } else { 1 } {
                assert_eq!(arena.put(round), twin.insert(round), "{seed}");
            } else {
                let place = next(twin.end as u64) as usize;
                assert_eq!(arena.get(place), twin.values.get(&place));
                assert_eq!(arena.remove(place), twin.remove(place), "{seed}");
                arena.tidy();
            }
            let twins = (twin.values.len(), twin.values.is_empty());
            assert_eq!((arena.len(), arena.is_empty()), twins);
            if round % 50 == 0 {
                arena.check_invariants();
            }
        }
        arena.check_invariants();
        assert!(
            arena.iter().eq(twin.values.iter().map(|(place, value)| (*place, value))),
            "{seed}"
        );
    }
}

/// M6: pages and their directory, in each order in which the values may go.
#[test]
fn after_a_burst_the_pages_left_are_those_of_what_lives() {
    const MANY: usize = 30_000;
    let orders: [fn(usize) -> usize; 3] = [|n| n, |n| MANY - 1 - n, |n| n * 7_919 % MANY];
    for order in orders {
        let mut arena = Arena::new();
        (0..MANY).for_each(|n| assert_eq!(arena.put(n), n));
        for gone in 0..MANY {
            assert_eq!(arena.remove(order(gone)), Some(order(gone)));
            arena.tidy();
            if gone % 101 == 0 {
                let (left, pages) = (MANY - 1 - gone, arena.pages());
                assert!(pages.0 <= left + 2, "{pages:?} pages for {left}");
                let last = arena.iter().last().map_or(0, |(place, _)| place / BITS);
                assert!(pages.1 <= FEW.max(4 * (last + 2)), "{pages:?} up to {last}, {left} left");
                arena.check_invariants();
            }
        }
        arena.check_invariants();
        assert!(arena.pages().0 <= 3 && arena.pages().1 <= FEW, "{:?}", arena.pages());
    }
}

/// A value that comes and goes at the edge of a page costs no page each time.
#[test]
fn what_comes_and_goes_at_the_edge_of_a_page_makes_none_each_time() {
    for there in 0..200 {
        let mut arena = Arena::new();
        for n in 0..there {
            arena.put(n);
        }
        let mut made = 0;
        for _ in 0..1_000 {
            let some: Vec<usize> = (0..3)
                .map(|n| {
                    arena.insert(n).unwrap_or_else(|n| {
                        made += 1;
                        arena.put(n)
                    })
                })
                .collect();
            for place in some {
                arena.remove(place);
            }
            arena.tidy();
        }
        assert!(made <= 3, "{made} pages or more were made, with {there} there");
    }
}

/// Whoever made room for the same insertion first, the second finds it.
#[test]
fn room_that_is_not_needed_is_given_back() {
    let mut arena = Arena::<usize>::new();
    assert_eq!(arena.lack(), Some(Lack::Directory(1)));
    assert!(arena.add(SpareMemory::make(Lack::Directory(1))).is_some_and(|old| match old {
        SpareMemory::Directory(old) => old.len() == 0,
        SpareMemory::Page(_) => false,
    }));
    assert!(arena.add(SpareMemory::make(Lack::Directory(1))).is_some());
    assert_eq!((arena.insert(1), arena.lack()), (Err(1), Some(Lack::Page)));
    assert!(arena.add(SpareMemory::make(Lack::Page)).is_none());
    assert!(arena.add(SpareMemory::make(Lack::Page)).is_some());
    assert_eq!(arena.insert(1), Ok(0));
    let cell = RefCell::new(arena);
    for n in 1..=KEPT * BITS {
        if cell.borrow_mut().insert(n).is_err() {
            for _ in 0..2 {
                widen(&cell, |arena| arena); // a directory, and a page
            }
            assert_eq!(cell.borrow_mut().insert(n), Ok(n));
        }
    }
    for n in 0..=KEPT * BITS {
        cell.borrow_mut().remove(n);
    }
    assert!(cell.borrow().is_untidy());
    tidy(&cell, |arena| arena);
    assert_eq!(cell.borrow().pages(), (0, 0));
}
