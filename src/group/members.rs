//! The members of a group, and those who wait for one to end.
//!
//! - **K1 (members)**: a member is here from its spawn until it is given out, and its key is told at
//!   most once, in between. So the group is empty when there is none here, and a key in the queue
//!   is never another member's. A member that was [put back](Members::put_back) has no key any more:
//!   it is given out before all others.
//! - **K2 (order of locks)**: the members', then the queue's. The loop's thread, which tells, takes the
//!   queue's alone. Whether a waiter may sleep is decided under both: then no key is told and the
//!   group is not empty. A key told after that calls the waiter, or one that has waited longer; the
//!   last member, given out after that, calls everybody.
//! - **K3 (no user code under a lock)**: members are moved out, and used or dropped outside: that may
//!   run a host's `on_wake`, or the destructors of an ended loop's results. Making a task a member
//!   runs none: its waker is ours. For the waiters' wakers see B4 of the queue.
//!
//! Modelled in `tests/loom/groups.rs`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::completions::{CompletionQueue, Completions, FEW, MemberWaker};
use crate::error::{call_contained, discard};
use crate::runtime::waiters::Ticket;
use crate::sync::{Mutex, MutexGuard};

/// The handles of tasks that end together.
pub(crate) struct Members<M> {
    all: Mutex<All<M>>,
    completions: Arc<CompletionQueue>,
}

/// The members that were not given out.
pub(crate) struct All<M> {
    /// Those whose end was not taken from the queue, by key.
    keyed: Slab<M>,
    /// Those that were put back, in the order in which they ended.
    back: VecDeque<M>,
    /// How many there have been.
    count: u64,
}

impl<M> All<M> {
    const fn new() -> Self {
        Self { keyed: Slab::new(), back: VecDeque::new(), count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.keyed.len() + self.back.len()
    }

    /// All of them; those that have ended and were put back come first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &M> {
        self.back.iter().chain(self.keyed.iter().map(|(_, member)| member))
    }

    fn into_members(self) -> impl Iterator<Item = M> {
        self.back.into_iter().chain(self.keyed.into_iter().map(|(_, member)| member))
    }
}

impl<M> Members<M> {
    pub(crate) fn new() -> Self {
        Self { all: Mutex::new(All::new()), completions: Arc::default() }
    }

