//! Who waits for an object in one direction, in the order in which they came.

use crate::scheduler::TimerTarget;

/// So many that poll by hand, with wakers that are no tasks of this loop, may wait; one more wakes the first of them, who
/// will wait again if it still does. Nothing tells the loop when such a waiter has gone.
const MOST_UNKNOWN: usize = 1024;

/// Lists that are longer are not kept for the next waiters.
const KEPT: usize = 8;

/// One who waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// The number of the future that waits, which says when it does no more; 0 for a poll by hand.
    pub(crate) ticket: u64,
    pub(crate) timer_target: TimerTarget,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct IoWaiters(Vec<Waiter>);

impl IoWaiters {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this one is there, and would be woken by what `is` it.
    pub(super) fn has(&self, ticket: u64, is: impl Fn(&TimerTarget) -> bool) -> bool {
        self.0.iter().any(|waiter| waiter.ticket == ticket && is(&waiter.timer_target))
    }

    /// Adds one that is not there, or changes what it is woken by; gives out what is not needed any more.
    pub(super) fn put(
        &mut self,
        waiter: Waiter,
        lives: impl Fn(&TimerTarget) -> bool,
    ) -> Option<Waiter> {
        if waiter.ticket != 0 {
            if let Some(old) = self.0.iter_mut().find(|old| old.ticket == waiter.ticket) {
                return Some(std::mem::replace(old, waiter));
            }
        } else if self.0.len() >= KEPT && self.0.len() == self.0.capacity() {
            // Tasks that have ended are known; whom they are named for is no value with a destructor.
            self.0.retain(|old| {
                !matches!(old.timer_target, TimerTarget::TaskKey(_)) || lives(&old.timer_target)
            });
        }
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        let is_unknown =
            |old: &Waiter| old.ticket == 0 && matches!(old.timer_target, TimerTarget::Waker(_));
        let is_full = self.0.len() >= MOST_UNKNOWN
            && is_unknown(&waiter)
            && self.0.iter().filter(|old| is_unknown(old)).count() >= MOST_UNKNOWN;
        let first = if is_full { self.0.iter().position(is_unknown) } else { None };
        let given_out = first.map(|at| self.0.remove(at));
        self.0.push(waiter);
        given_out
    }

    pub(super) fn remove(&mut self, ticket: u64) -> Option<Waiter> {
        let at = self.0.iter().position(|waiter| waiter.ticket == ticket)?;
        Some(self.0.remove(at))
    }

    /// All of them.
    pub(super) fn take(&mut self) -> Vec<Waiter> {
        std::mem::take(&mut self.0)
    }

    /// Takes an empty list back.
    pub(super) fn keep(&mut self, list: Vec<Waiter>) {
        debug_assert!(list.is_empty(), "{} wait in it", list.len());
        if self.0.capacity() == 0 && list.capacity() <= KEPT {
            self.0 = list;
        }
    }
}
