//! Which place of the [wheel](super) to look at first.

use super::level::{LEVELS, NONE, Slot, first_from, slot_of};
use super::{OUT_OF_ORDER, Place, Wheel};

/// A place that may hold the next timer, and the bound on its deadlines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Front {
    pub(super) bound: u64,
    pub(super) place: Place,
    /// The least bound of all other places, once they have been looked at.
    pub(super) others_bound: u64,
}

impl<T, const S: usize> Wheel<T, S> {
    /// The first of the list that the last timer was taken from, if that is due before all others.
    #[inline]
    pub(super) fn next_of_run(&self, now: u64) -> Option<u32> {
        if self.others_bound == 0 || !self.level(self.run).is_sorted(self.run.slot.into()) {
            return None;
        }
        let Slot { bound, head, .. } = self.level(self.run).slots[usize::from(self.run.slot)];
        (head != NONE && bound < self.others_bound && bound <= now).then_some(head)
    }

    /// The place to look at first: the one with the least bound, and among equals an unsorted list
    /// before a sorted one, as it may hide an entry that was armed earlier.
    pub(super) fn front(&self) -> Option<Front> {
        let mut best = self.front_of_strays();
        let mut rest = self.in_use;
        while rest != 0 {
            let mut front = self.front_of_level(rest.trailing_zeros() as usize);
            if let Some(so_far) = &mut best {
                if self.precedes(front, *so_far) {
                    front.others_bound = so_far.bound.min(so_far.others_bound);
                    *so_far = front;
                } else {
                    so_far.others_bound = so_far.others_bound.min(front.bound);
                }
            } else {
                best = Some(front);
            }
            rest &= rest - 1;
        }
        best
    }

    fn front_of_strays(&self) -> Option<Front> {
        let bound = self.entries[self.first_stray()? as usize].deadline;
        Some(Front { bound, place: Place::OUT_OF_ORDER, others_bound: u64::MAX })
    }

    /// By *window* the first occupied slot from base's on has the earliest deadlines of the level.
    fn front_of_level(&self, level: usize) -> Front {
        let slot = first_from(self.levels[level].occupied, slot_of(self.base, level));
        let bound = self.levels[level].slots[slot].bound;
        debug_assert!(bound >= self.base, "bound {bound} is before base {}", self.base);
        Front {
            bound,
            place: Place { level: level as u8, slot: slot as u8 },
            others_bound: u64::MAX,
        }
    }

    /// The bound of the next list on the same level.
    pub(super) fn bound_behind(&self, place: Place) -> u64 {
        let ring = self.level(place);
        let others = ring.occupied & !(1 << place.slot);
        if others == 0 { u64::MAX } else { ring.slots[first_from(others, place.slot.into())].bound }
    }

    pub(super) fn is_exact(&self, Front { place, .. }: Front) -> bool {
        place.level == OUT_OF_ORDER || !self.level(place).is_stale(place.slot.into())
    }

    /// Whether some place has a timer for `bound`, the least of all bounds.
    pub(super) fn is_due_elsewhere(&self, bound: u64) -> bool {
        let used = (0..LEVELS).filter(|level| self.in_use >> level & 1 == 1);
        let levels = used.map(|level| self.front_of_level(level));
        let mut fronts = self.front_of_strays().into_iter().chain(levels);
        fronts.any(|front| front.bound == bound && self.is_exact(front))
    }

    fn precedes(&self, a: Front, b: Front) -> bool {
        // Reading the first arming of each list costs a cache miss, and ties are rare.
        a.bound < b.bound || a.bound == b.bound && self.is_armed_before(a, b)
    }

    #[cold]
    #[inline(never)]
    fn is_armed_before(&self, a: Front, b: Front) -> bool {
        self.first_arming(a.place) < self.first_arming(b.place)
    }

    fn first_arming(&self, place: Place) -> u64 {
        self.head_in_order(place).map_or(0, |id| self.entries[id as usize].arming)
    }

    /// The first entry of a place in order of firing; `None` if its list is unsorted.
    pub(super) fn head_in_order(&self, place: Place) -> Option<u32> {
        if place.level == OUT_OF_ORDER {
            return self.first_stray();
        }
        let (level, slot) = (self.level(place), usize::from(place.slot));
        level.is_sorted(slot).then_some(level.slots[slot].head)
    }
}
