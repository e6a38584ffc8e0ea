//! The loop's clock: the only place that reads one.
//!
//! It is the system's, or a virtual one, which stands still until it is told to jump. Either counts
//! from the instant at which the loop was built, so that an `Instant` means the same to both.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::tick::{NEVER, Tick, nanos};

/// The last moment of a virtual clock, 584 years on: at [`NEVER`] what never comes would come.
const LAST: Tick = NEVER - 1;

/// A clock that counts nanoseconds from the loop's beginning.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The system's.
    Real(Instant),
    /// Jumps. Read from any thread; a lock, because not every target has 64-bit atomics.
    Virtual(Instant, Mutex<Tick>),
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self::Real(Instant::now())
    }

    pub(crate) fn at_rest() -> Self {
        Self::Virtual(Instant::now(), Mutex::new(0))
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(..))
    }

    /// The time now.
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        match self {
            Self::Real(origin) => nanos(origin.elapsed()),
            Self::Virtual(_, now) => *now.lock(),
        }
    }

    /// The same as an instant of the standard library.
    pub(crate) fn now_instant(&self) -> Instant {
        match self {
            Self::Real(_) => Instant::now(),
            // An `Instant` holds 584 years everywhere; if not, it stands still at the beginning.
            Self::Virtual(origin, now) => self.instant(*now.lock()).unwrap_or(*origin),
        }
    }

    /// The tick that is `duration` from now, as far as time goes.
    pub(crate) fn after(&self, duration: Duration) -> Tick {
        self.now().saturating_add(nanos(duration)).min(LAST)
    }

    /// Has a virtual clock stand at `tick`, unless that has passed. The real one goes its own way.
    pub(crate) fn jump(&self, tick: Tick) {
        if let Self::Virtual(_, now) = self {
            let mut now = now.lock();
            *now = tick.min(LAST).max(*now);
        }
    }

    /// `at` on this clock, exact; what lies before the loop's beginning is its beginning.
    pub(crate) fn tick(&self, at: Instant) -> Tick {
        nanos(at.saturating_duration_since(self.origin()))
    }

    /// A tick as an instant; `None` for [`NEVER`] and for what an `Instant` cannot hold.
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        if tick == NEVER { None } else { self.origin().checked_add(Duration::from_nanos(tick)) }
    }

    fn origin(&self) -> Instant {
        let (Self::Real(origin) | Self::Virtual(origin, _)) = self;
        *origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_and_its_instant_are_the_same_nanosecond() {
        for clock in [Clock::real(), Clock::at_rest()] {
            let at = clock.instant(1_234_567_891).unwrap();
            assert_eq!(clock.tick(at), 1_234_567_891);
            assert_eq!(clock.instant(NEVER), None);
            assert_eq!(clock.tick(clock.origin() - Duration::from_nanos(1)), 0);
        }
    }

    #[test]
    fn a_virtual_clock_only_jumps_and_never_back() {
        let clock = Clock::at_rest();
        assert_eq!((clock.now(), clock.now_instant()), (0, clock.origin()));
        clock.jump(7);
        clock.jump(3);
        assert_eq!((clock.now(), clock.tick(clock.now_instant())), (7, 7));
    }

    #[test]
    fn a_virtual_clock_stops_short_of_never() {
        let clock = Clock::at_rest();
        clock.jump(7);
        assert_eq!(clock.after(Duration::from_nanos(5)), 12);
        assert_eq!(clock.after(Duration::MAX), NEVER - 1);
        clock.jump(NEVER);
        assert_eq!((clock.now(), clock.after(Duration::from_nanos(1))), (NEVER - 1, NEVER - 1));
        assert_eq!(clock.tick(clock.now_instant()), NEVER - 1);
    }
}
