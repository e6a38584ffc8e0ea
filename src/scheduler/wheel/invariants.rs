//! The walk through everything that checks what the wheel's head says is always so.

use alloc::vec::Vec;

use super::level::{LEVELS, NONE, SLOTS, level_for, slot_of};
use super::{OUT_OF_ORDER, Place, Wheel};

impl<T, const S: usize> Wheel<T, S> {
    /// Panics if any invariant of the wheel is broken, or if a slot without entries heads a list.
    pub(crate) fn check_invariants(&self) {
        self.check_entries();
        for (level, ring) in self.levels.iter().enumerate() {
            for (slot, list) in ring.slots.iter().enumerate() {
                let is_empty = ring.occupied >> slot & 1 == 0;
                let ends = (list.head, list.tail);
                assert!(!is_empty || ends == (NONE, NONE), "{ends:?} in {slot} of level {level}");
            }
        }
    }

    /// Panics if any invariant is broken. Looks at what has entries, and so at a few slots of a thousand.
    pub(crate) fn check_entries(&self) {
        let out_of_order = self.out_of_order();
        let mut filed = out_of_order.len();
        for level in 0..LEVELS {
            let ring = &self.levels[level];
            assert_eq!(self.in_use >> level & 1 == 1, ring.occupied != 0, "map of levels, {level}");
            assert_eq!(ring.unsorted & !ring.occupied, 0, "unsorted and empty, level {level}");
            assert_eq!(ring.stale & !ring.unsorted, 0, "stale and sorted, level {level}");
            let mut occupied = ring.occupied;
            while occupied != 0 {
                let bound = ring.slots[occupied.trailing_zeros() as usize].bound;
                let earliest = self.earliest_bound;
                assert!(bound >= earliest, "bound {bound} is before {earliest}");
                filed += self.check_list(level, occupied.trailing_zeros() as usize);
                occupied &= occupied - 1;
            }
        }
        assert_eq!(self.levels[0].unsorted, 0, "level 0 is always sorted");
        let unfiled = usize::from(self.unfiled != NONE);
        assert_eq!(filed + unfiled, self.entries.len(), "each entry is in one place");
        for (id, entry) in self.entries.iter() {
            let (earliest, others) = (self.earliest_bound, self.others_bound);
            assert!(entry.deadline >= earliest, "{id} is due before {earliest}");
            let is_unfiled = id == self.unfiled as usize;
            assert_eq!(entry.place == Place::UNFILED, is_unfiled, "{id} is unfiled, or not");
            assert!(!is_unfiled || entry.arming == self.armings, "{id} was not armed last");
            let in_run = entry.place == self.run;
            assert!(in_run || entry.deadline >= others, "{id} is due before {others}");
        }
        let dues = out_of_order.iter().map(|&id| self.entries[id as usize].due());
        assert!(dues.is_sorted_by(|a, b| a < b), "the tree of those out of order is in order");
        for id in out_of_order {
            assert_eq!(self.entries[id as usize].place.level, OUT_OF_ORDER, "out of order: {id}");
        }
        self.entries.check_invariants();
    }

    /// The timers out of order in order of firing.
    pub(crate) fn out_of_order(&self) -> Vec<u32> {
        let (mut path, mut next, mut all) = (Vec::new(), self.out_of_order, Vec::new());
        loop {
            while next != NONE {
                path.push(next);
                next = self.entries[next as usize].prev;
            }
            let Some(id) = path.pop() else { return all };
            all.push(id);
            next = self.entries[id as usize].next;
        }
    }

    /// Walks one list; the number of its entries.
    fn check_list(&self, level: usize, slot: usize) -> usize {
        let ring = &self.levels[level];
        let list = ring.slots[slot];
        let place = Place { level: level as u8, slot: slot as u8 };
        let (mut id, mut prev, mut count) = (list.head, NONE, 0);
        let (mut last, mut least) = ((0, 0), u64::MAX);
        while id != NONE {
            let entry = &self.entries[id as usize];
            assert_eq!((entry.prev, entry.place), (prev, place), "entry {id}");
            self.check_window(level, slot, entry.deadline);
            let key = (entry.deadline, entry.arming);
            assert!(
                !ring.is_sorted(slot) || last < key,
                "sorted: {last:?} before {key:?}, {place:?}"
            );
            (last, least, count) = (key, least.min(entry.deadline), count + 1);
            (prev, id) = (id, entry.next);
        }
        assert_eq!(list.tail, prev, "tail of {place:?}");
        assert!(count > 0, "map of slots, {place:?}");
        assert!(count != 1 || ring.is_sorted(slot), "a single entry is sorted, {place:?}");
        let bound = list.bound;
        assert!(self.base <= bound && bound <= least, "{} {bound} {least}", self.base);
        assert!(bound == least || ring.is_stale(slot), "{bound} is not {least}, {place:?}");
        self.check_window(level, slot, bound);
        count
    }

    fn check_window(&self, level: usize, slot: usize, time: u64) {
        assert!(time >= self.base, "{time} is before base {}", self.base);
        let ahead = (time >> (3 * level)) - (self.base >> (3 * level));
        assert!(ahead < SLOTS as u64, "window: {time} is {ahead} slots after {}", self.base);
        assert_eq!(slot_of(time, level), slot, "slot of {time} on level {level}");
        assert!(level_for(time - self.base) <= level, "{time} is out of reach of level {level}");
    }
}
