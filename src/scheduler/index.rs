//! Where the tasks that other threads spawned are found: from serial to registry key.
//!
//! An id made by a spawning thread has no key in it. The table is open addressing with linear
//! probing and backward-shift deletion (Knuth, "The Art of Computer Programming", vol. 3, 6.4,
//! Algorithm R), at most half full. A slot holds the upper half of the [mixed](mix) serial beside the key:
//! its home follows from that, so that neither a removal nor another table has to ask a task for its
//! serial.
//!
//! A table grows and shrinks without a pause: the new one is made [outside](Index::wanted) of the registry's
//! borrow, and each insertion and removal moves a few entries over, which leave tombstones in the old one. The
//! old table is empty before another change is due: it has at most four entries for each insertion that fits
//! into the new one.

#[cfg(any(test, fuzzing))]
mod invariants;

use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use super::mix::mix;

/// A table of at most so many slots, 4 KiB, is kept for the tasks to come.
pub(crate) const KEPT: usize = 512;

/// What one insertion or removal moves at most of the old table: so many entries, and so many slots.
const MOVES: usize = 4;
const PASSES: usize = 64;

/// A slot without an entry, which ends every search.
const EMPTY: u64 = 0;
/// A slot of the old table whose entry has gone.
const GONE: u64 = 1 << 32;

/// A hash table's memory.
pub(crate) type Slots = Vec<u64>;

/// The table. One of at most `K` slots is kept.
#[derive(Debug, Default)]
pub(crate) struct Index<const K: usize = KEPT> {
    /// A power of two in length, or empty.
    slots: Slots,
    /// What was there before, as far as it has not been moved.
    old: Slots,
    /// How many slots of it have been passed.
    passed: usize,
    /// How many tasks there are in both.
    len: usize,
    /// An old table that is to be freed.
    spare: Slots,
}

impl<const K: usize> Index<K> {
    /// Whether the next insertion needs a larger table.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        (self.len + 1) * 2 > self.slots.len()
    }

    /// Whether there is a table to be freed, or one to be made that is smaller.
    #[inline]
    pub(crate) fn is_untidy(&self) -> bool {
        !self.spare.is_empty() || self.is_sparse()
    }

    #[inline]
    fn is_sparse(&self) -> bool {
        self.len * 8 < self.slots.len() && self.slots.len() > K && self.old.is_empty()
    }

    /// How many slots a better table would have, if this one is full or sparse.
    pub(crate) fn wanted(&self) -> Option<usize> {
        let slots = self.slots.len();
        if self.is_full() {
            Some((slots * 2).max(8))
        } else {
            self.is_sparse().then_some(slots / 2)
        }
    }

    /// A table of so many slots, all empty.
    pub(crate) fn make(slots: usize) -> Slots {
        vec![EMPTY; slots]
    }

    /// Goes over to another table, if it still is the one [wanted](Self::wanted); gives back what is to be
    /// freed.
    pub(crate) fn add(&mut self, slots: Slots) -> Slots {
        if self.wanted() != Some(slots.len()) {
            return slots;
        }
        // Nothing is left there: see the module's head.
        while !self.old.is_empty() {
            self.move_some();
        }
        (self.old, self.passed) = (mem::replace(&mut self.slots, slots), 0);
        self.take_spare()
    }

    /// Takes out what is to be freed.
    pub(crate) fn take_spare(&mut self) -> Slots {
        mem::take(&mut self.spare)
    }

    /// Adds a task that is not there. The table is not full.
    #[inline]
    pub(crate) fn insert(&mut self, serial: u64, key: u32) {
        debug_assert!(!self.is_full(), "{} in {} slots", self.len, self.slots.len());
        self.place(entry(serial, key));
        self.len += 1;
        if !self.old.is_empty() {
            self.move_some();
        }
    }

    /// The key of a task that came from another thread. `serial_of` is the registry: the serial of the
    /// task with this key.
    pub(crate) fn find(&self, serial: u64, serial_of: impl Fn(u32) -> u64) -> Option<u32> {
        let is_it =
            |slot: u64| slot >> 32 == mix(serial) >> 32 && serial_of(key_of(slot)) == serial;
        let tables = [&self.slots, &self.old].into_iter();
        tables
            .filter_map(|table| Some(key_of(table[position(table, entry(serial, 0), is_it)?])))
            .next()
    }

    /// Removes a task, if it is there.
    #[inline]
    pub(crate) fn remove(&mut self, serial: u64, key: u32) {
        let entry = entry(serial, key);
        if let Some(at) = position(&self.slots, entry, |slot| slot == entry) {
            self.close_up(at);
        } else if let Some(at) = position(&self.old, entry, |slot| slot == entry) {
            self.old[at] = GONE;
        } else {
            return;
        }
        self.len -= 1;
        if !self.old.is_empty() {
            self.move_some();
        }
    }

    /// Moves up what lies behind the hole that a removal leaves.
    #[inline]
    fn close_up(&mut self, mut hole: usize) {
        let mask = self.slots.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.slots[at];
            if entry == EMPTY {
                break;
            }
            // Whoever's home is not between the hole and its place moves up into the hole.
            let home = home(&self.slots, entry);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = entry;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
    }

    #[inline]
    fn place(&mut self, entry: u64) {
        let mask = self.slots.len() - 1;
        let mut at = home(&self.slots, entry);
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = entry;
    }

    /// Moves a few entries of the old table.
    #[cold]
    fn move_some(&mut self) {
        let (mut moves, end) = (0, self.old.len().min(self.passed + PASSES));
        while moves < MOVES && self.passed < end {
            let entry = self.old[self.passed];
            if entry != EMPTY && entry != GONE {
                self.old[self.passed] = GONE;
                self.place(entry);
                moves += 1;
            }
            self.passed += 1;
        }
        if self.passed == self.old.len() {
            self.spare = mem::take(&mut self.old);
        }
    }
}

/// What a slot holds of a task. Its lower half is not zero.
#[inline]
fn entry(serial: u64, key: u32) -> u64 {
    mix(serial) >> 32 << 32 | (u64::from(key) + 1)
}

#[allow(clippy::cast_possible_truncation)] // the lower half
#[inline]
fn key_of(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
}

/// Where an entry belongs: the high bits of its hash.
#[allow(clippy::cast_possible_truncation)] // it is less than the length of the table
#[inline]
fn home(table: &Slots, entry: u64) -> usize {
    (((entry >> 32) * table.len() as u64) >> 32) as usize
}

/// The slot of the task with this entry's hash that `is_it` tells.
#[inline]
fn position(table: &Slots, entry: u64, is_it: impl Fn(u64) -> bool) -> Option<usize> {
    if table.is_empty() {
        return None;
    }
    let mut at = home(table, entry);
    while table[at] != EMPTY {
        if table[at] != GONE && is_it(table[at]) {
            return Some(at);
        }
        at = (at + 1) & (table.len() - 1);
    }
    None
}

#[cfg(test)]
mod tests;
