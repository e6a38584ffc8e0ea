//! The model's turns: what is run next, when a turn is over, and how the clock goes.
//!
//! The model does not run anything. When a task is polled or dropped it goes on until there, and it is
//! a fault if something else had to come first; when the call that drives the loop returns, it goes on
//! until the end, and it is a fault if something had to be run before.

use std::collections::VecDeque;

use super::model::{Model, NEVER, Output, Protection, Waits};

/// The last moment of virtual time.
pub(crate) const LAST: u64 = NEVER - 1;

/// The most stages between two things that are run.
const MOST_STAGES: usize = 10_000;

/// Where the loop's run is.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Stage {
    #[default]
    Outside,
    /// These are ended, in this order.
    Ending(VecDeque<usize>, Then),
    Batch,
}

/// What comes after all are ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Then {
    Turn,
    Close,
    Closed,
}

/// What drives the loop.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) enum Drive {
    #[default]
    Turn,
    UntilIdle,
    Advance {
        end: u64,
        last: bool,
    },
    Run,
    Close,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    #[default]
    Running,
    Draining,
    Cancelling,
    Aborting,
    Ended,
}

/// Whether the loop's host has to be told of news.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Running,
    #[default]
    Parked,
    Notified,
}

/// What is done to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    Poll(usize),
    Drop(usize),
}

impl Model {
    /// The loop is driven from here on.
    pub(crate) fn call(&mut self, drive: Drive) {
        (self.drive, self.all_polls) = (drive, 0);
        if drive == Drive::Close { self.close() } else { self.begin_turn() }
    }

    /// The call has returned.
    pub(crate) fn returned(&mut self) {
        self.go_on(None);
        self.stage = Stage::Outside;
        if matches!(self.drive, Drive::UntilIdle | Drive::Advance { .. }) {
            self.check_rest();
        }
    }

    /// Goes on until something is run, or to the end of the call.
    pub(crate) fn go_on(&mut self, run: Option<Run>) {
        for _ in 0..MOST_STAGES {
            let next = match &mut self.stage {
                Stage::Outside => None,
                Stage::Ending(tasks, _) => {
                    let live = tasks.iter().position(|task| self.tasks[*task].lives());
                    let task = live.and_then(|at| tasks.drain(..=at).next_back());
                    task.map(|task| {
                        if !self.tasks[task].is_ending() {
                            self.request(task, true, true);
                        }
                        Run::Drop(task)
                    })
                }
                Stage::Batch => self.pop(run),
            };
            let next = match next {
                None if self.goes_on() => continue,
                Some(Run::Poll(task)) if self.ends_unseen(task) => Some(Run::Drop(task)),
                Some(Run::Poll(task)) if self.is_polled_unseen(task) => continue,
                next => next,
            };
            if let Some(Run::Poll(task) | Run::Drop(task)) = next {
                self.running = Some(task);
            }
            return self.check(next == run, || format!("{run:?} came, {next:?} was due"));
        }
        self.check(false, || format!("the model finds no end; {run:?} came"));
    }

    /// The next task of the batch: an urgent one, else the oldest, or any one where the order is drawn.
    fn pop(&mut self, run: Option<Run>) -> Option<Run> {
        // What was asked of a task in its poll takes effect before any other task is polled (C1).
        if let Some(task) = self.polled.take() {
            if self.tasks[task].lives() && self.tasks[task].is_ending() {
                return Some(Run::Drop(task));
            }
        }
        while self.left_urgent.min(self.left_in_all) > 0 {
            let Some(task) = self.urgent.pop_front() else { break };
            self.left_urgent -= 1;
            self.left_in_all -= 1;
            self.left = self.left.min(self.left_in_all);
            self.tasks[task].urgent = false;
            if self.tasks[task].lives() {
                return Some(self.begin(task));
            }
        }
        let wanted = |task: &usize| match run {
            Some(Run::Poll(wanted) | Run::Drop(wanted)) if self.drawn => *task == wanted,
            _ => self.tasks[*task].lives(),
        };
        let shown = if self.drawn && self.left > 0 { self.window } else { self.left };
        let mut at = self.ready.iter().take(shown).position(wanted);
        // Where nothing more comes, what was left of a drawn batch may have been of tasks that had ended.
        let ended =
            self.ready.iter().take(shown).filter(|task| !self.tasks[**task].lives()).count();
        if self.drawn && run.is_none() && ended >= self.left {
            at = None;
        }
        // Those of tasks that ended in between are passed over; of a drawn order it shows at the end which.
        if self.drawn && at.is_none() {
            self.pass_over_drawn();
        }
        let passed = if self.drawn { 0 } else { at.unwrap_or(self.left) };
        for _ in 0..passed.min(self.ready.len()) {
            self.leave(0);
        }
        let task = self.leave(at? - passed);
        Some(self.begin(task))
    }

