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
//! order, an ordered tree of entries ([`out_of_order`]) does: deadlines before base (a past deadline, a clock
//! that stepped back) and equal deadlines that reach level 0 in the wrong order. So no list is ever
//! searched for a place.
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
//! - **earliest**: no deadline is before `earliest_bound`, which spares most steps a look at the slots.
//! - **others**: no timer outside of the list `run` is due before `others_bound`, so what is due before that is
//!   taken from this list without a look at the others.
//! - **accounted**: an entry of the arena is in exactly one list, or in the tree of those out of order, or unfiled; the
//!   maps of occupied slots and of levels in use say where the lists are.
//! - **unfiled**: at most one entry is in no place, the one armed last. It is filed when another is
//!   armed, or when somebody looks for the least deadline. So a timer that is cancelled or re-armed
//!   soon, as most time limits are, touches no list.
//!
//! Arming, cancelling and firing take constant time (and a logarithm for timers out of order); an entry is
//! refiled at most once per level, or sorted with a few others. The least deadline is known but for a list
//! that is unsorted and lost its least entry to a cancel. Such a list is put in order like one that is due,
//! by [`Wheel::next_deadline`]: within a budget, after which it goes on in a later call. Base is then ahead
//! of the time, but not of any timer that is filed; one that is armed for the time between is a timer out of order.
//!
//! Nothing here allocates or frees: see the [arena](super::arena).
//!
//! Source: George Varghese and Tony Lauck, "Hashed and Hierarchical Timing Wheels: Data Structures
//! for the Efficient Implementation of a Timer Facility", 1987 (scheme 7). The proportions, levels
//! of 64 slots eight times coarser than each other, are those of Linux's wheel of 2016 by Thomas
//! Gleixner.

mod filing;
mod front;
#[cfg(any(test, fuzzing))]
mod invariants;
pub(crate) mod level;
mod out_of_order;
#[cfg(all(test, not(loom)))]
mod tests;

use alloc::boxed::Box;
use core::num::NonZeroU32;

use self::front::Front;
use self::level::{LEVELS, Level, NONE};
use super::arena::Arena;

/// A list of at most so many entries is sorted rather than refiled, also beyond the budget.
pub(crate) const SHORT: usize = 256;

/// The level of entries that are in no list but in `out_of_order`.
const OUT_OF_ORDER: u8 = LEVELS as u8;

/// The level of the entry that is not filed yet.
const UNFILED: u8 = OUT_OF_ORDER + 1;

/// Timers with payloads of type `T`, fired in order of (deadline, arming). Lists of at most `S` entries are
/// short.
#[derive(Debug)]
pub(crate) struct Wheel<T, const S: usize = SHORT> {
    /// What distances are measured from. Never goes back while there are timers in lists.
    base: u64,
    /// No timer is due before it. A step leaves it exact or nearly so; a cancel leaves it as it is.
    earliest_bound: u64,
    /// How many times a timer was armed. At one per nanosecond, a `u64` lasts 584 years.
    armings: u64,
    /// The serial of the entry armed last.
    serial: NonZeroU32,
    /// One bit per level that has an occupied slot.
    in_use: u32,
    levels: Box<[Level; LEVELS]>,
    /// The root of the tree of those that are in no list; else [`NONE`].
    out_of_order: u32,
    /// The entry armed last, while it is in no place; else [`NONE`].
    unfiled: u32,
    /// The list that the last timer was taken from.
    run: Place,
    /// No deadline elsewhere is before it, so that what is may be taken from `run`, if that is sorted.
    others_bound: u64,
    entries: Arena<TimerEntry<T>>,
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
pub(crate) enum WheelStep<T> {
    /// The next timer that is due; it is no longer armed.
    Fired(T),
    /// The budget is used up and more is due.
    More,
    /// Nothing is due.
    Idle,
}

#[derive(Debug)]
struct TimerEntry<T> {
    payload: T,
    deadline: u64,
    /// The number of this arming, the second half of the firing order. Counts from 1.
    arming: u64,
    /// The neighbours in a list, or the branches of the tree of those out of order.
    prev: u32,
    next: u32,
    /// Not zero, so that it costs no space to tell a free place.
    serial: NonZeroU32,
    place: Place,
}

impl<T> TimerEntry<T> {
    /// What the firing order compares.
    fn due(&self) -> (u64, u64) {
        (self.deadline, self.arming)
    }
}

/// Which list an entry is in; `slot` means nothing for timers out of order and for the one that is not filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    level: u8,
    slot: u8,
}

