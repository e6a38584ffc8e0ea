//! What a loop is built with.

use std::time::Duration;

use crate::panic::PanicHook;
#[cfg(all(feature = "io", unix))]
use crate::runtime::driver::Make;
use crate::runtime::guest::GuestWaker;
use crate::runtime::watchdog::{Busy, Watchdog};
use crate::task::run_queues::Unpark;

/// Most polls between two looks at injected work and timers, unless [`Builder::batch`](crate::Builder::batch) says otherwise.
const BATCH: usize = 64;
/// Most threads of the pool for blocking jobs, unless [`Builder::blocking_threads`](crate::Builder::blocking_threads) says
/// otherwise.
const BLOCKING_THREADS: usize = 16;
/// How long a poll may run before it yields where it can, unless [`Builder::poll_budget`](crate::Builder::poll_budget) says
/// otherwise.
const POLL_BUDGET: Duration = Duration::from_micros(200);

/// What a loop is built with.
pub(crate) struct Settings {
    pub(crate) batch: usize,
    pub(crate) poll_budget: Duration,
    pub(crate) spin: Duration,
    pub(crate) timer_tolerance: Duration,
    pub(crate) on_panic: Option<PanicHook>,
    pub(crate) on_wake: Option<Unpark>,
    pub(crate) capacity: Option<usize>,
    pub(crate) blocking_threads: usize,
    pub(crate) watchdog: Option<Watchdog>,
    /// The seed, if time is virtual.
    pub(crate) virtual_time: Option<u64>,
    /// What makes a driver of the user's.
    #[cfg(all(feature = "io", unix))]
    pub(crate) driver: Option<Make>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: BATCH,
            poll_budget: POLL_BUDGET,
            spin: Duration::ZERO,
            timer_tolerance: Duration::ZERO,
            on_panic: None,
            on_wake: None,
            capacity: None,
            blocking_threads: BLOCKING_THREADS,
            watchdog: None,
            virtual_time: None,
            #[cfg(all(feature = "io", unix))]
            driver: None,
        }
    }
}

/// What is bounded, and how busy the loop is: for those who share it.
pub(crate) struct Limits {
    pub(crate) capacity: Option<usize>,
    pub(crate) blocking_threads: usize,
    pub(crate) busy: Option<Busy>,
}

impl Settings {
    pub(super) fn limits(&self) -> Limits {
        let busy = self.watchdog.as_ref().map(Watchdog::busy);
        Limits { capacity: self.capacity, blocking_threads: self.blocking_threads, busy }
    }
}

/// How the loop is roused, and its host told.
pub(super) fn rouse(
    bell: impl Fn() + Send + Sync + 'static,
    guest: GuestWaker,
    hook: Option<Unpark>,
) -> Unpark {
    let ring = move || if guest.is_set() { ring_both(&bell, &guest) } else { bell() };
    match hook {
        None => Box::new(ring),
        Some(hook) => Box::new(move || {
            ring();
            hook();
        }),
    }
}

#[cold]
#[inline(never)]
fn ring_both(bell: &impl Fn(), guest: &GuestWaker) {
    bell();
    guest.wake();
}
