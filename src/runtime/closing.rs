//! The request to end a loop.
//!
//! The plan is stored before the mark is set, the waiters are woken after that, and the bell is rung last: a loop
//! that is woken by the bell sees the mark, a thread that sees the mark sees the plan, and a loop that sleeps
//! does not begin to end before its tasks have been told. Modelled in `tests/loom/gates.rs`.

use parking_lot::Mutex;

use super::event::Event;
use crate::task::mailbox::Mailbox;

/// Whether a loop was asked to end, and how: by a plan `P`.
#[derive(Debug)]
pub(crate) struct EndRequest<P> {
    /// Happens with the first request.
    pub(crate) made: Event,
    plan: Mutex<Option<P>>,
}

impl<P: Copy> EndRequest<P> {
    pub(crate) fn new() -> Self {
        Self { made: Event::new(), plan: Mutex::new(None) }
    }

    #[inline]
    pub(crate) fn is_made(&self) -> bool {
        self.made.has_happened()
    }

    /// Asks the loop to end by `plan`, or by what `merge` makes of it and an earlier one.
    pub(crate) fn make(&self, plan: P, merge: impl FnOnce(P, P) -> P, mailbox: &Mailbox) {
        {
            let mut current = self.plan.lock();
            *current = Some(current.map_or(plan, |earlier| merge(earlier, plan)));
        }
        self.close();
        mailbox.notify();
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
