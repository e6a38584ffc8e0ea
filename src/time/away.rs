//! A timer in the wheel of one loop, waited for on another or on none.
//!
//! A request arms it there, with a waker that notes that it was woken, or was dropped unwoken: then the
//! loop has ended. Who waits leaves a waker here. Everything between the two is under one lock, and no
//! waker is cloned, woken or dropped under it.

use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

use super::sleep::Armed;
use crate::error::{call_contained, discard};
use crate::runtime::clock::Moment;
use crate::runtime::context::LoopNumber;
use crate::runtime::local::Local;
use crate::scheduler::wheel::TimerKey;

/// The timer, for who waits.
#[derive(Debug)]
pub(super) struct Away {
    home: LoopNumber,
    inner: Mutex<AwayInner>,
}

#[derive(Debug)]
struct AwayInner {
    state: AwayState,
    /// Whom to wake; none once nobody waits any more.
    waker: Option<Waker>,
    /// Its place in the wheel, once it is armed.
    key: Option<TimerKey>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AwayState {
    Waiting,
    Fired,
    /// The loop has ended before.
    Stopped,
}

impl Away {
    /// Asks the loop of this number to arm a timer.
    pub(super) fn arm(home: LoopNumber, deadline: Moment, waker: Waker) -> Arc<Self> {
        let inner = AwayInner { state: AwayState::Waiting, waker: Some(waker), key: None };
        let away = Arc::new(Self { home, inner: Mutex::new(inner) });
        let bell = AwayWaker(away.clone());
        match home.find() {
            // If the loop takes no request the bell is dropped with it.
            Some(shared) => drop(shared.control(move |local| bell.arm(local, deadline))),
            None => drop(bell),
        }
        away
    }

    pub(super) fn home(&self) -> LoopNumber {
        self.home
    }

    pub(super) fn state(&self) -> AwayState {
        self.inner.lock().state
    }

    /// Leaves a waker, and says what became of the timer.
    pub(super) fn poll(&self, waker: &Waker) -> AwayState {
        let known = self.inner.lock().waker.as_ref().is_some_and(|own| own.will_wake(waker));
        let mut other = (!known).then(|| waker.clone());
        let state = {
            let mut inner = self.inner.lock();
            if other.is_some() && inner.state == AwayState::Waiting {
                std::mem::swap(&mut inner.waker, &mut other);
            }
            inner.state
        };
        discard(other);
        state
    }

    /// Nobody waits any more: the timer is taken out of its wheel. Gives the waker back.
    pub(super) fn abandon(&self) -> (LoopNumber, Option<Waker>) {
        let (waker, key) = {
            let mut inner = self.inner.lock();
            (inner.waker.take(), inner.key.take())
        };
        if let Some(key) = key {
            Armed { key, home: self.home }.disarm();
        }
        (self.home, waker)
    }

    /// The timer has fired, or never will. The first to say so counts.
    fn end(&self, state: AwayState) {
        let waker = {
            let mut inner = self.inner.lock();
            if inner.state != AwayState::Waiting {
                return;
            }
            inner.state = state;
            inner.key = None;
            inner.waker.take()
        };
        if let Some(waker) = waker {
            call_contained(|| waker.wake());
        }
    }
}

/// What the loop's wheel has of it.
#[derive(Debug)]
struct AwayWaker(Arc<Away>);

impl AwayWaker {
    /// On the loop's thread.
    fn arm(self, local: &Local, deadline: Moment) {
        let away = self.0.clone();
        if away.inner.lock().waker.is_none() {
            return;
        }
        let waker = Waker::from(Arc::new(self));
        let key = local.scheduler.arm(deadline.on(&local.shared.clock), &waker);
        let abandoned = {
            let mut inner = away.inner.lock();
            inner.key = Some(key);
            inner.waker.is_none()
        };
        if abandoned {
            local.scheduler.disarm(key);
        }
    }
}

impl Wake for AwayWaker {
    fn wake(self: Arc<Self>) {
        self.0.end(AwayState::Fired);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.end(AwayState::Fired);
    }
}

impl Drop for AwayWaker {
    fn drop(&mut self) {
        self.0.end(AwayState::Stopped);
    }
}
