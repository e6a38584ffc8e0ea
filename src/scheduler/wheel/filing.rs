//! Into a place and out of it: the lists of the wheel, and what is known about each.
//!
//! The named invariants are those of the [wheel](super). Nothing here depends on the time of day:
//! an entry's place follows from its deadline, the base, and the last entry of the list it goes to.

use super::level::{NONE, Slot, level_for, slot_of};
use super::{OUT_OF_ORDER, Place, TimerEntry, TimerKey, Wheel};

/// The end of a list that an entry is to be put to, or the timers out of order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) place: Place,
    /// The last entry there.
    pub(super) tail: u32,
    /// Whether the entry is due after that one.
    in_order: bool,
}

impl Spot {
    pub(super) const OUT_OF_ORDER: Self =
        Self { place: Place::OUT_OF_ORDER, tail: NONE, in_order: true };
}

impl<T, const S: usize> Wheel<T, S> {
    /// Where an entry belongs that is due at (deadline, arming).
    pub(super) fn spot_for(&self, due: (u64, u64)) -> Spot {
        let Some(delta) = due.0.checked_sub(self.base) else {
            return Spot::OUT_OF_ORDER;
        };
        let level = level_for(delta);
        let slot = slot_of(due.0, level);
        let tail = self.levels[level].slots[slot].tail;
        let in_order = tail == NONE || self.entries[tail as usize].due() < due;
        if level == 0 && !in_order {
            return Spot::OUT_OF_ORDER;
        }
        Spot { place: Place { level: level as u8, slot: slot as u8 }, tail, in_order }
    }

    /// Puts a short list in order, and says how many entries it has.
    pub(super) fn sort(&mut self, place: Place) -> Option<usize> {
        // Most are very short, and room on the stack has to be cleared.
        self.sort_within::<8>(place).or_else(|| self.sort_within::<S>(place))
    }

    fn sort_within<const MOST: usize>(&mut self, place: Place) -> Option<usize> {
        let (level, slot) = (usize::from(place.level), usize::from(place.slot));
        let mut list = [(0, 0, NONE); MOST];
        let len = self.collect(self.levels[level].slots[slot], &mut list)?;
        list[..len].sort_unstable();
        self.relink(level, slot, &list[..len]);
        Some(len)
    }

    /// Collects a list, if there is room for it; its length. From both ends at once: each step waits for
    /// memory, and two walks wait together.
    fn collect(&self, list: Slot, into: &mut [(u64, u64, u32)]) -> Option<usize> {
        let (mut head, mut tail, mut len) = (list.head, list.tail, 0);
        loop {
            let (first, last) = (&self.entries[head as usize], &self.entries[tail as usize]);
            *into.get_mut(len)? = (first.deadline, first.arming, head);
            if head == tail {
                return Some(len + 1);
            }
            *into.get_mut(len + 1)? = (last.deadline, last.arming, tail);
            len += 2;
            if first.next == tail {
                return Some(len);
            }
            (head, tail) = (first.next, last.prev);
        }
    }

    // INVARIANT: sorted and bound: the list is made anew, in order.
    fn relink(&mut self, level: usize, slot: usize, list: &[(u64, u64, u32)]) {
        let mut prev = NONE;
        for (at, &(_, _, id)) in list.iter().enumerate() {
            let entry = &mut self.entries[id as usize];
            entry.prev = prev;
            entry.next = list.get(at + 1).map_or(NONE, |&(_, _, next)| next);
            prev = id;
        }
        if let [(bound, _, head), ..] = *list {
            let ring = &mut self.levels[level];
            (ring.slots[slot].head, ring.slots[slot].tail) = (head, prev);
            ring.set_sorted(slot, bound);
        }
    }

    /// Puts an entry that is in no place into the one where it belongs.
    pub(super) fn file(&mut self, id: u32) {
        let due = self.entries[id as usize].due();
        let spot = self.spot_for(due);
        let entry = &mut self.entries[id as usize];
        (entry.prev, entry.next, entry.place) = (spot.tail, NONE, spot.place);
        self.link(id, due, spot);
    }

