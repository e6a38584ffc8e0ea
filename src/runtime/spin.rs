//! How long it pays to look around for something before going to sleep until it comes.
//!
//! Who looks for as long as a sleep and its end would take loses at most twice the best, whatever comes
//! (Anna Karlin, Kai Li, Mark Manasse, Susan Owicki, "Empirical Studies of Competitive Spinning for a
//! Shared-Memory Multiprocessor", 1991). Who also learns from what came loses next to nothing where
//! nothing ever comes in time.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How often one looks from one reading of the clock to the next.
const LOOKS: u32 = 16;

/// Looks for an answer for so long, or until the deadline comes; at least [`LOOKS`] times.
#[inline]
pub(crate) fn spin_until<T>(
    begun: Instant,
    spin: Duration,
    deadline: Option<Instant>,
    mut answer: impl FnMut() -> Option<T>,
) -> Option<T> {
    loop {
        for _ in 0..LOOKS {
            if let Some(answer) = answer() {
                return Some(answer);
            }
            std::hint::spin_loop();
        }
        let now = Instant::now();
        let is_over = now.saturating_duration_since(begun) >= spin;
        if is_over || deadline.is_some_and(|at| at <= now) {
            return None;
        }
    }
}

/// That of a loop which may look for a time that its user has set: for all of it where that has paid of
/// late, and less and less where it has not.
#[derive(Debug)]
pub(crate) struct SpinBudget {
    most: Duration,
    now: Cell<Duration>,
}

impl SpinBudget {
    pub(crate) fn of(most: Duration) -> Self {
        Self { most, now: Cell::new(most) }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.most.is_zero()
    }

    pub(crate) fn now(&self) -> Duration {
        self.now.get()
    }

    /// The wait took so long. Had the loop slept when it could have gone on looking, it looks for
    /// longer the next time; where all patience would have been in vain, for half as long, down to an
    /// eighth, from which it finds its way back.
    pub(crate) fn learn(&self, waited: Duration) {
        let half = (self.now.get() / 2).max(self.most / 8);
        self.now.set(if waited <= self.most { self.most } else { half });
    }
}

/// That of a thread which looks for a short while that nobody has set. It trusts in looking until that
/// was in vain a few times, and then tries it now and then, and less and less often: where two threads
/// share a core, what the one looks for comes only once it sleeps, however soon that is.
#[derive(Debug)]
pub(crate) struct SpinHistory {
    /// So many vain looks until it ends; zero: it has ended.
    left: Cell<u8>,
    /// So many waits from one trial to the next.
    apart: Cell<u8>,
    /// And until the next.
    until_trial: Cell<u8>,
}

/// How many vain looks end all trust.
const FAILURES: u8 = 4;
/// How many waits earn a trial, after the first time that trust ended, and at most. Few at first: after some
/// long waits there may be short ones again.
const APART: [u8; 2] = [4, 128];

impl SpinHistory {
    pub(crate) const fn new() -> Self {
        let [first, _] = APART;
        Self { left: Cell::new(FAILURES), apart: Cell::new(first), until_trial: Cell::new(first) }
    }

    /// Whether to look, in the wait that begins.
    pub(crate) fn is_there(&self) -> bool {
        if self.left.get() == 0 {
            self.until_trial.set(self.until_trial.get().saturating_sub(1));
            if self.until_trial.get() > 0 {
                return false;
            }
            self.left.set(1);
        }
        true
    }

    /// To look was enough, or not.
    pub(crate) fn looked(&self, found: bool) {
        let [first, most] = APART;
        if found {
            self.left.set(FAILURES);
            self.apart.set(first);
        } else if let Some(left) = self.left.get().checked_sub(1) {
            // If not, a wait within this one has ended all trust already.
            self.left.set(left);
            if left == 0 {
                self.until_trial.set(self.apart.get());
                self.apart.set(self.apart.get().saturating_mul(2).min(most));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    #[test]
    fn patience_shrinks_to_an_eighth_in_vain_and_comes_back_at_once() {
        let spin = SpinBudget::of(80 * US);
        assert_eq!(spin.now(), 80 * US);
        for left in [40, 20, 10, 10] {
            spin.learn(81 * US);
            assert_eq!(spin.now(), left * US);
        }
        spin.learn(80 * US);
        assert_eq!(spin.now(), 80 * US);
    }

    #[test]
    fn trust_ends_after_vain_looks_in_a_row_and_is_tried_less_and_less() {
        let trust = SpinHistory::new();
        let fail = |times: u8| (0..times).for_each(|_| trust.looked(false));
        let waits = |times: usize| (0..times).filter(|_| trust.is_there()).count();
        fail(FAILURES - 1);
        trust.looked(true);
        fail(FAILURES - 1);
        assert!(trust.is_there(), "found once in between");
        fail(1);
        for apart in [4, 8, 16, 32, 64, 128, 128] {
            assert_eq!((waits(apart - 1), waits(1)), (0, 1), "{apart} waits");
            fail(1);
        }
        assert_eq!(waits(128), 1);
        trust.looked(true);
        fail(FAILURES);
        assert_eq!((waits(3), waits(1)), (0, 1), "a trial that paid brings back all of it");
        fail(2); // a wait within a wait
        assert_eq!((waits(7), waits(1)), (0, 1), "one trial failed");
    }

    #[test]
    fn one_looks_until_there_is_an_answer_or_the_end_of_patience() {
        let begun = Instant::now();
        let mut looks = 0;
        let seventh = || {
            looks += 1;
            (looks == 7).then_some(looks)
        };
        assert_eq!(spin_until(begun, Duration::MAX, None, seventh), Some(7));
        let mut looks = 0;
        let never = || {
            looks += 1;
            None::<()>
        };
        assert_eq!(spin_until(begun, Duration::ZERO, None, never), None);
        assert_eq!(looks, LOOKS);
        assert_eq!(spin_until(begun, Duration::MAX, Some(begun), || None::<()>), None);
    }
}
