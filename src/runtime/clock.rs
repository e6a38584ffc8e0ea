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

/// A point of time on any clock, of 16 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// A tick of real clocks.
    Tick(Tick),
    /// An instant that is too far away for such a tick.
    Instant(Instant),
    /// No instant at all.
    Never,
}

impl Moment {
    pub(crate) fn of(at: Instant) -> Self {
        match tick(at) {
            0 | NEVER => Self::Instant(at),
            tick => Self::Tick(tick),
        }
    }

    /// The moment `duration` after a tick of the clock whose ticks are so many less than those of real ones,
    /// also where no tick reaches.
    #[inline(always)]
    pub(crate) fn after((now, less): (Tick, Tick), duration: Duration) -> Self {
        match later(now, duration).checked_add(less) {
            Some(tick) if tick < NEVER => Self::Tick(tick),
            _ => Self::far_after((now, less), duration),
        }
    }

    #[cold]
    #[inline(never)]
    fn far_after(now: (Tick, Tick), duration: Duration) -> Self {
        let at = instant_of(now).and_then(|now| now.checked_add(duration));
        at.map_or(Self::Never, Self::Instant)
    }

    /// Its tick on `clock`.
    #[inline]
    pub(crate) fn on(&self, clock: &Clock) -> Tick {
        match (self, clock) {
            (Self::Tick(tick), Clock::Real) => *tick,
            (Self::Tick(tick), Clock::Virtual(less, _)) => tick.saturating_sub(*less),
            (far, _) => clock.far_tick(*far),
        }
    }

    /// As an instant; `None` for never.
    pub(crate) fn instant(self) -> Option<Instant> {
        match self {
            Self::Tick(tick) => instant(tick),
            Self::Instant(at) => Some(at),
            Self::Never => None,
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

/// The same of a tick, not [`NEVER`], of the clock whose ticks are so many less than those of real ones.
fn instant_of((tick, less): (Tick, Tick)) -> Option<Instant> {
    match tick.checked_add(less) {
        Some(tick) if tick < NEVER => instant(tick),
        _ => instant(less)?.checked_add(Duration::from_nanos(tick)),
    }
}

/// What the system's clock says.
#[inline(never)]
pub(crate) fn system() -> Tick {
    tick(Instant::now())
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
    fn less(&self) -> Tick {
        match self {
            Self::Real => 0,
            Self::Virtual(less, _) => *less,
        }
    }

    /// A moment as a tick of this clock, exact as far as those reach.
    #[cold]
    #[inline(never)]
    fn far_tick(&self, moment: Moment) -> Tick {
        let Some(at) = moment.instant() else { return NEVER };
        let (origin, zero) = (origin(), i128::from(FIRST) - i128::from(self.less()));
        let nanos = |later: Instant, earlier: Instant| {
            i128::try_from(later.saturating_duration_since(earlier).as_nanos()).unwrap_or(i128::MAX)
        };
        let tick = (nanos(at, origin) - nanos(origin, at)).saturating_add(zero).max(0);
        Tick::try_from(tick).unwrap_or(NEVER)
    }

    /// The moment `duration` after `now`, a tick of this clock: also where no tick reaches.
    pub(crate) fn moment_after(&self, now: Tick, duration: Duration) -> Moment {
        Moment::after((now, self.less()), duration)
    }

    /// A tick of this loop as an instant; `None` for [`NEVER`] and for what an `Instant` cannot hold.
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        if tick == NEVER { None } else { instant_of((tick, self.less())) }
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
        let here = Moment::Tick(now).on(&clock);
        assert!(here < FIRST, "the clock began just now");
        let moment = |tick| clock.moment_after(tick, Duration::ZERO);
        assert_eq!((moment(here).on(&Clock::Real), moment(here).on(&clock)), (now, here));
        assert_eq!((Moment::Never.on(&clock), Moment::Never.instant()), (NEVER, None));
        let end = moment(NEVER - 1);
        assert_eq!((end.on(&clock), end.on(&Clock::Real)), (NEVER - 1, NEVER));
    }

    #[test]
    fn a_moment_is_the_instant_that_was_asked_for_and_takes_16_bytes() {
        let (now, clock) = (Instant::now(), Clock::at_rest());
        let years = |years: u64| Duration::from_secs(years * 365 * 24 * 3600);
        for away in [0, 1, 580, 600, 10_000].map(years) {
            for at in [now.checked_add(away), now.checked_sub(away)].into_iter().flatten() {
                assert_eq!(Moment::of(at).instant(), Some(at), "{away:?}");
                assert_eq!(Moment::of(at).on(&Clock::Real), tick(at), "{away:?}");
            }
            let later = Clock::Real.moment_after(tick(now), away);
            assert_eq!(later.instant(), now.checked_add(away), "{away:?}");
            let later = clock.moment_after(3, away).instant();
            assert_eq!(later, clock.instant(3).and_then(|now| now.checked_add(away)), "{away:?}");
        }
        assert!(matches!(Clock::Real.moment_after(tick(now), Duration::MAX), Moment::Never));
        assert!(!cfg!(target_os = "linux") || size_of::<Moment>() == 16);
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
