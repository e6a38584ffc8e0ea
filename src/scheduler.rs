//! The second floor: one turn of the loop, told the time and driven from above.
//!
//! A turn takes in what other threads pushed, fires the timers that are due, and runs one batch of
//! ready tasks. Deterministic: no thread, no clock, no blocking; what it needs of the world it asks
//! its [`Host`]. Every borrow here is short, and none is open while user code runs.

mod alarm;
mod host;
mod index;
pub(crate) mod registry;
mod timers;
pub(crate) mod wheel;

use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::panic::Location;

pub(crate) use self::alarm::{Alarm, HostWaker};
pub(crate) use self::host::{Activity, Details, Ended, Host};
use self::registry::{Entry, Registry};
use self::wheel::Wheel;
use crate::error::JoinError;
use crate::id::{Serials, TaskId};
pub(crate) use crate::task::cell::Subject;
use crate::task::cell::{End, Label, Origin};
use crate::task::join::{Join, TaskRef};
use crate::task::loop_side::{Intake, LoopSide, News};
use crate::task::run::{Ending, Ran};
use crate::task::shuffle::Shuffle;
use crate::task::state::{CancelRequest, Request};
use crate::tick::Tick;

/// What a turn did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) polls: usize,
    pub(crate) fired: usize,
    /// Timers are due that did not fit into this turn.
    pub(crate) more_timers: bool,
}

/// The tasks and timers of one loop.
pub(crate) struct Scheduler {
    pub(crate) side: LoopSide,
    registry: RefCell<Registry>,
    timers: RefCell<Wheel<Alarm>>,
    /// The waker of the future that the host itself polls beside the tasks.
    pub(crate) host_waker: HostWaker,
    serials: Serials,
    /// What the order of each batch is drawn from, if it is drawn.
    shuffle: Option<RefCell<Shuffle>>,
}

impl Scheduler {
    /// An empty one; `start` is the time by now.
    pub(crate) fn new(side: LoopSide, start: Tick) -> Self {
        Self {
            side,
            registry: RefCell::default(),
            timers: RefCell::new(Wheel::new(start)),
            host_waker: HostWaker::default(),
            serials: Serials::default(),
            shuffle: None,
        }
    }

    /// Has the order of each batch drawn from `seed`; 0 leaves it first come, first served.
    pub(crate) fn drawn_from(mut self, seed: u64) -> Self {
        self.shuffle = (seed != 0).then(|| RefCell::new(Shuffle::new(seed)));
        self
    }

    /// Spawns on the loop's thread.
    #[inline]
    pub(crate) fn spawn<F: Future, L: Label>(
        &self,
        future: F,
        label: L,
        location: &'static Location<'static>,
        since: Tick,
    ) -> Join<F::Output> {
        let origin = Origin { serial: self.serials.draw(), location };
        let (task, join) = self.side.spawn(future, label, origin);
        self.side.tally().spawned.add(1);
        self.registry.borrow_mut().insert(task, since);
        join
    }

    /// The number of the next task that is spawned on the loop's thread.
    pub(crate) fn draw_serial(&self) -> u64 {
        self.serials.draw()
    }

    /// One turn, with at most `batch` polls. Never blocks, except in user code.
    #[inline]
    pub(crate) fn turn(&self, host: &impl Host, batch: usize) -> Done {
        self.take_in_all(host);
        let mut done = Done::default();
        self.fire_timers(host, &mut done);
        self.run_batch(host, batch, &mut done);
        done
    }

    /// 1. What other threads sent.
    #[inline]
    pub(crate) fn take_in_all(&self, host: &impl Host) {
        let intake = self.side.take_all();
        if !intake.is_empty() {
            self.take_in(intake, host);
        }
    }

    fn take_in(&self, mut intake: Intake, host: &impl Host) {
        while let Some(news) = intake.next(&self.side) {
            match news {
                News::Spawned(task) => {
                    self.serials.passed(task.id().as_u64());
                    let since = host.now();
                    self.registry.borrow_mut().insert(task, since);
                    self.side.tally().spawned.add(1);
                    host.admitted();
                }
                News::Control(task) => {
                    let (ending, _) = match self.side.run_now(&task) {
                        Ran::Ended(ending, end) | Ran::Dropped(ending, end) => (ending, end),
                        // Control requests are ready at once; this is for the type's sake.
                        Ran::Pending | Ran::Nothing | Ran::Asked(_) => {
                            self.side.end(&task, JoinError::Closed)
                        }
                    };
                    if let Some(lost) = ending.complete(task, &self.side) {
                        host.lost(lost);
                    }
                }
            }
        }
    }

    /// 3. Tasks that can run.
    #[inline]
    fn run_batch(&self, host: &impl Host, batch: usize, done: &mut Done) {
        self.side.tally().ready.set(self.side.ready());
        self.side.begin_batch(batch);
        if let Some(shuffle) = &self.shuffle {
            self.side.draw_batch(&mut shuffle.borrow_mut());
        }
        done.polls +=
            if host.watches() { self.poll_watched(host) } else { self.poll_all::<false>(host) };
        self.side.tally().ready.set(self.side.ready());
    }

    #[cold]
    #[inline(never)]
    fn poll_watched(&self, host: &impl Host) -> usize {
        self.poll_all::<true>(host)
    }

