//! Where a loop's thread sleeps.
//!
//! The run queues's sleep word says whether the loop sleeps: who replaces it, rings. Behind the word are a lock
//! and a bell, which see to it that the ring finds the thread waiting, or it has not looked at the word yet.
//! A loop whose host sleeps in its stead has the word alone. Modelled in `tests/loom/parker.rs`.

use std::sync::Arc;
use std::time::Instant;

use crate::sync::Monitor;
use crate::task::loop_side::LoopSide;
use crate::task::run_queues::{Parked, RunQueues};

/// The lock and the bell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parker(Arc<Monitor>);

impl Parker {
    /// Ends the sleep of a loop whose word has been replaced.
    pub(crate) fn unpark(&self) {
        self.0.notify();
    }

    /// The same as a function.
    #[cfg(not(all(feature = "io", unix)))]
    pub(crate) fn into_bell(self) -> impl Fn() + Send + Sync {
        move || self.unpark()
    }

    /// Sleeps until a producer ends that or the deadline comes, unless one has come already.
    pub(crate) fn sleep(&self, side: &LoopSide, deadline: Option<Instant>) {
        fall_asleep(side, || {
            self.0.wait_while(|()| side.run_queues().is_parked(), deadline);
        });
    }
}

/// Declares the loop asleep, and waits as it is told to, unless a producer has come already.
#[inline]
pub(crate) fn fall_asleep(side: &LoopSide, wait: impl FnOnce()) {
    match side.park() {
        Parked::Asleep => side.counters().parks.add(1),
        Parked::Awake => return,
        Parked::Roused => {
            side.counters().parks.add(1);
            return side.counters().unparks.add(1);
        }
    }
    wait();
    // Only a producer that unparks replaces the word of a sleeping loop.
    side.counters().unparks.add((!side.run_queues().is_parked()).into());
    side.resume();
}

/// Declares the loop asleep for its host, whatever was notified before, unless there is something to take in.
#[inline]
pub(crate) fn rest_at_last(side: &LoopSide) {
    let run_queues = side.run_queues();
    // Nobody has replaced the word since it was declared asleep: then whoever pushes is to ring, as ever.
    if !run_queues.is_parked() {
        lie_down(side, run_queues);
    }
}

#[inline(never)]
fn lie_down(side: &LoopSide, run_queues: &RunQueues) {
    while !run_queues.has_any() {
        side.resume();
        if side.park() != Parked::Asleep {
            continue;
        }
        // What was pushed in between may have notified a word that has been overwritten since.
        if run_queues.has_any() {
            run_queues.notify();
        }
        return;
    }
}
