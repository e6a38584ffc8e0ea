//! What a loop keeps for the few tasks that guard themselves, or are to be aborted after a grace.
//!
//! Whether a guard protects its task is in the task's state word, the rest in its [`Record`]. That is made
//! with its first guard and forgotten when the task ends; guards on other threads keep it as long as they
//! live.

mod record;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

pub(crate) use self::record::Record;
use super::control::tell;
use super::local::Local;
use crate::error::discard;
use crate::id::TaskId;
use crate::scheduler::wheel::TimerKey;
use crate::task::join::TaskRef;
use crate::task::state::{CancelRequest, Request};
use crate::tick::{Tick, nanos};

/// What is kept for one task.
#[derive(Debug, Default)]
struct KeptRecord {
    record: Option<Arc<Record>>,
    /// When it is to be aborted.
    abort: Option<(Tick, TimerKey)>,
}

/// What is kept for tasks, by serial.
#[derive(Debug, Default)]
pub(crate) struct Guards {
    kept: RefCell<BTreeMap<u64, KeptRecord>>,
}

impl Guards {
    /// Changes what is kept. The map is out of its cell meanwhile: it allocates and frees, and an allocator is
    /// user code, which may come back here. What it adds then is put to the rest.
    fn change<R>(&self, f: impl FnOnce(&mut BTreeMap<u64, KeptRecord>) -> R) -> R {
        let mut all = self.kept.take();
        let result = f(&mut all);
        let mut meanwhile = self.kept.replace(all);
        while let Some((serial, kept)) = meanwhile.pop_first() {
            let mut all = self.kept.take();
            all.entry(serial).or_insert(kept);
            meanwhile.append(&mut self.kept.replace(all));
        }
        result
    }

    /// One guard more for a task that is being polled. For one that the loop does not know any more, or
    /// a request to the loop itself, nothing is kept: there is nothing left to be asked of it.
    pub(crate) fn guard(&self, task: TaskRef, local: &Local) -> Arc<Record> {
        let serial = task.id().as_u64();
        let known = self.kept.borrow().get(&serial).and_then(|kept| kept.record.clone());
        let record = known.unwrap_or_else(|| {
            let lives = local.scheduler.knows(task.id());
            let record = Arc::new(Record::new(task));
            if lives {
                self.change(|all| all.entry(serial).or_default().record = Some(record.clone()));
            } else {
                record.end();
            }
            record
        });
        record.guard();
        record
    }

    /// A cancel of the task has come.
    pub(crate) fn ask(&self, id: TaskId) {
        let record = self.kept.borrow().get(&id.as_u64()).and_then(|kept| kept.record.clone());
        if let Some(record) = record {
            record.ask();
        }
    }

    /// The task is let go.
    #[inline]
    pub(crate) fn retire(&self, id: TaskId, local: &Local) {
        if self.kept.borrow().is_empty() {
            return;
        }
        let kept = self.change(|all| all.remove(&id.as_u64()));
        let Some(KeptRecord { record, abort }) = kept else { return };
        if let Some(record) = record {
            record.end();
            discard(record);
        }
        if let Some((_, key)) = abort {
            local.scheduler.disarm(key);
        }
    }

    /// Has the task aborted `grace` from now, if it still runs then. A sooner abort stays.
    fn abort_after(&self, task: TaskRef, grace: Duration, local: &Local) {
        if task.is_done() {
            return;
        }
        let at = local.shared.clock.now().saturating_add(nanos(grace));
        let serial = task.id().as_u64();
        let before = self.kept.borrow().get(&serial).and_then(|kept| kept.abort);
        if before.is_some_and(|(sooner, _)| sooner <= at) {
            return;
        }
        let key = local.scheduler.arm(at, &Waker::from(Arc::new(Abort(task))));
        self.change(|all| all.entry(serial).or_default().abort = Some((at, key)));
        if let Some((_, key)) = before {
            local.scheduler.disarm(key);
        }
    }
}

/// Aborts a task when it is woken: what a timer is armed with.
struct Abort(TaskRef);

impl Wake for Abort {
    fn wake(self: Arc<Self>) {
        self.0.request(Request::Abort);
    }
}

/// Cancels the task, and has its loop abort it when the grace is over.
pub(crate) fn cancel_within(task: TaskRef, grace: Duration) -> CancelRequest {
    let answer = task.request(Request::Cancel);
    let pending = matches!(answer, CancelRequest::Requested | CancelRequest::AlreadyRequested);
    if pending && grace.is_zero() {
        task.request(Request::Abort);
    } else if pending && grace < Duration::MAX {
        let run_queues = task.run_queues().clone();
        tell(&run_queues, move |local| local.guards.abort_after(task, grace, local));
    }
    answer
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use crate::runtime::context;
    use crate::{CancelGuard, Executor, current_task};

    /// Makes a guard when it goes, and lets it outlive its task.
    struct Output;

    impl Drop for Output {
        fn drop(&mut self) {
            assert!(current_task().is_some());
            let guard = CancelGuard::new();
            assert!(!guard.is_requested());
            std::mem::forget(guard.requested());
        }
    }

    /// M6: the task is gone, so nobody would forget what was kept for it.
    #[test]
    fn nothing_is_kept_of_guards_that_outputs_make() {
        let mut executor = Executor::new();
        for late in [false, true] {
            let task = executor.spawn_local(async { Output });
            let kept = late.then_some(task);
            executor.run_until_idle();
            drop(kept);
            executor.run_until_idle();
        }
        let local = context::home(&executor.handle().shared().run_queues).expect("it lives here");
        assert_eq!(local.guards.kept.borrow().len(), 0);
    }
}
