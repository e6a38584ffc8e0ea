//! Histories of a wheel: what may be done to one, in any order, and the check after each deed.

use alloc::vec::Vec;
use core::iter;

use super::wheel_oracle::Pair;
use crate::scheduler::wheel::WheelStep;
use crate::scheduler::wheel::level::LEVELS;
use crate::testing::choices::{self, Choose};

/// Where a wheel may stand when it begins: at each power of two where something could wrap.
pub(crate) const STARTS: [u64; 7] =
    [0, 1_000_000_000, 1 << 30, 1 << 36, 1 << 60, 1 << 63, u64::MAX];

/// The most operations of one history.
const LONGEST: usize = 64;

/// One deed. Timers are named by how many were armed after them; times are distances from now.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Arm(u64),
    ArmInThePast(u64),
    /// So many timers, each that much after the one before; the second half in reverse.
    ArmMany {
        first: u64,
        apart: u64,
        count: u64,
    },
    Rearm(usize, u64),
    RearmInThePast(usize, u64),
    Cancel(usize),
    /// Time passes.
    Pass(u64),
    /// Time passes up to the next deadline, or until just before it.
    PassToNext {
        before: bool,
    },
    /// The clock steps back.
    Back(u64),
    /// So much work is done at once; what is left of it is left.
    Advance {
        budget: usize,
    },
    /// All that is due is done.
    RunOut,
    Look(usize),
    /// The next deadline is looked for with so much budget.
    LookAhead {
        budget: usize,
    },
}

/// The beginning of a wheel whose short lists have at most `S` entries, and what is then done to it.
#[derive(Debug, Clone)]
pub(crate) struct History<const S: usize> {
    start: u64,
    operations: Vec<Operation>,
}

impl<const S: usize> choices::History for History<S> {
    fn draw(choose: &mut impl Choose) -> Self {
        let start = start(choose);
        let operations = iter::from_fn(|| Operation::draw(choose, S)).take(LONGEST).collect();
        Self { start, operations }
    }

    /// Does all of it to a wheel and to its oracle, and runs both out. Panics where they differ, and
    /// where an invariant of the wheel is broken.
    fn run(&self) {
        let (mut pair, mut now) = (Pair::<S>::new(self.start), self.start);
        for (deed, operation) in self.operations.iter().enumerate() {
            now = operation.apply(&mut pair, now);
            if cfg!(fuzzing) && deed % 16 != 15 {
                pair.wheel.check_entries(); // at a fraction of the price
            } else {
                pair.wheel.check_invariants();
            }
        }
        pair.check();
        pair.run_until(u64::MAX);
        pair.wheel.check_invariants();
        assert!(pair.wheel.is_empty(), "run out");
    }
}

impl Operation {
    /// `None` is the end. A list of at most `short` entries is short.
    fn draw(choose: &mut impl Choose, short: usize) -> Option<Self> {
        let kind = choose(35).checked_sub(1)?;
        Some(match kind % 17 {
            0..5 => Self::Arm(distance(choose)),
            5 => Self::ArmInThePast(distance(choose)),
            6 => {
                let (first, apart) = (distance(choose), distance(choose));
                Self::ArmMany { first, apart, count: choose(3 * short as u64) }
            }
            7 => Self::Rearm(choose(24) as usize, distance(choose)),
            8 => Self::RearmInThePast(choose(24) as usize, distance(choose)),
            9 => Self::Cancel(choose(60) as usize),
            10 => Self::Pass(distance(choose)),
            11 => Self::PassToNext { before: choose(2) == 0 },
            12 => Self::Back(distance(choose)),
            13 => Self::Advance { budget: choose(40) as usize },
            14 => Self::RunOut,
            15 => Self::LookAhead { budget: choose(40) as usize },
            _ => Self::Look(choose(24) as usize),
        })
    }

    /// Does it at `now`; the time of the next.
    fn apply<const S: usize>(&self, pair: &mut Pair<S>, now: u64) -> u64 {
        let at = |distance: u64| now.saturating_add(distance);
        match *self {
            Self::Arm(distance) => drop(pair.arm(at(distance))),
            Self::ArmInThePast(distance) => drop(pair.arm(now.saturating_sub(distance))),
            Self::ArmMany { first, apart, count } => {
                for n in 0..count {
                    let n = if n < count / 2 { n } else { count - n };
                    pair.arm(at(first).saturating_add(apart.saturating_mul(n)));
                }
            }
            Self::Rearm(back, distance) => with(pair, back, |p, name| p.rearm(name, at(distance))),
            Self::RearmInThePast(back, distance) => {
                with(pair, back, |p, name| p.rearm(name, now.saturating_sub(distance)));
            }
            Self::Cancel(back) => with(pair, back, Pair::cancel),
            Self::Pass(distance) => return at(distance),
            Self::PassToNext { before } => {
                let next = pair.wheel.least().unwrap_or(now);
                return now.max(next.saturating_sub(before.into()));
            }
            Self::Back(distance) => return now.saturating_sub(distance),
            Self::Advance { mut budget } => {
                while pair.step_within(now, &mut budget) == WheelStep::Fired(()) {}
            }
            Self::RunOut => drop(pair.run_until(now)),
            Self::LookAhead { budget } => drop(pair.look_ahead(budget)),
            Self::Look(back) => {
                with(pair, back, Pair::check_timer);
                pair.check();
            }
        }
        now
    }
}

/// Does something to the timer that was armed before the last `back`, if there is one.
fn with<const S: usize>(pair: &mut Pair<S>, back: usize, deed: impl FnOnce(&mut Pair<S>, usize)) {
    if let Some(name) = pair.armed().checked_sub(1 + back) {
        deed(pair, name);
    }
}

/// About one of the [`STARTS`].
fn start(choose: &mut impl Choose) -> u64 {
    let near = STARTS[choose(STARTS.len() as u64) as usize];
    near.saturating_add(choose(200)).saturating_sub(choose(200))
}

/// Something that a wheel may be asked for: about a level's limits, any magnitude, or one of a few,
/// so that some are equal.
fn distance(choose: &mut impl Choose) -> u64 {
    match choose(4) {
        0 => {
            let (level, slots) = (choose(LEVELS as u64) as u32, 62 + choose(3));
            limit(level, slots) - 1 + choose(3)
        }
        1 => {
            let bits = choose(64);
            choose(u64::MAX) >> bits
        }
        2 => choose(4) * 500,
        _ => choose(200),
    }
}

/// So many slots of level `level`, or the greatest distance but one.
pub(crate) fn limit(level: u32, slots: u64) -> u64 {
    8_u64.pow(level).saturating_mul(slots).min(u64::MAX - 1)
}
