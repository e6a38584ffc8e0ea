//! The loop's clock: the only place that reads one.

use std::time::{Duration, Instant};

use crate::tick::{NEVER, Tick, nanos};

/// A clock that counts nanoseconds from the loop's beginning.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// The time now.
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        nanos(self.origin.elapsed())
    }

    /// The same as an instant of the standard library.
    pub(crate) fn now_instant(&self) -> Instant {
        Instant::now()
    }

    /// `at` on this clock, exact; what lies before the loop's beginning is its beginning.
    pub(crate) fn tick(&self, at: Instant) -> Tick {
        nanos(at.saturating_duration_since(self.origin))
    }

    /// A tick as an instant; `None` for [`NEVER`] and for what an `Instant` cannot hold.
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        if tick == NEVER { None } else { self.origin.checked_add(Duration::from_nanos(tick)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_and_its_instant_are_the_same_nanosecond() {
        let clock = Clock::new();
        let at = clock.instant(1_234_567_891).unwrap();
        assert_eq!(clock.tick(at), 1_234_567_891);
        assert_eq!(clock.instant(NEVER), None);
        assert_eq!(clock.tick(clock.origin - Duration::from_nanos(1)), 0);
    }
}
