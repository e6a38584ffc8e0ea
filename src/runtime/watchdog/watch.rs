//! What a loop and its watchdog share: what is polled, and since when.
//!
//! - **V1 (once)**: a poll is told at most once, and only while it is the current one: both are decided
//!   under the lock. The hook is called outside of it.
//! - **V2 (rest)**: a poll that begins rings only if the watchdog rests without a deadline. It goes to
//!   that rest under the lock, after a short one in which none began; and a poll that begins while it
//!   is on its way there changes what it compares before it sleeps.
//!
//! Modelled in `tests/loom/watchdog.rs`.

use std::mem;
use std::time::{Duration, Instant};

use crate::sync::Monitor;

/// The subject is what the hook is told of a poll.
#[derive(Debug)]
pub(crate) struct Watch<S>(Monitor<State<S>>);

#[derive(Debug)]
struct State<S> {
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
enum Next<S> {
    Tell(S, Duration),
    /// For as long as its rest is this, at most until then.
    Sleep(Rest, Option<Instant>),
    End,
}

impl<S> Default for Watch<S> {
    fn default() -> Self {
        let state = State { current: None, busy: Duration::ZERO, rest: Rest::No, stopped: false };
        Self(Monitor::new(state))
    }
}

impl<S: Clone> Watch<S> {
    /// The loop is about to run the subject's code.
    pub(crate) fn begin(&self, subject: S) {
        let rest = self.0.with(|state| {
            state.current = Some(Current { subject, since: Instant::now(), told: false });
            mem::replace(&mut state.rest, Rest::No)
        });
        if rest == Rest::Long {
            self.0.ring();
        }
    }

    /// It came back.
    pub(crate) fn end(&self) {
        self.0.with(|state| {
            state.busy += state.current_for();
            state.current = None;
        });
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
                Next::Tell(subject, elapsed) => tell(subject, elapsed),
                Next::Sleep(rest, until) => {
                    self.0.wait_while(|state| state.rest == rest && !state.stopped, until);
                }
                Next::End => return,
            }
        }
    }
}

impl<S: Clone> State<S> {
    fn current_for(&self) -> Duration {
        self.current.as_ref().map_or(Duration::ZERO, |current| current.since.elapsed())
    }

    fn next(&mut self, limit: Duration) -> Next<S> {
        if self.stopped {
            return Next::End;
        }
        if let Some(current) = self.current.as_mut().filter(|current| !current.told) {
            let elapsed = current.since.elapsed();
            if elapsed < limit {
                return Next::Sleep(Rest::No, current.since.checked_add(limit));
            }
            current.told = true;
            return Next::Tell(current.subject.clone(), elapsed);
        }
        // At least a millisecond, lest a limit of zero makes the thread spin.
        let (rest, until) = match self.rest {
            Rest::No => {
                (Rest::Short, Instant::now().checked_add(limit.max(Duration::from_millis(1))))
            }
            Rest::Short | Rest::Long => (Rest::Long, None),
        };
        self.rest = rest;
        Next::Sleep(rest, until)
    }
}
