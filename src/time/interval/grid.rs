//! The grid of an interval: which point comes next, and how many were missed.

use std::time::{Duration, Instant};

use super::{MissedTick, Tick};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The points that are still to come.
#[derive(Debug)]
pub(super) struct Grid {
    /// `None`: never.
    pub(super) next: Option<Instant>,
    /// Not zero.
    pub(super) period: Duration,
    pub(super) missed_tick: MissedTick,
}

impl Grid {
    /// The tick of `scheduled`, the next point, at the time `now`; then goes on to the one after it.
    pub(super) fn take(&mut self, scheduled: Instant, now: Instant) -> Tick {
        // A clock that stepped back behind the point stands at the point.
        let now = now.max(scheduled);
        let (missed, rest) = divide(now.duration_since(scheduled), self.period);
        self.next = match self.missed_tick {
            MissedTick::Skip => now.checked_add(self.period - rest),
            MissedTick::Burst => scheduled.checked_add(self.period),
            MissedTick::Delay => now.checked_add(self.period),
        };
        Tick { scheduled, missed }
    }
}

/// How many whole periods `late` has, as far as that can be counted, and what remains of it: less
/// than one period.
fn divide(late: Duration, period: Duration) -> (u64, Duration) {
    if late < period {
        return (0, late);
    }
    let (late, period) = (late.as_nanos(), period.as_nanos());
    let (whole, rest) = (late / period, late % period);
    let seconds = (rest / NANOS_PER_SECOND) as u64; // fits: `rest` is less than some `Duration`
    (
        u64::try_from(whole).unwrap_or(u64::MAX),
        Duration::new(seconds, (rest % NANOS_PER_SECOND) as u32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow, obvious definition: walks the grid point by point.
    fn walk(scheduled: Instant, now: Instant, period: Duration) -> (u64, Instant) {
        let (mut missed, mut next) = (0, scheduled + period);
        while next <= now {
            missed += 1;
            next += period;
        }
        (missed, next)
    }

    fn grid(at: Instant, period: Duration, missed_tick: MissedTick) -> Grid {
        Grid { next: Some(at), period, missed_tick }
    }

    proptest! {
        #[test]
        fn a_skip_lands_where_a_walk_does(
            period in 1_u64..5_000_000_000,
            late in 0_u64..5_000_000_000,
            missed in 0_u64..500,
        ) {
            let start = Instant::now();
            // On a grid point, one nanosecond beside it, or anywhere.
            for late in [0, 1, late, period - 1] {
                let now = start + Duration::from_nanos(period * missed + late % period);
                let period = Duration::from_nanos(period);
                let (missed, next) = walk(start, now, period);
                for (policy, then) in [
                    (MissedTick::Skip, next),
                    (MissedTick::Burst, start + period),
                    (MissedTick::Delay, now + period),
                ] {
                    let mut grid = grid(start, period, policy);
                    prop_assert_eq!(grid.take(start, now), Tick { scheduled: start, missed });
                    prop_assert_eq!(grid.next, Some(then), "{:?}", policy);
                }
            }
        }
    }

    #[test]
    fn a_leap_over_a_century_of_nanoseconds_takes_one_step() {
        let start = Instant::now();
        let leap = Duration::from_secs(100 * 365 * 86_400);
        let mut grid = grid(start, Duration::from_nanos(1), MissedTick::Skip);
        let missed = u64::try_from(leap.as_nanos()).unwrap();
        assert_eq!(grid.take(start, start + leap), Tick { scheduled: start, missed });
        assert_eq!(grid.next, Some(start + leap + Duration::from_nanos(1)));
    }

    #[test]
    fn what_cannot_be_counted_or_represented_saturates() {
        let second = Duration::from_secs(1);
        let (whole, rest) = divide(Duration::MAX, Duration::from_nanos(3));
        assert_eq!(
            (whole, rest),
            (u64::MAX, Duration::from_nanos((Duration::MAX.as_nanos() % 3) as u64))
        );
        assert_eq!(divide(Duration::MAX, Duration::MAX), (1, Duration::ZERO));
        assert_eq!(divide(Duration::MAX - second, Duration::MAX), (0, Duration::MAX - second));
        for policy in [MissedTick::Skip, MissedTick::Burst, MissedTick::Delay] {
            let start = Instant::now();
            let mut grid = grid(start, Duration::MAX, policy);
            assert_eq!(grid.take(start, start + second).missed, 0);
            assert_eq!(grid.next, None, "{policy:?}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_moves_no_point() {
        let start = Instant::now();
        for policy in [MissedTick::Skip, MissedTick::Burst, MissedTick::Delay] {
            let mut grid = grid(start, Duration::from_secs(1), policy);
            let tick = grid.take(start, start - Duration::from_nanos(5));
            assert_eq!(tick, Tick { scheduled: start, missed: 0 });
            assert_eq!(grid.next, Some(start + Duration::from_secs(1)), "{policy:?}");
        }
    }
}
