//! The scheduler's timers: armed by futures, fired by turns.

use super::alarm::{Alarm, Lent};
use super::wheel::{Step, TimerKey};
use super::{Done, Host, Scheduler};
use crate::error::{contain, discard, forget_payload};
use crate::tick::{NEVER, Tick};
use core::task::Waker;

/// How much timer work is done between two batches of polls: one unit for each fired timer, and for each
/// that is filed anew or put in order. A short list is put in order whole, if any unit is left.
const TIMER_BUDGET: usize = 256;

impl Scheduler {
    /// 2. Deadlines that passed. One timer at a time: its waker is user code.
    #[inline]
    pub(super) fn fire_timers(&self, host: &impl Host, done: &mut Done) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let (now, mut budget) = (host.now(), TIMER_BUDGET);
        loop {
            let step = self.timers.borrow_mut().step(now, &mut budget);
            match step {
                Step::Fired(alarm) => {
                    done.fired += 1;
                    self.side.tally().timers_fired.add(1);
                    self.sound(alarm, host);
                }
                Step::More => {
                    done.more_timers = true;
                    return;
                }
                Step::Idle => return,
            }
        }
    }

    /// Wakes whom an alarm names. Inside the loop's run.
    #[inline]
    pub(crate) fn sound(&self, alarm: Alarm, host: &impl Host) {
        match alarm {
            Alarm::Lent(lent) if lent.is_of_host() => host.wake_main(),
            Alarm::Lent(lent) => {
                if let Some(entry) = self.registry.borrow().get_lent(lent) {
                    self.side.wake(&entry.task);
                }
            }
            Alarm::Waker(waker) => {
                if let Err(payload) = contain(|| waker.wake()) {
                    forget_payload(payload);
                }
            }
        }
    }

    /// Forgets all timers, one by one: dropping a waker is user code.
    pub(crate) fn disarm_all(&self) {
        loop {
            let step = self.timers.borrow_mut().step(NEVER, &mut TIMER_BUDGET.clone());
            match step {
                Step::Fired(alarm) => discard(alarm),
                Step::More => {}
                Step::Idle => return,
            }
        }
    }

    /// Arms a timer that wakes `waker`.
    #[inline(always)]
    pub(crate) fn arm(&self, deadline: Tick, waker: &Waker) -> TimerKey {
        let alarm = self.alarm(waker);
        self.side.tally().timers_armed.add(1);
        self.timers.borrow_mut().arm(deadline, alarm)
    }

    /// What wakes `waker`. A clone is user code: outside of every borrow.
    #[inline]
    pub(crate) fn alarm(&self, waker: &Waker) -> Alarm {
        self.lent(waker).map_or_else(|| Alarm::Waker(waker.clone()), Alarm::Lent)
    }

    /// Whose waker this is, if it is that of the future which is being polled.
    #[inline]
    fn lent(&self, waker: &Waker) -> Option<Lent> {
        self.side.lent_to(waker).map(Lent::to).or_else(|| self.host_waker.lent(waker))
    }

    /// Whether an alarm wakes `waker`.
    #[cfg(all(feature = "io", unix))]
    pub(crate) fn is_of(&self, alarm: &Alarm, waker: &Waker) -> bool {
        alarm.is(waker, self.lent(waker))
    }

    /// Whether an alarm can still wake somebody, as far as it is known.
    #[cfg(all(feature = "io", unix))]
    pub(crate) fn lives(&self, alarm: &Alarm) -> bool {
        match alarm {
            Alarm::Lent(lent) if !lent.is_of_host() => {
                self.registry.borrow().get_lent(*lent).is_some()
            }
            Alarm::Lent(_) | Alarm::Waker(_) => true,
        }
    }

    /// Has the timer wake `waker` instead. `None`: it has fired, or was cancelled.
    pub(crate) fn swap_waker(&self, key: TimerKey, waker: &Waker) -> Option<()> {
        let lent = self.lent(waker);
        if self.timers.borrow_mut().payload_mut(key)?.is(waker, lent) {
            return Some(());
        }
        let mut other = self.alarm(waker);
        core::mem::swap(self.timers.borrow_mut().payload_mut(key)?, &mut other);
        discard(other);
        Some(())
    }

    /// Moves a timer. `false`: it has fired, or was cancelled.
    pub(crate) fn rearm(&self, key: TimerKey, deadline: Tick) -> bool {
        let armed = self.timers.borrow_mut().rearm(key, deadline);
        self.side.tally().timers_armed.add(armed.into());
        armed
    }

    /// Cancels a timer, if it has not fired.
    #[inline]
    pub(crate) fn disarm(&self, key: TimerKey) {
        let alarm = self.timers.borrow_mut().cancel(key);
        if let Some(Alarm::Waker(waker)) = alarm {
            discard(waker);
        }
    }

    /// The next deadline, exact.
    pub(crate) fn next_deadline(&self) -> Option<Tick> {
        self.timers.borrow_mut().next_deadline()
    }
}