    /// The rest of a drawn batch is of tasks that have ended.
    fn pass_over_drawn(&mut self) {
        while self.left > 0 {
            let mut drawn = self.ready.iter().take(self.window);
            let Some(at) = drawn.position(|task| !self.tasks[*task].lives()) else { return };
            self.leave(at);
        }
    }

    fn leave(&mut self, at: usize) -> usize {
        let task = self.ready.remove(at).expect("it was found there");
        (self.left, self.left_in_all) = (self.left - 1, self.left_in_all - 1);
        self.window = self.window.saturating_sub(1);
        self.tasks[task].ready = false;
        task
    }

    fn begin(&mut self, task: usize) -> Run {
        let record = &mut self.tasks[task];
        record.expedited &= !record.woken || record.is_requested();
        record.woken = false;
        if record.is_ending() {
            return Run::Drop(task);
        }
        if record.is_requested() && record.waits == Waits::Request {
            record.waits = Waits::Nothing;
            self.wake(task, true);
        }
        self.polled = Some(task);
        Run::Poll(task)
    }

    /// A stage is over: whether there is another one in this call.
    fn goes_on(&mut self) -> bool {
        match std::mem::take(&mut self.stage) {
            Stage::Outside => return false,
            Stage::Ending(_, Then::Turn) => self.take_in_and_fire(),
            Stage::Ending(_, Then::Close) => {
                self.stage = Stage::Batch;
                self.take_in_all();
                self.take_in_all();
                self.shut = true;
                self.stage = Stage::Ending(self.live(), Then::Closed);
            }
            Stage::Ending(_, Then::Closed) => {
                self.ready.clear();
                self.urgent.clear();
                self.timers.clear();
                self.counts.queued = 0;
                self.word = Word::Running;
                self.over = true;
                if !matches!(self.drive, Drive::Run | Drive::Close) {
                    return self.leave_turn();
                }
            }
            Stage::Batch => return self.end_turn(),
        }
        true
    }

    fn begin_turn(&mut self) {
        (self.word, self.left, self.polls, self.fired) = (Word::Running, usize::MAX, 0, 0);
        if !self.advance_shutdown() {
            self.take_in_and_fire();
        }
    }

    /// What lives, in spawn order (H4).
    pub(crate) fn live(&self) -> VecDeque<usize> {
        let mut live: Vec<_> = (0..self.tasks.len()).filter(|t| self.tasks[*t].lives()).collect();
        live.sort_by_key(|task| self.tasks[*task].id);
        live.into()
    }

    fn take_in_and_fire(&mut self) {
        self.stage = Stage::Batch;
        self.take_in();
        while let Some((at, timer)) = self.timers.first_key_value().map(|(at, t)| (*at, *t)) {
            if at.0 > self.now {
                break;
            }
            self.timers.remove(&at);
            self.fire(timer);
        }
        self.begin_batch();
    }

    /// Urgent tasks leave a quarter of the batch to those that are ready (T1).
    fn begin_batch(&mut self) {
        self.left = self.left.min(self.batch);
        self.left_in_all = self.batch;
        let is_empty = self.ready.is_empty() && self.urgent.is_empty();
        self.odd ^= self.batch < 4 && !is_empty; // a batch of nothing is not begun
        let reserved = match self.batch {
            1 => usize::from(self.odd),
            2 | 3 => 1,
            batch => batch / 4,
        };
        self.left_urgent = self.batch - self.left.min(self.ready.len()).min(reserved);
        if self.drawn {
            self.left = self.left.min(self.ready.len());
        }
        self.window = self.left;
    }

