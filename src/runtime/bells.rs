//! Which bell ends the sleep of a loop that sleeps in one of two places: on its parker, or in its driver.
//!
//! The sleep word of the run queues says whether the loop sleeps, and as before exactly one thread replaces `PARKED`. Where
//! the loop sleeps is said beside the word, by the loop alone, and only while it is awake:
//!
//! | place    | the loop sleeps, or will sleep, | whoever replaces `PARKED` |
//! |----------|---------------------------------|---------------------------|
//! | `PARKER` | on its parker                   | rings the parker's bell   |
//! | `DRIVER` | in its driver                   | rings the driver's bell   |
//!
//! | step | the loop's thread                           | another thread                              |
//! |------|---------------------------------------------|---------------------------------------------|
//! | 1    | writes the place                            |                                             |
//! | 2    | exchanges `RUNNING` for `PARKED` (release)  |                                             |
//! | 3    | sleeps in that place                        | replaces `PARKED` (acquire)                 |
//! | 4    |                                             | reads the place, and rings that bell, once  |
//! | 5    | exchanges the word for `RUNNING`            |                                             |
//!
//! A thread that has replaced `PARKED` comes after step 2 of the sleep that it ends, and so reads what was written in
//! step 1, or a later place. A later one is there only if the loop has woken up meanwhile for another reason, and has
//! gone on: then nothing of that sleep is left to be ended, and the ring is an early end of a later one. The place is
//! therefore no part of the word, and a plain relaxed store will do.
//!
//! A bell that is rung before its driver waits ends the wait that follows: that is what [`Driver`](super::driver::Driver)
//! demands, as an `eventfd` gives it. The parker asks the word under its lock instead.
//!
//! Modelled in `tests/loom/bells.rs`.

use std::sync::{Arc, OnceLock};

use super::parker::Parker;
use crate::sync::{AtomicUsize, Ordering};

const PARKER: usize = 0;
const DRIVER: usize = 1;

/// The bell of a driver.
pub(crate) type Bell = Box<dyn Fn() + Send + Sync>;

/// Both bells, and which of them the loop has named.
#[derive(Clone)]
pub(crate) struct Bells(Arc<Named>);

struct Named {
    /// Written on the loop's thread alone, while the loop is awake.
    place: AtomicUsize,
    parker: Parker,
    /// There from the time on at which the loop has a driver.
    driver: OnceLock<Bell>,
}

impl Bells {
    pub(crate) fn new(parker: Parker) -> Self {
        Self(Arc::new(Named { place: AtomicUsize::new(PARKER), parker, driver: OnceLock::new() }))
    }

    /// The loop has got a driver, with this bell; it sleeps there from now on. On the loop's thread.
    pub(crate) fn hang(&self, bell: Bell) {
        if self.0.driver.set(bell).is_ok() {
            self.name_driver();
        }
    }

    /// The loop is about to sleep on its parker. On the loop's thread.
    pub(crate) fn name_parker(&self) {
        // ORDERING: Relaxed: the exchange in `RunQueues::park` that follows releases it to whoever replaces `PARKED`.
        self.0.place.store(PARKER, Ordering::Relaxed);
    }

    /// The loop sleeps in its driver from now on. On the loop's thread.
    pub(crate) fn name_driver(&self) {
        // ORDERING: Relaxed: as in `name_parker`.
        self.0.place.store(DRIVER, Ordering::Relaxed);
    }

    /// Ends the sleep of a loop whose word has been replaced.
    pub(crate) fn ring(&self) {
        // ORDERING: Relaxed: the caller has replaced `PARKED` in `RunQueues::notify`, which acquires what the loop wrote
        // before its exchange in `RunQueues::park`.
        match (self.0.place.load(Ordering::Relaxed), self.0.driver.get()) {
            (DRIVER, Some(bell)) => bell(),
            _ => self.0.parker.unpark(),
        }
    }

    /// The same as a function.
    #[cfg(not(loom))]
    pub(crate) fn into_bell(self) -> impl Fn() + Send + Sync {
        move || self.ring()
    }

    /// Rings for the loop itself, on its own thread: its host shall look. `false`: there is no driver.
    pub(crate) fn ring_driver(&self) -> bool {
        self.0.driver.get().map(|bell| bell()).is_some()
    }
}
