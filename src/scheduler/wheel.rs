//! The timer wheel: exact deadlines at the price of a list operation.
//!
//! Time is in nanoseconds since the loop began, and is only ever *told*: the wheel reads no clock.
//! Each timer lies in a slot of one of 21 levels, chosen by its distance from `base`, a time that
//! no filed deadline precedes: the farther away, the coarser the slot. Nothing is rounded, because
//! a slot only says where a deadline is kept; the deadline itself decides when it fires.
//!
//! The one idea: a slot is a list that is either *sorted* or not. The first entry of a sorted list
//! fires straight from where it is. An unsorted list that comes due is refiled: base moves to its
//! bound, and from there each of its entries belongs on a finer level. On level 0 a slot is one
//! nanosecond, so a list there can be out of order by arming only. A short list is not refiled but
//! sorted where it is, which spares its entries the finer levels. What the lists cannot keep in
//! order, an ordered map (`strays`) does: deadlines before base (a past deadline, a clock that
//! stepped back), equal deadlines that reach level 0 in the wrong order, and the first few entries
//! of an unsorted list that lost its least. So no list is ever searched for a place.
//!
//! Refiling may stop after any entry. There is no state for "half refiled", as each intermediate
//! state satisfies all of the following:
//!
//! - **window**: an entry on level `k` has `base <= deadline`, and its slot is at most 63 ahead of
//!   base's. So a slot holds one stretch of `8^k` ns, and slots taken in order from base's are in
//!   order of time.
//! - **bound**: `base <= bound <= deadline` for each entry of a slot. The bound is the least of
//!   these deadlines, unless the slot is marked stale.
//! - **sorted**: a slot that is not marked unsorted lists its entries by (deadline, arming), and is
//!   not stale. All slots of level 0 are sorted; one with a single entry always is.
//! - **soonest**: no deadline is before `soonest`, which spares most steps a look at the slots.
//! - **accounted**: an entry of the arena is in exactly one list, or in `strays` under (deadline,
//!   arming); the maps of occupied slots and of levels in use say where the lists are.
//!
//! Arming, cancelling and firing take constant time (and a logarithm for strays); an entry is
//! refiled at most once per level, or sorted with a few others. Only [`Wheel::next_deadline`] may walk a list: one that is
//! unsorted and lost its least entry to a cancel. It then thins that list out, so that cancels in
//! order of deadline stay cheap.
//!
//! Source: George Varghese and Tony Lauck, "Hashed and Hierarchical Timing Wheels: Data Structures
//! for the Efficient Implementation of a Timer Facility", 1987 (scheme 7). The proportions, levels
//! of 64 slots eight times coarser than each other, are those of Linux's wheel of 2016 by Thomas
//! Gleixner.

mod arena;
mod filing;
#[cfg(any(test, fuzzing))]
pub(crate) mod history;
#[cfg(any(test, fuzzing))]
mod invariants;
mod level;
#[cfg(any(test, fuzzing))]
pub(crate) mod oracle;
#[cfg(all(test, not(loom)))]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::iter;
use core::num::NonZeroU32;

use self::arena::Arena;
use self::filing::Spot;
use self::level::{LEVELS, Level, NONE, first_from, slot_of};

/// A list of at most so many entries is sorted rather than refiled.
const SHORT: usize = 64;

/// The level of entries that are in no list but in `strays`.
const STRAY: u8 = LEVELS as u8;

/// Timers with payloads of type `T`, fired in order of (deadline, arming).
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// What distances are measured from. Never goes back while there are timers.
    base: u64,
    /// No timer is due before it. A step leaves it exact or nearly so; a cancel leaves it as it is.
    soonest: u64,
    /// How many times a timer was armed. At one per nanosecond, a `u64` lasts 584 years.
    armings: u64,
    /// The serial of the entry armed last.
    serial: NonZeroU32,
    /// One bit per level that has an occupied slot.
    in_use: u32,
    levels: Box<[Level; LEVELS]>,
    strays: BTreeMap<(u64, u64), u32>,
    /// Room to sort a list in; empty in between.
    scratch: Vec<(u64, u64, u32)>,
    entries: Arena<Entry<T>>,
}

/// Names an armed timer. Once that has fired or was cancelled the key is stale, and names nothing
/// until 2^32 - 1 other timers have been armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerKey {
    slot: u32,
    serial: u32,
}

/// What one [`Wheel::step`] came to.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<T> {
    /// The next timer that is due; it is no longer armed.
    Fired(T),
    /// The budget is used up and more is due.
    More,
    /// Nothing is due.
    Idle,
}

#[derive(Debug)]
struct Entry<T> {
    payload: T,
    deadline: u64,
    /// The number of this arming, the second half of the firing order. Counts from 1.
    arming: u64,
    prev: u32,
    next: u32,
    /// Not zero, so that it costs no space to tell a free place.
    serial: NonZeroU32,
    place: Place,
}

