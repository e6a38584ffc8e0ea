//! The completion queue of a group: the keys of members that have ended, and the wakers of its waiters.
//!
//! The queue knows members by their key and nothing of their results, so the wakers of members may
//! go to any thread, also where the results may not.
//!
//! A waiter is *asleep* while its waker is here. Whoever takes the waker off wakes it: from then on the
//! waiter is *called*, until it is polled or dropped.
//!
//! - **B1 (once)**: a member's key is told once: when it has ended, and not before the group has it. Members that
//!   were detached belong to an earlier *epoch*: their keys, which others may have by then, are not told any more.
//! - **B2 (no lost wake)**: while anybody sleeps, at least as many are called as keys are here.
//!   - A waiter goes to sleep only while no key is here.
//!   - A key that is told calls one.
//!   - A called waiter that is polled takes a key, if there is one left.
//!   - A called waiter that is dropped calls another in its place ([`CompletionQueue::leave`]).
//!   - A key that is taken by anybody else leaves more calls than keys; a call too many only makes a
//!     waiter look and sleep again, in the place it had.
//!   - A poller left its waker by `poll_next` and holds nothing that would say when it gives up. So each key that is
//!     told wakes all pollers beside the waiter that it calls.
//! - **B3 (the end)**: while the group is empty nobody sleeps: whoever takes the last member calls
//!   everybody.
//! - **B4 (no user code under a lock)**: wakers are cloned, woken and dropped outside of every lock,
//!   and their panics end there. A waiter whose waker panicked may never know that it was called, so
//!   it counts as not called, and another is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::error::{call_contained, discard};
use crate::runtime::waiters::{Ticket, Waiters};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// Room for so many members, and their keys, is kept.
pub(super) const FEW: usize = 64;

/// The queue. Its lock is the inner one: no other is taken under it.
#[derive(Debug)]
pub(crate) struct CompletionQueue {
    completions: Mutex<Completions>,
    /// How often the members were detached. Changes under the members' lock and this one.
    epoch: AtomicUsize,
}

impl Default for CompletionQueue {
    fn default() -> Self {
        Self { completions: Mutex::default(), epoch: AtomicUsize::new(0) }
    }
}

/// The keys and the wakers.
#[derive(Debug, Default)]
pub(crate) struct Completions {
    /// The members that have ended and were not given out, in the order in which they told it.
    pub(crate) ended: VecDeque<usize>,
    /// Those who sleep.
    pub(crate) waiters: Waiters,
    /// Those who polled in vain, each once.
    pollers: Vec<Waker>,
}

impl Completions {
    /// Keeps the waker of a poller; gives it back if there is one like it.
    pub(crate) fn add_poller(&mut self, waker: Waker) -> Option<Waker> {
        debug_assert!(self.ended.is_empty(), "nobody sleeps while a key waits (B2)");
        if self.pollers.iter().any(|known| known.will_wake(&waker)) {
            return Some(waker);
        }
        self.pollers.push(waker);
        None
    }

    /// Takes off all waiters and pollers.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.waiters.take_all().chain(std::mem::take(&mut self.pollers))
    }

    /// Takes the room out that keys had, if there is much and none is here; to be freed outside of the locks.
    pub(crate) fn thin(&mut self) -> VecDeque<usize> {
        let much = self.ended.is_empty() && self.ended.capacity() > FEW;
        if much { std::mem::take(&mut self.ended) } else { VecDeque::new() }
    }

    /// Puts a waiter to sleep, in the place it had; gives its former waker back.
    pub(crate) fn put(&mut self, waiter: &mut Option<Ticket>, waker: Waker) -> Option<Waker> {
        debug_assert!(self.ended.is_empty(), "nobody sleeps while a key waits (B2)");
        self.waiters.put(waiter, waker)
    }
}

impl CompletionQueue {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Completions> {
        self.completions.lock()
    }

    /// The epoch of members that are added now. Under the members' lock, or the queue's.
    pub(crate) fn epoch(&self) -> usize {
        // ORDERING: Relaxed: both locks are held where it changes, in `begin_epoch`.
        self.epoch.load(Ordering::Relaxed)
    }

