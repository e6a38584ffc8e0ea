//! The future of `block_on`, which its loop polls beside the tasks: how it is woken.
//!
//! Another thread marks it, and then rings: a loop that the bell has look again sees the mark. Modelled in
//! `tests/loom/block_on_waker.rs`.

use std::sync::Arc;

use futures_task::ArcWake;

use crate::sync::{Arc as Owner, AtomicUsize, Ordering};
use crate::task::run_queues::RunQueues;

/// Its waker.
#[derive(Debug)]
pub(crate) struct BlockOnWaker {
    /// Whether another thread woke it.
    woken: AtomicUsize,
    /// Whether it was woken on the loop's thread, inside the run; touched there alone.
    woken_here: AtomicUsize,
    run_queues: Owner<RunQueues>,
}

impl BlockOnWaker {
    /// Woken for its first poll.
    pub(crate) fn new(run_queues: Owner<RunQueues>) -> Self {
        Self { woken: AtomicUsize::new(0), woken_here: AtomicUsize::new(1), run_queues }
    }

    pub(crate) fn is_woken(&self) -> bool {
        // ORDERING: Relaxed, both: one is this thread's own. A mark of another thread is seen here if the
        // loop has acquired the bell that follows it, in `resume` or in a `park` that failed; if not, that bell
        // keeps it from parking.
        self.woken_here.load(Ordering::Relaxed) != 0 || self.woken.load(Ordering::Relaxed) != 0
    }

    /// Whether it is to be polled: answers every wake so far.
    pub(crate) fn take(&self) -> bool {
        // ORDERING: Relaxed: this thread's own.
        let here = self.woken_here.load(Ordering::Relaxed) != 0;
        if here {
            // ORDERING: Relaxed: as above.
            self.woken_here.store(0, Ordering::Relaxed);
        }
        // ORDERING: Relaxed, a hint. AcqRel, paired with the swap in `wake_by_ref`: the poll sees what
        // was written before.
        let elsewhere =
            self.woken.load(Ordering::Relaxed) != 0 && self.woken.swap(0, Ordering::AcqRel) != 0;
        here | elsewhere
    }

    /// Wakes it on the loop's thread, inside the run, which looks before it parks.
    #[inline]
    pub(crate) fn wake_here(&self) {
        // ORDERING: Relaxed: this thread's own.
        self.woken_here.store(1, Ordering::Relaxed);
    }
}

impl ArcWake for BlockOnWaker {
    fn wake_by_ref(main: &Arc<Self>) {
        if RunQueues::is_current(&main.run_queues) {
            return main.wake_here();
        }
        // ORDERING: AcqRel: Release, paired with `take`. A swap, marked or not: of two wakers both are seen.
        main.woken.swap(1, Ordering::AcqRel);
        main.run_queues.notify();
    }
}
