//! The way a loop ends: from phase to phase, as the plan has it.
//!
//! | phase      | from the loop's own thread   | from other threads | tasks that live                        |
//! |------------|------------------------------|--------------------|----------------------------------------|
//! | running    | accepted                     | accepted           |                                        |
//! | draining   | accepted                     | refused            | may finish                             |
//! | cancelling | accepted, as their clean-up  | refused            | are asked to end, some in each turn    |
//! | aborting   | refused                      | refused            | are dropped, in spawn order            |
//! | ended      | refused                      | refused            | there are none                         |
//!
//! A task that another thread submitted before the request, and the loop finds later, is treated like the others.
//! On other threads the mark of the request decides whether a submission is refused, on the loop's own the phase.

use super::Local;
use crate::error::discard;
use crate::id::TaskId;
use crate::scheduler::Host;
use crate::shutdown::{Phase, Plan, ShutdownReport};
use crate::task::state::Request;
use crate::tick::{NEVER, Tick};

/// Fewer tasks than this are asked to end in no turn, if so many are left.
const ASKED: usize = 256;

impl Local {
    /// Whether a spawn on this thread is taken: until the request to end, and from inside of the run until
    /// the abort phase begins.
    #[inline]
    pub(crate) fn accepts(&self) -> bool {
        !self.shared.is_closed() || self.accepts_late()
    }

    /// The same, after the request.
    pub(super) fn accepts_late(&self) -> bool {
        self.scheduler.side.is_entered() && self.phase.get() < Phase::Aborting
    }

    /// Goes from phase to phase.
    pub(super) fn advance_shutdown(&self) {
        let Some(plan) = self.shared.plan() else { return };
        let now = self.now();
        if self.phase.get() == Phase::Running {
            self.phase.set(Phase::Draining);
            // Requests that were made before this one come first.
            self.scheduler.take_in_some(self, self.batch);
            if now < plan.cancel_at.min(plan.abort_at) {
                self.shared.draining.happen();
            }
        }
        let cancels = plan.cancel_at <= plan.abort_at;
        if self.phase.get() == Phase::Draining && cancels && plan.cancel_at <= now {
            self.phase.set(Phase::Cancelling);
            *self.to_ask.borrow_mut() = self.scheduler.ids().into();
            self.ask(self.batch.max(ASKED));
        } else if plan.abort_at <= now && self.phase.get() < Phase::Ended {
            self.abort();
        } else {
            self.ask(self.batch.max(ASKED));
        }
    }

    /// Asks some of the tasks to end that lived when the cancel phase began.
    fn ask(&self, most: usize) {
        let mut to_ask = self.to_ask.borrow_mut();
        for _ in 0..most.min(to_ask.len()) {
            // Runs no user code: on the loop's own thread a request is a mark and a place in a queue.
            let asked = to_ask.pop_front().map(|id| self.scheduler.request(id, Request::Cancel));
            debug_assert!(asked.is_some(), "as many as there are");
        }
        if to_ask.is_empty() {
            to_ask.shrink_to_fit();
        }
    }

    /// Ends all tasks that still live, in one turn. Those that were cancelled, and had no turn to be dropped
    /// in, are reported as cancelled.
    fn abort(&self) {
        self.ask(usize::MAX);
        self.phase.set(Phase::Aborting);
        self.scheduler.take_in_all(self);
        self.scheduler.end_all(self);
    }

    /// A task was spawned here after the request. In the cancel phase it belongs to the clean-up of the task
    /// that spawned it, and is not asked (H8), unless that one has not been asked yet either.
    pub(super) fn spawned_late(&self, id: TaskId) {
        let mut to_ask = self.to_ask.borrow_mut();
        let cleans_up =
            || self.scheduler.side.running_task().is_some_and(|task| task.is_requested());
        if !to_ask.is_empty() && !cleans_up() {
            to_ask.push_back(id);
        }
    }

    /// Whether there is nothing to do until something comes in or a deadline passes.
    pub(crate) fn is_idle(&self) -> bool {
        self.scheduler.is_idle() && self.to_ask.borrow().is_empty()
    }

    /// Ends the loop if it was asked to end and nothing is left of it. `true`: it has ended.
    pub(crate) fn end_if_empty(&self) -> bool {
        if self.phase.get() == Phase::Running || self.phase.get() == Phase::Ended {
            return self.phase.get() == Phase::Ended;
        }
        // Tasks that were accepted in the last moment are asked like the others (H8).
        if self.scheduler.live() == 0 && !self.scheduler.has_new() {
            self.phase.set(Phase::Ended);
        }
        self.phase.get() == Phase::Ended
    }

    /// When the next limit of a shutdown passes; `None` if there is none.
    pub(super) fn next_limit(&self) -> Option<Tick> {
        let Plan { cancel_at, abort_at } = self.shared.plan()?;
        Some(match self.phase.get() {
            Phase::Running => 0,
            Phase::Draining => cancel_at.min(abort_at),
            Phase::Cancelling | Phase::Aborting => abort_at,
            Phase::Ended => NEVER,
        })
    }

    /// The loop's end: the tasks that still live are dropped in spawn order, and nothing comes in any more.
    /// [`Self::tell_end`] tells those that wait for it.
    pub(crate) fn close(&self) {
        let _entered = self.scheduler.side.enter();
        if self.closed.get() {
            // Timers may have been armed since, by a `block_on`.
            self.scheduler.disarm_all();
            return;
        }
        self.phase.set(Phase::Ended);
        self.shared.refuse();
        self.scheduler.close(self);
        self.scheduler.disarm_all();
        self.closed.set(true);
        self.to_ask.take();
        #[cfg(all(feature = "io", unix))]
        self.io.close();
        self.shared.pool.close();
        // The hook is not called any more, and its destructor is one of the loop's.
        let hook = self.on_panic.take();
        discard(hook);
        *self.shared.last_report.lock() = self.report();
    }

    /// Closes the loop and tells its end, if that was not done yet. Nothing of it is left.
    #[cold]
    #[inline(never)]
    pub(crate) fn end(&self) {
        if !self.has_ended() {
            self.close();
            self.tell_end();
        }
    }

    /// Nothing of the loop runs any more: wakes those that wait for that. Returns the report.
    pub(crate) fn tell_end(&self) -> ShutdownReport {
        self.shared.end()
    }

    /// What the report would say if the loop ended now.
    pub(crate) fn report(&self) -> ShutdownReport {
        ShutdownReport { refused: self.shared.refused().0, ..self.report.borrow().clone() }
    }
}