    /// No member of before tells its end any more. Under the members' lock, with the queue's.
    pub(crate) fn begin_epoch(&self, told: &mut Completions) -> VecDeque<usize> {
        // ORDERING: Relaxed: as in `epoch`.
        self.epoch.fetch_add(1, Ordering::Relaxed);
        std::mem::take(&mut told.ended)
    }

    /// A member has ended: queues its key and calls the waiter that has waited longest.
    pub(crate) fn tell(&self, key: usize, epoch: usize) {
        let mut told = self.lock();
        if epoch == self.epoch() {
            told.ended.push_back(key);
            self.call_one(told);
        }
    }

    /// Calls the waiter that has waited longest, once it has let go of the queue. Of those whose wakers panic
    /// each is called once, though it comes back: what sleeps again found no key (B2).
    #[inline]
    pub(crate) fn call_one<'a>(&'a self, told: MutexGuard<'a, Completions>) {
        if !told.waiters.is_empty() || !told.pollers.is_empty() {
            self.call_one_of(told);
        }
    }

    fn call_one_of<'a>(&'a self, mut told: MutexGuard<'a, Completions>) {
        let pollers = std::mem::take(&mut told.pollers);
        if !pollers.is_empty() {
            drop(told);
            for waker in pollers {
                call_contained(|| waker.wake());
            }
            told = self.lock();
        }
        let newest = told.waiters.newest();
        let mut last = None;
        while let Some((ticket, waker)) = told.waiters.pop_between(last, newest) {
            drop(told);
            if call_contained(|| waker.wake()) {
                return;
            }
            last = Some(ticket);
            told = self.lock();
        }
    }

    /// Whether the waiter sleeps and is to be called by a waker like `waker`.
    pub(crate) fn knows(&self, waiter: Option<Ticket>, waker: &Waker) -> bool {
        waiter.is_some() && self.lock().waiters.knows(waiter, waker)
    }

    /// A waiter goes without an answer. If it had been called for a key, another is called instead.
    pub(crate) fn leave(&self, waiter: &mut Option<Ticket>) {
        if waiter.is_none() {
            return; // it never slept, or it was answered
        }
        let mut told = self.lock();
        let own = told.waiters.take(waiter);
        if own.is_none() && !told.ended.is_empty() {
            return self.call_one(told);
        }
        drop(told);
        discard(own);
    }
}

/// The waker of one member: it tells the member's key, also where the group is gone and nobody looks.
///
/// It is left with the member's task alone, which wakes it once or drops it (B1).
pub(crate) struct MemberWaker {
    completions: Arc<CompletionQueue>,
    key: usize,
    epoch: usize,
}

impl MemberWaker {
    /// For a member that is added now: under the members' lock.
    pub(crate) fn waker(completions: &Arc<CompletionQueue>, key: usize) -> Waker {
        let epoch = completions.epoch();
        Waker::from(Arc::new(Self { completions: completions.clone(), key, epoch }))
    }
}

impl Wake for MemberWaker {
    fn wake(self: Arc<Self>) {
        self.completions.tell(self.key, self.epoch);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// They are called out of their turn then, and each once.
    #[test]
    fn tickets_come_round_and_no_waiter_is_lost() {
        let completions = CompletionQueue::default();
        completions.lock().waiters.last = Ticket::MAX - 1;
        let waiters = [(); 3]
            .map(|()| Arc::new(MemberWaker { completions: Arc::default(), key: 0, epoch: 0 }));
        let mut tickets = [None; 3];
        for (ticket, waiter) in tickets.iter_mut().zip(&waiters) {
            assert!(completions.lock().put(ticket, Waker::from(waiter.clone())).is_none());
        }
        let called = || waiters.each_ref().map(|waiter| waiter.completions.lock().ended.len());
        assert_eq!(tickets, [Some(Ticket::MAX), Some(0), Some(1)]);
        completions.tell(7, 0);
        assert_eq!(called(), [0, 1, 0]);
        completions.leave(&mut tickets[1]); // the key is another's now
        assert_eq!(called(), [0, 1, 1]);
        completions
            .lock()
            .waiters
            .take_all()
            .for_each(|waker| assert!(call_contained(|| waker.wake())));
        assert_eq!(called(), [1, 1, 1]);
    }
}
