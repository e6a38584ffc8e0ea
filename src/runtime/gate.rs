//! The bound on submissions that have not begun to run.
//!
//! A word counts the places that are taken, and says whether anybody waits for one. While nobody waits, entering
//! and leaving are one exchange each. Those who wait are in a list, first come, first served:
//!
//! - **E1 (hand-over)**: while somebody waits, every place is taken: a place that is given back goes to the one that
//!   has waited longest, and the count stays as it is. So nobody overtakes, and one place wakes one waiter.
//! - **E2 (passed on)**: who gives up with a place in hand leaves, by which it goes to the next.
//! - **E3 (mark)**: the mark is set and cleared under the list's lock alone, and is set if and only if somebody waits.
//!
//! Modelled in `tests/loom/gates.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::error::{call_contained, discard};
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// Somebody waits.
const WAITED: usize = 1;
/// One submission.
const ONE: usize = 2;

/// The gate that submissions from other threads pass.
#[derive(Debug)]
pub(crate) struct Gate {
    word: AtomicUsize,
    capacity: usize,
    list: Mutex<List>,
    /// How many of those inside the loop has taken in. Written by the loop's thread alone.
    taken_in: AtomicUsize,
}

#[derive(Debug, Default)]
struct List {
    /// Who waits, by ticket.
    waiting: BTreeMap<u64, Waker>,
    /// The tickets that a place was handed over to, and whose holders have not come for it.
    served: BTreeSet<u64>,
    next: u64,
    closed: bool,
}

/// The loop was asked to end: there will be no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GateClosed;

/// One who waits for a place, or is about to.
#[derive(Debug)]
pub(crate) struct GateWaiter {
    gate: Arc<Gate>,
    /// `None`: it is not in the list.
    ticket: Option<u64>,
}

impl Gate {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, usize::MAX / ONE);
        let (word, taken_in) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { word, capacity, list: Mutex::default(), taken_in }
    }

    /// How many have entered and not left.
    pub(crate) fn inside(&self) -> usize {
        // ORDERING: Relaxed: a number to look at.
        self.word.load(Ordering::Relaxed) / ONE
    }

    /// How many of those the loop has not taken in.
    pub(crate) fn outside(&self) -> usize {
        // ORDERING: Relaxed: as above.
        self.inside().saturating_sub(self.taken_in.load(Ordering::Relaxed))
    }

    /// Enters, if there is room.
    pub(crate) fn try_enter(&self) -> bool {
        self.enter_or_mark(0)
    }

    fn enter_or_mark(&self, mark: usize) -> bool {
        // ORDERING: Relaxed on the way in and on failure: the exchange decides.
        let mut old = self.word.load(Ordering::Relaxed);
        loop {
            let room = old / ONE < self.capacity;
            let new = if room { old + ONE } else { old | mark };
            if new == old {
                return false;
            }
            // ORDERING: AcqRel, paired with `leave`: who enters in the room that it made comes
            // after it, and a mark is seen by every later one.
            match self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return room,
                Err(now) => old = now,
            }
        }
    }

    /// The loop took a submission in. On its thread.
    pub(crate) fn take_in(&self) {
        self.count(1);
    }

    /// A submission that was taken in begins, or ends without. On the loop's thread.
    pub(crate) fn begin(&self) {
        self.count(usize::MAX);
        self.leave();
    }

    fn count(&self, more: usize) {
        // ORDERING: Relaxed, both: one thread writes, and others look.
        let now = self.taken_in.load(Ordering::Relaxed);
        // ORDERING: as above.
        self.taken_in.store(now.wrapping_add(more), Ordering::Relaxed);
    }

    /// Gives a place back. Runs the waker of who gets it.
    pub(crate) fn leave(&self) {
        // ORDERING: Relaxed on the way in and on failure: the exchange decides.
        let mut old = self.word.load(Ordering::Relaxed);
        while old & WAITED == 0 {
            let new = old - ONE;
            // ORDERING: AcqRel, paired with `enter_or_mark`.
            match self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => old = now,
            }
        }
        let next = self.hand_over();
        wake(next);
    }

    /// To the one that has waited longest, if anybody waits still.
    fn hand_over(&self) -> Option<Waker> {
        let mut list = self.list.lock();
        let Some((ticket, waker)) = list.waiting.pop_first() else {
            // ORDERING: AcqRel, paired with `enter_or_mark`. There is no mark now (E3).
            self.word.fetch_sub(ONE, Ordering::AcqRel);
            return None;
        };
        list.served.insert(ticket);
        self.unmark(&list);
        Some(waker)
    }

    /// Restores E3 after somebody left the list.
    fn unmark(&self, list: &List) {
        if list.waiting.is_empty() {
            // ORDERING: AcqRel, paired with `leave`.
            self.word.fetch_and(!WAITED, Ordering::AcqRel);
        }
    }

    /// Lets go of all who wait: the loop was asked to end.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut list = self.list.lock();
            list.closed = true;
            let waiting = mem::take(&mut list.waiting);
            self.unmark(&list);
            waiting
        };
        waiting.into_values().for_each(|waker| wake(Some(waker)));
    }
}

