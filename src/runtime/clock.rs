//! The clocks: the only place that reads one, and where an `Instant` becomes a number.
//!
//! All real clocks of a process count from one instant, so that a deadline is one number for all
//! loops. A virtual clock stands still until it is told to jump, and begins with zero in every run:
//! what it does may depend on nothing else.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::tick::{NEVER, Tick, nanos};

/// The tick at which counting begins: two years of earlier instants have ticks, too, and 582 later ones.
const FIRST: Tick = 1 << 56;

/// The last moment of a virtual clock: at [`NEVER`] what never comes would come.
const LAST: Tick = NEVER - 1;

/// The instant of [`FIRST`].
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// An instant as a number, exact: nanoseconds, the same for all loops.
#[inline]
fn tick(at: Instant) -> Tick {
    let origin = origin();
    match at.checked_duration_since(origin) {
        Some(after) => FIRST.saturating_add(nanos(after)),
        None => FIRST.saturating_sub(nanos(origin.saturating_duration_since(at))),
    }
}

/// A point of time on any clock; [`NEVER`] on one is never on all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    tick: Tick,
    /// What the clock's ticks are less than those of real clocks.
    less: Tick,
}

impl Moment {
    pub(crate) const NEVER: Self = Self { tick: NEVER, less: 0 };

    pub(crate) fn of(at: Instant) -> Self {
        Self { tick: tick(at), less: 0 }
    }

    /// Its tick on `clock`.
    #[inline]
    pub(crate) fn on(self, clock: &Clock) -> Tick {
        let less = clock.less();
        if less == self.less || self.tick == NEVER {
            return self.tick;
        }
        let real = u128::from(self.tick) + u128::from(self.less);
        Tick::try_from(real.saturating_sub(less.into())).unwrap_or(NEVER)
    }

    /// As an instant; `None` for never, and for what an `Instant` cannot hold.
    pub(crate) fn instant(self) -> Option<Instant> {
        match self {
            Self { tick: NEVER, .. } => None,
            Self { tick, less: 0 } => instant(tick),
            Self { tick, less } => instant(less)?.checked_add(Duration::from_nanos(tick)),
        }
    }
}

/// The other way; `None` for [`NEVER`] and for what an `Instant` cannot hold.
fn instant(tick: Tick) -> Option<Instant> {
    match tick.checked_sub(FIRST) {
        _ if tick == NEVER => None,
        Some(after) => origin().checked_add(Duration::from_nanos(after)),
        None => origin().checked_sub(Duration::from_nanos(FIRST - tick)),
    }
}

/// The tick that is `duration` after `tick`; [`NEVER`] if that never comes.
#[inline]
pub(crate) fn later(tick: Tick, duration: Duration) -> Tick {
    tick.saturating_add(nanos(duration))
}

/// What a loop lives by. Its ticks are those of all, or, by a virtual clock, its own.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The system's.
    Real,
    /// Jumps. Its ticks are so many less than those of all; read from any thread, by a lock, because
    /// not every target has 64-bit atomics.
    Virtual(Tick, Mutex<Tick>),
}

impl Clock {
    /// A virtual clock that stands at the present instant.
    pub(crate) fn at_rest() -> Self {
        Self::Virtual(tick(Instant::now()), Mutex::new(0))
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(..))
    }

    /// The time now, in the loop's ticks.
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        match self {
            Self::Real => tick(Instant::now()),
            Self::Virtual(_, now) => *now.lock(),
        }
    }

    /// The same as an instant of the standard library.
    pub(crate) fn now_instant(&self) -> Instant {
        match self {
            Self::Real => Instant::now(),
            // An `Instant` holds 584 years everywhere; if not, it stands still at the beginning.
            Self::Virtual(..) => self.instant(self.now()).unwrap_or_else(origin),
        }
    }

    /// The tick that is `duration` from now, as far as time goes.
    pub(crate) fn after(&self, duration: Duration) -> Tick {
        later(self.now(), duration).min(LAST)
    }

    /// Has a virtual clock stand at `tick`, unless that has passed. The real one goes its own way.
    pub(crate) fn jump(&self, tick: Tick) {
        if let Self::Virtual(_, now) = self {
            let mut now = now.lock();
            *now = tick.min(LAST).max(*now);
        }
    }

    /// Has a virtual clock stand at `at`, ahead or back. The real one goes its own way.
    pub(crate) fn set(&self, at: Instant) {
        if let Self::Virtual(_, now) = self {
            *now.lock() = Moment::of(at).on(self).min(LAST);
        }
    }

    /// How many ticks before this clock's zero that of all real clocks lies.
    #[inline]
    fn less(&self) -> Tick {
        match self {
            Self::Real => 0,
            Self::Virtual(less, _) => *less,
        }
    }

    /// A tick of this clock, for a timer that may be polled on any loop.
    #[inline]
    pub(crate) fn moment(&self, tick: Tick) -> Moment {
        Moment { tick, less: self.less() }
    }

    /// A tick of this loop as an instant; `None` as in [`instant`].
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        self.moment(tick).instant()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_and_its_instant_are_the_same_nanosecond() {
        let far = Duration::from_secs(100 * 365 * 24 * 3600);
        let now = Instant::now();
        for at in [Some(now), now.checked_add(far), now.checked_sub(Duration::from_nanos(7))] {
            assert_eq!(at.and_then(|at| instant(tick(at))), at);
        }
        assert_eq!(instant(NEVER), None);
        assert_eq!(tick(origin()), FIRST);
        assert_eq!(tick(origin() + Duration::from_nanos(3)), FIRST + 3);
    }

    #[test]
    fn what_is_too_far_is_never() {
        let years = |years: u64| Duration::from_secs(years * 365 * 24 * 3600);
        assert!(later(FIRST, years(580)) < NEVER);
        assert_eq!(later(FIRST, years(590)), NEVER);
        assert_eq!(later(FIRST, Duration::MAX), NEVER);
        assert_eq!(later(NEVER, Duration::ZERO), NEVER);
    }

    #[test]
    fn a_virtual_clock_begins_with_zero() {
        let clock = Clock::at_rest();
        assert_eq!(clock.now(), 0);
        let now = tick(Instant::now());
        let here = Moment { tick: now, less: 0 }.on(&clock);
        assert!(here < FIRST, "the clock began just now");
        assert_eq!(
            (clock.moment(here).on(&Clock::Real), clock.moment(here).on(&clock)),
            (now, here)
        );
        assert_eq!((Moment::NEVER.on(&clock), Moment::NEVER.instant()), (NEVER, None));
        let end = clock.moment(NEVER - 1);
        assert_eq!((end.on(&clock), end.on(&Clock::Real)), (NEVER - 1, NEVER));
    }

    #[test]
    fn a_virtual_clock_only_jumps_and_never_back() {
        let clock = Clock::at_rest();
        let begun = clock.now_instant();
        clock.jump(7);
        clock.jump(3);
        assert_eq!(clock.now(), 7);
        assert_eq!(clock.now_instant(), begun + Duration::from_nanos(7));
    }

    #[test]
    fn a_virtual_clock_stops_short_of_never() {
        let clock = Clock::at_rest();
        assert_eq!(clock.after(Duration::from_nanos(5)), 5);
        assert_eq!(clock.after(Duration::MAX), NEVER - 1);
        clock.jump(NEVER);
        assert_eq!((clock.now(), clock.after(Duration::from_nanos(1))), (NEVER - 1, NEVER - 1));
    }
}
