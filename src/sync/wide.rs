//! A 64-bit counter for targets whose atomics have 32 bits.
//!
//! At a thousand tasks a second 32 bits last seven weeks, and a serial must never come again. The
//! low word counts; a second one counts how often the low word has passed the middle or the end of
//! its range. Nobody waits: who draws while that note is still to be made, which an interrupt may
//! see, knows from the low word's highest bit that it is missing.

use super::fixed::{Half, Ordering};

/// How many bits of the low word count within one half of its range.
const BITS: u32 = 31;

/// A counter that ends after 2^63.
#[derive(Debug)]
pub(crate) struct Wide {
    low: Half,
    /// How many halves of the low word's range have been used up, once that was noted.
    halves: Half,
}

impl Wide {
    pub(crate) const fn new(first: u32) -> Self {
        Self { low: Half::new(first), halves: Half::new(first >> BITS) }
    }

    /// Draws `count` numbers in a row, at most 2^16, and returns the first.
    pub(crate) fn draw(&self, count: u16) -> u64 {
        let count = u32::from(count);
        // ORDERING: AcqRel on both words: who draws after a half was noted, by the order of the low
        // word, sees the note. Where it does not, `number` has 2^30 draws to put up with it.
        let low = self.low.fetch_add(count, Ordering::AcqRel);
        // ORDERING: as above.
        let halves = self.halves.load(Ordering::Acquire);
        if (low ^ low.wrapping_add(count)) >> BITS == 1 {
            // ORDERING: as above.
            self.halves.fetch_add(1, Ordering::AcqRel);
        }
        number(low, halves)
    }
}

/// The number that `low` stands for, with a note of halves that is true, or late or early by one.
fn number(low: u32, halves: u32) -> u64 {
    let at = low % (1 << BITS);
    let halves = match (halves ^ low >> BITS) & 1 {
        0 => halves,
        _ if at < 1 << (BITS - 1) => halves.wrapping_add(1), // not noted yet
        _ => halves.wrapping_sub(1),                         // others have gone on since
    };
    u64::from(halves) << BITS | u64::from(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A counter that has drawn all numbers below `next`.
    fn at(next: u64) -> Wide {
        let halves = u32::try_from(next >> BITS).expect("below 2^63");
        let low = (next & u64::from(u32::MAX)) as u32;
        Wide { low: Half::new(low), halves: Half::new(halves) }
    }

    /// Where something changes: each half, the whole, and the last of all.
    const EDGES: [u64; 5] = [1 << 31, 1 << 32, 3 << 31, 1 << 40, (1 << 63) - (1 << 31)];

    #[test]
    fn it_counts_like_a_single_word() {
        assert_eq!(Wide::new(1).draw(9), 1);
        assert_eq!(Wide::new(u32::MAX).draw(9), u64::from(u32::MAX));
        for edge in EDGES {
            for count in [1, 2, 7, 256, u16::MAX] {
                let mut twin = edge - 3 * u64::from(count) - 1;
                let wide = at(twin);
                for _ in 0..8 {
                    assert_eq!(wide.draw(count), twin, "{count} at a time past {edge:#x}");
                    twin += u64::from(count);
                }
            }
        }
    }

    #[test]
    fn a_note_that_is_late_or_early_by_one_is_known() {
        for edge in EDGES {
            let halves = u32::try_from(edge >> BITS).expect("below 2^63");
            for past in [0, 1, 1 << 29, (1 << 30) - 1] {
                assert_eq!(number((edge + past) as u32, halves - 1), edge + past, "late");
                let before = edge - 1 - past;
                assert_eq!(number(before as u32, halves), before, "early");
            }
        }
    }

    #[test]
    fn threads_that_pass_an_edge_together_draw_no_number_twice() {
        for edge in EDGES {
            let wide = &at(edge - 1000);
            let draw = || (0..500).map(|_| wide.draw(1)).collect::<Vec<_>>();
            let mut all: Vec<u64> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(draw)).collect();
                let drawn = threads.into_iter().map(|thread| thread.join().expect("draws"));
                drawn
                    .inspect(|drawn| assert!(drawn.is_sorted(), "a thread's numbers go back"))
                    .flatten()
                    .collect()
            });
            all.sort_unstable();
            assert!(all.into_iter().eq(edge - 1000..edge + 1000), "past {edge:#x}");
        }
    }
}
