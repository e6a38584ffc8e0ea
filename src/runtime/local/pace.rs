//! Whether a poll has run for longer than it may before it should yield.
//!
//! The loop does not record when a poll begins: that would cost every poll a reading of the clock. It is
//! enough to know a time before which the poll cannot have begun, the latest reading that was made before
//! it. So a poll that has run for too long is always found, and one that has not is found at most once in
//! a budget's time. Such readings are made by earlier calls and, once the loop has seen a call, when it
//! begins to run and when it has slept.
//!
//! Within one poll the clock is read at every `stride`-th call. The stride doubles while the calls are so
//! quick that the next reading comes long before the budget is over, up to [`MOST`]: then a call costs
//! little more than a count, and calls that suddenly become slow are counted for at most so many.

use std::cell::Cell;
use std::time::Duration;

use super::Local;
use crate::tick::{Tick, nanos};

/// The longest stride. A reading of the clock costs some twenty nanoseconds: a sixteenth of that is less
/// than the call itself takes.
const MOST: u32 = 16;

/// In virtual time no time passes within a poll: so many calls are its budget instead.
const VIRTUAL: u32 = 64;

/// How long polls may run, and how long the present one has.
#[derive(Debug)]
pub(crate) struct Pace {
    budget: Tick,
    /// Whether anybody has ever asked.
    in_use: Cell<bool>,
    /// The latest reading of the clock.
    last: Cell<Tick>,
    /// How often the future of a `block_on` was polled.
    main: Cell<u64>,
    poll: Cell<PacedPoll>,
}

/// The poll in which the last call was made.
#[derive(Debug, Clone, Copy)]
struct PacedPoll {
    number: PollNumber,
    /// It did not begin before this.
    since: Tick,
    stride: u32,
    /// How many calls to go until the clock is read.
    left: u32,
    /// It has run for too long: from here on every call in it says so.
    due: bool,
}

/// Tells one poll from the others: by the task's serial and its count of polls, both zero for the future
/// of a `block_on`, and by the count of that future's polls. Numbers come round; two polls taken for one
/// yield once too often.
type PollNumber = (u64, u16, u64);

impl Pace {
    pub(crate) fn new(budget: Duration) -> Self {
        Self {
            budget: nanos(budget),
            in_use: Cell::new(false),
            last: Cell::new(0),
            main: Cell::new(0),
            poll: Cell::new(PacedPoll {
                number: (0, 0, u64::MAX),
                since: 0,
                stride: 1,
                left: 1,
                due: false,
            }),
        }
    }

    /// The future of a `block_on` is about to be polled.
    pub(crate) fn begin_main(&self) {
        self.main.set(self.main.get().wrapping_add(1));
    }
}

impl Local {
    /// Reads the clock, if anybody wants to know: no poll that begins later began before.
    pub(crate) fn keep_pace(&self) {
        if self.pace.in_use.get() {
            self.pace.last.set(self.shared.clock.now());
        }
    }

    /// Whether the present poll should yield.
    pub(crate) fn is_due(&self) -> bool {
        let pace = &self.pace;
        if pace.budget == 0 {
            return true;
        }
        let number = self.poll_number();
        let mut poll = pace.poll.get();
        if poll.number != number {
            if !pace.in_use.replace(true) {
                self.keep_pace();
            }
            poll = self.poll_since(number, pace.last.get());
        }
        poll.left = poll.left.saturating_sub(1);
        if poll.left == 0 && !poll.due {
            self.measure(&mut poll);
        }
        pace.poll.set(poll);
        poll.due
    }

    /// The present poll has just begun, unless it is one in which a call was made already.
    pub(crate) fn begin_pace(&self) {
        let number = self.poll_number();
        if self.pace.poll.get().number != number {
            self.keep_pace();
            self.pace.poll.set(self.poll_since(number, self.pace.last.get()));
        }
    }

    fn poll_since(&self, number: PollNumber, since: Tick) -> PacedPoll {
        let stride = if self.shared.clock.is_virtual() { VIRTUAL } else { 1 };
        PacedPoll { number, since, stride, left: stride, due: false }
    }

    fn poll_number(&self) -> PollNumber {
        let (serial, polls) = self.scheduler.side.poll_number().unwrap_or_default();
        (serial, polls, if serial == 0 { self.pace.main.get() } else { 0 })
    }

    fn measure(&self, poll: &mut PacedPoll) {
        let (pace, clock) = (&self.pace, &self.shared.clock);
        if clock.is_virtual() {
            poll.due = true;
            return;
        }
        let before = pace.last.replace(clock.now());
        let now = pace.last.get();
        let (run, step) = (now.saturating_sub(poll.since), now.saturating_sub(before));
        poll.due = run > pace.budget;
        let left = pace.budget.saturating_sub(run);
        let is_far = step.saturating_mul(4) <= left;
        poll.stride = if is_far { (poll.stride * 2).min(MOST) } else { 1 };
        poll.left = poll.stride;
    }
}
