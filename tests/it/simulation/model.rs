//! The plain model of the executor: what each task is at, and what every deed does to it.
//!
//! It is told of each deed before it is done, and of each poll, drop and wake as they come, and says
//! what the rules of the contract make of it. Whatever differs is a fault; the first one is kept. What the
//! deeds do is in [`rules`](super::rules), and how a turn goes in [`turns`](super::turns).

use std::collections::{BTreeMap, VecDeque};

use super::calls::Timed;
use super::intake::{Hand, Lane};
use super::program::How;
use super::turns::{Drive, Phase, Stage, Word};

/// The deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Cancelled,
    Panicked(Blame),
    Closed,
}

/// Where a panic came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    Poll,
    Drop,
}

/// What a request finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Requested,
    Already,
    Finished,
    NotFound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Protection {
    #[default]
    None,
    Guarded,
    Decided,
}

/// What a suspended task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Waits {
    #[default]
    Nothing,
    Wake,
    Sleep,
    Join,
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joiner {
    Task(usize),
    Foreign,
}

/// A sleep: its deadline, and its timer in the wheel. `entry` without `timer`: it has fired.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Nap {
    pub(crate) deadline: u64,
    pub(crate) entry: bool,
    pub(crate) timer: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Timer {
    Nap(usize),
    Grace(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Output {
    #[default]
    None,
    Kept,
    /// With who joined.
    Gone,
    Dropped,
}

#[derive(Debug, Default)]
pub(crate) struct Task {
    pub(crate) id: u64,
    /// The loop knows it.
    pub(crate) known: bool,
    pub(crate) end: Option<End>,
    pub(crate) ready: bool,
    pub(crate) urgent: bool,
    /// It was urgent for the request that is pending.
    pub(crate) expedited: bool,
    /// It is on its way in, and whether for a wake.
    pub(crate) posted: bool,
    pub(crate) woken: bool,
    pub(crate) cancel: bool,
    pub(crate) abort: bool,
    pub(crate) protection: Protection,
    pub(crate) guards: usize,
    pub(crate) polls: u64,
    /// Its join handle lives and has not given the outcome.
    pub(crate) handle: bool,
    pub(crate) joiner: Option<Joiner>,
    pub(crate) foreign_wakes: u64,
    pub(crate) waits: Waits,
    pub(crate) nap: Nap,
    /// Its future is being dropped.
    pub(crate) dropped: bool,
    /// It is a callback, of which nothing outlives the poll that it ends in.
    pub(crate) is_callback: bool,
    /// It was handed in as a callback for later.
    pub(crate) timed: bool,
    /// What a callback waits for, which is polled unseen.
    pub(crate) call: Option<Timed>,
    /// It is a repeated callback: it ends when a drain begins, and gives nothing.
    pub(crate) repeats: bool,
    pub(crate) grace: Option<(u64, u64)>,
    pub(crate) output: Output,
    pub(crate) output_panics: bool,
    /// How its poll has ended, while that is still being done.
    pub(crate) result: Option<End>,
}

impl Task {
    pub(crate) fn is_requested(&self) -> bool {
        self.cancel || self.abort
    }

    /// Whether a request ends it when the loop comes to it (C1, C2).
    pub(crate) fn is_ending(&self) -> bool {
        self.is_requested() && (self.abort || self.protection != Protection::Guarded)
    }

    pub(crate) fn lives(&self) -> bool {
        self.known && self.end.is_none()
    }

    /// Whether its future has not begun to be dropped.
    pub(crate) fn has_future(&self) -> bool {
        self.end.is_none() && !self.dropped
    }

    /// Whether it waits to be taken in.
    pub(crate) fn is_new(&self) -> bool {
        self.posted && !self.known && self.end.is_none()
    }
}

/// What is on its way in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    Task(usize),
    /// With the place of its answer, and the round until which it waits for its task.
    ById(usize, How, usize, Option<u64>),
    /// An output that is brought home.
    RemoteDrop(usize),
}

/// What `metrics` is to say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) spawned: u64,
    pub(crate) finished: u64,
    pub(crate) cancelled: u64,
    pub(crate) panicked: u64,
    pub(crate) polls: u64,
    pub(crate) local_wakes: u64,
    pub(crate) remote_wakes: u64,
    pub(crate) armed: u64,
    pub(crate) fired: u64,
    pub(crate) queued: u64,
    pub(crate) refused: u64,
}

