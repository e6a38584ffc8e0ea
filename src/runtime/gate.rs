//! The bound on submissions that the loop has not taken in yet.
//!
//! One word: how many there are, and whether somebody waits for room. Who finds it full marks it
//! with the same exchange that saw it full, so that whoever makes room afterwards sees the mark; who
//! makes room clears the mark and then wakes all who wait, and they try again.

use crate::sync::{AtomicUsize, Monitor, Ordering};

/// Somebody waits.
const WAITED: usize = 1;
/// One submission.
const ONE: usize = 2;

/// The gate that submissions from other threads pass.
#[derive(Debug)]
pub(crate) struct Gate {
    word: AtomicUsize,
    capacity: usize,
    waiting: Monitor,
}

impl Gate {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, usize::MAX / ONE);
        Self { word: AtomicUsize::new(0), capacity, waiting: Monitor::default() }
    }

    /// How many have entered and not been taken in.
    pub(crate) fn inside(&self) -> usize {
        // ORDERING: Relaxed: a number to look at.
        self.word.load(Ordering::Relaxed) / ONE
    }

    /// Enters, if there is room.
    pub(crate) fn try_enter(&self) -> bool {
        self.enter_or_mark(0)
    }

    /// Enters, waiting for room. `false`: `closed` became true first, after which [`Gate::look_again`]
    /// was called.
    pub(crate) fn enter(&self, closed: impl Fn() -> bool) -> bool {
        let mut entered = self.try_enter();
        if !entered {
            let full = |(): &mut ()| {
                entered = !closed() && self.enter_or_mark(WAITED);
                !entered && !closed()
            };
            self.waiting.wait_while(full, None);
        }
        entered
    }

    fn enter_or_mark(&self, mark: usize) -> bool {
        // ORDERING: Relaxed on the way in and on failure: the exchange decides.
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let room = old / ONE < self.capacity;
            let new = if room { old + ONE } else { old | mark };
            if new == old {
                return false;
            }
            // ORDERING: AcqRel, paired with `leave`: who enters in the room that it made comes
            // after it, and a mark is seen by every later one.
            match self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return room,
                Err(now) => old = now,
            }
        }
    }

    /// One submission was taken in, or did not come to be.
    pub(crate) fn leave(&self) {
        // ORDERING: AcqRel, paired with `enter_or_mark`.
        if self.word.fetch_sub(ONE, Ordering::AcqRel) & WAITED != 0 {
            // ORDERING: AcqRel: as above. Who marks it from here on has seen the room that was made.
            self.word.fetch_and(!WAITED, Ordering::AcqRel);
            self.waiting.notify();
        }
    }

    /// Makes who waits look at `closed` again.
    pub(crate) fn look_again(&self) {
        self.waiting.notify();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// P8: the count beside the mark holds the greatest capacity there can be.
    #[test]
    fn the_widest_gate_is_full_and_no_wider() {
        let gate = Gate::new(usize::MAX);
        let most = usize::MAX / ONE;
        gate.word.store((most - 1) * ONE, Ordering::Relaxed);
        assert!(gate.try_enter());
        assert_eq!(gate.inside(), most);
        assert!(!gate.try_enter() && !gate.enter_or_mark(WAITED));
        assert_eq!(gate.word.load(Ordering::Relaxed), usize::MAX, "full and waited for");
        gate.leave();
        assert_eq!(gate.word.load(Ordering::Relaxed), (most - 1) * ONE);
        assert!(gate.enter(|| false));
    }
}