    /// Those who were not given out.
    pub(crate) fn lock(&self) -> MutexGuard<'_, All<M>> {
        self.all.lock()
    }

    /// Adds one that `make` makes of its number, and with which `register` leaves a waker. `false`: it has ended, and
    /// will call none.
    pub(crate) fn add(
        &self,
        make: impl FnOnce(u64) -> M,
        register: impl FnOnce(&mut M, &Waker) -> bool,
    ) {
        let mut members = self.lock();
        let number = members.count;
        members.count = number.wrapping_add(1);
        let key = members.keyed.insert(make(number));
        if register(&mut members.keyed[key], &MemberWaker::waker(&self.completions, key)) {
            return;
        }
        // Told under the lock, so that the loop's own thread finds no ended member that was not told;
        // a waiter is called outside (K3).
        let mut told = self.completions.lock();
        told.ended.push_back(key);
        drop(members);
        self.completions.call_one(told);
    }

    /// Gives out the member that ended first, or `None` if there is none. Pending: all run.
    pub(crate) fn take(&self, waiter: &mut Option<Ticket>) -> Poll<Option<M>> {
        self.take_from(waiter, |all| all.back.pop_front())
    }

    /// The same without those that were put back; `None` if there are no others.
    fn take_keyed(&self, waiter: &mut Option<Ticket>) -> Poll<Option<M>> {
        self.take_from(waiter, |_| None)
    }

    #[inline]
    fn take_from(
        &self,
        waiter: &mut Option<Ticket>,
        first: impl FnOnce(&mut All<M>) -> Option<M>,
    ) -> Poll<Option<M>> {
        let mut members = self.lock();
        let mut told = self.completions.lock();
        let ended = first(&mut members);
        let ended = ended.or_else(|| told.ended.pop_front().map(|key| members.keyed.remove(key)));
        if ended.is_none() && !members.keyed.is_empty() {
            return Poll::Pending;
        }
        let own = if waiter.is_some() { told.waiters.take(waiter) } else { None };
        if told.ended.is_empty() {
            Self::thin(members, told);
        } else {
            drop(told);
            drop(members);
        }
        if own.is_some() {
            discard(own);
        }
        Poll::Ready(ended)
    }

    /// No end waits to be taken: what a burst has left is freed, and if the group is empty everybody is called. Both
    /// outside of the locks.
    #[inline(never)]
    fn thin(mut members: MutexGuard<'_, All<M>>, mut told: MutexGuard<'_, Completions>) {
        let keys = told.thin();
        if members.len() > 0 {
            return drop((told, members, keys));
        }
        let waiters = told.take_all();
        let much = members.keyed.capacity() > FEW;
        let places = if much { std::mem::take(&mut members.keyed) } else { Slab::new() };
        drop(told);
        drop(members);
        drop((keys, places));
        for waker in waiters {
            call_contained(|| waker.wake());
        }
    }

    /// Puts a waiter to sleep, unless there is an answer for it. `false`: look again.
    fn sleep(&self, waiter: &mut Option<Ticket>, waker: Waker) -> bool {
        let members = self.lock();
        let mut told = self.completions.lock();
        let sleeps = told.ended.is_empty() && !members.keyed.is_empty();
        let unused = if sleeps { told.put(waiter, waker) } else { Some(waker) };
        drop(told);
        drop(members);
        discard(unused);
        sleeps
    }

    /// Gives out the member that ended first; pending, it keeps the waker of this poller and wakes it when one has.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Option<M>> {
        loop {
            let taken = self.take(&mut None);
            if taken.is_ready() {
                return taken;
            }
            let own = waker.clone();
            let members = self.lock();
            let mut told = self.completions.lock();
            let sleeps =
                told.ended.is_empty() && !members.keyed.is_empty() && members.back.is_empty();
            let unused = if sleeps { told.add_poller(own) } else { Some(own) };
            drop(told);
            drop(members);
            discard(unused);
            if sleeps {
                return Poll::Pending;
            }
        }
    }

    /// Puts a member back that was given out, behind those that were put back before.
    pub(crate) fn put_back(&self, member: M) {
        self.lock().back.push_back(member);
    }

    /// Takes out those that were put back.
    pub(crate) fn take_back(&self) -> VecDeque<M> {
        std::mem::take(&mut self.lock().back)
    }

    /// Wakes everybody who waits, to look again.
    pub(crate) fn call_all(&self) {
        let waiters = self.completions.lock().take_all();
        for waker in waiters {
            call_contained(|| waker.wake());
        }
    }

    /// Takes all members out, whether they have ended or not: the group is empty.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = M> + use<M> {
        let mut members = self.lock();
        let mut told = self.completions.lock();
        let keys = self.completions.begin_epoch(&mut told);
        let waiters = told.take_all();
        let all = std::mem::replace(&mut *members, All::new());
        drop(told);
        drop(members);
        drop(keys);
        for waker in waiters {
            call_contained(|| waker.wake());
        }
        all.into_members()
    }

    /// Waits for the next one to end; `None`: there is none.
    pub(crate) fn next(&self) -> Next<'_, M> {
        Next { members: self, waiter: None, take: Members::take }
    }

    /// The same without those that were put back.
    pub(crate) fn next_keyed(&self) -> Next<'_, M> {
        Next { members: self, waiter: None, take: Members::take_keyed }
    }

    /// Lets go of all; nobody waits any more.
    pub(crate) fn clear(&mut self, each: impl FnMut(M)) {
        let members = std::mem::replace(&mut *self.lock(), All::new());
        members.into_members().for_each(each);
        // None is left, unless a waiting future was leaked, or a poller went on to something else.
        let leaked = self.completions.lock().take_all();
        leaked.for_each(discard);
    }
}

/// A waiter.
pub(crate) struct Next<'a, M> {
    members: &'a Members<M>,
    waiter: Option<Ticket>,
    take: fn(&Members<M>, &mut Option<Ticket>) -> Poll<Option<M>>,
}

impl<M> Future for Next<'_, M> {
    type Output = Option<M>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { members, waiter, take } = self.get_mut();
        loop {
            let taken = take(members, waiter);
            if taken.is_ready() {
                return taken;
            }
            let sleeps = members.completions.knows(*waiter, cx.waker())
                || members.sleep(waiter, cx.waker().clone());
            if sleeps {
                return Poll::Pending;
            }
        }
    }
}

impl<M> Drop for Next<'_, M> {
    fn drop(&mut self) {
        self.members.completions.leave(&mut self.waiter);
    }
}
