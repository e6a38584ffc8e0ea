//! The request to end: what was asked of a loop, once something was.
//!
//! The plan is there before the flag, and the flag before the bell: a loop that is woken by the bell
//! sees the flag, and who sees the flag sees the plan. Modelled in `tests/loom/gates.rs`.

use parking_lot::Mutex;

use crate::sync::{AtomicUsize, Ordering};
use crate::task::mailbox::Mailbox;

/// Whether a loop was asked to end, and how: by a plan `P`.
#[derive(Debug)]
pub(crate) struct Closing<P> {
    /// 1 from the first request on.
    closed: AtomicUsize,
    plan: Mutex<Option<P>>,
}

impl<P: Copy> Closing<P> {
    pub(crate) fn new() -> Self {
        Self { closed: AtomicUsize::new(0), plan: Mutex::new(None) }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        // ORDERING: Acquire, paired with the Release in `close`: who sees it closed sees the plan.
        self.closed.load(Ordering::Acquire) != 0
    }

    /// Asks the loop to end by `plan`, or by what `merge` makes of it and an earlier one.
    pub(crate) fn request(&self, plan: P, merge: impl FnOnce(P, P) -> P, mailbox: &Mailbox) {
        {
            let mut current = self.plan.lock();
            *current = Some(current.map_or(plan, |earlier| merge(earlier, plan)));
        }
        self.close();
        mailbox.notify();
    }

    /// Nothing more is accepted: the loop is at its end, asked to or not.
    pub(crate) fn close(&self) {
        // ORDERING: AcqRel, paired with the Acquire in `is_closed`.
        self.closed.swap(1, Ordering::AcqRel);
    }

    /// The plan, once there is one.
    #[inline]
    pub(crate) fn plan(&self) -> Option<P> {
        if self.is_closed() { *self.plan.lock() } else { None }
    }
}
