//! The model's rules: what each deed does to each task, and what it answers.

use super::model::{
    Answer, End, Entry, Joiner, Model, NEVER, Nap, Output, Protection, Task, Timer, Waits,
};
use super::program::{How, Shut};
use super::turns::{Drive, Phase, Run};

impl Model {
    // ───────────── spawns (P3, P4, P7) ─────────────

    /// A new task, which is taken or refused.
    pub(crate) fn spawn(&mut self, afar: bool, output_panics: bool, timed: bool) {
        let new = self.tasks.len();
        self.tasks.push(Task { handle: true, output_panics, timed, ..Task::default() });
        let inside = !afar && self.inside() && self.phase < Phase::Aborting;
        let taken = self.phase < Phase::Ended && (self.plan.is_none() || inside);
        if !taken {
            self.counts.refused += 1;
            self.refusing = !afar;
            self.note("refused spawn");
            if afar {
                self.afar += 1;
                self.tasks[new].end = Some(End::Closed);
            }
        } else if afar {
            self.note("spawn from another thread");
            self.tasks[new].posted = true;
            self.tasks[new].woken = true;
            self.push(Entry::Task(new));
        } else {
            self.tasks[new].known = true;
            self.counts.spawned += 1;
            let cleans_up = self.running.is_some_and(|task| self.tasks[task].is_requested());
            if !self.to_ask.is_empty() && !cleans_up {
                self.to_ask.push_back(new);
            }
            if timed {
                return; // it waits for a timer, which is armed at once
            }
            self.left = self.left.min(self.ready.len());
            self.enqueue(new);
            self.tell_host();
        }
    }

