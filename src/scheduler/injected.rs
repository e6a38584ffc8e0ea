//! The first stage of a turn: what other threads sent is taken in, so much of each kind.
//!
//! Wakes and requests of tasks that the loop knows come first, then new tasks, and then requests to the loop
//! itself. New tasks wait in the way in until a batch has room for them: they are registered no sooner than
//! they are about to run, so that a flood of them goes through the cache in pieces, and tasks of the loop and
//! new ones alternate. Neither makes the other kinds wait.
//!
//! A request by id may overtake the task that it is for. It is then kept until the task arrives, or until
//! all that had been sent before the request has been taken in. Submissions are counted for that in
//! *rounds*: each time that the loop takes a stack of them.

use alloc::collections::{BTreeMap, VecDeque};
use core::cell::{Cell, RefCell};

use super::{Host, Scheduler};
use crate::id::TaskId;
use crate::task::injection::Lane;
use crate::task::join::TaskRef;
use crate::task::owned_task::OwnedTask;
use crate::task::run::Ran;
use crate::task::state::Request;
use crate::tick::Tick;

/// So much of each kind is taken in by one turn, or a batch, if that is more.
const LEAST_INTAKE: usize = 256;

/// What is kept of the way in between two turns.
#[derive(Debug, Default)]
pub(super) struct Injected {
    /// How many stacks of new tasks were taken.
    rounds: Cell<u64>,
    deferred: RefCell<DeferredRequests>,
    /// The serial and the round that the request which was polled last waits for.
    awaited: Cell<Option<(u64, u64)>>,
    /// What the request that was polled last cost beside its poll.
    cost: Cell<usize>,
    /// Deferred requests are left over for the next turn, though nothing else may come in.
    is_left: Cell<bool>,
}

/// Requests by id whose tasks may still arrive.
#[derive(Debug, Default)]
struct DeferredRequests {
    /// By serial, and by a number of the request's own.
    requests: BTreeMap<(u64, u64), OwnedTask>,
    /// In the order of the rounds after which they wait no longer. Some may have been answered.
    until: VecDeque<(u64, (u64, u64))>,
    last: u64,
}

impl DeferredRequests {
    fn add(&mut self, serial: u64, round: u64, request: OwnedTask) {
        self.last = self.last.wrapping_add(1);
        self.requests.insert((serial, self.last), request);
        self.until.push_back((round, (serial, self.last)));
    }

    /// A request for this task.
    fn take_for(&mut self, serial: u64) -> Option<OwnedTask> {
        let (&key, _) = self.requests.range((serial, 0)..=(serial, u64::MAX)).next()?;
        self.requests.remove(&key)
    }

    /// A request that need not wait any longer; nothing, if the first in line was answered before.
    fn take_past(&mut self, is_past: impl Fn(u64) -> bool) -> Option<Option<OwnedTask>> {
        let &(_, key) = self.until.front().filter(|(round, _)| is_past(*round))?;
        self.until.pop_front();
        if self.until.is_empty() {
            self.until = VecDeque::new();
        }
        Some(self.requests.remove(&key))
    }
}

impl Injected {
    #[inline]
    pub(super) fn is_left(&self) -> bool {
        self.is_left.get()
    }

    /// Whether a request waits for its task, or did.
    #[inline]
    fn is_deferring(&self) -> bool {
        !self.deferred.borrow().until.is_empty()
    }
}

impl Scheduler {
    /// 1. What other threads sent.
    #[inline]
    pub(crate) fn take_in_some(&self, host: &impl Host, batch: usize) {
        if self.side.has_arrivals() || self.injected.is_left() {
            self.take_in(host, batch);
        }
    }

    #[inline(never)]
    fn take_in(&self, host: &impl Host, batch: usize) {
        let most = batch.max(LEAST_INTAKE);
        self.look(most);
        self.side.take_in_known(most);
        if self.side.has_in_hand(Lane::New) {
            self.admit(self.side.room_for_new(batch), host);
        }
        if self.side.has_in_hand(Lane::Control) || self.injected.is_deferring() {
            self.run_requests(most, host);
        }
    }

    /// Everything that was sent until now, at once: the loop is about to end what it has.
    #[cold]
    pub(crate) fn take_in_all(&self, host: &impl Host) {
        // First what is in hand, and then what was pushed since.
        for _ in 0..2 {
            self.look(usize::MAX);
            self.side.take_in_known(usize::MAX);
            self.admit(usize::MAX, host);
            self.run_requests(usize::MAX, host);
        }
    }

    /// The same, and refuses whatever is sent from here on.
    pub(super) fn take_in_the_last(&self, host: &impl Host) {
        self.take_in_all(host);
        for lane in [Lane::New, Lane::Control, Lane::Known] {
            self.take_in_all(host);
            self.side.close(lane);
            if lane == Lane::New {
                self.begin_round(); // a request may wait for what the close has taken
            }
        }
        self.take_in_all(host);
    }

    /// Requests before new tasks: what was submitted before a request was made is then found.
    #[inline(always)]
    fn look(&self, most: usize) {
        self.side.look(Lane::Known, most);
        self.side.look(Lane::Control, most);
        if self.side.look(Lane::New, most) {
            self.begin_round();
        }
    }

    #[inline]
    fn begin_round(&self) {
        self.injected.rounds.set(self.injected.rounds.get().wrapping_add(1));
    }

