//! What holds of a table at all times, for its tests.

use super::{EMPTY, GONE, Index};

impl<const K: usize> Index<K> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Does what its owner does before an insertion and after a removal.
    #[cfg(test)]
    pub(crate) fn tidy(&mut self) {
        if let Some(slots) = self.wanted() {
            drop(self.add(Self::make(slots)));
        }
        drop(self.take_spare());
    }

    /// Panics where the table is not as its head says.
    pub(crate) fn check_invariants(&self) {
        let Self { slots, old, passed, len, .. } = self;
        let occupied = |slot: &&u64| **slot != EMPTY && **slot != GONE;
        let there = slots.iter().filter(occupied).count();
        let behind = old.iter().filter(occupied).count();
        assert_eq!(there + behind, *len, "what the table holds");
        assert!(slots.iter().all(|slot| *slot != GONE), "a tombstone where none belongs");
        assert_eq!(
            old.iter().take(*passed).filter(occupied).count(),
            0,
            "something is left behind"
        );
        let room = slots.len();
        assert!(room == 0 || room.is_power_of_two(), "{room} slots");
        assert!(len * 2 <= room, "{len} of {room} slots are taken");
        let moving = !old.is_empty() || !self.spare.is_empty();
        assert!(moving || len * 8 >= room || room <= K, "{len} in {room} slots");
        assert!(!old.iter().any(|slot| occupied(&slot)) || self.will_fit(behind), "it is too slow");
    }

    /// Whether the old table will be empty before the new one is full.
    fn will_fit(&self, behind: usize) -> bool {
        let passes = (self.old.len() - self.passed).div_ceil(super::PASSES);
        let operations = passes + behind.div_ceil(super::MOVES);
        self.len + operations <= self.slots.len() / 2
    }
}
