//! Random histories, wheel against oracle.

use std::path::Path;

use arbitrary::Unstructured;
use proptest::prelude::*;

use super::Pair;
use crate::scheduler::wheel::history::{History, STARTS, limit};
use crate::scheduler::wheel::level::LEVELS;

const SEEDS: u64 = 3_000;

/// Sebastiano Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The history that the fuzz target makes of these bytes.
fn history_of(bytes: &[u8]) -> History {
    let mut bytes = Unstructured::new(bytes);
    History::draw(&mut |limit| bytes.int_in_range(0..=limit - 1).unwrap_or(0))
}

#[test]
fn every_seed_agrees_with_the_oracle() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let history = History::draw(&mut |limit| random.below(limit));
        let ran = std::panic::catch_unwind(|| history.run());
        assert!(ran.is_ok(), "seed {seed}: {history:?}");
    }
}

/// What the fuzzer has found so far, and what it needs to get everywhere; see `fuzz/README.md`.
#[test]
fn what_the_fuzzer_found_agrees_with_the_oracle() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut replayed = 0;
    for folder in ["regressions/wheel", "corpus/wheel"] {
        let Ok(files) = std::fs::read_dir(fuzz.join(folder)) else { continue };
        for path in files.map(|file| file.expect("a file of a folder").path()) {
            let bytes = std::fs::read(&path).expect("an input of the fuzzer");
            let ran = std::panic::catch_unwind(|| history_of(&bytes).run());
            assert!(ran.is_ok(), "{}: {:?}", path.display(), history_of(&bytes));
            replayed += 1;
        }
    }
    // The folder is not part of the published package.
    assert!(replayed > 0 || !fuzz.exists(), "there is nothing to replay");
}

/// At the limits of every level, from several bases, each one armed twice and walked through in
/// time.
#[test]
fn deadlines_at_the_limits_of_every_level_fire_exactly() {
    for start in STARTS {
        let mut pair = Pair::new(start);
        for _ in 0..2 {
            for level in (0..LEVELS as u32).rev() {
                for delta in [62, 63, 64].map(|slots| limit(level, slots)) {
                    for delta in [delta + 1, delta - 1, delta] {
                        pair.arm(start.saturating_add(delta));
                    }
                }
            }
            pair.wheel.check_invariants();
        }
        while let Some(next) = pair.wheel.next_deadline() {
            pair.run_until(next - 1);
            assert!(pair.run_until(next) > 0, "nothing fired at {next}, start {start}");
            pair.wheel.check_invariants();
        }
    }
}

/// Many short steps, as a loop makes them, rather than the jumps of `act`.
#[test]
fn a_walk_in_small_steps_agrees_with_the_oracle() {
    for start in STARTS {
        let mut random = Random(start);
        let (mut pair, mut now) = (Pair::new(start), start);
        for _ in 0..4_000 {
            let delta = random.next() >> (46 + random.below(14));
            pair.arm(now.saturating_add(delta));
            if random.below(3) == 0 {
                pair.cancel(pair.armed() - 1 - random.below(pair.armed().min(40) as u64) as usize);
            }
            now = now.saturating_add(random.below(900));
            for _ in 0..random.below(6) {
                pair.step(now);
            }
        }
        pair.wheel.check_invariants();
        pair.run_until(u64::MAX);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_history_agrees_with_the_oracle(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        history_of(&bytes).run();
    }
}
