//! The wakers of all that wait for one event.
//!
//! A waiter is known by its ticket, so that it can take its waker back; the lower the ticket, the longer
//! it has waited. They are in a map and not in a slab, because a map shrinks when waiters leave. Wakers are
//! cloned, woken and dropped outside of the lock that protects this: the caller drops what it is given back.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::task::Waker;

/// A waiter's place. It keeps it as long as it waits.
pub(crate) type Ticket = u64;

/// The waiters.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakers: BTreeMap<Ticket, Waker>,
    pub(crate) last: Ticket,
}

impl Waiters {
    /// Adds a waiter, or gives it another waker; gives back the one that it had.
    pub(crate) fn put(&mut self, waiter: &mut Option<Ticket>, waker: Waker) -> Option<Waker> {
        let ticket = *waiter.get_or_insert_with(|| {
            self.last = self.last.wrapping_add(1);
            self.last
        });
        self.wakers.insert(ticket, waker)
    }

    /// Whether the waiter is here, with a waker like this one.
    pub(crate) fn knows(&self, waiter: Option<Ticket>, waker: &Waker) -> bool {
        let known = waiter.and_then(|ticket| self.wakers.get(&ticket));
        known.is_some_and(|known| known.will_wake(waker))
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// Takes a waiter off.
    pub(crate) fn take(&mut self, waiter: &mut Option<Ticket>) -> Option<Waker> {
        waiter.take().and_then(|ticket| self.wakers.remove(&ticket))
    }

    /// The waiter that came last.
    pub(crate) fn newest(&self) -> Option<Ticket> {
        self.wakers.last_key_value().map(|(ticket, _)| *ticket)
    }

    /// Takes off the longest waiting of those after `last` and up to `newest`.
    pub(crate) fn pop_between(
        &mut self,
        last: Option<Ticket>,
        newest: Option<Ticket>,
    ) -> Option<(Ticket, Waker)> {
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.wakers.range((after, Bound::Unbounded)).next();
        let ticket = next.map(|(ticket, _)| *ticket).filter(|next| newest >= Some(*next))?;
        Some((ticket, self.wakers.remove(&ticket)?))
    }

    /// Takes all off, the longest waiting first.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.wakers).into_values()
    }
}
