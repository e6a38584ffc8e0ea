//! A future that ends at a deadline.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::away::{Away, AwayState};
use crate::error::discard;
use crate::runtime::clock::{Moment, system};
use crate::runtime::context::{self, LoopNumber};
use crate::runtime::local::Local;
use crate::scheduler::TimerTarget;
use crate::scheduler::wheel::TimerKey;

/// What stands for "never" where an `Instant` has to be named: a century from now.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Waits for `duration` from now.
///
/// This call fixes the deadline; the first poll that has to wait arms the timer. Zero yields once.
/// [`Duration::MAX`], or a time that no `Instant` can hold, never ends.
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
    Sleep { deadline: from_now(duration), place: Place::Nowhere(None) }
}

/// The time after `duration`, on the clock of the loop that runs; elsewhere on the system's.
fn from_now(duration: Duration) -> Moment {
    let now = context::with_current(|local| Some(local.read_clock()));
    Moment::after(now.unwrap_or_else(|| (system(), 0)), duration)
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
/// It is `Send`, and may be polled and dropped on any thread: it waits on the loop that polled it last. Once
/// ready, it stays ready until it is [reset](Sleep::reset).
///
/// # Panics
///
/// If it is polled outside a loop's run, where there is no clock; one made by
/// [`Handle::sleep`](crate::Handle::sleep) may be polled anywhere.
///
/// # Cancel safety
///
/// Strict: dropping it frees its timer at once; polled again later, it goes on waiting.
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
    place: Place,
}

/// Where its timer is.
#[derive(Debug)]
enum Place {
    /// There is none. It is armed on the loop of that number, or on whichever polls it.
    Nowhere(Option<LoopNumber>),
    /// In the wheel of the loop that polled it last.
    Here { entry: Armed, bound: bool },
    /// In the wheel of the loop whose time it counts, and polled elsewhere.
    Away(Arc<Away>),
    /// It was told that it has ended.
    Elapsed(Option<LoopNumber>),
    /// The loop whose time it counts has ended first.
    Stopped(LoopNumber),
}

/// The timer, in the wheel of some loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Armed {
    pub(super) key: TimerKey,
    pub(super) home: LoopNumber,
}

impl Armed {
    /// Whether it is in the wheel of `local`.
    #[inline]
    fn is_of(&self, local: &Local) -> bool {
        self.home == local.shared.number
    }

    /// Makes its loop, if there still is one, change its wheel: at once if that can be done from here.
    #[inline]
    fn change(self, change: impl FnOnce(&Local, TimerKey) + Send + 'static) {
        match context::current().filter(|local| self.is_of(local)) {
            Some(local) => change(&local, self.key),
            None => self.change_from_outside(change),
        }
    }

    /// Takes it out of its wheel. What is user code, to drop a waker and to free memory, comes after the look.
    #[inline]
    pub(super) fn disarm(self) {
        Self::disarm_at(self.home, self.key);
    }

    /// The two apart, which are passed in registers.
    fn disarm_at(home: LoopNumber, key: TimerKey) {
        let entry = Self { key, home };
        let cancelled = context::with_current(|local| {
            entry.is_of(local).then(|| local.scheduler.cancel_timer(key))
        });
        let Some((timer_target, is_untidy)) = cancelled else {
            return entry.change_from_outside(|local, key| local.scheduler.disarm(key));
        };
        if is_untidy {
            tidy_timers();
        }
        if let Some(TimerTarget::Waker(waker)) = timer_target {
            discard(waker);
        }
    }

    #[cold]
    fn change_from_outside(self, change: impl FnOnce(&Local, TimerKey) + Send + 'static) {
        let Some(shared) = self.home.find() else { return };
        let key = self.key;
        match context::home(&shared.run_queues) {
            Some(local) => local.visit(|local| change(local, key)),
            None => drop(shared.control(move |local| change(local, key))),
        }
    }
}

impl Sleep {
    /// Waits until `deadline`; `None` never comes.
    pub(super) fn at(deadline: Option<Instant>) -> Self {
        let deadline = deadline.map_or(Moment::Never, Moment::of);
        Self { deadline, place: Place::Nowhere(None) }
    }

    /// Waits by the clock of one loop, wherever it is polled.
    pub(super) fn of_loop(home: LoopNumber, deadline: Moment) -> Self {
        Self { deadline, place: Place::Nowhere(Some(home)) }
    }

    /// One whose timer was armed for the task that it will be in.
    pub(super) fn armed(deadline: Moment, entry: Armed) -> Self {
        Self { deadline, place: Place::Here { entry, bound: false } }
    }

