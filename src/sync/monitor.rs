//! A place where threads wait, the same over real and over modelled locks.

use std::time::Instant;

use super::{Bell, Mutex};

/// A place where threads wait. What they wait for is the caller's: they look again after every
/// wake-up.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    lock: Mutex<()>,
    bell: Bell,
}

impl Monitor {
    /// Waits while `asleep()`, at most until `deadline`. `asleep` is called under a lock.
    pub(crate) fn wait_while(&self, mut asleep: impl FnMut() -> bool, deadline: Option<Instant>) {
        let mut guard = self.lock.lock();
        while asleep() {
            let Some(again) = self.bell.wait(guard, deadline) else { return };
            guard = again;
        }
    }

    /// Makes who waits look again. To be called after what they wait for has changed: the lock
    /// makes sure that each is either waiting already or has not looked yet.
    pub(crate) fn notify(&self) {
        drop(self.lock.lock());
        self.bell.ring();
    }
}