    /// Registers new tasks, which are ready then: at most so many, and no more once as many requests, or an
    /// intake of them, have been answered that waited for the tasks.
    fn admit(&self, most: usize, host: &impl Host) {
        let (since, cancels) = (host.now(), host.cancels_new());
        let (is_deferring, mut answers) = (self.injected.is_deferring(), most.max(LEAST_INTAKE));
        for _ in 0..most {
            if answers == 0 {
                return;
            }
            let Some(task) = self.side.take_in_new() else { return };
            let id = is_deferring.then(|| task.id());
            if host.takes_in() {
                task.hold_place();
            }
            if cancels {
                task.request(Request::Cancel);
            }
            self.register(task, since);
            if let Some(id) = id {
                answers = answers.saturating_sub(self.answer_deferred(id, host));
            }
        }
    }

    #[inline(always)]
    fn register(&self, task: OwnedTask, since: Tick) {
        self.serials.passed(task.id().as_u64());
        self.enroll(task, since);
        self.side.counters().spawned.add(1);
    }

    /// Polls a call for later the first time, which arms its timer and runs no code of the user's. One that
    /// was asked to end is urgent instead, or will be.
    fn arm_call(&self, task: OwnedTask, host: &impl Host) {
        if host.takes_in() {
            host.admitted();
        }
        if host.cancels_new() {
            task.request(Request::Cancel);
        }
        if task.is_requested() {
            return self.register(task, host.now());
        }
        match self.side.run_first(task, |task| self.register(task, host.now())) {
            // It was asked to end in this very moment.
            Ran::Dropped(ending, how) | Ran::Ended(ending, how) => self.retire(ending, how, host),
            Ran::Pending => self.side.count(1),
            Ran::Nothing | Ran::Asked(_) => {}
        }
    }

    /// Whether new tasks wait to be taken in.
    pub(crate) fn has_new(&self) -> bool {
        let (in_hand, on_the_way) = self.side.has_new();
        in_hand || on_the_way
    }

    /// Runs requests to the loop.
    fn run_requests(&self, most: usize, host: &impl Host) {
        let mut left = most;
        self.injected.is_left.set(false);
        while left > 0 {
            let past = self.injected.deferred.borrow_mut().take_past(|round| self.is_past(round));
            let request = match past {
                Some(None) => {
                    left -= 1;
                    continue;
                }
                Some(request) => request,
                None => self.side.take_in_control(),
            };
            let Some(request) = request else { return };
            if request.is_timed() {
                self.arm_call(request, host);
            } else {
                self.run_request(request, host);
            }
            left = left.saturating_sub(1 + self.injected.cost.take());
        }
        self.injected.is_left.set(self.injected.is_deferring());
    }

    /// Runs one, or defers it.
    fn run_request(&self, request: OwnedTask, host: &impl Host) {
        let awaited = &self.injected.awaited;
        match self.side.run_control(request, || awaited.get().is_some()) {
            Ok(None) => {}
            Ok(Some(lost)) => host.lost(lost),
            Err(request) => {
                // PANICS: it cannot: only a request that says for which task it waits is given back.
                let (serial, round) = awaited.take().expect("it waits for a task");
                self.injected.deferred.borrow_mut().add(serial, round, request);
            }
        }
    }

    /// A task has arrived: answers requests for it before it can run, and says how many. What is more than an
    /// intake of them for the one task is answered when their round is past.
    fn answer_deferred(&self, id: TaskId, host: &impl Host) -> usize {
        for answered in 0..LEAST_INTAKE {
            let request = self.injected.deferred.borrow_mut().take_for(id.as_u64());
            let Some(request) = request else { return answered };
            self.run_request(request, host);
        }
        LEAST_INTAKE
    }

    /// Whether a request by id has to wait for its task, which may still arrive. `round` is the request's own:
    /// until when it waits, once that is known.
    pub(crate) fn awaits(&self, id: TaskId, round: &mut Option<u64>) -> bool {
        if self.registry.borrow().get(id).is_some() {
            return false;
        }
        if round.is_none() {
            *round = match self.side.has_new() {
                (_, true) => Some(self.injected.rounds.get().wrapping_add(1)),
                (true, false) => Some(self.injected.rounds.get()),
                (false, false) => None,
            };
        }
        let waits = round.is_some_and(|round| !self.is_past(round));
        self.injected.awaited.set(round.filter(|_| waits).map(|round| (id.as_u64(), round)));
        waits
    }

    /// A task that waits to be taken in. Costs a look at all that do, if the loop does not know the task.
    pub(crate) fn waiting_task(&self, id: TaskId) -> Option<TaskRef> {
        if !self.side.has_submissions() || self.knows(id) {
            return None;
        }
        self.side.find_waiting(id)
    }

    /// Whether all new tasks of this round have been taken in.
    fn is_past(&self, round: u64) -> bool {
        // The rounds come round; nobody waits for half of them.
        let ahead = self.injected.rounds.get().wrapping_sub(round);
        if ahead == 0 { !self.side.has_new().0 } else { ahead < u64::MAX / 2 }
    }

    /// The request that is being run did so much more than a request does.
    pub(super) fn charge(&self, cost: usize) {
        self.injected.cost.set(self.injected.cost.get().saturating_add(cost));
    }
}