    /// Something is asked for on the loop's thread: outside of the run the host is to know if there is
    /// something to do since, or at another time (G2).
    pub(crate) fn visit<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        let outlook = |model: &Self| {
            (model.ready.is_empty() && model.urgent.is_empty(), model.next_deadline())
        };
        let before = outlook(self);
        let result = f(self);
        if outlook(self) != before {
            self.tell_host();
        }
        result
    }

    /// Something was changed from outside of the run: the host is to know (G2).
    pub(crate) fn tell_host(&mut self) {
        if !self.inside() {
            self.notify();
        }
    }

    // ───────────── wakes (W2, W4) ─────────────

    pub(crate) fn enqueue(&mut self, task: usize) {
        let record = &mut self.tasks[task];
        if record.has_future() && !record.ready {
            record.ready = true;
            self.ready.push_back(task);
        }
    }

    pub(crate) fn urge(&mut self, task: usize) {
        let record = &mut self.tasks[task];
        if record.known && record.has_future() && !record.urgent {
            (record.urgent, record.expedited) = (true, true);
            self.urgent.push_back(task);
        }
    }

    pub(crate) fn wake(&mut self, task: usize, local: bool) {
        if local {
            self.counts.local_wakes += 1;
            return self.enqueue(task);
        }
        let record = &mut self.tasks[task];
        if record.end.is_none() {
            record.woken = true;
            self.post(task);
        }
    }

    fn post(&mut self, task: usize) {
        if !std::mem::replace(&mut self.tasks[task].posted, true) {
            self.push(Entry::Task(task));
        }
    }

    // ───────────── requests and guards (C1–C7) ─────────────

    pub(crate) fn request(&mut self, task: usize, abort: bool, local: bool) -> Answer {
        let record = &mut self.tasks[task];
        if record.end.is_some() {
            return Answer::Finished;
        }
        let pending = record.is_requested();
        let changes = if abort { !record.abort } else { !pending };
        record.abort |= abort;
        record.cancel |= !abort && !pending;
        match changes {
            true if local => self.urge(task),
            true => self.post(task),
            false => {}
        }
        if pending { Answer::Already } else { Answer::Requested }
    }

    /// A request by handle.
    pub(crate) fn ask(&mut self, task: usize, how: How, local: bool) -> Answer {
        self.note(match how {
            How::Cancel => "cancel",
            How::Abort => "abort",
            How::Within(_) => "cancel within a grace",
        });
        let answer = self.request(task, how == How::Abort, local);
        let How::Within(grace) = how else { return answer };
        if answer == Answer::Finished || self.over {
            return answer;
        }
        match grace {
            Some(0) => drop(self.request(task, true, local)),
            None => {}
            Some(grace) => {
                let at = self.now.saturating_add(grace);
                self.visit(|model| model.abort_at(task, at));
            }
        }
        answer
    }

    /// A request by id, as the loop finds it; on its own thread also where the task waits to be taken in.
    pub(crate) fn ask_by_id(&mut self, task: usize, how: How, here: bool) -> Answer {
        self.note("request by id");
        let found = self.tasks[task].lives() || here && self.tasks[task].is_new();
        if !found {
            return Answer::NotFound;
        }
        self.ask(task, how, true)
    }

    fn abort_at(&mut self, task: usize, at: u64) {
        let before = self.tasks[task].grace;
        if before.is_some_and(|(sooner, _)| sooner <= at) {
            return;
        }
        self.tasks[task].grace = Some(self.arm(at, Timer::Grace(task)));
        if let Some(before) = before {
            self.timers.remove(&before);
        }
    }

    pub(crate) fn guard(&mut self, task: usize) {
        self.note("guard");
        let record = &mut self.tasks[task];
        if record.guards == 0 && record.protection == Protection::None {
            record.protection = Protection::Guarded;
        }
        record.guards += 1;
    }

    pub(crate) fn unguard(&mut self, task: usize) {
        let record = &mut self.tasks[task];
        record.guards -= 1;
        if record.guards > 0 {
            return;
        }
        if record.protection == Protection::Guarded {
            record.protection = if record.cancel { Protection::Decided } else { Protection::None };
            if record.cancel {
                self.urge(task);
            }
        }
    }

    pub(crate) fn refuse(&mut self, task: usize) -> bool {
        let record = &mut self.tasks[task];
        let open = record.protection == Protection::Guarded && !record.abort && record.cancel;
        record.cancel &= !open;
        record.expedited &= !open;
        open
    }

    // ───────────── timers (M1–M6) ─────────────

    fn arm(&mut self, deadline: u64, timer: Timer) -> (u64, u64) {
        self.arms += 1;
        self.counts.armed += 1;
        self.timers.insert((deadline, self.arms), timer);
        (deadline, self.arms)
    }

    pub(crate) fn sleep(&mut self, task: usize, deadline: u64) {
        self.tasks[task].nap = Nap { deadline, ..Nap::default() };
    }

    /// Whether the sleep is over.
    pub(crate) fn poll_sleep(&mut self, task: usize) -> bool {
        let nap = self.tasks[task].nap;
        if nap.timer.is_some() {
            return false;
        }
        if nap.entry && nap.deadline <= self.now {
            return true;
        }
        let timer = Some(self.arm(nap.deadline, Timer::Nap(task)));
        self.tasks[task].nap = Nap { entry: true, timer, ..nap };
        false
    }

    pub(crate) fn reset(&mut self, task: usize, deadline: u64) {
        let timer = self.tasks[task].nap.timer;
        self.tasks[task].nap.deadline = deadline;
        self.visit(|model| {
            if let Some(timer) = timer {
                model.timers.remove(&timer);
                model.tasks[task].nap.timer = Some(model.arm(deadline, Timer::Nap(task)));
            }
        });
    }

    pub(crate) fn wake_up(&mut self, task: usize) {
        let timer = std::mem::take(&mut self.tasks[task].nap).timer;
        timer.map(|timer| self.timers.remove(&timer));
    }

    pub(crate) fn fire(&mut self, timer: Timer) {
        self.counts.fired += 1;
        self.fired += 1;
        self.note(if matches!(timer, Timer::Nap(_)) { "fired sleep" } else { "fired grace" });
        match timer {
            Timer::Nap(task) => {
                self.tasks[task].nap.timer = None;
                self.wake(task, true);
            }
            Timer::Grace(task) => drop(self.request(task, true, true)),
        }
    }

    // ───────────── ends and outcomes (J1–J6, X1, X2, H2) ─────────────

    /// A task's future is gone.
    pub(crate) fn complete(&mut self, task: usize, end: End) {
        self.note(match end {
            End::Finished => "finished task",
            End::Cancelled => "cancelled task",
            End::Panicked(_) => "panicked task",
            End::Closed => "task that was never taken",
        });
        let record = &mut self.tasks[task];
        record.end = Some(end);
        let (grace, joiner) = (record.grace.take(), record.joiner.take());
        if end == End::Finished && !record.repeats {
            record.output = Output::Kept;
        }
        if !record.known {
            return;
        }
        match end {
            End::Finished => self.counts.finished += 1,
            End::Panicked(_) => self.counts.panicked += 1,
            End::Cancelled | End::Closed => self.counts.cancelled += 1,
        }
        self.note_end(task, end);
        grace.map(|timer| self.timers.remove(&timer));
        match joiner {
            Some(Joiner::Task(other)) => self.wake(other, true),
            Some(Joiner::Foreign) => self.tasks[task].foreign_wakes += 1,
            None => {}
        }
        if !self.tasks[task].handle {
            self.lose(task);
        }
    }

    /// The outcome goes to who joins.
    pub(crate) fn take(&mut self, task: usize) -> Option<End> {
        self.note("join");
        let record = &mut self.tasks[task];
        (record.handle, record.joiner, record.output) = (false, None, Output::Gone);
        record.end
    }

    /// An output is dropped by the loop, or by who joined.
    pub(crate) fn drop_output(&mut self, task: usize) {
        let record = &mut self.tasks[task];
        let kept = record.handle && record.end == Some(End::Finished);
        let twice = record.output == Output::Dropped;
        record.output = Output::Dropped;
        self.outputs -= 1;
        self.check(!kept && !twice, || format!("output {task} is dropped, {twice}"));
    }

    fn note_end(&mut self, task: usize, end: End) {
        if self.plan.is_none() && !matches!(self.drive, Drive::Close) {
            return;
        }
        let record = &self.tasks[task];
        let heeded = record.cancel && record.protection != Protection::None;
        match end {
            End::Panicked(_) => self.report.panicked.push(record.id),
            End::Finished if !heeded || record.abort => self.report.finished += 1,
            End::Cancelled if record.abort => self.report.aborted.push(record.id),
            _ => self.report.cancelled.push(record.id),
        }
    }

    /// The loop drops an outcome that nobody wants: of a panic it tells.
    pub(crate) fn lose(&mut self, task: usize) {
        let record = &self.tasks[task];
        let gives = record.end == Some(End::Finished) && !record.repeats;
        let late = gives && record.output_panics;
        if late || matches!(record.end, Some(End::Panicked(_))) {
            self.lost.push(task);
            self.note("panic in a hook");
        }
    }

    /// The handle goes, with whatever outcome it has not given.
    pub(crate) fn drop_handle(&mut self, task: usize, afar: bool) {
        self.note(if afar { "handle dropped on another thread" } else { "dropped handle" });
        let record = &mut self.tasks[task];
        record.handle = false;
        record.joiner = None;
        let plain = !matches!(record.end, Some(End::Finished | End::Panicked(_)));
        if plain || (record.repeats && record.end == Some(End::Finished)) {
            return;
        }
        if self.shut {
            let moves = afar && record.end == Some(End::Finished);
            record.output = if moves { Output::Dropped } else { record.output };
            self.afar += usize::from(moves);
            self.outputs -= usize::from(moves);
        } else {
            self.push(Entry::RemoteDrop(task));
        }
    }

    pub(crate) fn shut_down(&mut self, how: Shut) {
        self.note(if how.grace.is_some() { "shutdown with a grace" } else { "shutdown" });
        let span = |span: Option<u64>| span.unwrap_or(NEVER);
        let cancel = self.now.saturating_add(span(how.drain));
        let (cancel, abort) = match how.grace {
            None => (NEVER, cancel),
            Some(grace) => (cancel, cancel.saturating_add(span(grace))),
        };
        let earlier = self.plan.unwrap_or((NEVER, NEVER));
        self.plan = Some((cancel.min(earlier.0), abort.min(earlier.1)));
        self.notify();
    }

    // ───────────── what comes to a task ─────────────

    pub(crate) fn begin_poll(&mut self, task: usize) {
        self.go_on(Some(Run::Poll(task)));
        self.count_poll(task);
    }

    pub(crate) fn count_poll(&mut self, task: usize) {
        self.polls += 1;
        self.counts.polls += 1;
        self.tasks[task].polls += 1;
        self.tasks[task].waits = Waits::Nothing;
    }
}
