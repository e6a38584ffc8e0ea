//! A place where threads wait, the same over real and over modelled locks.

use std::time::Instant;

use super::{Condvar, Mutex};

/// A place where threads wait, and what they wait for, if that lies under the lock. If it is elsewhere
/// it is the caller's: they look again after every wake-up.
#[derive(Debug, Default)]
pub(crate) struct Monitor<T = ()> {
    state: Mutex<T>,
    bell: Condvar,
}

impl<T> Monitor<T> {
    pub(crate) fn new(state: T) -> Self {
        Self { state: Mutex::new(state), bell: Condvar::default() }
    }

    /// Waits while `asleep()`, at most until `deadline`: `false` if that came first. `asleep` is called
    /// under the lock.
    pub(crate) fn wait_while(
        &self,
        mut asleep: impl FnMut(&mut T) -> bool,
        deadline: Option<Instant>,
    ) -> bool {
        let (mut state, mut over) = (self.state.lock(), false);
        while asleep(&mut state) {
            if over {
                return false;
            }
            (state, over) = self.bell.wait(state, deadline);
        }
        true
    }

    /// Looks at what is under the lock, or changes it, and leaves who waits alone.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.state.lock())
    }

    /// Makes who waits look again.
    pub(crate) fn ring(&self) {
        self.bell.ring();
    }
}

impl Monitor {
    /// Makes who waits look again. To be called after what they wait for has changed: the lock
    /// makes sure that each is either waiting already or has not looked yet.
    pub(crate) fn notify(&self) {
        self.with(|()| ());
        self.ring();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// J2: who has waited until the deadline looks once more.
    #[test]
    fn what_comes_with_the_deadline_is_seen() {
        let (monitor, mut looks) = (Monitor::default(), 0);
        let asleep = |(): &mut ()| {
            looks += 1;
            looks == 1
        };
        assert!(monitor.wait_while(asleep, Some(Instant::now())));
        assert_eq!(looks, 2);
        assert!(!monitor.wait_while(|()| true, Some(Instant::now())));
    }
}