    /// Runs the tasks of the batch, and says how many polls were made. They are counted before
    /// anybody can learn of an end, and not with each poll.
    #[inline(always)]
    fn poll_all<const WATCHED: bool>(&self, host: &impl Host) -> usize {
        let (mut all, mut uncounted) = (0, 0);
        let mut batch = self.side.batch();
        while let Some(popped) = batch.next() {
            if WATCHED {
                host.begins(popped.subject());
            }
            let ran = match popped.run() {
                Ran::Asked(asked) => {
                    host.asked(asked.id());
                    asked.run(&self.side)
                }
                ran => ran,
            };
            if WATCHED {
                host.returns();
            }
            let (ending, how, polls) = match ran {
                Ran::Pending => {
                    uncounted += 1;
                    continue;
                }
                Ran::Nothing | Ran::Asked(_) => continue,
                Ran::Ended(ending, how) => (ending, how, uncounted + 1),
                Ran::Dropped(ending, how) => (ending, how, uncounted),
            };
            self.side.count(polls);
            all += polls as usize;
            uncounted = 0;
            self.retire(ending, how, host);
        }
        self.side.count(uncounted);
        all + uncounted as usize
    }

    /// Lets a task go whose future is gone: out of the registry first, then its joiner is told.
    #[inline(always)]
    fn retire(&self, ending: Ending<'_>, how: End, host: &impl Host) {
        let entry = self.registry.borrow_mut().retire(&ending);
        // A task that runs was taken in, and is removed here alone: without its entry it would leak.
        debug_assert!(entry.is_some(), "{:?} was not registered", ending.id());
        if let Some(entry) = entry {
            self.complete(ending, how, entry, host);
        }
    }

    #[inline]
    fn complete(&self, ending: Ending<'_>, how: End, entry: Entry, host: &impl Host) {
        host.retired(ending.id());
        self.count(how);
        if host.records() {
            let (request, details) = (ending.request(how), self.details(&entry));
            host.ended(Ended { how, request, details });
        }
        if let Some(lost) = ending.complete(entry.task, &self.side) {
            host.lost(lost);
        }
    }

    #[inline]
    fn count(&self, how: End) {
        let tally = self.side.tally();
        match how {
            End::Finished => tally.finished.add(1),
            End::Cancelled => tally.cancelled.add(1),
            End::Panicked => tally.panicked.add(1),
        }
    }

    /// What there is to say of each task that has not ended, in spawn order.
    pub(crate) fn snapshot(&self) -> Vec<Details> {
        let registry = self.registry.borrow();
        let entries = registry.ids().into_iter().filter_map(|id| registry.get(id));
        entries.map(|entry| self.details(entry)).collect()
    }

    fn details(&self, entry: &Entry) -> Details {
        let Entry { task, since } = entry;
        let activity = match self.side.activity(task) {
            (true, _) => Activity::Running,
            (_, true) => Activity::Ready,
            _ => Activity::Idle,
        };
        let polls = self.side.polls(task);
        Details { subject: task.subject(), activity, polls, since: *since }
    }

    /// Whether nothing is left to do until something comes in or a timer is due.
    pub(crate) fn is_idle(&self) -> bool {
        self.side.is_idle()
    }

    /// How many tasks have not ended.
    pub(crate) fn live(&self) -> usize {
        self.registry.borrow().len()
    }

    /// Asks one task to end.
    pub(crate) fn request(&self, id: TaskId, what: Request) -> CancelRequest {
        self.registry
            .borrow()
            .get(id)
            .map_or(CancelRequest::NotFound, |entry| entry.task.request(what))
    }

    /// A reference to a task that has not ended.
    pub(crate) fn task(&self, id: TaskId) -> Option<TaskRef> {
        self.registry.borrow().get(id).map(|entry| entry.task.task())
    }

    /// Asks every task to end.
    pub(crate) fn request_all(&self, what: Request) {
        for id in self.registry.borrow().ids() {
            self.request(id, what);
        }
    }

    /// Ends every task here and now, in spawn order; runs their destructors.
    pub(crate) fn end_all(&self, host: &impl Host) {
        let ids = self.registry.borrow().ids();
        for id in ids {
            // A destructor may spawn, wake and cancel, and may have ended nothing of ours.
            let entry = self.registry.borrow_mut().remove(id);
            if let Some(entry) = entry {
                let _ = entry.task.request(Request::Abort);
                // A job that runs on is not of this loop any more: its handle cannot say how it ends.
                let pinned = entry.task.is_pinned();
                let reason = if pinned { JoinError::Closed } else { JoinError::Cancelled };
                if host.watches() {
                    host.begins(entry.task.subject());
                }
                let (ending, how) = self.side.end(&entry.task, reason);
                if host.watches() {
                    host.returns();
                }
                self.complete(ending, how, entry, host);
            }
        }
    }

    /// Ends the loop: what still lives is ended, and nothing comes in any more.
    pub(crate) fn close(&self, host: &impl Host) {
        self.end_all(host);
        // What was accepted until this very moment is ended, and reported, like the rest.
        self.take_in(self.side.close(), host);
        self.end_all(host);
        self.side.resume();
        self.run_batch(host, usize::MAX, &mut Done::default());
    }
}
