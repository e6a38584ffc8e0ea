//! How the loop waits, and what the time is when it does not.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Local;
use crate::runtime::shared::Shared;
use crate::tick::Tick;

/// How often a loop that looks around looks, from one reading of the clock to the next.
const LOOKS: u32 = 16;

/// How long the loop looks around before it sleeps: as long as it may where that has paid of late, and
/// less and less where it has not.
#[derive(Debug)]
pub(super) struct Patience {
    most: Duration,
    now: Cell<Duration>,
}

impl Patience {
    pub(super) fn of(most: Duration) -> Self {
        Self { most, now: Cell::new(most) }
    }

    fn is_none(&self) -> bool {
        self.most.is_zero()
    }

    fn is_over(&self, looked: Duration) -> bool {
        looked >= self.now.get()
    }

    /// The wait took so long. Had the loop slept when it could have gone on looking, it looks for
    /// longer the next time; where all patience would have been in vain, for half as long, down to an
    /// eighth, from which it finds its way back.
    fn learn(&self, waited: Duration) {
        let half = (self.now.get() / 2).max(self.most / 8);
        self.now.set(if waited <= self.most { self.most } else { half });
    }
}

impl Local {
    /// The time now, for a timer that is made in a poll. It is good enough for the next turn, too, if
    /// that comes soon: to decide what is due an earlier time is never wrong, only late.
    #[inline]
    pub(crate) fn read_clock(&self) -> Tick {
        let clock = &self.shared.clock;
        let now = clock.now();
        if !clock.is_virtual() {
            self.read.set(Some(now));
        }
        now
    }

    /// Has the next turn read the clock itself.
    pub(crate) fn forget_reading(&self) {
        self.read.set(None);
    }

    /// Declares the loop asleep for its host. `false`: there is something to do.
    pub(crate) fn rest(&self) -> bool {
        self.scheduler.side.park()
    }

    /// Declares the loop asleep, whatever was notified before, unless there is something to take in.
    pub(crate) fn rest_at_last(&self) {
        let mailbox = &self.shared.mailbox;
        while !mailbox.has_any() {
            self.scheduler.side.resume();
            if !self.rest() {
                continue;
            }
            // What was pushed in between may have notified a word that has been overwritten since.
            if mailbox.has_any() {
                mailbox.notify();
            }
            return;
        }
    }

    /// Sleeps until something comes in or a deadline passes. The loop is idle.
    pub(crate) fn park(&self) {
        self.forget_reading();
        let deadline = self.next_deadline();
        if deadline.is_some_and(|tick| self.has_come(tick)) {
            return;
        }
        let deadline = deadline.and_then(|tick| self.shared.clock.instant(tick));
        if self.patience.is_none() {
            return self.sleep(deadline);
        }
        let begun = Instant::now();
        if !self.look_until(begun, deadline) {
            self.sleep(deadline);
        }
        self.patience.learn(begun.elapsed());
    }

    fn sleep(&self, deadline: Option<Instant>) {
        if !self.scheduler.side.park() {
            return;
        }
        self.tally().parks.add(1);
        self.parker.wait_while(|| self.shared.mailbox.is_parked(), deadline);
        // Only a producer that unparks replaces the word of a sleeping loop.
        self.tally().unparks.add((!self.shared.mailbox.is_parked()).into());
        self.scheduler.side.resume();
    }

    /// Whether there is no sleeping until `tick`: it has come, or time is virtual and jumps there.
    fn has_come(&self, tick: Tick) -> bool {
        let Shared { clock, mailbox, .. } = &*self.shared;
        if !clock.is_virtual() {
            return tick <= clock.now();
        }
        // What came in meanwhile is older than the jump: the next turn is for that. What was sent
        // before this look, as far as any thread can tell, is seen by it.
        if !mailbox.has_news() {
            clock.jump(tick);
        }
        true
    }

    /// Looks around for a while before sleeping. `true`: there is something to do.
    fn look_until(&self, begun: Instant, deadline: Option<Instant>) -> bool {
        loop {
            for _ in 0..LOOKS {
                if self.shared.mailbox.has_news() {
                    return true;
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if deadline.is_some_and(|at| at <= now) {
                return true;
            }
            if self.patience.is_over(now.saturating_duration_since(begun)) {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    #[test]
    fn patience_shrinks_to_an_eighth_in_vain_and_comes_back_at_once() {
        let patience = Patience::of(80 * US);
        assert!(!patience.is_over(79 * US) && patience.is_over(80 * US));
        for left in [40, 20, 10, 10] {
            patience.learn(81 * US);
            assert!(!patience.is_over((left - 1) * US) && patience.is_over(left * US), "{left}");
        }
        patience.learn(80 * US);
        assert!(!patience.is_over(79 * US));
    }
}
