//! What may be done to tasks and to their loop, and how it is drawn.

use alloc::vec::Vec;

use crate::task::state::Request;
use crate::testing::choices::Choose;

/// What may be done anywhere: before the loop's run, in it, in a poll, and after the loop's end. Tasks and
/// wakers are named by how many came after them, modulo how many there are.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Clone(usize),
    Wake(usize),
    WakeByRef(usize),
    DropWaker(usize),
    /// Whether the wakers are known as those of one task, or of two.
    Compare(usize, usize),
    Request(usize, Request),
    DropJoin(usize),
    /// The join handle is polled with a waker.
    PollJoin(usize, usize),
    /// Of the task that is being polled: a clone of its waker for all.
    CloneOwn,
    /// One for its own future.
    KeepOwn,
    WakeOwn,
    /// This poll is its last.
    Finish,
}

/// What may be done to a loop.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// As another thread spawns it; with what it does in its first poll.
    Push {
        is_control: bool,
        script: Vec<Deed>,
    },
    /// On the loop's thread.
    Spawn {
        script: Vec<Deed>,
    },
    /// What a task does in its next poll.
    Script(usize, Vec<Deed>),
    Outside(Deed),
    Inside(Deed),
    /// The loop takes what was pushed where it has nothing in hand, and reverses so much of each lane.
    Look {
        most: usize,
    },
    /// So many of what is in hand of a lane.
    TakeIn {
        lane: usize,
        count: usize,
    },
    /// A batch of at most so many polls, of which the first tasks are run.
    Run {
        in_new_turn: bool,
        polls: usize,
        most: usize,
    },
    /// All that came is taken in, and then a batch of so many polls.
    Turn {
        polls: usize,
    },
    Notify,
    Resume,
    Park,
    /// Nothing comes in from here on.
    Close,
    /// The loop ends a task that has not ended.
    Dispose(usize),
}

impl Deed {
    /// One for anywhere.
    pub(crate) fn draw(choose: &mut impl Choose) -> Self {
        let kind = choose(14);
        let mut any = || choose(24) as usize;
        match kind {
            0 | 1 => Self::Clone(any()),
            2 | 3 => Self::Wake(any()),
            4..7 => Self::WakeByRef(any()),
            7 | 8 => Self::DropWaker(any()),
            9 => Self::Compare(any(), any()),
            10 => Self::Request(any(), Request::Cancel),
            11 => Self::Request(any(), Request::Abort),
            12 => Self::DropJoin(any()),
            _ => Self::PollJoin(any(), any()),
        }
    }

    /// One for a poll.
    pub(crate) fn draw_in_poll(choose: &mut impl Choose) -> Self {
        match choose(8) {
            0..2 => Self::CloneOwn,
            2 => Self::KeepOwn,
            3 => Self::WakeOwn,
            4 => Self::Finish,
            _ => Self::draw(choose),
        }
    }

    /// What is done in one poll.
    pub(crate) fn script(choose: &mut impl Choose) -> Vec<Self> {
        (0..choose(5)).map(|_| Self::draw_in_poll(choose)).collect()
    }
}

impl Operation {
    /// A batch, often a whole one.
    pub(crate) fn run(choose: &mut impl Choose) -> Self {
        let few = |choose: &mut dyn FnMut(u64) -> u64| match choose(3) {
            0 => choose(5) as usize,
            _ => 64,
        };
        Self::Run { in_new_turn: choose(4) > 0, polls: few(choose), most: few(choose) }
    }
}
