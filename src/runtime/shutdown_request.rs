//! The request to end a loop.
//!
//! The plan is stored before the mark is set, the waiters are woken after that, and the bell is rung last: a loop
//! that is woken by the bell sees the mark, a thread that sees the mark sees the plan, and a loop that sleeps
//! does not begin to end before its tasks have been told. Modelled in `tests/loom/gates.rs`.

use parking_lot::Mutex;

use super::latch::Latch;
use crate::task::run_queues::RunQueues;

/// Whether a loop was asked to end, and how: by a plan `P`.
#[derive(Debug)]
pub(crate) struct ShutdownRequest<P> {
    /// Happens with the first request.
    pub(crate) made: Latch,
    plan: Mutex<Option<P>>,
}

impl<P: Copy> ShutdownRequest<P> {
    pub(crate) fn new() -> Self {
        Self { made: Latch::new(), plan: Mutex::new(None) }
    }

    #[inline]
    pub(crate) fn is_made(&self) -> bool {
        self.made.has_happened()
    }

    /// Asks the loop to end by `plan`, or by what `merge` makes of it and an earlier one.
    pub(crate) fn make(&self, plan: P, merge: impl FnOnce(P, P) -> P, run_queues: &RunQueues) {
        {
            let mut current = self.plan.lock();
            *current = Some(current.map_or(plan, |earlier| merge(earlier, plan)));
        }
        self.close();
        run_queues.notify();
    }

    /// Nothing more is accepted: the loop is at its end, asked to or not.
    pub(crate) fn close(&self) {
        self.made.happen();
    }

    /// The plan, once there is one.
    #[inline]
    pub(crate) fn plan(&self) -> Option<P> {
        if self.is_made() { *self.plan.lock() } else { None }
    }
}
