//! The members of a group, and those who wait for one to end.
//!
//! - **K1 (members)**: a member is here from its spawn until it is given out, and its key is told at
//!   most once, in between. So the group is empty when there is none here, and a key on the board
//!   is never another member's.
//! - **K2 (order of locks)**: the members', then the board's. The loop's thread, which tells, takes the
//!   board's alone. Whether a waiter may sleep is decided under both: then no key is told and the
//!   group is not empty. A key told after that calls the waiter, or one that has waited longer; the
//!   last member, given out after that, calls everybody.
//! - **K3 (no user code under a lock)**: members are moved out, and used or dropped outside: that may
//!   run a host's `on_wake`, or the destructors of an ended loop's results. Making a task a member
//!   runs none: its waker is ours. For the waiters' wakers see the board's B4.
//!
//! Modelled in `tests/loom/groups.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::completions::{CompletionQueue, FEW, MemberWaker};
use crate::error::{call_contained, discard};
use crate::runtime::waiters::Ticket;
use crate::sync::{Mutex, MutexGuard};

/// The handles of tasks that end together.
pub(crate) struct Members<M> {
    all: Mutex<Slab<M>>,
    completions: Arc<CompletionQueue>,
}

impl<M> Members<M> {
    pub(crate) fn new() -> Self {
        Self { all: Mutex::new(Slab::new()), completions: Arc::default() }
    }

    /// Those who were not given out.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Slab<M>> {
        self.all.lock()
    }

    /// Adds one, with which `register` leaves a waker. `false`: it has ended, and will call none.
    pub(crate) fn add(&self, member: M, register: impl FnOnce(&mut M, &Waker) -> bool) {
        let mut members = self.lock();
        let key = members.insert(member);
        if register(&mut members[key], &MemberWaker::waker(&self.completions, key)) {
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
        let mut members = self.lock();
        let mut told = self.completions.lock();
        let ended = told.ended.pop_front().map(|key| members.remove(key));
        let is_empty = members.is_empty();
        if ended.is_none() && !is_empty {
            return Poll::Pending;
        }
        let own = told.waiters.take(waiter);
        let others = is_empty.then(|| told.waiters.take_all());
        // What a burst has left is freed outside of the locks.
        let keys = told.thin();
        let much = is_empty && members.capacity() > FEW;
        let places = if much { std::mem::take(&mut *members) } else { Slab::new() };
        drop(told);
        drop(members);
        drop((keys, places));
        for waker in others.into_iter().flatten() {
            call_contained(|| waker.wake());
        }
        discard(own);
        Poll::Ready(ended)
    }

    /// Puts a waiter to sleep, unless there is an answer for it. `false`: look again.
    fn sleep(&self, waiter: &mut Option<Ticket>, waker: Waker) -> bool {
        let members = self.lock();
        let mut told = self.completions.lock();
        let sleeps = told.ended.is_empty() && !members.is_empty();
        let unused = if sleeps { told.put(waiter, waker) } else { Some(waker) };
        drop(told);
        drop(members);
        discard(unused);
        sleeps
    }

    /// Waits for the next one to end; `None`: there is none.
    pub(crate) fn next(&self) -> Next<'_, M> {
        Next { members: self, waiter: None }
    }

    /// Lets go of all; nobody waits any more.
    pub(crate) fn clear(&mut self, each: impl FnMut(M)) {
        let members = std::mem::take(&mut *self.lock());
        members.into_iter().map(|(_, member)| member).for_each(each);
        // None is left, unless a waiting future was leaked.
        let leaked = self.completions.lock().waiters.take_all();
        leaked.for_each(discard);
    }
}

/// A waiter.
pub(crate) struct Next<'a, M> {
    members: &'a Members<M>,
    waiter: Option<Ticket>,
}

impl<M> Future for Next<'_, M> {
    type Output = Option<M>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { members, waiter } = self.get_mut();
        loop {
            let taken = members.take(waiter);
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
