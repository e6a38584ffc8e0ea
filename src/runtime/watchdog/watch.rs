//! What a loop and its watchdog share: what is polled, and since when.
//!
//! - **V1 (once)**: a poll is told at most once, and only while it is the current one: both are decided
//!   under the lock. The hook is called outside of it.
//! - **V2 (rest)**: a poll that begins rings if and only if the watchdog takes a long rest. It takes that
//!   under the lock, after a short one in which none began; and a poll that begins while it is on its way
//!   there changes what it compares before it sleeps. So an idle loop is left alone, and a busy one rings
//!   at most once in each short rest.
//!
//! Modelled in `tests/loom/watchdog.rs`.

use std::mem;
use std::time::{Duration, Instant};

use crate::sync::Monitor;

/// The subject is what the hook is told of a poll.
#[derive(Debug)]
pub(crate) struct Watch<S>(Monitor<WatchState<S>>);

#[derive(Debug)]
struct WatchState<S> {
    current: Option<Current<S>>,
    busy: Duration,
    rest: Rest,
    stopped: bool,
}

#[derive(Debug)]
struct Current<S> {
    subject: S,
    since: Instant,
    told: bool,
}

/// Of the watchdog, while there is nothing for it to watch. A poll that begins ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    No,
    /// For as long as no poll that begins from now on can be too long.
    Short,
    /// Until a poll begins.
    Long,
}

/// What the watchdog does next.
#[derive(Debug)]
enum NextCheck<S> {
    Tell(S, Duration),
    /// For as long as its rest is this, at most until then.
    Sleep(Rest, Option<Instant>),
    End,
}

impl<S> Default for Watch<S> {
    fn default() -> Self {
        Self(Monitor::new(WatchState::new()))
    }
}

impl<S: Clone> Watch<S> {
    /// The loop is about to run the subject's code.
    pub(crate) fn begin(&self, subject: S) {
        if self.0.with(|state| state.begin(subject)) {
            self.0.ring();
        }
    }

    /// It came back.
    pub(crate) fn end(&self) {
        self.0.with(WatchState::end);
    }

    /// The loop has ended: the watchdog ends after what it is at.
    pub(crate) fn stop(&self) {
        self.0.with(|state| state.stopped = true);
        self.0.ring();
    }

    /// The time spent in the subjects' code, the current one's included.
    pub(crate) fn busy(&self) -> Duration {
        self.0.with(|state| state.busy + state.current_for())
    }

    /// The life of the watchdog's thread.
    pub(crate) fn run(&self, limit: Duration, tell: impl Fn(S, Duration)) {
        loop {
            match self.0.with(|state| state.next(limit)) {
                NextCheck::Tell(subject, elapsed) => tell(subject, elapsed),
                NextCheck::Sleep(rest, until) => {
                    self.0.wait_while(|state| state.rest == rest && !state.stopped, until);
                }
                NextCheck::End => return,
            }
        }
    }
}

impl<S> WatchState<S> {
    fn new() -> Self {
        Self { current: None, busy: Duration::ZERO, rest: Rest::No, stopped: false }
    }
}

impl<S: Clone> WatchState<S> {
    /// Whether the watchdog is to be rung for.
    #[must_use]
    fn begin(&mut self, subject: S) -> bool {
        self.current = Some(Current { subject, since: Instant::now(), told: false });
        mem::replace(&mut self.rest, Rest::No) == Rest::Long
    }

    fn end(&mut self) {
        self.busy += self.current_for();
        self.current = None;
    }

    fn current_for(&self) -> Duration {
        self.current.as_ref().map_or(Duration::ZERO, |current| current.since.elapsed())
    }

    fn next(&mut self, limit: Duration) -> NextCheck<S> {
        if self.stopped {
            return NextCheck::End;
        }
        if let Some(current) = self.current.as_mut().filter(|current| !current.told) {
            let elapsed = current.since.elapsed();
            if elapsed < limit {
                return NextCheck::Sleep(Rest::No, current.since.checked_add(limit));
            }
            current.told = true;
            return NextCheck::Tell(current.subject.clone(), elapsed);
        }
        // At least a millisecond, lest a limit of zero makes the thread spin.
        let (rest, until) = match self.rest {
            Rest::No => {
                (Rest::Short, Instant::now().checked_add(limit.max(Duration::from_millis(1))))
            }
            Rest::Short | Rest::Long => (Rest::Long, None),
        };
        self.rest = rest;
        NextCheck::Sleep(rest, until)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// What is next is `Sleep`, with this rest, and with a deadline or without.
    #[track_caller]
    fn sleeps(state: &mut WatchState<u8>, limit: Duration, rest: Rest, has_deadline: bool) {
        match state.next(limit) {
            NextCheck::Sleep(of, until) => assert_eq!((of, until.is_some()), (rest, has_deadline)),
            next => panic!("{next:?}"),
        }
    }

    #[test]
    fn a_poll_is_told_once_and_not_after_its_end() {
        let mut state = WatchState::new();
        let _ = state.begin(1);
        assert!(matches!(state.next(Duration::ZERO), NextCheck::Tell(1, _)));
        sleeps(&mut state, Duration::ZERO, Rest::Short, true);
        state.end();
        let _ = state.begin(2);
        state.end();
        sleeps(&mut state, Duration::ZERO, Rest::Short, true);
    }

    #[test]
    fn a_poll_is_watched_for_as_long_as_its_limit_lasts() {
        let mut state = WatchState::new();
        let _ = state.begin(1);
        sleeps(&mut state, HOUR, Rest::No, true);
        sleeps(&mut state, Duration::MAX, Rest::No, false);
        state.stopped = true;
        assert!(matches!(state.next(HOUR), NextCheck::End));
    }

    #[test]
    fn a_watchdog_rests_for_a_while_and_then_until_it_is_rung_for() {
        let mut state = WatchState::new();
        assert!(!state.begin(1), "it does not rest");
        state.end();
        sleeps(&mut state, HOUR, Rest::Short, true);
        assert!(!state.begin(2), "it will look by itself");
        state.end();
        sleeps(&mut state, HOUR, Rest::Short, true);
        for _ in 0..2 {
            sleeps(&mut state, HOUR, Rest::Long, false);
        }
        assert!(state.begin(3));
        sleeps(&mut state, HOUR, Rest::No, true);
    }

    #[test]
    fn only_the_time_of_polls_is_busy() {
        let (mut state, before, ago) =
            (WatchState::new(), Instant::now(), Duration::from_millis(10));
        let _ = state.begin(1);
        state.current.as_mut().expect("it began").since -= ago;
        let current = state.current_for();
        state.end();
        assert!(current >= ago && state.busy >= current && state.busy <= ago + before.elapsed());
        assert!(state.current_for().is_zero());
        let busy = state.busy;
        state.end();
        assert_eq!(state.busy, busy, "nothing ended");
    }
}