    /// The deadline as it was set; for a sleep that never ends, an instant in the far future.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let far = || Instant::now().checked_add(FAR).unwrap_or_else(Instant::now);
        self.deadline.instant().unwrap_or_else(far)
    }

    /// Whether the deadline has come and a poll has returned ready, or would return ready now.
    ///
    /// A deadline that has passed is not enough: the sleep yields once first. If the loop by whose clock it
    /// counts ([`Handle::sleep`](crate::Handle::sleep)) has ended, it is ready but not elapsed.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        match &self.place {
            Place::Elapsed(_) => true,
            Place::Here { entry, .. } => self.has_fired(*entry),
            Place::Away(away) => away.state() == AwayState::Fired,
            Place::Nowhere(_) | Place::Stopped(_) => false,
        }
    }

    #[cold]
    fn has_fired(&self, entry: Armed) -> bool {
        let here = context::current().or_else(|| context::numbered(entry.home));
        let Some(local) = here.filter(|local| entry.is_of(local)) else { return false };
        !local.scheduler.is_armed(entry.key) && self.has_come(&local)
    }

    /// Whether a timer that has fired did so for this deadline; it may have been reset since.
    fn has_come(&self, local: &Local) -> bool {
        self.deadline.on(&local.shared.clock) <= local.time()
    }

    /// Moves the deadline to `at`, also after the sleep has ended. A task that awaits it need not poll it again.
    ///
    /// This counts as arming: among equal deadlines it comes last.
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
        match &this.place {
            Place::Here { entry, .. } => entry.change(move |local, key| {
                local.scheduler.rearm(key, deadline.on(&local.shared.clock));
            }),
            Place::Away(away) => {
                let (home, waker) = away.abandon();
                this.place = waker.map_or(Place::Nowhere(Some(home)), |waker| {
                    Place::Away(Away::arm(home, deadline, waker))
                });
            }
            Place::Elapsed(home) => this.place = Place::Nowhere(*home),
            Place::Stopped(home) => this.place = Place::Nowhere(Some(*home)),
            Place::Nowhere(_) => {}
        }
    }

    /// Takes the timer out of its wheel, wherever that is.
    #[inline]
    pub(super) fn disarm(&mut self) {
        match &self.place {
            Place::Here { entry, bound } => {
                let (entry, bound) = (*entry, *bound);
                self.place = Place::Nowhere(bound.then_some(entry.home));
                entry.disarm();
            }
            Place::Away(_) => self.abandon(),
            _ => {}
        }
    }

    #[cold]
    #[inline(never)]
    fn abandon(&mut self) {
        if let Place::Away(away) = &self.place {
            let (home, waker) = away.abandon();
            discard(waker);
            self.place = Place::Nowhere(Some(home));
        }
    }

    /// Polls one that waits for no other loop, and may have been polled before.
    fn poll_here(&mut self, local: &Local, waker: &Waker, bound: bool) -> Poll<()> {
        let key = local.scheduler.arm(self.deadline.on(&local.shared.clock), waker);
        self.place = Place::Here { entry: Armed { key, home: local.shared.number }, bound };
        Poll::Pending
    }

    /// Polls one that is not new.
    #[inline(never)]
    fn poll_again(&mut self, waker: &Waker) -> Poll<()> {
        match &self.place {
            Place::Elapsed(_) | Place::Stopped(_) => Poll::Ready(()),
            Place::Here { entry, bound } => self.poll_armed(*entry, *bound, waker),
            Place::Away(_) => self.poll_away(waker),
            Place::Nowhere(Some(home)) => self.poll_bound(*home, waker),
            Place::Nowhere(None) => self.poll_here(&here(), waker, false),
        }
    }

    /// Arms the timer of one that is new, if that takes no user code.
    #[inline(always)]
    fn arm_lent(&mut self, waker: &Waker) -> bool {
        let entry = context::with_current(|local| {
            let deadline = self.deadline.on(&local.shared.clock);
            let key = local.scheduler.arm_lent(deadline, waker)?;
            Some(Armed { key, home: local.shared.number })
        });
        let Some(entry) = entry else { return false };
        self.place = Place::Here { entry, bound: false };
        true
    }

    /// Polls one whose timer is in the wheel of a loop that polled it.
    fn poll_armed(&mut self, entry: Armed, bound: bool, waker: &Waker) -> Poll<()> {
        let current = context::current();
        let Some(local) = current.as_ref().filter(|local| entry.is_of(local)) else {
            self.disarm();
            return self.poll_again(waker);
        };
        if local.scheduler.swap_waker(entry.key, waker).is_some() {
            return Poll::Pending;
        }
        if self.has_come(local) {
            self.place = Place::Elapsed(bound.then_some(entry.home));
            return Poll::Ready(());
        }
        self.poll_here(local, waker, bound)
    }

    /// Polls one that has no timer, and waits by the clock of one loop.
    fn poll_bound(&mut self, home: LoopNumber, waker: &Waker) -> Poll<()> {
        match context::current().filter(|local| local.shared.number == home) {
            Some(local) if local.has_ended() => {
                self.place = Place::Stopped(home);
                Poll::Ready(())
            }
            Some(local) => self.poll_here(&local, waker, true),
            None => {
                self.place = Place::Away(Away::arm(home, self.deadline, waker.clone()));
                self.poll_away(waker)
            }
        }
    }

    fn poll_away(&mut self, waker: &Waker) -> Poll<()> {
        let Place::Away(away) = &self.place else { return Poll::Pending };
        match away.poll(waker) {
            AwayState::Waiting => return Poll::Pending,
            AwayState::Fired => self.place = Place::Elapsed(Some(away.home())),
            AwayState::Stopped => self.place = Place::Stopped(away.home()),
        }
        Poll::Ready(())
    }
}

#[cold]
#[inline(never)]
fn tidy_timers() {
    if let Some(local) = context::current() {
        local.scheduler.tidy_timers();
    }
}

/// The loop that polls.
fn here() -> Rc<Local> {
    match context::current() {
        Some(local) => local,
        None => panic!("a timer was polled outside of a sideloop loop: there is no clock here"),
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.place, Place::Nowhere(None)) && self.arm_lent(cx.waker()) {
            return Poll::Pending;
        }
        self.poll_again(cx.waker())
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        match self.place {
            Place::Here { entry, .. } => entry.disarm(),
            Place::Away(_) => self.abandon(),
            _ => {}
        }
    }
}
