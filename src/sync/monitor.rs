//! A place where threads wait, the same over real and over modelled locks.

use std::time::Instant;

use super::{Bell, Mutex};

/// A place where threads wait, and what they wait for, if that lies under the lock. If it is elsewhere
/// it is the caller's: they look again after every wake-up.
#[derive(Debug, Default)]
pub(crate) struct Monitor<T = ()> {
    state: Mutex<T>,
    bell: Bell,
}

impl<T> Monitor<T> {
    /// Waits while `asleep()`, at most until `deadline`: `false` if that came. `asleep` is called under
    /// the lock.
    pub(crate) fn wait_while(
        &self,
        mut asleep: impl FnMut(&mut T) -> bool,
        deadline: Option<Instant>,
    ) -> bool {
        let mut state = self.state.lock();
        while asleep(&mut state) {
            let Some(again) = self.bell.wait(state, deadline) else { return false };
            state = again;
        }
        true
    }

    /// Changes what is under the lock, and makes who waits look again.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.state.lock());
        self.bell.ring();
    }
}

impl Monitor {
    /// Makes who waits look again. To be called after what they wait for has changed: the lock
    /// makes sure that each is either waiting already or has not looked yet.
    pub(crate) fn notify(&self) {
        self.change(|()| ());
    }
}
