//! The scheduler's timers: armed by futures, fired by turns.

use super::arena;
use super::timer_target::{TaskKey, TimerTarget};
use super::wheel::{TimerKey, Wheel, WheelStep};
use super::{Done, Host, Scheduler};
use crate::error::{call_contained, discard};
use crate::task::cell::Origin;
use crate::task::join::Join;
use crate::tick::{NEVER, Tick};
use core::future::Future;
use core::mem;
use core::panic::Location;
use core::task::Waker;

/// How much timer work is done between two batches of polls: one unit for each fired timer, and for each
/// that is filed anew or put in order. A short list is put in order whole, if any unit is left.
const TIMER_BUDGET: usize = 256;

/// How often the end of a loop forgets all timers: those that there are, and those that their drop has armed.
const ROUNDS: usize = 2;

impl Scheduler {
    /// 2. Deadlines that passed. One timer at a time: its waker is user code.
    #[inline]
    pub(super) fn fire_timers(&self, host: &impl Host, done: &mut Done) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let (now, mut budget) = (host.now(), TIMER_BUDGET);
        while !self.timers.borrow().is_empty() {
            let (step, is_untidy) = {
                let mut timers = self.timers.borrow_mut();
                (timers.step(now, &mut budget), timers.is_untidy())
            };
            if is_untidy {
                self.tidy_timers();
            }
            match step {
                WheelStep::Fired(timer_target) => {
                    done.fired += 1;
                    self.side.counters().timers_fired.add(1);
                    self.fire(timer_target, host);
                }
                WheelStep::More => {
                    done.more_timers = true;
                    return;
                }
                WheelStep::Idle => return,
            }
        }
    }

    /// Wakes whom an alarm names. Inside the loop's run.
    #[inline]
    pub(crate) fn fire(&self, timer_target: TimerTarget, host: &impl Host) {
        match timer_target {
            TimerTarget::TaskKey(lent) if lent.is_of_host() => host.wake_main(),
            TimerTarget::TaskKey(lent) => {
                if let Some(entry) = self.registry.borrow().get_by_key(lent) {
                    self.side.wake(&entry.task);
                }
            }
            TimerTarget::Waker(waker) => {
                call_contained(|| waker.wake());
            }
        }
    }

    /// Forgets all timers, one by one: dropping a waker is user code, and may arm another timer. Those that
    /// come so are forgotten after the ones that were there, and what they arm in turn is leaked (H9).
    pub(crate) fn disarm_all(&self) {
        for _ in 0..ROUNDS {
            let Some(mut all) = self.take_timers() else { return };
            while let WheelStep::Fired(timer_target) = all.step(NEVER, &mut usize::MAX.clone()) {
                discard(timer_target);
            }
        }
        mem::forget(self.take_timers());
    }

    /// A wheel is large: a loop that ends without timers allocates none, which a small machine may lack.
    fn take_timers(&self) -> Option<Wheel<TimerTarget>> {
        if self.timers.borrow().is_empty() {
            return None;
        }
        let unfiled = Wheel::new(0);
        Some(self.timers.borrow_mut().replace(unfiled))
    }

    /// Arms a timer that wakes `waker`.
    pub(crate) fn arm(&self, deadline: Tick, waker: &Waker) -> TimerKey {
        let mut timer_target = self.timer_target(waker);
        self.side.counters().timers_armed.add(1);
        loop {
            let armed = self.timers.borrow_mut().arm(deadline, timer_target);
            match armed {
                Ok(key) => return key,
                Err(back) => timer_target = back,
            }
            // An allocator is user code: it may come back here, and take the room.
            arena::widen(&self.timers, Wheel::arena);
        }
    }

    /// The same as far as it takes no user code: if the waker is that of the future which is being polled,
    /// and there is room.
    #[inline(always)]
    pub(crate) fn arm_lent(&self, deadline: Tick, waker: &Waker) -> Option<TimerKey> {
        let timer_target = TimerTarget::TaskKey(self.lent(waker)?);
        let key = self.timers.borrow_mut().arm(deadline, timer_target).ok()?;
        self.side.counters().timers_armed.add(1);
        Some(key)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn tidy_timers(&self) {
        arena::tidy(&self.timers, Wheel::arena);
    }

    /// What wakes `waker`. A clone is user code: outside of every borrow.
    #[inline]
    pub(crate) fn timer_target(&self, waker: &Waker) -> TimerTarget {
        self.lent(waker).map_or_else(|| TimerTarget::Waker(waker.clone()), TimerTarget::TaskKey)
    }

    /// Whose waker this is, if it is that of the future which is being polled.
    #[inline]
    fn lent(&self, waker: &Waker) -> Option<TaskKey> {
        self.side.lent_to(waker).map(TaskKey::to).or_else(|| self.host_waker.lent(waker))
    }

    /// Whether an alarm wakes `waker`.
    #[cfg(all(feature = "io", unix))]
    pub(crate) fn is_of(&self, timer_target: &TimerTarget, waker: &Waker) -> bool {
        timer_target.is(waker, || self.lent(waker))
    }

    /// Whether an alarm can still wake somebody, as far as it is known.
    #[cfg(all(feature = "io", unix))]
    pub(crate) fn lives(&self, timer_target: &TimerTarget) -> bool {
        match timer_target {
            TimerTarget::TaskKey(lent) if !lent.is_of_host() => {
                self.registry.borrow().get_by_key(*lent).is_some()
            }
            TimerTarget::TaskKey(_) | TimerTarget::Waker(_) => true,
        }
    }

    /// Spawns, on the loop's thread, a task that waits for a timer which is armed by now. `make` gets its
    /// key. It is polled when that fires, or `at_once` as well.
    pub(crate) fn spawn_timed<F: Future>(
        &self,
        deadline: Tick,
        make: impl FnOnce(TimerKey) -> F,
        at_once: bool,
        location: &'static Location<'static>,
        since: Tick,
    ) -> Join<F::Output> {
        let key = self.arm(deadline, Waker::noop()); // nobody's, until there is a task
        let origin = Origin { serial: self.draw_serial(), location };
        let (task, join) = if at_once {
            self.side.register_local(self.side.vacant((), origin).fill(make(key)))
        } else {
            self.side.spawn_idle(make(key), (), origin)
        };
        self.side.counters().spawned.add(1);
        self.enroll(task, since);
        if let Some(timer_target) = self.timers.borrow_mut().payload_mut(key) {
            *timer_target = TimerTarget::TaskKey(TaskKey::to(join.id()));
        }
        join
    }

    /// Has the timer wake `waker` instead. `None`: it has fired, or was cancelled.
    pub(crate) fn swap_waker(&self, key: TimerKey, waker: &Waker) -> Option<()> {
        if self.timers.borrow_mut().payload_mut(key)?.is(waker, || self.lent(waker)) {
            return Some(());
        }
        let mut other = self.timer_target(waker);
        mem::swap(self.timers.borrow_mut().payload_mut(key)?, &mut other);
        discard(other);
        Some(())
    }

    /// Moves a timer. `false`: it has fired, or was cancelled.
    pub(crate) fn rearm(&self, key: TimerKey, deadline: Tick) -> bool {
        let armed = self.timers.borrow_mut().rearm(key, deadline);
        self.side.counters().timers_armed.add(armed.into());
        armed
    }

    /// Whether the timer has neither fired nor been cancelled.
    pub(crate) fn is_armed(&self, key: TimerKey) -> bool {
        self.timers.borrow_mut().payload_mut(key).is_some()
    }

    /// Cancels a timer, if it has not fired. No user code: to drop the alarm is the caller's, and so is to
    /// [tidy up](Self::tidy_timers) if that is to be done.
    #[inline(always)]
    pub(crate) fn cancel_timer(&self, key: TimerKey) -> (Option<TimerTarget>, bool) {
        let mut timers = self.timers.borrow_mut();
        (timers.cancel(key), timers.is_untidy())
    }

    /// Cancels a timer, if it has not fired.
    pub(crate) fn disarm(&self, key: TimerKey) {
        let (timer_target, is_untidy) = self.cancel_timer(key);
        if is_untidy {
            self.tidy_timers();
        }
        discard(timer_target);
    }

    /// The next deadline, exactly. `Err`: there are timers to be put in order first, and it is no earlier
    /// than that. The loop does not rest then: each call does as much of it as a turn may.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Result<Option<Tick>, Tick> {
        let mut timers = self.timers.borrow_mut();
        if timers.is_empty() {
            return Ok(None);
        }
        timers.next_deadline(&mut TIMER_BUDGET.clone())
    }
}
