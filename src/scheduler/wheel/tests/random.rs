//! Random histories, wheel against oracle.

use proptest::prelude::*;

use super::FEW;
use crate::scheduler::wheel::SHORT;
use crate::scheduler::wheel::level::LEVELS;
use crate::testing::choices::History as _;
use crate::testing::choices::replay::{Random, history_of, run_seeds, run_what_was_found};
use crate::testing::wheel_history::{History, STARTS, limit};
use crate::testing::wheel_oracle::Pair;

const SEEDS: u64 = 3_000;

#[test]
fn every_seed_agrees_with_the_oracle() {
    run_seeds::<History<FEW>>(SEEDS);
    run_seeds::<History<SHORT>>(SEEDS / 10);
}

#[test]
fn what_the_fuzzer_found_agrees_with_the_oracle() {
    run_what_was_found::<History<FEW>>("wheel");
}

/// At the limits of every level, from several bases, each one armed twice and walked through in
/// time.
#[test]
fn deadlines_at_the_limits_of_every_level_fire_exactly() {
    fire_at_the_limits::<FEW>();
    fire_at_the_limits::<SHORT>();
}

fn fire_at_the_limits<const S: usize>() {
    for start in STARTS {
        let mut pair = Pair::<S>::new(start);
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
        while let Some(next) = pair.wheel.least() {
            pair.run_until(next - 1);
            assert!(pair.run_until(next) > 0, "nothing fired at {next}, start {start}");
            pair.wheel.check_invariants();
        }
    }
}

/// Many short steps, as a loop makes them, rather than the jumps of `act`.
#[test]
fn a_walk_in_small_steps_agrees_with_the_oracle() {
    walk_in_small_steps::<FEW>();
    walk_in_small_steps::<SHORT>();
}

fn walk_in_small_steps<const S: usize>() {
    for start in STARTS {
        let mut random = Random(start);
        let (mut pair, mut now) = (Pair::<S>::new(start), start);
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
        history_of::<History<FEW>>(&bytes).run();
        history_of::<History<SHORT>>(&bytes).run();
    }
}