/// Ids, as a shutdown reports them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) finished: u64,
    pub(crate) cancelled: Vec<u64>,
    pub(crate) aborted: Vec<u64>,
    pub(crate) panicked: Vec<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) drawn: bool,
    pub(crate) batch: usize,
    pub(crate) tasks: Vec<Task>,
    pub(crate) now: u64,
    pub(crate) ready: VecDeque<usize>,
    pub(crate) urgent: VecDeque<usize>,
    /// By [`Lane`]: what was pushed, and what the loop took of that.
    pub(crate) lanes: [VecDeque<Entry>; 3],
    pub(crate) hands: [Hand; 3],
    /// How often new tasks were taken.
    pub(crate) rounds: u64,
    /// Requests by id that wait for their task.
    pub(crate) deferred: VecDeque<Entry>,
    /// Changes with each small batch.
    pub(crate) odd: bool,
    /// What was polled last, which may be asked to end by now.
    pub(crate) polled: Option<usize>,
    pub(crate) timers: BTreeMap<(u64, u64), Timer>,
    pub(crate) left: usize,
    pub(crate) left_urgent: usize,
    pub(crate) left_in_all: usize,
    /// Where the order is drawn, how many of the oldest ready tasks were drawn and not run.
    pub(crate) window: usize,
    pub(crate) word: Word,
    pub(crate) phase: Phase,
    /// When it cancels, and when it aborts.
    pub(crate) plan: Option<(u64, u64)>,
    pub(crate) stage: Stage,
    pub(crate) drive: Drive,
    /// Nothing comes in from other threads any more.
    pub(crate) shut: bool,
    /// The loop is no more.
    pub(crate) over: bool,
    pub(crate) refusing: bool,
    /// How many refused futures are being dropped inside of one another.
    pub(crate) nested: usize,
    /// Who was begun last.
    pub(crate) running: Option<usize>,
    /// Those who are to be asked to end.
    pub(crate) to_ask: VecDeque<usize>,
    /// A drain has begun; and the repeated callbacks that wait for that, in order.
    pub(crate) draining: bool,
    pub(crate) repeated: Vec<usize>,
    pub(crate) polls: usize,
    pub(crate) all_polls: usize,
    pub(crate) fired: usize,
    pub(crate) idle: bool,
    pub(crate) counts: Counts,
    pub(crate) report: Report,
    /// Panics that nobody joins, in order: the tasks.
    pub(crate) lost: Vec<usize>,
    pub(crate) hook_calls: usize,
    /// Made and not dropped.
    pub(crate) outputs: usize,
    /// What is dropped on another thread, by right.
    pub(crate) afar: usize,
    /// What requests by id that were sent found, once that is known: by their places.
    pub(crate) answers: Vec<Option<Option<Answer>>>,
    pub(crate) answers_read: usize,
    pub(crate) fault: Option<String>,
    pub(crate) arms: u64,
    /// What has come about, and how often.
    pub(crate) seen: Seen,
}

/// How often each ingredient of a program came about.
pub(crate) type Seen = BTreeMap<&'static str, u64>;

impl Model {
    pub(crate) fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.fault.is_none() {
            self.fault = Some(what());
        }
    }

    pub(crate) fn note(&mut self, ingredient: &'static str) {
        *self.seen.entry(ingredient).or_default() += 1;
    }

    pub(crate) fn inside(&self) -> bool {
        !matches!(self.stage, Stage::Outside)
    }

    pub(crate) fn notify(&mut self) {
        if self.word == Word::Parked {
            self.hook_calls += 1;
            self.note("panic in the hook for wakes");
        }
        self.word = Word::Notified;
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        if self.shut {
            match entry {
                Entry::Task(task) => self.tasks[task].posted = false,
                Entry::ById(_, _, place, _) => self.answers[place] = Some(None),
                Entry::RemoteDrop(_) => {}
            }
            return;
        }
        let lane = match entry {
            Entry::Task(task) if self.tasks[task].known => Lane::Known,
            Entry::Task(task) if !self.tasks[task].timed => Lane::New,
            Entry::Task(_) | Entry::ById(..) | Entry::RemoteDrop(_) => Lane::Control,
        };
        let lane = &mut self.lanes[lane as usize];
        let first = lane.is_empty();
        lane.push_back(entry);
        if first || self.word == Word::Parked {
            self.notify();
        }
    }
}
