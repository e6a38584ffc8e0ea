//! An event in the life of a loop: it happens once, and any number of tasks and threads wait for it.
//!
//! The mark is set before the waiters are taken, and is checked under their lock before one more is added: a
//! waiter that is too late to be taken sees the mark. Modelled in `tests/loom/events.rs`.

use std::task::{Poll, Waker};

use super::waiters::{Ticket, Waiters};
use crate::error::{call_contained, discard};
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// An event that happens once.
#[derive(Debug)]
pub(crate) struct Latch {
    /// 1 once it has happened.
    happened: AtomicUsize,
    waiters: Mutex<Waiters>,
}

impl Latch {
    pub(crate) fn new() -> Self {
        Self { happened: AtomicUsize::new(0), waiters: Mutex::default() }
    }

    #[inline]
    pub(crate) fn has_happened(&self) -> bool {
        // ORDERING: Acquire, paired with the Release in `happen`: a thread that sees it sees what came before.
        self.happened.load(Ordering::Acquire) != 0
    }

    /// Lets it happen, and wakes the waiters; a second call does nothing. Runs wakers, and contains them.
    pub(crate) fn happen(&self) {
        // ORDERING: AcqRel, paired with the Acquire in `has_happened`.
        if self.happened.swap(1, Ordering::AcqRel) != 0 {
            return;
        }
        let waiters = self.waiters.lock().take_all();
        for waker in waiters {
            call_contained(|| waker.wake());
        }
    }

    /// Ready once it has happened; until then the waker is kept, to be woken then.
    pub(crate) fn poll(&self, waiter: &mut Option<Ticket>, waker: &Waker) -> Poll<()> {
        if self.has_happened() {
            return Poll::Ready(());
        }
        if self.waiters.lock().knows(*waiter, waker) {
            return Poll::Pending;
        }
        let own = waker.clone();
        let (other, poll) = {
            let mut waiters = self.waiters.lock();
            if self.has_happened() {
                (Some(own), Poll::Ready(()))
            } else {
                (waiters.put(waiter, own), Poll::Pending)
            }
        };
        discard(other);
        poll
    }

    /// A waiter gives up.
    pub(crate) fn leave(&self, waiter: &mut Option<Ticket>) {
        if waiter.is_some() {
            let own = self.waiters.lock().take(waiter);
            discard(own);
        }
    }
}
