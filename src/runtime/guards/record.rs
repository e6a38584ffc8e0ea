//! One guarded task: how many guards it has, and who waits for a request.
//!
//! The count and the state word change together, under the record's lock. Wakers are cloned, woken and
//! dropped outside of it. A request is in the word before the loop takes those who wait: who comes later
//! sees it. Modelled in `tests/loom/requests.rs`.

use std::task::Waker;

use crate::error::{call_contained, discard};
use crate::runtime::waiters::{Ticket, Waiters};
use crate::sync::Mutex;
use crate::task::join::TaskRef;

/// One guarded task.
#[derive(Debug)]
pub(crate) struct Record {
    task: TaskRef,
    inner: Mutex<RecordState>,
}

#[derive(Debug, Default)]
struct RecordState {
    guards: usize,
    /// The task is let go: nothing will be requested of it any more.
    ended: bool,
    /// Who waits for a request.
    waiting: Waiters,
}

impl Record {
    pub(crate) fn new(task: TaskRef) -> Self {
        Self { task, inner: Mutex::default() }
    }

    pub(crate) fn task(&self) -> &TaskRef {
        &self.task
    }

    /// One guard more. On the loop's thread, in the task's poll.
    pub(crate) fn guard(&self) {
        let mut inner = self.inner.lock();
        if inner.guards == 0 {
            self.task.guard();
        }
        inner.guards += 1;
    }

    /// One guard less, on any thread. The last one lets a pending request have its way.
    pub(crate) fn unguard(&self) {
        let then = {
            let mut inner = self.inner.lock();
            inner.guards -= 1;
            if inner.guards > 0 {
                return;
            }
            self.task.unguard()
        };
        self.task.expedite(then);
    }

    /// Leaves a waker, to be woken at the next request. `true`: there is one, or there will be none, and
    /// nobody will wake.
    pub(crate) fn register(&self, waiter: &mut Option<Ticket>, waker: &Waker) -> bool {
        let mut other = Some(waker.clone());
        let asked = {
            let mut inner = self.inner.lock();
            let asked = self.task.is_asked() || inner.ended;
            if !asked {
                other = other.and_then(|waker| inner.waiting.put(waiter, waker));
            }
            asked
        };
        discard(other);
        asked
    }

    /// Takes the waker back.
    pub(crate) fn unregister(&self, waiter: &mut Option<Ticket>) {
        if waiter.is_some() {
            let waker = self.inner.lock().waiting.take(waiter);
            discard(waker);
        }
    }

    /// The task is let go: who still waits need not.
    pub(crate) fn end(&self) {
        self.inner.lock().ended = true;
        self.ask();
    }

    /// Wakes who waits for a request, which the state word shows by now.
    pub(crate) fn ask(&self) {
        let waiting = self.inner.lock().waiting.take_all();
        for waker in waiting {
            call_contained(|| waker.wake());
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::panic::Location;
    use std::sync::Arc;

    use super::*;
    use crate::error::JoinError;
    use crate::runtime::thread_waker::ThreadWaker;
    use crate::task::cell::Origin;
    use crate::task::loop_side::LoopSide;
    use crate::task::spawn::{Kind, NewTask};

    #[test]
    fn numbers_of_those_who_wait_come_round_and_each_is_woken() {
        let side = LoopSide::new(Box::new(|| ()));
        let origin = Origin { serial: crate::id::draw(), location: Location::caller() };
        let task = NewTask::new(async {}, (), origin, side.run_queues().clone(), Kind::Task);
        let record = Record::new(task.end(JoinError::Closed).task());
        record.inner.lock().waiting.last = u64::MAX - 1;
        let waiters = [(); 3].map(|()| Arc::new(ThreadWaker::default()));
        let mut keys = [None; 3];
        for (key, waiter) in keys.iter_mut().zip(&waiters) {
            assert!(!record.register(key, &Waker::from(waiter.clone())));
        }
        assert_eq!(keys, [Some(u64::MAX), Some(0), Some(1)]);
        record.unregister(&mut Some(0));
        record.ask();
        let woken = waiters.map(|waiter| waiter.wait(Some(std::time::Instant::now())));
        assert_eq!(woken, [true, false, true]);
    }
}
