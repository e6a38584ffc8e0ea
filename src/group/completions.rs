//! Where members of a group tell that they have ended, and where those who wait for it leave a waker.
//!
//! The board knows members by their key and nothing of their results, so the wakers of members may
//! go to any thread, also where the results may not.
//!
//! A waiter is *asleep* while its waker is here. Whoever takes the waker off wakes it: from then on the
//! waiter is *called*, until it is polled or dropped.
//!
//! - **B1 (once)**: a member's key is told once: when it has ended, and not before the group has it.
//! - **B2 (no lost wake)**: while anybody sleeps, at least as many are called as keys are here.
//!   - A waiter goes to sleep only while no key is here.
//!   - A key that is told calls one.
//!   - A called waiter that is polled takes a key, if there is one left.
//!   - A called waiter that is dropped calls another in its place ([`CompletionQueue::leave`]).
//!   - A key that is taken by anybody else leaves more calls than keys; a call too many only has a
//!     waiter look and sleep again, in the place it had.
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
use crate::sync::{Mutex, MutexGuard};

/// Room for so many members, and their keys, is kept.
pub(super) const FEW: usize = 64;

/// The board. Its lock is the inner one: no other is taken under it.
#[derive(Debug, Default)]
pub(crate) struct CompletionQueue(Mutex<Completions>);

/// What is on the board.
#[derive(Debug, Default)]
pub(crate) struct Completions {
    /// The members that have ended and were not given out, in the order in which they told it.
    pub(crate) ended: VecDeque<usize>,
    /// Those who sleep.
    pub(crate) waiters: Waiters,
}

impl Completions {
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
        self.0.lock()
    }

    /// A member has ended: puts its key on the board and calls the waiter that has waited longest.
    pub(crate) fn tell(&self, key: usize) {
        let mut told = self.lock();
        told.ended.push_back(key);
        self.call_one(told);
    }

    /// Calls the waiter that has waited longest, once it has let go of the board. Of those whose wakers panic
    /// each is called once, though it comes back: what sleeps again found no key (B2).
    #[inline]
    pub(crate) fn call_one<'a>(&'a self, told: MutexGuard<'a, Completions>) {
        if !told.waiters.is_empty() {
            self.call_one_of(told);
        }
    }

    fn call_one_of<'a>(&'a self, mut told: MutexGuard<'a, Completions>) {
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
}

impl MemberWaker {
    pub(crate) fn waker(completions: &Arc<CompletionQueue>, key: usize) -> Waker {
        Waker::from(Arc::new(Self { completions: completions.clone(), key }))
    }
}

impl Wake for MemberWaker {
    fn wake(self: Arc<Self>) {
        self.completions.tell(self.key);
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
        let waiters =
            [(); 3].map(|()| Arc::new(MemberWaker { completions: Arc::default(), key: 0 }));
        let mut tickets = [None; 3];
        for (ticket, waiter) in tickets.iter_mut().zip(&waiters) {
            assert!(completions.lock().put(ticket, Waker::from(waiter.clone())).is_none());
        }
        let called = || waiters.each_ref().map(|waiter| waiter.completions.lock().ended.len());
        assert_eq!(tickets, [Some(Ticket::MAX), Some(0), Some(1)]);
        completions.tell(7);
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