impl Place {
    const OUT_OF_ORDER: Self = Self { level: OUT_OF_ORDER, slot: 0 };
    const UNFILED: Self = Self { level: UNFILED, slot: 0 };
}

impl<T, const S: usize> Wheel<T, S> {
    /// An empty wheel whose clock stands at `start`.
    pub(crate) fn new(start: u64) -> Self {
        Self {
            base: start,
            earliest_bound: u64::MAX,
            armings: 0,
            serial: NonZeroU32::MAX,
            in_use: 0,
            levels: Box::new([const { Level::EMPTY }; LEVELS]),
            out_of_order: NONE,
            unfiled: NONE,
            run: Place::OUT_OF_ORDER,
            others_bound: 0,
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

    /// Where the entries lie, to be given what it lacks and relieved of what it does not need.
    pub(crate) fn arena(&mut self) -> &mut Arena<impl Sized + use<T, S>> {
        &mut self.entries
    }

    /// Whether there is memory to be freed.
    #[inline]
    pub(crate) fn is_untidy(&self) -> bool {
        self.entries.is_untidy()
    }

    /// Takes all timers out, in exchange for a wheel that has had none. Keys are stale from here on.
    pub(crate) fn replace(&mut self, mut unfiled: Self) -> Self {
        (unfiled.serial, unfiled.armings, unfiled.base) = (self.serial, self.armings, self.base);
        core::mem::replace(self, unfiled)
    }

    /// Arms a new timer. Any deadline will do, a past one and `u64::MAX` included. The payload comes back
    /// where the [arena](Self::arena) lacks a place.
    #[inline(always)]
    pub(crate) fn arm(&mut self, deadline: u64, payload: T) -> Result<TimerKey, T> {
        self.file_last_armed();
        let serial = self.serial.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let (arming, prev, next, place) = (self.armings + 1, NONE, NONE, Place::UNFILED);
        let entry = TimerEntry { payload, deadline, arming, prev, next, serial, place };
        let id = self.entries.insert(entry).map_err(|entry| entry.payload)?;
        self.serial = serial;
        self.count_arming(deadline);
        let id = id as u32; // fits, and is not `NONE`: an arena gets no larger
        // INVARIANT: unfiled.
        self.unfiled = id;
        Ok(TimerKey { slot: id, serial: serial.get() })
    }

    /// Gives an armed timer a new deadline; among equal deadlines it is then the last. `false`: the
    /// key is stale, nothing was done.
    pub(crate) fn rearm(&mut self, key: TimerKey, deadline: u64) -> bool {
        if self.entry(key).is_none() {
            return false;
        }
        if self.unfiled != key.slot {
            self.file_last_armed();
            self.unfile(key.slot);
            // INVARIANT: unfiled.
            self.unfiled = key.slot;
        }
        let arming = self.count_arming(deadline);
        let entry = &mut self.entries[key.slot as usize];
        (entry.deadline, entry.arming, entry.place) = (deadline, arming, Place::UNFILED);
        true
    }

    /// Disarms a timer and hands its payload back, to be dropped by the caller. `None`: the key is
    /// stale.
    #[inline(always)]
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        if self.unfiled != key.slot {
            return self.cancel_filed(key);
        }
        let entry = self.remove(key)?;
        self.unfiled = NONE;
        Some(entry.payload)
    }

    pub(crate) fn payload_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        (entry.serial.get() == key.serial).then_some(&mut entry.payload)
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn deadline(&self, key: TimerKey) -> Option<u64> {
        self.entry(key).map(|entry| entry.deadline)
    }

    /// The least deadline of all, exactly; `Err`: the budget is used up, and it is no earlier than that.
    ///
    /// An entry that has to be moved or sorted for it costs one unit of `budget`, as in [`Self::step`].
    pub(crate) fn next_deadline(&mut self, budget: &mut usize) -> Result<Option<u64>, u64> {
        self.file_last_armed();
        loop {
            let Some(front) = self.front() else { return Ok(None) };
            // A list that is half refiled is stale, and its least may have been refiled: it is elsewhere.
            if self.is_exact(front) || self.is_due_elsewhere(front.bound) {
                return Ok(Some(front.bound));
            }
            if *budget == 0 {
                return Err(front.bound);
            }
            self.refile(front, budget);
        }
    }

    /// Takes the next timer that is due at `now`, if any. The caller wakes it, and calls again.
    ///
    /// A timer taken and an entry refiled or sorted each cost one unit of `budget`; a short list is
    /// sorted as a whole, which may use it up and more. Between two calls
    /// anything may be armed, re-armed and cancelled, and `now` may be any time, an earlier one
    /// too.
    pub(crate) fn step(&mut self, now: u64, budget: &mut usize) -> WheelStep<T> {
        if now < self.earliest_bound {
            self.catch_up(now);
            return WheelStep::Idle;
        }
        match self.next_of_run(now) {
            Some(id) if *budget > 0 => self.fire(id, now, budget),
            _ => self.look(now, budget),
        }
    }

    fn look(&mut self, now: u64, budget: &mut usize) -> WheelStep<T> {
        self.file_last_armed();
        loop {
            let front = self.front();
            self.earliest_bound = front.map_or(u64::MAX, |front| front.bound);
            let Some(front) = front.filter(|front| front.bound <= now) else { break };
            if *budget == 0 {
                return WheelStep::More;
            }
            let Some(id) = self.head_in_order(front.place) else {
                self.refile(front, budget);
                continue;
            };
            if front.place.level != OUT_OF_ORDER {
                // INVARIANT: others.
                let others_bound = front.others_bound.min(self.bound_behind(front.place));
                (self.run, self.others_bound) = (front.place, others_bound);
            }
            return self.fire(id, now, budget);
        }
        self.catch_up(now);
        WheelStep::Idle
    }

    /// Files the entry that was armed last, if it still waits for that.
    #[inline]
    fn file_last_armed(&mut self) {
        if self.unfiled != NONE {
            let id = core::mem::replace(&mut self.unfiled, NONE);
            self.file(id);
        }
    }

    /// Counts an arming for `deadline`.
    #[inline]
    fn count_arming(&mut self, deadline: u64) -> u64 {
        self.earliest_bound = self.earliest_bound.min(deadline);
        // INVARIANT: others. Who is armed now comes after its equals.
        self.others_bound = self.others_bound.min(deadline);
        self.armings += 1;
        self.armings
    }

    #[inline]
    fn entry(&self, key: TimerKey) -> Option<&TimerEntry<T>> {
        self.entries.get(key.slot as usize).filter(|entry| entry.serial.get() == key.serial)
    }

    fn level(&self, place: Place) -> &Level {
        &self.levels[usize::from(place.level)]
    }

    fn fire(&mut self, id: u32, now: u64, budget: &mut usize) -> WheelStep<T> {
        debug_assert!(self.entries[id as usize].deadline <= now, "it would fire early, at {now}");
        *budget -= 1;
        let payload = self.take(id);
        if self.is_empty() {
            // The caller need not come back to learn that.
            (self.earliest_bound, self.others_bound) = (u64::MAX, 0);
            self.catch_up(now);
        }
        WheelStep::Fired(payload)
    }

    /// Puts an unsorted list in order if it is short, else moves its entries to finer levels as far as
    /// the budget goes.
    #[inline(never)]
    fn refile(&mut self, front: Front, budget: &mut usize) {
        let Front { bound, place, .. } = front;
        let slot = usize::from(place.slot);
        if let Some(sorted) = self.sort(place) {
            *budget = budget.saturating_sub(sorted);
            return;
        }
        // INVARIANT: window and bound. The bound is the least of all. It lies in the stretch of the
        // slot, so the distance of each entry is below 8^k: less than 8 slots of the level below.
        self.base = bound;
        // INVARIANT: others. What leaves the list is elsewhere.
        self.others_bound = 0;
        while *budget > 0 && !self.level(place).is_sorted(slot) {
            let id = self.level(place).slots[slot].head;
            self.unfile(id);
            self.file(id);
            let to = self.entries[id as usize].place;
            debug_assert!(
                to.level < place.level || to.level == OUT_OF_ORDER,
                "{place:?} to {to:?}"
            );
            *budget -= 1;
        }
    }

    /// Brings base up to a time at which nothing is due, so that what is armed next lies near it.
    fn catch_up(&mut self, now: u64) {
        // INVARIANT: window and bound. All bounds are after `now`, or there are none.
        self.base = if self.in_use == 0 { now } else { self.base.max(now) };
    }
}
