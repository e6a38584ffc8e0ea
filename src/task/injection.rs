//! The way in: lock-free stacks that link the task cells themselves.
//!
//! A producer pushes with one compare-and-swap; the loop takes a whole stack with one swap, so nobody
//! waits for anybody, and there is no ABA problem: nothing is ever popped singly. Closing swaps in a
//! sentinel that refuses every later push.
//!
//! There is one stack for each [`Lane`], so that no kind of arrival waits for another. What the loop took
//! is its [`Hand`]: the list is reversed in pieces, and then handed out oldest first, so each producer's
//! order holds and a long stack costs no turn more than a short one. A stack is taken only when its hand is
//! empty.
//!
//! Source: the stack is R. K. Treiber's ("Systems Programming: Coping with Parallelism", 1986),
//! drained whole.

use core::ptr::{self, NonNull};

use super::cell::Header;
use crate::sync::{AtomicPtr, Ordering};

/// The address that stands for "closed": never read through, only compared. No cell has it, or a lower one
/// but null, as cells are aligned: so one comparison tells the cells from both.
const CLOSED: usize = 1;

fn closed() -> *mut Header {
    ptr::without_provenance_mut(CLOSED)
}

const _: () = assert!(align_of::<Header>() > CLOSED);

/// What became of a push.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Push {
    /// It went in; the stack had been empty.
    First,
    /// It went in behind others.
    Behind,
    /// The loop has ended: the cell is still the caller's.
    Refused,
}

/// The stack. Its cells are alive by I3.
#[derive(Debug)]
pub(super) struct Stack(AtomicPtr<Header>);

impl Stack {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// # Safety
    ///
    /// The caller set the task's `QUEUED` (I6), and keeps the task alive until the exchange succeeds:
    /// after that nothing of it is touched here.
    #[inline]
    pub(super) unsafe fn push(&self, task: NonNull<Header>) -> Push {
        // ORDERING: Acquire, paired with the Release in `close`: who is refused sees all that the
        // loop did before its end.
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            if ptr::eq(head, closed()) {
                return Push::Refused;
            }
            // SAFETY: the caller keeps the task alive.
            let link = unsafe { &task.as_ref().link };
            // SAFETY: by I6 the link is this thread's until the exchange below succeeds.
            link.with_mut(|link| unsafe { *link = head });
            // ORDERING: SeqCst, paired with the look of `RunQueues::park` after it has declared the loop
            // asleep: either that look sees this push, or the load of the sleep word that follows this
            // push sees the declaration (T6). It includes the Release that is paired with the Acquire in
            // `take`: the loop sees the link and the cell behind it. Acquire on failure: as for the load.
            match self.0.compare_exchange_weak(
                head,
                task.as_ptr(),
                Ordering::SeqCst,
                Ordering::Acquire,
            ) {
                Ok(_) => return if head.is_null() { Push::First } else { Push::Behind },
                Err(now) => head = now,
            }
        }
    }

    /// Takes everything, newest first: the head of the list. On the loop's thread, which has seen that there
    /// is something.
    #[inline]
    fn take(&self) -> *const Header {
        debug_assert!(self.has_any(), "taken by somebody else");
        // ORDERING: Acquire, paired with the Release in `push`.
        self.0.swap(ptr::null_mut(), Ordering::Acquire)
    }

    /// Whether there is something to take. A hint: a miss only means that the push comes after this look; the
    /// pusher makes the loop look again, by the sleep word.
    #[inline]
    pub(super) fn has_any(&self) -> bool {
        Self::tells(self.look())
    }

    /// What tells whether there is something to take. A hint, of several of which the union can be taken.
    #[inline]
    pub(super) fn look(&self) -> usize {
        // ORDERING: Relaxed: a hint; `take` acquires.
        self.0.load(Ordering::Relaxed).addr()
    }

    /// The same for the last look before the loop sleeps.
    #[inline]
    pub(super) fn look_at_last(&self) -> usize {
        // ORDERING: SeqCst, paired with the exchange in `push`: see there.
        self.0.load(Ordering::SeqCst).addr()
    }

    /// Whether of the stacks that were looked at one has something to take: each is null, closed, or a cell.
    #[inline]
    pub(super) fn tells(looks: usize) -> bool {
        looks > CLOSED
    }

    /// Refuses every later push, and takes what is there, as [`Stack::take`].
    fn close(&self) -> *const Header {
        // ORDERING: AcqRel. Acquire as in `take`; Release, paired with the Acquire loads in `push`.
        let head = self.0.swap(closed(), Ordering::AcqRel);
        if ptr::eq(head, closed()) { ptr::null() } else { head }
    }

    /// The cells that are there, newest first, without taking them. On the loop's thread.
    pub(super) fn peek(&self) -> Cells {
        // ORDERING: Acquire, paired with the Release in `push`. Only the loop takes cells out, so they stay.
        let head = self.0.load(Ordering::Acquire);
        Cells(if ptr::eq(head, closed()) { ptr::null() } else { head })
    }
}

/// The ways in, one stack each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Wakes of tasks that the loop knows, and requests that they end: at most one for each task.
    Known,
    /// Requests to the loop itself.
    Control,
    /// New tasks.
    New,
}

