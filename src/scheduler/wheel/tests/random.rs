//! Random sequences of operations, wheel against oracle.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::{Pair, SECOND};
use crate::scheduler::wheel::level::LEVELS;

const SEEDS: u64 = 3_000;

/// Where a loop may stand when a wheel begins: near each power of two at which something could
/// wrap.
const STARTS: [u64; 10] = [
    0,
    SECOND,
    (1 << 30) - 100,
    (1 << 36) - 100,
    (1 << 60) - 100,
    (1 << 60) + 100,
    (1 << 63) - 100,
    (1 << 63) + 100,
    u64::MAX - SECOND,
    u64::MAX - 100,
];

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

    /// A distance: about every level's limits, of any magnitude, or one of a few, so that some are
    /// equal.
    fn delta(&mut self) -> u64 {
        match self.below(4) {
            0 => limit(self.below(LEVELS as u64) as u32, 62 + self.below(3)) - 1 + self.below(3),
            1 => self.next() >> self.below(64),
            2 => self.below(4) * 500,
            _ => self.below(200),
        }
    }
}

/// So many slots of level `level`, or the greatest distance but one.
fn limit(level: u32, slots: u64) -> u64 {
    8_u64.pow(level).saturating_mul(slots).min(u64::MAX - 1)
}

/// One random change or step at `now`; the time of the next.
fn act(pair: &mut Pair, random: &mut Random, now: u64) -> u64 {
    let name = pair.armed().saturating_sub(1 + random.below(24) as usize);
    let deadline = now.saturating_add(random.delta());
    match random.below(16) {
        0..5 => drop(pair.arm(deadline)),
        5 => drop(pair.arm(now.saturating_sub(random.delta()))),
        6 | 7 if pair.armed() > 0 => pair.cancel(name),
        8 | 9 if pair.armed() > 0 => pair.rearm(name, deadline),
        10 if pair.armed() > 0 => pair.check_timer(name),
        11 => pair.check(),
        12 => drop(pair.run_until(now)),
        13 => return deadline,
        14 => return pair.wheel.next_deadline().unwrap_or(now).saturating_sub(random.below(2)),
        _ => drop(pair.step(now)),
    }
    // Seldom, the clock steps back.
    if random.below(64) == 0 { now.saturating_sub(random.delta()) } else { now }
}

#[test]
fn every_seed_agrees_with_the_oracle() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let start = STARTS[(seed % STARTS.len() as u64) as usize];
        let (mut pair, mut now) = (Pair::new(start), start);
        for turn in 0..120 {
            now = act(&mut pair, &mut random, now);
            if turn % 40 == seed % 40 {
                pair.wheel.check_invariants();
            }
        }
        pair.run_until(u64::MAX);
        assert!(pair.wheel.is_empty(), "seed {seed}");
    }
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

#[derive(Debug, Clone)]
enum Operation {
    Arm(u64),
    Cancel(prop::sample::Index),
    Rearm(prop::sample::Index, u64),
    Pass(u64),
    Back(u64),
    Steps(u8),
    Check,
}

fn any_delta() -> impl Strategy<Value = u64> {
    let limits = (0..LEVELS as u32, 62..65_u64, 0..3_u64);
    prop_oneof![
        0..70_u64,
        (0..5_u64).prop_map(|i| i * 300),
        (any::<u64>(), 0..64_u32).prop_map(|(x, shift)| x >> shift),
        limits.prop_map(|(level, slots, off)| limit(level, slots) - 1 + off),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => any_delta().prop_map(Operation::Arm),
        2 => any::<prop::sample::Index>().prop_map(Operation::Cancel),
        1 => (any::<prop::sample::Index>(), any_delta()).prop_map(|(i, d)| Operation::Rearm(i, d)),
        2 => any_delta().prop_map(Operation::Pass),
        1 => any_delta().prop_map(Operation::Back),
        3 => (1..12_u8).prop_map(Operation::Steps),
        1 => Just(Operation::Check),
    ]
}

/// Does one operation; the time after it.
fn apply(pair: &mut Pair, operation: Operation, now: u64) -> u64 {
    match operation {
        Operation::Arm(delta) => drop(pair.arm(now.saturating_add(delta))),
        Operation::Cancel(_) | Operation::Rearm(..) if pair.armed() == 0 => {}
        Operation::Cancel(index) => pair.cancel(index.index(pair.armed())),
        Operation::Rearm(index, delta) => {
            pair.rearm(index.index(pair.armed()), now.saturating_add(delta));
        }
        Operation::Pass(delta) => return now.saturating_add(delta),
        Operation::Back(delta) => return now.saturating_sub(delta),
        Operation::Steps(count) => drop((0..count).all(|_| pair.step(now))),
        Operation::Check => pair.check(),
    }
    now
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_agrees_with_the_oracle(
        start in prop::sample::select(&STARTS[..]),
        operations in prop::collection::vec(any_operation(), 0..100),
    ) {
        let (mut pair, mut now) = (Pair::new(start), start);
        let operations: Vec<_> = operations;
        for operation in operations {
            now = apply(&mut pair, operation, now);
        }
        pair.wheel.check_invariants();
        pair.run_until(u64::MAX);
        prop_assert!(pair.wheel.is_empty());
    }
}
