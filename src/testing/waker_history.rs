//! Histories of wakers: cloned, woken, compared and dropped in any order, in polls, between them, and after
//! the end of their task and of its loop.

use alloc::vec::Vec;
use core::iter;

use crate::testing::choices::{self, Choose};
use crate::testing::task_oracle::operation::{Deed, Operation};
use crate::testing::task_oracle::pair::Course;

/// The most tasks that are there from the start.
const TASKS: u64 = 8;

/// The most operations of one history.
const LONGEST: usize = 64;

/// What the tasks are, what is done then, and after the loop's end.
#[derive(Debug, Clone)]
pub(crate) struct History(Course);

impl choices::History for History {
    fn draw(choose: &mut impl Choose) -> Self {
        let mut operations: Vec<_> = (0..=choose(TASKS)).map(|_| draw_task(choose)).collect();
        operations.push(Operation::Turn { polls: usize::MAX });
        operations.extend(iter::from_fn(|| draw(choose)).take(LONGEST));
        let after = (0..choose(16)).map(|_| Deed::draw(choose)).collect();
        Self(Course { operations, after })
    }

    fn run(&self) {
        self.0.run();
    }
}

fn draw_task(choose: &mut impl Choose) -> Operation {
    let is_local = choose(2) == 0;
    let mut script = Deed::script(choose);
    script.insert(0, Deed::CloneOwn);
    if is_local {
        Operation::Spawn { script }
    } else {
        Operation::Push { is_control: false, script }
    }
}

/// `None` is the end.
fn draw(choose: &mut impl Choose) -> Option<Operation> {
    let kind = choose(41).checked_sub(1)?;
    Some(match kind % 20 {
        0..6 => Operation::Outside(Deed::draw(choose)),
        6..9 => Operation::Inside(Deed::draw(choose)),
        9..14 => Operation::Script(choose(24) as usize, Deed::script(choose)),
        14..17 => Operation::Turn { polls: 1 + choose(64) as usize },
        17 => Operation::run(choose),
        18 if kind > 20 => Operation::Dispose(choose(24) as usize),
        18 => draw_task(choose),
        _ if kind > 20 => Operation::Park,
        _ => Operation::Look { most: usize::MAX },
    })
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
        run_what_was_found::<History>("waker");
    }
}
