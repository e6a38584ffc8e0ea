//! A future that ends at a deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::runtime::clock::{Clock, Moment, later};
use crate::runtime::context::{self, Number};
use crate::runtime::local::Local;
use crate::scheduler::wheel::TimerKey;

/// What stands for "never" where an `Instant` has to be named: a century from now.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Waits for `duration` from now.
///
/// The deadline is fixed here; the timer is armed at the first poll that has to wait. Zero yields once.
/// [`Duration::MAX`], and what no `Instant` can hold, never ends.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// sideloop::block_on(async {
///     let before = Instant::now();
///     sideloop::time::sleep(Duration::from_millis(3)).await;
///     assert!(before.elapsed() >= Duration::from_millis(3));
/// });
/// ```
#[inline]
pub fn sleep(duration: Duration) -> Sleep {
    // Made where it stays: what is written field by field and then moved waits for the writes.
    Sleep { deadline: from_now(duration), entry: None, elapsed: false }
}

/// The time after `duration`, on the clock of the loop that runs; elsewhere on the system's.
fn from_now(duration: Duration) -> Moment {
    match context::current() {
        Some(local) => local.shared.clock.moment(later(local.read_clock(), duration)),
        None => Clock::Real.moment(later(Clock::Real.now(), duration)),
    }
}

/// Waits until `at`. A deadline that has passed yields once.
///
/// # Examples
///
/// ```
/// use sideloop::time;
///
/// sideloop::block_on(async {
///     time::sleep_until(time::now()).await; // yields once
/// });
/// ```
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep::at(Some(at))
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It is `Send`, and may be polled and dropped on any thread: it waits on the loop that polled it
/// last. After it has ended it stays ended until it is [reset](Sleep::reset).
///
/// # Panics
///
/// Polled outside of a loop's run, for want of a clock.
///
/// # Cancel safety
///
/// Strict: dropping it frees its timer at once; polling it again later goes on waiting.
///
/// # Examples
///
/// ```
/// use sideloop::{Builder, time};
/// use std::time::Duration;
///
/// Builder::new().virtual_time(0).build().block_on(async {
///     let mut nap = time::sleep(Duration::from_secs(60));
///     assert_eq!(nap.deadline(), time::now() + Duration::from_secs(60));
///     assert!(!nap.is_elapsed());
///     (&mut nap).await;
///     assert!(nap.is_elapsed());
/// });
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Moment,
    entry: Option<Entry>,
    elapsed: bool,
}

/// The timer, in the wheel of some loop.
#[derive(Debug, Clone, Copy)]
struct Entry {
    key: TimerKey,
    home: Number,
}

impl Entry {
    /// Whether it is in the wheel of `local`.
    #[inline]
    fn is_of(&self, local: &Local) -> bool {
        self.home == local.shared.number
    }

    /// Has its loop, if there still is one, change its wheel: at once if that can be done from here.
    #[inline]
    fn change(self, change: impl FnOnce(&Local, TimerKey) + Send + 'static) {
        match context::current().filter(|local| self.is_of(local)) {
            Some(local) => change(&local, self.key),
            None => self.change_from_outside(change),
        }
    }

    /// Takes it out of its wheel.
    fn disarm(self) {
        self.change(|local, key| local.scheduler.disarm(key));
    }

    #[cold]
    fn change_from_outside(self, change: impl FnOnce(&Local, TimerKey) + Send + 'static) {
        let Some(shared) = self.home.find() else { return };
        let key = self.key;
        match context::home(&shared.mailbox) {
            Some(local) => change(&local, key),
            None => drop(shared.control(move |local| change(local, key))),
        }
    }
}

impl Sleep {
    /// Waits until `deadline`; `None` never comes.
    pub(super) fn at(deadline: Option<Instant>) -> Self {
        Self { deadline: deadline.map_or(Moment::NEVER, Moment::of), entry: None, elapsed: false }
    }

    /// The instant it waits for; for one that never ends, an instant in the far future.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let far = || Instant::now().checked_add(FAR).unwrap_or_else(Instant::now);
        self.deadline.instant().unwrap_or_else(far)
    }

    /// Whether it has ended, or its deadline has passed and a poll will say so.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.elapsed || self.deadline.instant().is_some_and(|at| at <= super::now())
    }

    /// Waits until `at` instead, also after it has ended. Who waits for it need not poll it again.
    ///
    /// Counts as arming: among equal deadlines it comes last.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time;
    /// use std::pin::pin;
    /// use std::time::Duration;
    ///
    /// sideloop::block_on(async {
    ///     let mut quiet = pin!(time::sleep(Duration::MAX));
    ///     quiet.as_mut().reset(time::now() + Duration::from_millis(1));
    ///     quiet.await;
    /// });
    /// ```
    pub fn reset(self: Pin<&mut Self>, at: Instant) {
        let this = self.get_mut();
        this.deadline = Moment::of(at);
        let deadline = this.deadline;
        this.elapsed = false;
        if let Some(entry) = this.entry {
            entry.change(move |local, key| {
                local.scheduler.rearm(key, deadline.on(&local.shared.clock));
                local.tell_host();
            });
        }
    }

    /// Takes the timer out of its wheel, wherever that is.
    #[inline]
    pub(super) fn disarm(&mut self) {
        if let Some(entry) = self.entry.take() {
            entry.disarm();
        }
    }

    /// Polls a timer that was armed before. `None`: it is to be armed anew.
    #[inline(never)]
    fn poll_armed(&mut self, entry: Entry, local: &Local, waker: &Waker) -> Option<Poll<()>> {
        if !entry.is_of(local) {
            self.disarm();
            return None;
        }
        if local.scheduler.swap_waker(entry.key, waker).is_some() {
            return Some(Poll::Pending);
        }
        self.entry = None;
        // It has fired; if it was reset meanwhile, for a deadline that counts no more.
        self.elapsed = self.deadline.on(&local.shared.clock) <= local.time();
        self.elapsed.then_some(Poll::Ready(()))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.elapsed {
            return Poll::Ready(());
        }
        let Some(local) = context::current() else {
            panic!("a timer was polled outside of a sideloop loop: there is no clock here");
        };
        let armed = self.entry.and_then(|entry| self.poll_armed(entry, &local, cx.waker()));
        if let Some(poll) = armed {
            return poll;
        }
        let tick = self.deadline.on(&local.shared.clock);
        let key = local.scheduler.arm(tick, cx.waker());
        self.entry = Some(Entry { key, home: local.shared.number });
        Poll::Pending
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        self.disarm();
    }
}
