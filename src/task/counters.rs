//! A loop's counters: written by its own thread alone, read by any.
//!
//! With one writer a load and a store count as well as a read-modify-write, at the price of neither
//! lock nor fence.

use crate::sync::fixed::{Counter, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Count(Counter);

impl Count {
    /// Counts. On the loop's thread.
    #[inline]
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)] // pointer-sized on some targets
    pub(crate) fn add(&self, n: u32) {
        // ORDERING: Relaxed, both: nothing is published by a number to look at, and nobody else writes.
        let now = self.0.load(Ordering::Relaxed);
        // ORDERING: as above.
        self.0.store(now.wrapping_add(n.try_into().unwrap_or(0)), Ordering::Relaxed);
    }

    /// Notes a length. On the loop's thread.
    #[inline]
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)] // as above
    pub(crate) fn set(&self, n: usize) {
        // ORDERING: Relaxed: as in `add`.
        self.0.store(n.try_into().unwrap_or(0), Ordering::Relaxed);
    }

    /// Reads, on any thread.
    #[allow(clippy::useless_conversion)] // pointer-sized on some targets
    pub(crate) fn get(&self) -> u64 {
        // ORDERING: Relaxed: as in `add`.
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }
}

/// What a loop counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) spawned: Count,
    pub(crate) finished: Count,
    pub(crate) cancelled: Count,
    pub(crate) panicked: Count,
    pub(crate) polls: Count,
    pub(crate) local_wakes: Count,
    pub(crate) remote_wakes: Count,
    pub(crate) parks: Count,
    pub(crate) unparks: Count,
    pub(crate) timers_armed: Count,
    pub(crate) timers_fired: Count,
    #[cfg(all(feature = "io", unix))]
    pub(crate) io_events: Count,
    #[cfg(all(feature = "io", unix))]
    pub(crate) io_waits: Count,
    /// How many tasks were ready at the last look.
    pub(crate) ready: Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter that has come to its end begins again: nobody is stopped for a number to look at.
    #[test]
    fn a_counter_wraps_and_harms_nobody() {
        let count = Count::default();
        count.set(usize::MAX);
        let last = count.get();
        assert_ne!(last, 0, "it was set");
        count.add(1);
        assert_eq!(count.get(), last.wrapping_add(1));
        #[cfg(target_has_atomic = "64")]
        {
            count.0.store(u64::MAX, Ordering::Relaxed);
            count.add(2);
            assert_eq!(count.get(), 1);
        }
    }
}