impl Lane {
    pub(crate) const ALL: [Self; 3] = [Self::Known, Self::Control, Self::New];
}

/// What the loop took out of a stack and has not handled. Its cells are alive by I3, and their links are the
/// loop's (I6). For the loop's thread (I4).
#[derive(Debug)]
pub(super) struct Hand {
    /// Newest first: still to be reversed.
    rest: *const Header,
    /// Oldest first, once nothing is left to be reversed.
    reversed: *const Header,
}

impl Hand {
    const fn new() -> Self {
        Self { rest: ptr::null(), reversed: ptr::null() }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.bits() == 0
    }

    /// Whether nothing is left to be reversed.
    #[inline]
    pub(super) fn is_reversed(&self) -> bool {
        self.rest.is_null()
    }

    /// Zero if it is empty, so that several can be looked at without a branch for each.
    #[inline]
    fn bits(&self) -> usize {
        self.rest.addr() | self.reversed.addr()
    }

    /// Takes what was pushed, if nothing is in hand. `true`: it took something.
    #[inline]
    fn refill(&mut self, stack: &Stack) -> bool {
        let refills = stack.has_any() && self.is_empty();
        if refills {
            self.rest = stack.take();
        }
        refills
    }

    /// Takes what was pushed and refuses every later push. Nothing is in hand.
    fn close(&mut self, stack: &Stack) {
        debug_assert!(self.is_empty(), "closed with cells in hand");
        self.rest = stack.close();
    }

    /// Reverses at most `most` cells, and shows each to `seen`, newest first.
    #[inline]
    pub(super) fn reverse(&mut self, most: usize, mut seen: impl FnMut(NonNull<Header>)) {
        let (mut rest, mut reversed, mut left) = (self.rest, self.reversed, most);
        while let Some(task) = NonNull::new(rest.cast_mut()).filter(|_| left > 0) {
            // SAFETY: the cells of a hand are alive (I3).
            let link = unsafe { &task.as_ref().link };
            rest = link.with_mut(|link| {
                // SAFETY: by I6 the link is the loop's until `QUEUED` is cleared.
                unsafe { ptr::replace(link, reversed) }
            });
            reversed = task.as_ptr();
            left -= 1;
            seen(task);
        }
        (self.rest, self.reversed) = (rest, reversed);
    }

    /// Hands out the oldest cell, if all have been reversed. Its link has been read: the caller may clear
    /// its `QUEUED`.
    #[inline]
    pub(super) fn next(&mut self) -> Option<NonNull<Header>> {
        if !self.rest.is_null() {
            return None;
        }
        let task = NonNull::new(self.reversed.cast_mut())?;
        // SAFETY: the cells of a hand are alive (I3).
        let link = unsafe { &task.as_ref().link };
        // SAFETY: by I6 the link is the loop's until `QUEUED` is cleared.
        self.reversed = link.with(|link| unsafe { *link });
        Some(task)
    }

    /// The cells in hand, in no particular order.
    pub(super) fn cells(&self) -> impl Iterator<Item = NonNull<Header>> + use<> {
        Cells(self.rest).chain(Cells(self.reversed))
    }
}

/// What the loop took out of all stacks.
#[derive(Debug)]
pub(super) struct Hands {
    by_lane: [Hand; 3],
    /// Something was taken since they were last found empty: without a look at each.
    took: bool,
}

impl Hands {
    pub(super) const fn new() -> Self {
        Self { by_lane: [const { Hand::new() }; 3], took: false }
    }

    #[inline]
    pub(super) fn of(&mut self, lane: Lane) -> &mut Hand {
        &mut self.by_lane[lane as usize]
    }

    /// Whether all that was taken has been handled.
    #[inline]
    pub(super) fn are_empty(&mut self) -> bool {
        if self.took {
            self.took = self.by_lane.iter().fold(0, |all, hand| all | hand.bits()) != 0;
        }
        debug_assert!(self.took || self.by_lane.iter().all(Hand::is_empty), "{:?}", self.by_lane);
        !self.took
    }

    /// Takes what was pushed, if nothing of this lane is in hand. `true`: it took something.
    #[inline]
    pub(super) fn refill(&mut self, lane: Lane, stack: &Stack) -> bool {
        let took = self.of(lane).refill(stack);
        if took {
            self.took = true;
        }
        took
    }

    /// Takes what was pushed and refuses every later push. Nothing of this lane is in hand.
    pub(super) fn close(&mut self, lane: Lane, stack: &Stack) {
        self.of(lane).close(stack);
        self.took = true;
    }
}

/// A list of cells, each of which stays alive, and in its place, while the loop does not take it out.
#[derive(Debug)]
pub(super) struct Cells(*const Header);

impl Iterator for Cells {
    type Item = NonNull<Header>;

    fn next(&mut self) -> Option<Self::Item> {
        let task = NonNull::new(self.0.cast_mut())?;
        // SAFETY: the cells of a stack and of a hand are alive (I3).
        let link = unsafe { &task.as_ref().link };
        // SAFETY: by I6 nobody but the loop writes the link of a cell that was pushed.
        self.0 = link.with(|link| unsafe { *link });
        Some(task)
    }
}

#[cfg(all(test, feature = "std", not(loom)))] // without it the loop has no thread of its own
mod tests;