impl<T> Entry<T> {
    /// What the firing order compares.
    fn due(&self) -> (u64, u64) {
        (self.deadline, self.arming)
    }
}

/// Which list an entry is in; `slot` means nothing for strays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    level: u8,
    slot: u8,
}

/// A place that may hold the next timer, and the bound on its deadlines.
#[derive(Debug, Clone, Copy)]
struct Front {
    bound: u64,
    place: Place,
}

impl<T> Wheel<T> {
    /// An empty wheel whose clock stands at `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self {
            base: start,
            soonest: u64::MAX,
            armings: 0,
            serial: NonZeroU32::MAX,
            in_use: 0,
            levels: Box::new([const { Level::EMPTY }; LEVELS]),
            strays: BTreeMap::new(),
            scratch: Vec::new(),
            entries: Arena::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Arms a new timer. Any deadline will do, a past one and `u64::MAX` included.
    #[inline]
    pub(crate) fn arm(&mut self, deadline: u64, payload: T) -> TimerKey {
        self.serial = self.serial.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let serial = self.serial;
        let arming = self.count_arming(deadline);
        let spot = self.spot_for((deadline, arming));
        let (prev, place) = (spot.tail, spot.place);
        let entry = Entry { payload, deadline, arming, prev, next: NONE, serial, place };
        let id = self.entries.insert(entry);
        // PANICS: it takes 2^32 - 1 live timers, which are 192 GiB.
        let id = u32::try_from(id).ok().filter(|&id| id != NONE).expect("too many timers");
        self.link(id, (deadline, arming), spot);
        TimerKey { slot: id, serial: serial.get() }
    }

    /// Gives an armed timer a new deadline; among equal deadlines it is then the last. `false`: the
    /// key is stale, nothing was done.
    pub(crate) fn rearm(&mut self, key: TimerKey, deadline: u64) -> bool {
        if self.entry(key).is_none() {
            return false;
        }
        self.unfile(key.slot);
        let arming = self.count_arming(deadline);
        let entry = &mut self.entries[key.slot as usize];
        (entry.deadline, entry.arming) = (deadline, arming);
        self.file(key.slot);
        true
    }

