//! Histories of the way in: what is pushed, woken, asked to end, taken out and refused, while the loop
//! sleeps and wakes.

use alloc::vec::Vec;
use core::iter;

use crate::task::state::Request;
use crate::testing::choices::{self, Choose};
use crate::testing::task_oracle::operation::{Deed, Operation};
use crate::testing::task_oracle::pair::Course;

/// The most operations of one history.
const LONGEST: usize = 64;

/// What is done, and after the loop's end.
#[derive(Debug, Clone)]
pub(crate) struct History(Course);

impl choices::History for History {
    fn draw(choose: &mut impl Choose) -> Self {
        let operations = iter::from_fn(|| draw(choose)).take(LONGEST).collect();
        let after = (0..choose(8)).map(|_| Deed::draw(choose)).collect();
        Self(Course { operations, after })
    }

    fn run(&self) {
        self.0.run();
    }
}

/// `None` is the end.
fn draw(choose: &mut impl Choose) -> Option<Operation> {
    let kind = choose(65).checked_sub(1)?;
    let task = |choose: &mut dyn FnMut(u64) -> u64| choose(24) as usize;
    Some(match kind % 32 {
        0..5 => Operation::Push { is_control: choose(6) == 0, script: script(choose) },
        5 => Operation::Spawn { script: script(choose) },
        6 => Operation::Script(task(choose), script(choose)),
        7..11 => Operation::Outside(Deed::WakeByRef(task(choose))),
        11 => Operation::Outside(Deed::Request(task(choose), Request::Cancel)),
        12 => Operation::Outside(Deed::Request(task(choose), Request::Abort)),
        13 => Operation::Outside(Deed::DropJoin(task(choose))),
        14 => Operation::Outside(Deed::draw(choose)),
        15 => Operation::Inside(Deed::draw(choose)),
        16 => Operation::Look { most: choose(4) as usize },
        17..19 => Operation::Look { most: usize::MAX },
        19 => Operation::TakeIn { lane: choose(3) as usize, count: choose(4) as usize },
        20..22 => Operation::TakeIn { lane: choose(3) as usize, count: usize::MAX },
        22..24 => Operation::run(choose),
        24 => Operation::Turn { polls: choose(64) as usize },
        25 => Operation::Notify,
        26..28 => Operation::Resume,
        28..30 => Operation::Park,
        30 if kind > 32 => Operation::Close,
        30 => Operation::Park,
        _ => Operation::Dispose(task(choose)),
    })
}

/// What a task does when it is polled: for the most part it leaves its waker, for wakes by the stack.
fn script(choose: &mut impl Choose) -> Vec<Deed> {
    match choose(6) {
        0 => Vec::new(),
        1 => [Deed::CloneOwn, Deed::Finish].into(),
        2 => Deed::script(choose),
        _ => [Deed::CloneOwn].into(),
    }
}

#[cfg(test)]
mod tests {
    use super::History;
    use crate::testing::choices::replay::{run_seeds, run_what_was_found};

    #[test]
    fn every_seed_agrees_with_the_oracle() {
        run_seeds::<History>(2_000);
    }

    #[test]
    fn what_the_fuzzer_found_agrees_with_the_oracle() {
        run_what_was_found::<History>("injection");
    }
}
