//! The slow twin of the wheel, and the pair of them driven side by side.
//!
//! The oracle is the definition of what the wheel does: an ordered map from (deadline, order of
//! arming) to the timer's name. Unit tests, property tests and fuzzing share it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::scheduler::wheel::{TimerKey, Wheel, WheelStep};

/// A short list has so few entries in most tests, so that lists are refiled often.
pub(crate) const FEW: usize = 12;

/// Timers by order of firing; each is named by the number of those armed before it.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    timers: BTreeMap<(u64, u64), usize>,
    /// Where each name is among them, or was.
    keys: Vec<(u64, u64)>,
    armings: u64,
}

impl Oracle {
    pub(crate) fn arm(&mut self, deadline: u64) {
        self.keys.push((0, 0));
        self.insert(self.keys.len() - 1, deadline);
    }

    pub(crate) fn rearm(&mut self, name: usize, deadline: u64) -> bool {
        let found = self.cancel(name);
        if found {
            self.insert(name, deadline);
        }
        found
    }

    pub(crate) fn cancel(&mut self, name: usize) -> bool {
        self.find(name).is_some_and(|key| self.timers.remove(&key).is_some())
    }

    pub(crate) fn deadline(&self, name: usize) -> Option<u64> {
        self.find(name).map(|(deadline, _)| deadline)
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.timers.keys().next().map(|&(deadline, _)| deadline)
    }

    /// The name of the next timer that is due at `now`.
    pub(crate) fn fire(&mut self, now: u64) -> Option<usize> {
        let first = self.timers.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(crate) fn len(&self) -> usize {
        self.timers.len()
    }

    fn insert(&mut self, name: usize, deadline: u64) {
        self.armings += 1;
        self.keys[name] = (deadline, self.armings);
        self.timers.insert(self.keys[name], name);
    }

    /// Where it is, unless that is over.
    fn find(&self, name: usize) -> Option<(u64, u64)> {
        let key = self.keys[name];
        self.timers.contains_key(&key).then_some(key)
    }
}

impl<T, const S: usize> Wheel<T, S> {
    /// Arms a timer, with whatever memory is lacking for it.
    pub(crate) fn put(&mut self, deadline: u64, payload: T) -> TimerKey {
        let mut payload = payload;
        loop {
            match self.arm(deadline, payload) {
                Ok(key) => return key,
                Err(back) => payload = back,
            }
            self.arena().widen();
        }
    }

    /// The least deadline of all.
    pub(crate) fn least(&mut self) -> Option<u64> {
        self.next_deadline(&mut usize::MAX.clone()).expect("the budget is not used up")
    }
}

/// A wheel and its oracle, given the same operations; each answer is compared.
#[derive(Debug)]
pub(crate) struct Pair<const S: usize> {
    pub(crate) wheel: Wheel<usize, S>,
    oracle: Oracle,
    keys: Vec<TimerKey>,
}

impl<const S: usize> Pair<S> {
    pub(crate) fn new(start: u64) -> Self {
        Self { wheel: Wheel::new(start), oracle: Oracle::default(), keys: Vec::new() }
    }

    /// Arms a timer; its name is the number of those armed before.
    pub(crate) fn arm(&mut self, deadline: u64) -> usize {
        let name = self.keys.len();
        self.oracle.arm(deadline);
        self.keys.push(self.wheel.put(deadline, name));
        name
    }

    /// How many timers were ever armed; all lower numbers are names, of stale ones too.
    pub(crate) fn armed(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn rearm(&mut self, name: usize, deadline: u64) {
        let expected = self.oracle.rearm(name, deadline);
        assert_eq!(self.wheel.rearm(self.keys[name], deadline), expected, "re-arm {name}");
    }

    pub(crate) fn cancel(&mut self, name: usize) {
        let expected = self.oracle.cancel(name).then_some(name);
        assert_eq!(self.wheel.cancel(self.keys[name]), expected, "cancel {name}");
        self.wheel.arena().tidy();
    }

    /// One step with one unit of budget. `true`: there may be more to do.
    pub(crate) fn step(&mut self, now: u64) -> bool {
        self.step_within(now, &mut 1) != WheelStep::Idle
    }

    /// One step, and what it came to.
    pub(crate) fn step_within(&mut self, now: u64, budget: &mut usize) -> WheelStep<()> {
        let before = *budget;
        let step = self.wheel.step(now, budget);
        self.wheel.arena().tidy();
        match step {
            WheelStep::Fired(name) => {
                assert_eq!(Some(name), self.oracle.fire(now), "fired at {now}");
                assert!(*budget < before, "firing cost nothing at {now}");
                WheelStep::Fired(())
            }
            WheelStep::More => {
                assert_eq!(*budget, 0, "stopped early at {now}");
                WheelStep::More
            }
            WheelStep::Idle => {
                let next = self.oracle.next_deadline();
                assert!(next.is_none_or(|next| next > now), "{next:?} is due at {now}");
                WheelStep::Idle
            }
        }
    }

    /// Steps until nothing is due; the number of steps that took.
    pub(crate) fn run_until(&mut self, now: u64) -> usize {
        let steps = (0..).find(|_| !self.step(now)).unwrap_or(usize::MAX);
        self.check();
        steps
    }

    /// Compares all that can be read without a change.
    pub(crate) fn check(&mut self) {
        assert_eq!(self.wheel.least(), self.oracle.next_deadline(), "next deadline");
        assert_eq!(self.wheel.len(), self.oracle.len(), "length");
        assert_eq!(self.wheel.is_empty(), self.oracle.len() == 0, "emptiness");
    }

    /// Looks for the next deadline with so much budget; whether that was enough.
    pub(crate) fn look_ahead(&mut self, mut budget: usize) -> bool {
        let (found, expected) =
            (self.wheel.next_deadline(&mut budget), self.oracle.next_deadline());
        match found {
            Ok(next) => assert_eq!(next, expected, "next deadline"),
            Err(bound) => {
                assert_eq!(budget, 0, "stopped early");
                assert!(
                    expected.is_some_and(|next| next >= bound),
                    "{expected:?} is before {bound}"
                );
            }
        }
        found.is_ok()
    }

    /// Compares what is known of one timer.
    pub(crate) fn check_timer(&mut self, name: usize) {
        let (key, expected) = (self.keys[name], self.oracle.deadline(name));
        assert_eq!(self.wheel.deadline(key), expected, "deadline of {name}");
        assert_eq!(
            self.wheel.payload_mut(key).copied(),
            expected.map(|_| name),
            "payload of {name}"
        );
    }
}
