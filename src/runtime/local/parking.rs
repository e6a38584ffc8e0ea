//! How the loop waits, and what the time is when it does not.

use std::time::Instant;

use super::Local;
use crate::runtime::clock::{Clock, system};
use crate::runtime::parker::rest_at_last;
use crate::runtime::shared::Shared;
use crate::runtime::spin::spin_until;
use crate::tick::{NEVER, Tick};

/// The time of a turn: read at most once in it, and only if somebody asks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    /// There is no turn: who asks reads the clock.
    Outside,
    /// Nobody has asked in this turn.
    Wanted,
    Of(Tick),
}

impl Local {
    /// The time now, for a timer that is made in a poll, and how many ticks less that is than on all real
    /// clocks. It is good enough for the next turn, too, if that comes soon: to decide what is due an
    /// earlier time is never wrong, only late.
    #[inline(always)]
    pub(crate) fn read_clock(&self) -> (Tick, Tick) {
        match &self.shared.clock {
            Clock::Real => {
                let now = system();
                self.read.set(Some(now));
                (now, 0)
            }
            Clock::Virtual(less, now) => (*now.lock(), *less),
        }
    }

    /// Has the next turn read the clock itself.
    pub(crate) fn forget_reading(&self) {
        self.read.set(None);
    }

    /// The turn is over, and user code of other kinds may run, or time pass.
    #[inline]
    pub(crate) fn leave_turn(&self) {
        self.now.set(Reading::Outside);
    }

    /// The instant at which the loop has to look again though nobody wakes it; `None` for never. `Err`:
    /// it has to look again at once, and no timer is due before that.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Result<Option<Tick>, Tick> {
        let mut next = self.scheduler.next_deadline()?.unwrap_or(NEVER);
        if self.shared.is_closed() {
            next = next.min(self.next_limit().unwrap_or(NEVER));
        }
        Ok((next != NEVER).then_some(next))
    }

    /// Declares the loop asleep for its host. `false`: there is something to do.
    pub(crate) fn rest(&self) -> bool {
        let rests = self.scheduler.rest();
        #[cfg(all(feature = "io", unix))]
        self.io.is_resting.set(rests);
        rests
    }

    /// The same whatever was notified before, unless there is something to take in.
    pub(crate) fn rest_at_last(&self) {
        rest_at_last(&self.scheduler.side);
        #[cfg(all(feature = "io", unix))]
        self.io.is_resting.set(true);
    }

    /// Sleeps until something comes in or a deadline passes. The loop is idle.
    pub(crate) fn park(&self) {
        self.forget_reading();
        self.leave_turn();
        self.wait();
        self.keep_pace();
    }

    fn wait(&self) {
        if self.shared.pool.is_awaited() {
            return self.sleep(None); // time is virtual, and does not pass a job by
        }
        let Ok(deadline) = self.next_deadline() else { return self.look_if_due() };
        if deadline.is_some_and(|tick| self.reach(tick)) {
            return self.look_if_due();
        }
        let deadline = deadline.map(|tick| self.tolerated(tick));
        let deadline = deadline.and_then(|tick| self.shared.clock.instant(tick));
        if self.spin.is_none() {
            return self.sleep(deadline);
        }
        let begun = Instant::now();
        let news = || (self.shared.run_queues.has_news() || self.look_for_io()).then_some(());
        let found = spin_until(begun, self.spin.now(), deadline, news).is_some();
        if !found && deadline.is_none_or(|at| at > Instant::now()) {
            self.sleep(deadline);
        }
        self.spin.learn(begun.elapsed());
    }

    /// The latest moment up to which the loop may sleep when it has to look again at `tick`: that of a shutdown's limit is
    /// exact, those of timers are not.
    fn tolerated(&self, tick: Tick) -> Tick {
        if self.tolerance == 0 {
            return tick;
        }
        let limit = if self.shared.is_closed() { self.next_limit() } else { None };
        tick.saturating_add(self.tolerance).min(limit.unwrap_or(NEVER)).max(tick)
    }

    fn sleep(&self, deadline: Option<Instant>) {
        if !self.sleep_in_driver(deadline) {
            self.parker.sleep(&self.scheduler.side, deadline);
        }
    }

    /// Brings the loop to `tick` without a sleep: it has come, or time is virtual and jumps there. `false`: the
    /// loop has to sleep until then.
    fn reach(&self, tick: Tick) -> bool {
        let Shared { clock, run_queues, .. } = &*self.shared;
        if !clock.is_virtual() {
            return tick <= clock.now();
        }
        // What came in meanwhile, or is ready, is older than the jump: the next turn is for that. What was
        // sent before this look, as far as any thread can tell, is seen by it.
        if !self.look_for_io() && !run_queues.has_news() {
            clock.jump(tick);
        }
        true
    }
}