    pub(crate) fn take_in_task(&mut self, task: usize) {
        let record = &mut self.tasks[task];
        record.posted = false;
        let woken = std::mem::take(&mut record.woken);
        let new = !std::mem::replace(&mut record.known, true);
        let (lives, requested) = (record.lives(), record.is_requested());
        let (ending, expedited) = (record.is_ending(), record.expedited);
        let timed = new && record.call.is_some();
        // An entry that has outlived its task says nothing, unless another queue holds the task still.
        let counts = woken && (record.end.is_none() || record.ready || record.urgent);
        if new {
            self.counts.spawned += 1;
        } else {
            self.counts.remote_wakes += u64::from(counts);
        }
        match () {
            () if lives && timed && !requested => {
                self.counts.polls += 1;
                self.tasks[task].polls += 1;
                self.arm_call(task);
                self.told_of_drain(task);
            }
            () if lives && requested && (ending || !woken || !expedited) => self.urge(task),
            () if lives && (requested || woken) => self.enqueue(task),
            () => {}
        }
    }

    /// When the loop has to look again (G2).
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        let limit = self.plan.map(|(cancel, abort)| match self.phase {
            Phase::Running => 0,
            Phase::Draining => cancel.min(abort),
            Phase::Cancelling | Phase::Aborting => abort,
            Phase::Ended => NEVER,
        });
        [timer, limit].into_iter().flatten().min().filter(|at| *at != NEVER)
    }

    /// A turn is over: whether there is another stage in this call.
    fn end_turn(&mut self) -> bool {
        self.counts.queued = (self.ready.len() + self.urgent.len()) as u64;
        self.all_polls += self.polls;
        let over = self.is_over();
        if over && (self.drive == Drive::Run || !self.over) {
            self.close();
            return true;
        }
        self.leave_turn()
    }

    /// The rest of a turn, or of one that has ended the loop.
    fn leave_turn(&mut self) -> bool {
        let nothing = self.ready.is_empty()
            && self.urgent.is_empty()
            && !self.has_in_hand()
            && self.to_ask.is_empty();
        let news = self.word == Word::Notified || self.has_pushed();
        if self.drive == Drive::Run {
            let next = self.next_deadline().filter(|_| nothing && !news);
            next.into_iter().for_each(|next| self.jump(next));
        } else {
            self.idle = nothing && !news;
            if nothing {
                self.word = if news { Word::Running } else { Word::Parked };
            }
            if !self.drives_on() {
                return false;
            }
        }
        self.begin_turn();
        true
    }

    /// Whether the call makes another turn; the clock is set for that.
    fn drives_on(&mut self) -> bool {
        let rests = self.idle && self.next_deadline().is_none_or(|next| next > self.now);
        match self.drive {
            Drive::Turn => return false,
            Drive::Advance { end, last: false } if rests => {
                let next = self.next_deadline().filter(|next| *next < end);
                self.drive = Drive::Advance { end, last: next.is_none() };
                self.jump(next.unwrap_or(end));
            }
            _ => return !rests,
        }
        true
    }

    fn jump(&mut self, to: u64) {
        self.now = to.min(LAST).max(self.now);
    }

    /// Where the clock stands after so much.
    pub(crate) fn after(&self, by: u64) -> u64 {
        self.now.saturating_add(by).min(LAST)
    }

    /// Nothing is ready: who still lives waits for what has not come.
    fn check_rest(&mut self) {
        for task in self.live() {
            let record = &self.tasks[task];
            let waits = match record.waits {
                Waits::Nothing => false,
                Waits::Sleep => self.next_deadline().is_none_or(|next| next > self.now),
                Waits::Wake | Waits::Join => true,
                Waits::Request => !record.cancel,
            };
            let asked = record.is_ending() || record.protection == Protection::Decided;
            self.check(waits && !asked, || format!("task {task} is forgotten"));
        }
        for task in 0..self.tasks.len() {
            let record = &self.tasks[task];
            let kept = record.output == Output::Kept;
            self.check(kept == (kept && record.handle), || format!("output {task} is forgotten"));
        }
    }
}
