//! Where the tasks that other threads spawned are found: from serial to registry key.
//!
//! An id made by a spawning thread has no key in it. The table is open addressing with linear
//! probing and backward-shift deletion (Knuth, "The Art of Computer Programming", vol. 3, 6.4,
//! Algorithm R), at most half full; it stores keys alone and asks the registry for their serials.
//! The hash is multiplicative (the same book, 6.4: Fibonacci hashing): serials come in runs, and
//! their low bits alone would make each run one cluster that every removal has to walk.

#[cfg(any(test, fuzzing))]
mod invariants;

use alloc::vec;
use alloc::vec::Vec;

use crate::id::NO_KEY;

/// 2^64 divided by the golden ratio.
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// An empty table of at most so many slots, 4 KiB, is kept for the tasks to come. Few in tests, so that
/// one is given up often.
const KEPT: usize = if cfg!(any(test, fuzzing)) { 64 } else { 1024 };

/// The table. `serial_of` in its methods is the registry: the serial of the task with this key.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A power of two in length, or empty.
    slots: Vec<u32>,
    len: usize,
}

impl Index {
    /// Adds a task that is not there.
    pub(crate) fn insert(&mut self, serial: u64, key: u32, serial_of: impl Fn(u32) -> u64) {
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow(&serial_of);
        }
        self.place(serial, key);
        self.len += 1;
    }

    /// The key of a task that came from another thread.
    pub(crate) fn find(&self, serial: u64, serial_of: impl Fn(u32) -> u64) -> Option<u32> {
        self.position(serial, serial_of).map(|at| self.slots[at])
    }

    /// Removes a task, if it is there.
    pub(crate) fn remove(&mut self, serial: u64, serial_of: impl Fn(u32) -> u64) {
        let Some(mut hole) = self.position(serial, &serial_of) else { return };
        self.len -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask();
            let key = self.slots[at];
            if key == NO_KEY {
                break;
            }
            // Whoever's home is not between the hole and its place moves up into the hole.
            let home = self.home(serial_of(key));
            if at.wrapping_sub(home) & self.mask() >= at.wrapping_sub(hole) & self.mask() {
                self.slots[hole] = key;
                hole = at;
            }
        }
        self.slots[hole] = NO_KEY;
        if self.len == 0 && self.slots.len() > KEPT {
            self.slots = Vec::new();
        }
    }

    fn position(&self, serial: u64, serial_of: impl Fn(u32) -> u64) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let mut at = self.home(serial);
        while self.slots[at] != NO_KEY {
            if serial_of(self.slots[at]) == serial {
                return Some(at);
            }
            at = (at + 1) & self.mask();
        }
        None
    }

    fn place(&mut self, serial: u64, key: u32) {
        let mut at = self.home(serial);
        while self.slots[at] != NO_KEY {
            at = (at + 1) & self.mask();
        }
        self.slots[at] = key;
    }

    fn grow(&mut self, serial_of: &impl Fn(u32) -> u64) {
        let wider = (self.slots.len() * 2).max(8);
        for key in core::mem::replace(&mut self.slots, vec![NO_KEY; wider]) {
            if key != NO_KEY {
                self.place(serial_of(key), key);
            }
        }
    }

    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    #[allow(clippy::cast_possible_truncation)] // what is left fits into the table
    fn home(&self, serial: u64) -> usize {
        (serial.wrapping_mul(GOLDEN) >> 32) as usize & self.mask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    /// A run of serials must not become one cluster: a walk from home to place stays short.
    #[test]
    fn a_run_of_serials_is_spread() {
        let serials: Vec<u64> = (1000..101_000).collect();
        let mut index = Index::default();
        for (key, serial) in serials.iter().enumerate() {
            index.insert(*serial, u32::try_from(key).unwrap(), |key| serials[key as usize]);
        }
        let (mut run, mut longest) = (0, 0);
        for slot in &index.slots {
            run = if *slot == NO_KEY { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        assert!(longest < 200, "a cluster of {longest}");
    }

    #[test]
    fn the_table_is_half_full_at_most_and_no_larger_than_that() {
        let mut index = Index::default();
        for serial in 0..1000_u32 {
            index.insert(serial.into(), serial, u64::from);
            let room = 2 * (serial as usize + 1);
            assert_eq!(index.slots.len(), room.next_power_of_two().max(8), "after {serial}");
        }
    }

    #[test]
    fn an_empty_table_is_kept_if_it_is_small() {
        for (most, kept) in [(1, 8), (KEPT / 2, KEPT), (KEPT / 2 + 1, 0)] {
            let mut index = Index::default();
            let serials = 0..u32::try_from(most).unwrap();
            serials.clone().for_each(|serial| index.insert(serial.into(), serial, u64::from));
            serials.for_each(|serial| index.remove(serial.into(), u64::from));
            assert_eq!((index.len(), index.slots.len()), (0, kept), "after {most}");
            assert_eq!(index.find(0, u64::from), None);
        }
    }

    /// Serials where 32 bits end, and where 64 do.
    #[test]
    fn serials_of_any_size_are_found() {
        let near = |end: u64| end.wrapping_sub(20)..=end.saturating_add(20);
        let serials: Vec<u64> = near(1 << 32).chain(near(1 << 63)).chain(near(u64::MAX)).collect();
        let mut index = Index::default();
        for (key, serial) in serials.iter().enumerate() {
            index.insert(*serial, u32::try_from(key).unwrap(), |key| serials[key as usize]);
        }
        for (key, serial) in serials.iter().enumerate() {
            let found = index.find(*serial, |key| serials[key as usize]);
            assert_eq!(found, u32::try_from(key).ok(), "{serial:#x}");
            index.remove(*serial, |key| serials[key as usize]);
        }
        assert_eq!(index.len(), 0);
    }

    /// The slow twin is a map.
    #[test]
    fn the_index_equals_a_map_through_inserts_and_removes() {
        for seed in 1..100_u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut next = move || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            let (mut index, mut twin, mut serials) =
                (Index::default(), BTreeMap::new(), Vec::new());
            for _ in 0..200 {
                let serial = (next() % 24) * if seed % 2 == 0 { 64 } else { 1 };
                let serial_of = |key: u32| -> u64 { serials[key as usize] };
                if next() % 3 != 0 && !twin.contains_key(&serial) {
                    let key = u32::try_from(serials.len()).unwrap();
                    serials.push(serial);
                    index.insert(serial, key, |key| serials[key as usize]);
                    twin.insert(serial, key);
                } else {
                    index.remove(serial, serial_of);
                    twin.remove(&serial);
                }
                for serial in (0..24).flat_map(|n| [n, n * 64]) {
                    let found = index.find(serial, |key| serials[key as usize]);
                    assert_eq!(found, twin.get(&serial).copied(), "seed {seed}, serial {serial}");
                }
            }
        }
    }
}
