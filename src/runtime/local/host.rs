//! What the scheduler asks of the loop, and tells it.

use super::Local;
use super::parking::Reading;
use crate::error::{call_contained, forget_payload};
use crate::id::TaskId;
use crate::metrics::{TaskInfo, TaskState};
use crate::panic::TaskPanic;
use crate::scheduler::{Ended, Host, TaskMeta};
use crate::shutdown::Phase;
use crate::task::cell::End;
use crate::task::loop_side::UnobservedPanic;
use crate::task::state::Request;
use crate::tick::Tick;

impl Host for Local {
    #[inline]
    fn now(&self) -> Tick {
        if let Reading::Of(now) = self.now.get() {
            return now;
        }
        let now = self.shared.clock.now();
        if let Reading::Wanted = self.now.get() {
            self.now.set(Reading::Of(now));
        }
        now
    }

    fn lost(&self, lost: UnobservedPanic) {
        let hook = self.on_panic.borrow().clone();
        if let Some(hook) = hook {
            let panic = TaskPanic::new(&lost);
            call_contained(|| hook(&panic));
        }
        forget_payload(lost.payload);
    }

    #[inline]
    fn records(&self) -> bool {
        self.shared.is_closed()
    }

    fn ended(&self, report: Ended) {
        let info = TaskInfo { state: TaskState::Idle, ..Self::info(report.details, self.now()) };
        let mut so_far = self.report.borrow_mut();
        match (report.how, report.request) {
            (End::Panicked, _) => so_far.panicked.push(info),
            (End::Cancelled, Some(Request::Abort)) => so_far.aborted.push(info),
            (End::Cancelled, _) | (End::Finished, Some(Request::Cancel)) => {
                so_far.cancelled.push(info);
            }
            (End::Finished, _) => so_far.finished += 1,
        }
    }

    fn cancels_new(&self) -> bool {
        self.phase.get() == Phase::Cancelling
    }

    fn takes_in(&self) -> bool {
        self.shared.gate.as_ref().inspect(|gate| gate.take_in()).is_some()
    }

    fn admitted(&self) {
        if let Some(gate) = &self.shared.gate {
            gate.begin();
        }
    }

    #[inline]
    fn looks_on(&self) -> bool {
        self.looks_on
    }

    #[inline]
    fn watches(&self) -> bool {
        self.watchdog.is_some()
    }

    fn begins(&self, subject: TaskMeta) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.begin(subject);
        }
    }

    fn returns(&self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.end();
        }
    }

    fn wake_main(&self) {
        if let Some(main) = &*self.main.borrow() {
            main.wake_here();
        }
    }

    fn asked(&self, id: TaskId) {
        self.guards.ask(id);
    }

    #[inline]
    fn retired(&self, id: TaskId) {
        self.guards.retire(id, self);
    }
}