    /// Disarms a timer and hands its payload back, to be dropped by the caller. `None`: the key is
    /// stale.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.entry(key)?;
        Some(self.take(key.slot))
    }

    pub(crate) fn payload_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        (entry.serial.get() == key.serial).then_some(&mut entry.payload)
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn deadline(&self, key: TimerKey) -> Option<u64> {
        self.entry(key).map(|entry| entry.deadline)
    }

    /// The least deadline of all, exactly. Takes `&mut` because a bound that went stale is
    /// repaired.
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        loop {
            let front = self.front()?;
            // A list that is half refiled is stale, and its least was refiled first: it is elsewhere.
            if self.is_exact(front) || self.is_due_elsewhere(front.bound) {
                return Some(front.bound);
            }
            self.repair(front.place);
        }
    }

    /// Takes the next timer that is due at `now`, if any. The caller wakes it, and calls again.
    ///
    /// A timer taken and an entry refiled each cost one unit of `budget`. Between two calls
    /// anything may be armed, re-armed and cancelled, and `now` may be any time, an earlier one
    /// too.
    pub(crate) fn step(&mut self, now: u64, budget: &mut usize) -> Step<T> {
        if now < self.soonest {
            self.catch_up(now);
            return Step::Idle;
        }
        self.look(now, budget)
    }

    fn look(&mut self, now: u64, budget: &mut usize) -> Step<T> {
        loop {
            let front = self.front();
            self.soonest = front.map_or(u64::MAX, |front| front.bound);
            let Some(front) = front.filter(|front| front.bound <= now) else { break };
            if *budget == 0 {
                return Step::More;
            }
            match self.head_in_order(front.place) {
                Some(id) => return self.fire(id, now, budget),
                None => self.refile(front, budget),
            }
        }
        self.catch_up(now);
        Step::Idle
    }

    /// Counts an arming for `deadline`.
    fn count_arming(&mut self, deadline: u64) -> u64 {
        self.soonest = self.soonest.min(deadline);
        self.armings += 1;
        self.armings
    }

    fn entry(&self, key: TimerKey) -> Option<&Entry<T>> {
        self.entries.get(key.slot as usize).filter(|entry| entry.serial.get() == key.serial)
    }

    fn level(&self, place: Place) -> &Level {
        &self.levels[usize::from(place.level)]
    }

    /// The place to look at first: the one with the least bound, and among equals an unsorted list
    /// before a sorted one, as it may hide an entry that was armed earlier.
    fn front(&self) -> Option<Front> {
        let mut best = self.front_of_strays();
        let mut rest = self.in_use;
        while rest != 0 {
            let front = self.front_of_level(rest.trailing_zeros() as usize);
            if best.is_none_or(|best| self.precedes(front, best)) {
                best = Some(front);
            }
            rest &= rest - 1;
        }
        best
    }

    fn front_of_strays(&self) -> Option<Front> {
        let (&(bound, _), _) = self.strays.first_key_value()?;
        Some(Front { bound, place: Place { level: STRAY, slot: 0 } })
    }

    /// By *window* the first occupied slot from base's on has the earliest deadlines of the level.
    fn front_of_level(&self, level: usize) -> Front {
        let slot = first_from(self.levels[level].occupied, slot_of(self.base, level));
        let bound = self.levels[level].slots[slot].bound;
        debug_assert!(bound >= self.base, "bound {bound} is before base {}", self.base);
        Front { bound, place: Place { level: level as u8, slot: slot as u8 } }
    }

    fn is_exact(&self, Front { place, .. }: Front) -> bool {
        place.level == STRAY || !self.level(place).is_stale(place.slot.into())
    }

    /// Whether some place has a timer for `bound`, the least of all bounds.
    fn is_due_elsewhere(&self, bound: u64) -> bool {
        let used = (0..LEVELS).filter(|level| self.in_use >> level & 1 == 1);
        let levels = used.map(|level| self.front_of_level(level));
        let mut fronts = self.front_of_strays().into_iter().chain(levels);
        fronts.any(|front| front.bound == bound && self.is_exact(front))
    }

    fn precedes(&self, a: Front, b: Front) -> bool {
        // Reading the first arming of each list costs a cache miss, and ties are rare.
        a.bound < b.bound
            || a.bound == b.bound && self.first_arming(a.place) < self.first_arming(b.place)
    }

    fn first_arming(&self, place: Place) -> u64 {
        self.head_in_order(place).map_or(0, |id| self.entries[id as usize].arming)
    }

    /// The first entry of a place in order of firing; `None` if its list is unsorted.
    fn head_in_order(&self, place: Place) -> Option<u32> {
        if place.level == STRAY {
            return self.strays.first_key_value().map(|(_, &id)| id);
        }
        let (level, slot) = (self.level(place), usize::from(place.slot));
        level.is_sorted(slot).then_some(level.slots[slot].head)
    }

    fn fire(&mut self, id: u32, now: u64, budget: &mut usize) -> Step<T> {
        let deadline = self.entries[id as usize].deadline;
        debug_assert!(deadline <= now, "{deadline} would fire early, at {now}");
        *budget -= 1;
        Step::Fired(self.take(id))
    }

    /// Puts an unsorted list in order if it is short, else moves its entries to finer levels; as far as
    /// the budget goes.
    fn refile(&mut self, front: Front, budget: &mut usize) {
        let Front { bound, place } = front;
        let slot = usize::from(place.slot);
        // INVARIANT: window and bound. The bound is the least of all. It lies in the stretch of the
        // slot, so the distance of each entry is below 8^k: less than 8 slots of the level below.
        self.base = bound;
        if let Some(sorted) = self.sort(place, SHORT.min(*budget)) {
            *budget -= sorted;
            return;
        }
        while *budget > 0 && !self.level(place).is_sorted(slot) {
            let id = self.level(place).slots[slot].head;
            self.unfile(id);
            self.file(id);
            let to = self.entries[id as usize].place;
            debug_assert!(to.level < place.level || to.level == STRAY, "{place:?} to {to:?}");
            *budget -= 1;
        }
    }

    /// Brings base up to a time at which nothing is due, so that what is armed next lies near it.
    fn catch_up(&mut self, now: u64) {
        // INVARIANT: window and bound. All bounds are after `now`, or there are none.
        self.base = if self.is_empty() { now } else { self.base.max(now) };
    }

    /// Computes the bound of a stale slot from its entries, and moves the first few of them to the
    /// strays. So a walk over `n` entries is paid for by `n / 32` that are never walked over again:
    /// a run of cancels in order of deadline stays cheap.
    fn repair(&mut self, place: Place) {
        let slot = usize::from(place.slot);
        let mut list: Vec<_> = self.ids(self.level(place).slots[slot].head).collect();
        let first = list.len() / 32;
        let (early, &mut (least, _), _) = list.select_nth_unstable(first);
        for &mut (_, id) in early {
            self.unfile(id);
            self.put(id, Spot::STRAY);
        }
        // INVARIANT: bound.
        self.levels[usize::from(place.level)].set_exact(slot, least);
    }

    /// The deadlines and ids of a list, from `head` on.
    fn ids(&self, head: u32) -> impl Iterator<Item = (u64, u32)> {
        let linked = |id: u32| (id != NONE).then_some(id);
        iter::successors(linked(head), move |&id| linked(self.entries[id as usize].next))
            .map(|id| (self.entries[id as usize].deadline, id))
    }

    /// Removes an entry altogether.
    fn take(&mut self, id: u32) -> T {
        self.unfile(id);
        // PANICS: as the lists' own look-ups: they hold places that are taken.
        self.entries.remove(id as usize).expect("the place is taken").payload
    }
}
