//! The waker of a host that polls its executor as a future.
//!
//! It is set on the loop's thread before the loop declares itself idle, and woken by the thread that ends that, as a
//! part of the bell.

use std::sync::Arc;
use std::task::Waker;

use crate::error::{call_contained, discard};
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// The host's waker, if it has left one.
#[derive(Debug, Clone, Default)]
pub(crate) struct GuestWaker(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    /// 1 if there is a waker.
    is_set: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { is_set: AtomicUsize::new(0), waker: Mutex::new(None) }
    }
}

impl GuestWaker {
    /// Leaves a waker, or none; the one before is dropped. On the loop's thread, while the loop is awake.
    pub(crate) fn set(&self, waker: Option<Waker>) {
        let before = self.exchange(waker);
        discard(before);
    }

    /// Whether the host has left a waker. On the thread that rings.
    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        // ORDERING: Relaxed: the caller has replaced `PARKED` in `RunQueues::notify`, which acquires what the loop wrote
        // before its exchange in `RunQueues::park`.
        self.0.is_set.load(Ordering::Relaxed) != 0
    }

    /// Wakes the host once, if it has left a waker.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.exchange(None) {
            call_contained(|| waker.wake());
        }
    }

    fn exchange(&self, waker: Option<Waker>) -> Option<Waker> {
        let mut slot = self.0.waker.lock();
        // ORDERING: Relaxed: as in `is_set`; changes are under the lock.
        self.0.is_set.store(waker.is_some().into(), Ordering::Relaxed);
        std::mem::replace(&mut *slot, waker)
    }
}
