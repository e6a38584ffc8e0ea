//! Time as the scheduler sees it: whole nanoseconds, told to it as an argument.

use core::time::Duration;

/// A point of a loop's time, in nanoseconds (584 years fit).
pub(crate) type Tick = u64;

/// The deadline that never comes.
pub(crate) const NEVER: Tick = Tick::MAX;

/// `duration` in nanoseconds; what does not fit is [`NEVER`].
pub(crate) fn nanos(duration: Duration) -> Tick {
    Tick::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_exact_to_the_nanosecond_and_saturates() {
        assert_eq!(nanos(Duration::new(3, 7)), 3_000_000_007);
        assert_eq!(nanos(Duration::MAX), NEVER);
    }
}
