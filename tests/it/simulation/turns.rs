//! The model's turns: what is run next, when a turn is over, and how the clock goes.
//!
//! The model does not run anything. When a task is polled or dropped it goes on until there, and it is
//! a fault if something else had to come first; when the call that drives the loop returns, it goes on
//! until the end, and it is a fault if something had to be run before.

use std::collections::VecDeque;

use super::model::{Entry, Model, NEVER, Output, Protection, Waits};

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
                        self.request(task, true, true);
                        self.tasks[task].struck = true;
                        Run::Drop(task)
                    })
                }
                Stage::Batch => self.pop(run),
            };
            match next {
                None if self.goes_on() => continue,
                Some(Run::Poll(task)) if self.is_polled_unseen(task) => continue,
                _ => {}
            }
            return self.check(next == run, || format!("{run:?} came, {next:?} was due"));
        }
        self.check(false, || format!("the model finds no end; {run:?} came"));
    }

    /// The next task of the batch: an urgent one, else the oldest, or any one where the order is drawn.
    fn pop(&mut self, run: Option<Run>) -> Option<Run> {
        while self.left_urgent > 0 {
            let Some(task) = self.urgent.pop_front() else { break };
            self.left_urgent -= 1;
            self.tasks[task].urgent = false;
            if self.tasks[task].lives() {
                return Some(self.begin(task));
            }
        }
        let wanted = |task: &usize| match run {
            Some(Run::Poll(wanted) | Run::Drop(wanted)) if self.drawn => *task == wanted,
            _ => self.tasks[*task].lives(),
        };
        let at = self.ready.iter().take(self.left).position(wanted);
        // Those of tasks that ended in between are passed over.
        let passed = at.map_or(self.left, |at| if self.drawn { 0 } else { at });
        for _ in 0..passed.min(self.ready.len()) {
            self.leave(0);
        }
        let task = self.leave(at? - passed);
        Some(self.begin(task))
    }

    fn leave(&mut self, at: usize) -> usize {
        let task = self.ready.remove(at).expect("it was found there");
        self.left -= 1;
        self.tasks[task].ready = false;
        task
    }

    fn begin(&mut self, task: usize) -> Run {
        let record = &mut self.tasks[task];
        record.woken = false;
        if record.is_ending() {
            return Run::Drop(task);
        }
        if record.is_requested() && record.waits == Waits::Request {
            record.waits = Waits::Nothing;
            self.wake(task, true);
        }
        Run::Poll(task)
    }

    /// A stage is over: whether there is another one in this call.
    fn goes_on(&mut self) -> bool {
        match std::mem::take(&mut self.stage) {
            Stage::Outside => return false,
            Stage::Ending(_, Then::Turn) => self.take_in_and_fire(),
            Stage::Ending(_, Then::Close) => {
                self.stage = Stage::Batch;
                self.take_in();
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
            }
            Stage::Batch => return self.end_turn(),
        }
        true
    }

    fn begin_turn(&mut self) {
        (self.word, self.left, self.polls, self.fired) = (Word::Running, usize::MAX, 0, 0);
        let Some((cancel, abort)) = self.plan else { return self.take_in_and_fire() };
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
            self.stage = Stage::Batch;
            self.take_in();
        }
        if self.phase == Phase::Draining && cancel <= abort && cancel <= self.now {
            self.phase = Phase::Cancelling;
            self.stage = Stage::Batch;
            for task in self.live() {
                self.request(task, false, true);
            }
        } else if abort <= self.now && self.phase < Phase::Ended {
            self.phase = Phase::Cancelling;
            self.stage = Stage::Ending(self.live(), Then::Turn);
            return;
        }
        self.take_in_and_fire();
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
        self.left = self.left.min(self.batch);
        self.left_urgent = self.urgent.len() + self.batch;
        if self.drawn {
            self.left = self.left.min(self.ready.len());
        }
    }

    fn take_in(&mut self) {
        for entry in std::mem::take(&mut self.inbox) {
            match entry {
                Entry::Task(task) => self.take_in_task(task),
                Entry::ById(task, how) => {
                    let answer = self.ask_by_id(task, how);
                    self.answers.push_back(Some(answer));
                }
                Entry::Courier(task) => self.lose(task),
            }
        }
    }

    fn take_in_task(&mut self, task: usize) {
        let record = &mut self.tasks[task];
        record.posted = false;
        let woken = std::mem::take(&mut record.woken);
        let new = !std::mem::replace(&mut record.known, true);
        let (lives, requested) = (record.lives(), record.is_requested());
        let timed = new && record.call.is_some();
        // An entry that has outlived its task says nothing, unless another queue holds the task still.
        let counts = woken && (record.end.is_none() || record.ready || record.urgent);
        if new {
            self.counts.spawned += 1;
        } else {
            self.counts.remote_wakes += u64::from(counts);
        }
        match () {
            () if lives && requested => self.urge(task),
            () if lives && timed => {
                self.counts.polls += 1;
                self.tasks[task].polls += 1;
                self.arm_call(task);
            }
            () if lives && woken => self.enqueue(task),
            () => {}
        }
    }

    fn is_over(&mut self) -> bool {
        if self.phase > Phase::Running && self.live().is_empty() {
            self.phase = Phase::Ended;
        }
        self.phase == Phase::Ended
    }

    /// When the loop has to look again (G2).
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        let limit = self.plan.map(|(cancel, abort)| match self.phase {
            Phase::Running => 0,
            Phase::Draining => cancel.min(abort),
            Phase::Cancelling => abort,
            Phase::Ended => NEVER,
        });
        [timer, limit].into_iter().flatten().min().filter(|at| *at != NEVER)
    }

    /// A turn is over: whether there is another stage in this call.
    fn end_turn(&mut self) -> bool {
        self.counts.queued = (self.ready.len() + self.urgent.len()) as u64;
        self.all_polls += self.polls;
        let over = self.is_over();
        let nothing = self.ready.is_empty() && self.urgent.is_empty();
        let news = self.word == Word::Notified;
        if self.drive == Drive::Run {
            if over {
                self.close();
                return true;
            }
            let next = self.next_deadline().filter(|_| nothing && !news && self.inbox.is_empty());
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

    fn close(&mut self) {
        if !self.live().is_empty() {
            self.note("end of a loop with live tasks");
        }
        self.phase = Phase::Ended;
        self.drive = Drive::Close;
        self.stage =
            if self.over { Stage::Outside } else { Stage::Ending(self.live(), Then::Close) };
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