    /// Makes the place of an entry, which knows its spot already, know the entry.
    pub(super) fn link(&mut self, id: u32, due: (u64, u64), spot: Spot) {
        if spot.place.level == OUT_OF_ORDER {
            return self.insert_stray(id);
        }
        let (level, slot) = (usize::from(spot.place.level), usize::from(spot.place.slot));
        let list = &mut self.levels[level].slots[slot];
        debug_assert!(list.tail == spot.tail, "{spot:?} is no longer the end of {list:?}");
        list.tail = id;
        match spot.tail {
            NONE => list.head = id,
            tail => self.entries[tail as usize].next = id,
        }
        self.note_arrival(level, slot, due.0, spot);
    }

    // INVARIANT: bound, sorted and accounted, after an entry came to the end of a list.
    fn note_arrival(&mut self, level: usize, slot: usize, deadline: u64, spot: Spot) {
        let ring = &mut self.levels[level];
        if spot.tail == NONE {
            ring.set_sorted(slot, deadline);
            self.in_use |= 1 << level;
            return;
        }
        if !spot.in_order {
            ring.set_unsorted(slot);
        }
        if deadline <= ring.slots[slot].bound {
            ring.set_exact(slot, deadline);
        }
    }

    /// Disarms a timer that is in a place.
    #[inline(always)]
    pub(super) fn cancel_filed(&mut self, key: TimerKey) -> Option<T> {
        let entry = self.remove(key)?;
        self.unlink(key.slot, entry.due(), (entry.prev, entry.next), entry.place);
        Some(entry.payload)
    }

    /// Takes an entry out of the arena alone.
    #[inline(always)]
    pub(super) fn remove(&mut self, key: TimerKey) -> Option<TimerEntry<T>> {
        let is_it = |entry: &TimerEntry<T>| entry.serial.get() == key.serial;
        self.entries.remove_if(key.slot as usize, is_it)
    }

    /// Removes an entry, which is in a place, altogether.
    #[inline]
    pub(super) fn take(&mut self, id: u32) -> T {
        // PANICS: as the lists' own look-ups: they hold places that are taken.
        let entry = self.entries.remove(id as usize).expect("the place is taken");
        self.unlink(id, entry.due(), (entry.prev, entry.next), entry.place);
        entry.payload
    }

    /// Takes an entry out of its list, or out of the timers out of order.
    pub(super) fn unfile(&mut self, id: u32) {
        let entry = &self.entries[id as usize];
        let (due, links, place) = (entry.due(), (entry.prev, entry.next), entry.place);
        self.unlink(id, due, links, place);
    }

    /// Makes the place of an entry forget it. All that is to be known of that is said: it may be gone.
    #[inline(always)]
    pub(super) fn unlink(&mut self, id: u32, due: (u64, u64), links: (u32, u32), place: Place) {
        if place.level == OUT_OF_ORDER {
            return self.remove_stray(id, due, links);
        }
        let (deadline, (prev, next)) = (due.0, links);
        let slot = usize::from(place.slot);
        let list = &mut self.levels[usize::from(place.level)].slots[slot];
        match prev {
            NONE => list.head = next,
            _ => self.entries[prev as usize].next = next,
        }
        match next {
            NONE => list.tail = prev,
            _ => self.entries[next as usize].prev = prev,
        }
        match (prev, next) {
            (NONE, NONE) => self.note_empty(place),
            (NONE, _) => self.note_departure(place, deadline, Some(next)),
            _ => self.note_departure(place, deadline, None),
        }
    }

    // INVARIANT: accounted, after the last entry left a list.
    fn note_empty(&mut self, place: Place) {
        let ring = &mut self.levels[usize::from(place.level)];
        ring.set_empty(place.slot.into());
        if ring.occupied == 0 {
            self.in_use &= !(1 << place.level);
        }
    }

    // INVARIANT: bound and sorted, after an entry left a list that goes on. If it was the first,
    // `head` is the new one.
    fn note_departure(&mut self, place: Place, deadline: u64, head: Option<u32>) {
        let slot = usize::from(place.slot);
        let ring = &mut self.levels[usize::from(place.level)];
        let list = &ring.slots[slot];
        if list.head == list.tail {
            ring.set_sorted(slot, self.entries[list.head as usize].deadline);
        } else if !ring.is_sorted(slot) {
            if deadline == list.bound {
                ring.set_stale(slot);
            }
        } else if let Some(head) = head {
            ring.set_exact(slot, self.entries[head as usize].deadline);
        }
    }
}
