//! The limits on how long a task delays the others.

use std::time::Duration;

use super::Builder;

/// The largest batch: some hundred microseconds of polls that do nothing.
const MOST_BATCH: usize = 65_536;

impl Builder {
    /// Sets the largest number of polls between two looks at injected work and timers; 64 by default.
    ///
    /// Values are clamped to 1 to 65 536: without a limit one busy task would starve everything that comes
    /// from outside.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut executor = sideloop::Builder::new().batch(2).build();
    /// for _ in 0..5 {
    ///     executor.spawn_local(async {}).detach();
    /// }
    /// assert_eq!(executor.turn().polls, 2);
    /// assert_eq!(executor.run_until_idle(), 3);
    /// ```
    pub fn batch(mut self, polls: usize) -> Self {
        self.settings.batch = polls.clamp(1, MOST_BATCH);
        self
    }

    /// Sets how long a poll may run before [`yield_if_due`](crate::yield_if_due) yields; 200 µs by default.
    /// Zero yields at every call, [`Duration::MAX`] at none.
    ///
    /// It ends no poll by itself: a task that never awaits cannot be interrupted.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mut executor = sideloop::Builder::new().poll_budget(Duration::ZERO).build();
    /// executor.spawn_local(sideloop::yield_if_due()).detach();
    /// assert_eq!(executor.run_until_idle(), 2); // polls
    /// ```
    pub fn poll_budget(mut self, time: Duration) -> Self {
        self.settings.poll_budget = time;
        self
    }
}
