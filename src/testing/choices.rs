//! Histories: what may be done to a part of the crate, in any order, checked as it is done.
//!
//! A history is drawn from a source of [choices](Choose): a seeded generator in the unit tests, the
//! bytes of the fuzzer in `fuzz/`. So both look for the same faults, and one input means the same to
//! both.

use core::fmt;

/// A source of choices: a number below the limit, which is not 0. One that is at its end gives 0.
pub(crate) trait Choose: FnMut(u64) -> u64 {}

impl<F: FnMut(u64) -> u64> Choose for F {}

/// What is done, to the last detail: to run it twice is to do the same twice.
pub(crate) trait History: fmt::Debug {
    fn draw(choose: &mut impl Choose) -> Self;

    /// Does all of it. Panics where something is not as it should be.
    fn run(&self);
}

/// Histories from seeds, and from what the fuzzer keeps.
#[cfg(test)]
pub(crate) mod replay {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use arbitrary::Unstructured;

    use super::History;

    /// Sebastiano Vigna's splitmix64.
    pub(crate) struct Random(pub(crate) u64);

    impl Random {
        pub(crate) fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }

        pub(crate) fn below(&mut self, limit: u64) -> u64 {
            self.next() % limit
        }
    }

    /// The history that the fuzz target makes of these bytes.
    pub(crate) fn history_of<H: History>(bytes: &[u8]) -> H {
        let mut bytes = Unstructured::new(bytes);
        H::draw(&mut |limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0))
    }

    /// Runs a history of each of so many seeds.
    pub(crate) fn run_seeds<H: History>(seeds: u64) {
        for seed in 0..seeds {
            let mut random = Random(seed);
            let history = H::draw(&mut |limit| random.below(limit));
            let ran = catch_unwind(AssertUnwindSafe(|| history.run()));
            assert!(ran.is_ok(), "seed {seed}: {history:?}");
        }
    }

    /// Runs what the fuzzer has found so far, and what it needs to get everywhere; see `fuzz/README.md`.
    pub(crate) fn run_what_was_found<H: History>(target: &str) {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let mut replayed = 0;
        for folder in ["regressions", "corpus"] {
            let Ok(files) = std::fs::read_dir(fuzz.join(folder).join(target)) else { continue };
            for path in files.map(|file| file.expect("a file of a folder").path()) {
                let bytes = std::fs::read(&path).expect("an input of the fuzzer");
                let history: H = history_of(&bytes);
                let ran = catch_unwind(AssertUnwindSafe(|| history.run()));
                assert!(ran.is_ok(), "{}: {history:?}", path.display());
                replayed += 1;
            }
        }
        // The folder is not part of the published package.
        assert!(replayed > 0 || !fuzz.exists(), "there is nothing to replay");
    }
}
