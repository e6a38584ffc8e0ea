//! One level of the wheel, and the arithmetic that picks a level and a slot.
//!
//! Level `k` is a ring of 64 slots, each `8^k` ns wide, so that it spans 64 · 8^k ns and each level
//! is eight times coarser than the one below. A time's slot is `(time / 8^k) mod 64`. A delta of at
//! most `62` whole slots is placed here: wherever inside its own slot the base stands, such a
//! deadline is at most 63 slots ahead, one short of a full turn of the ring.
//!
//! Everything here is pure or touches one level only. The lists that the slots head are the
//! wheel's.

/// Slots of a level: as many as an occupancy word has bits.
pub(super) const SLOTS: usize = 64;

/// Levels that reach from one nanosecond to any `u64`: `(2^64 - 1) / 8^20` is 15, while at level 19
/// it is 127 and would not fit.
pub(crate) const LEVELS: usize = 21;

/// The end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// The farthest that a deadline may be, in whole slots of its level, when it is placed.
const REACH: u64 = SLOTS as u64 - 2;

/// A list of entries whose deadlines share one stretch of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// No deadline in the list is before it; see the invariant *bound* of the wheel.
    pub(super) bound: u64,
    pub(super) head: u32,
    pub(super) tail: u32,
}

impl Slot {
    const EMPTY: Self = Self { bound: 0, head: NONE, tail: NONE };
}

/// A ring of slots with one bit of each property per slot.
#[derive(Debug)]
pub(super) struct Level {
    /// The slots that have entries.
    pub(super) occupied: u64,
    /// Those whose list is not in order.
    pub(super) unsorted: u64,
    /// Those, among the unsorted, that may have lost the entry that set their bound.
    pub(super) stale: u64,
    pub(super) slots: [Slot; SLOTS],
}

impl Level {
    pub(super) const EMPTY: Self =
        Self { occupied: 0, unsorted: 0, stale: 0, slots: [Slot::EMPTY; SLOTS] };

    pub(super) fn is_sorted(&self, slot: usize) -> bool {
        self.unsorted & bit(slot) == 0
    }

    pub(super) fn is_stale(&self, slot: usize) -> bool {
        self.stale & bit(slot) != 0
    }

    /// Makes the only entry left, or the first of a sorted list, the bound. It is exact.
    pub(super) fn set_sorted(&mut self, slot: usize, bound: u64) {
        self.occupied |= bit(slot);
        self.unsorted &= !bit(slot);
        self.set_exact(slot, bound);
    }

    pub(super) fn set_unsorted(&mut self, slot: usize) {
        self.unsorted |= bit(slot);
    }

    pub(super) fn set_exact(&mut self, slot: usize, bound: u64) {
        self.stale &= !bit(slot);
        self.slots[slot].bound = bound;
    }

    pub(super) fn set_stale(&mut self, slot: usize) {
        self.stale |= bit(slot);
    }

    /// The last entry of a list leaves it, so the list was sorted and exact.
    pub(super) fn set_empty(&mut self, slot: usize) {
        debug_assert!(self.is_sorted(slot) && !self.is_stale(slot), "slot {slot} had one entry");
        self.occupied &= !bit(slot);
    }
}

/// The finest level that reaches `delta` ns ahead: the least `k` with `delta / 8^k <= 62`.
pub(super) fn level_for(delta: u64) -> usize {
    // Six significant bits are left after this shift, or fewer; only 63 is too many.
    let level = ((u64::BITS - 1 - (delta | 1).leading_zeros()).saturating_sub(3) / 3) as usize;
    level + usize::from(delta >> shift(level) > REACH)
}

/// The slot of `time` in the ring of `level`.
pub(super) fn slot_of(time: u64, level: usize) -> usize {
    (time >> shift(level)) as usize % SLOTS
}

/// The first of the set bits of `map` from `start` on, going round. `map` has one at least.
pub(super) fn first_from(map: u64, start: usize) -> usize {
    debug_assert!(map != 0, "no slot is set, from {start}");
    (map.rotate_right(start as u32).trailing_zeros() as usize + start) % SLOTS
}

fn shift(level: usize) -> usize {
    level * 3
}

fn bit(slot: usize) -> u64 {
    1 << slot
}

#[cfg(all(test, not(loom)))]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// The slow, obvious definition that `level_for` must equal.
    fn level_for_by_search(delta: u64) -> usize {
        (0..LEVELS).find(|&k| delta / 8_u64.pow(k as u32) <= 62).expect("level 20 reaches all")
    }

    /// The slow, obvious definition that `slot_of` must equal.
    fn slot_of_by_division(time: u64, level: usize) -> usize {
        (u128::from(time) / 8_u128.pow(level as u32) % 64) as usize
    }

    /// The slow, obvious definition that `first_from` must equal.
    fn first_from_by_scan(map: u64, start: usize) -> usize {
        (start..start + 64).map(|slot| slot % 64).find(|slot| map >> slot & 1 == 1).expect("a bit")
    }

    /// Every power of two and every level's limits, each with its neighbours, and what a generator
    /// makes.
    fn samples() -> impl Iterator<Item = u64> {
        let powers = (0..64).map(|bit| 1_u64 << bit);
        let limits = (0..LEVELS as u32)
            .flat_map(|k| [62, 63, 64].map(|slots| 8_u64.pow(k).saturating_mul(slots)));
        let near = powers.chain(limits).flat_map(|x| [x.wrapping_sub(1), x, x.wrapping_add(1)]);
        let spread = (0..20_000_u64).map(|i| {
            let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
            mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> (i % 64)
        });
        near.chain(0..5_000).chain(spread)
    }

    #[test]
    fn level_for_equals_the_search() {
        for delta in samples() {
            assert_eq!(level_for(delta), level_for_by_search(delta), "delta {delta}");
        }
    }

    #[test]
    fn slot_of_equals_the_division() {
        for time in samples() {
            for level in 0..LEVELS {
                assert_eq!(
                    slot_of(time, level),
                    slot_of_by_division(time, level),
                    "{time} {level}"
                );
            }
        }
    }

    #[test]
    fn first_from_equals_the_scan() {
        for map in samples().step_by(19).filter(|&map| map != 0) {
            for start in 0..SLOTS {
                assert_eq!(
                    first_from(map, start),
                    first_from_by_scan(map, start),
                    "{map:b} {start}"
                );
            }
        }
    }

    #[test]
    fn a_placed_delta_stays_within_one_turn_of_the_ring() {
        let bases: Vec<u64> = samples().step_by(499).collect();
        for delta in samples() {
            let level = level_for(delta);
            for base in bases.iter().filter(|base| base.checked_add(delta).is_some()) {
                let ahead = ((base + delta) >> shift(level)) - (base >> shift(level));
                assert!(ahead < 64, "delta {delta}, base {base}: {ahead} slots ahead");
            }
        }
    }
}