impl GateWaiter {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, ticket: None }
    }

    /// Enters, or leaves `waker` in the list. What has entered leaves by [`Gate::leave`].
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Result<(), GateClosed>> {
        // Cloned and dropped outside of the lock: both are user code.
        let mut waker = Some(waker.clone());
        let answer = self.look(&mut waker);
        discard(waker);
        answer
    }

    fn look(&mut self, waker: &mut Option<Waker>) -> Poll<Result<(), GateClosed>> {
        let list = &mut *self.gate.list.lock();
        let Some(ticket) = self.ticket else {
            if list.closed {
                return Poll::Ready(Err(GateClosed));
            }
            if self.gate.enter_or_mark(WAITED) {
                return Poll::Ready(Ok(()));
            }
            self.ticket = Some(list.next);
            list.waiting.extend(waker.take().map(|waker| (list.next, waker)));
            list.next += 1;
            return Poll::Pending;
        };
        if let Some(place) = list.waiting.get_mut(&ticket) {
            // PANICS: it cannot: `poll` brings one.
            mem::swap(place, waker.as_mut().expect("a waker to be left"));
            return Poll::Pending;
        }
        self.ticket = None;
        Poll::Ready(if list.served.remove(&ticket) { Ok(()) } else { Err(GateClosed) })
    }
}

impl Drop for GateWaiter {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let (waker, served) = {
            let mut list = self.gate.list.lock();
            let waker = list.waiting.remove(&ticket);
            self.gate.unmark(&list);
            (waker, list.served.remove(&ticket))
        };
        discard(waker);
        if served {
            self.gate.leave();
        }
    }
}

/// Runs the waker, which is user code and may panic.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        call_contained(|| waker.wake());
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// P8: the count beside the mark holds the greatest capacity there can be.
    #[test]
    fn the_widest_gate_is_full_and_no_wider() {
        let gate = Arc::new(Gate::new(usize::MAX));
        let most = usize::MAX / ONE;
        gate.word.store((most - 1) * ONE, Ordering::Relaxed);
        assert!(gate.try_enter());
        assert_eq!(gate.inside(), most);
        let mut waiting = GateWaiter::new(gate.clone());
        assert!(!gate.try_enter() && waiting.poll(Waker::noop()).is_pending());
        assert_eq!(gate.word.load(Ordering::Relaxed), usize::MAX, "full and waited for");
        gate.leave();
        assert_eq!(gate.word.load(Ordering::Relaxed), most * ONE, "handed over");
        assert_eq!(waiting.poll(Waker::noop()), Poll::Ready(Ok(())));
        drop(waiting);
        gate.leave();
        assert_eq!(gate.word.load(Ordering::Relaxed), (most - 1) * ONE);
    }
}
