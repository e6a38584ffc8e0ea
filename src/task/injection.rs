//! The way in: a lock-free stack that links the task cells themselves.
//!
//! A producer pushes with one compare-and-swap; the loop takes the whole stack with one swap and
//! reverses it, so each producer's order holds, nobody waits for anybody, and there is no ABA
//! problem: nothing is ever popped singly. Closing swaps in a sentinel that refuses every later push.
//!
//! Source: the stack is R. K. Treiber's ("Systems Programming: Coping with Parallelism", 1986),
//! drained whole.

#[cfg(all(any(test, fuzzing), feature = "std", not(any(loom, shuttle))))]
pub(crate) mod history;

use core::ptr::{self, NonNull};

use super::cell::Header;
use crate::sync::{AtomicPtr, Ordering};

/// The address that stands for "closed": never read through, only compared.
static CLOSED: u8 = 0;

fn closed() -> *mut Header {
    (&raw const CLOSED).cast_mut().cast()
}

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
            // ORDERING: Release, paired with the Acquire in `take_all`: the loop sees the link and
            // the cell behind it. Acquire on failure: as for the load.
            match self.0.compare_exchange_weak(
                head,
                task.as_ptr(),
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return if head.is_null() { Push::First } else { Push::Behind },
                Err(now) => head = now,
            }
        }
    }

    /// Takes everything, in the order it was pushed. On the loop's thread.
    #[inline]
    pub(super) fn take_all(&self) -> Chain {
        // ORDERING: Relaxed: a miss only means that the push comes after this look; whoever pushed
        // makes the loop look again, by the sleep word.
        let head = self.0.load(Ordering::Relaxed);
        if head.is_null() || ptr::eq(head, closed()) {
            return Chain(ptr::null());
        }
        // ORDERING: Acquire, paired with the Release in `push`.
        let head = self.0.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: the swap made all of these cells this thread's (I6, I3).
        unsafe { Chain::reversed(head) }
    }

    /// Whether there is something to take. A hint.
    pub(super) fn has_any(&self) -> bool {
        // ORDERING: Relaxed: a hint; `take_all` acquires.
        let head = self.0.load(Ordering::Relaxed);
        !head.is_null() && !ptr::eq(head, closed())
    }

    /// Refuses every later push, and takes what is there.
    pub(super) fn close(&self) -> Chain {
        // ORDERING: AcqRel. Acquire as in `take_all`; Release, paired with the Acquire loads in `push`.
        let head = self.0.swap(closed(), Ordering::AcqRel);
        if ptr::eq(head, closed()) {
            return Chain(ptr::null());
        }
        // SAFETY: as in `take_all`.
        unsafe { Chain::reversed(head) }
    }
}

/// Cells that were taken out, linked in the order in which they came.
#[derive(Debug)]
pub(super) struct Chain(*const Header);

impl Chain {
    /// # Safety
    ///
    /// `head` begins a list of live cells whose links are this thread's (I6).
    unsafe fn reversed(mut head: *const Header) -> Self {
        let mut done: *const Header = ptr::null();
        while !head.is_null() {
            // SAFETY: the caller's promise.
            let link = unsafe { &(*head).link };
            let next = link.with_mut(|link| {
                // SAFETY: the caller's promise: the link is ours.
                unsafe { ptr::replace(link, done) }
            });
            done = head;
            head = next;
        }
        Self(done)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    /// The next cell. Its link has been read: the caller may clear its `QUEUED`.
    #[inline]
    pub(super) fn next(&mut self) -> Option<NonNull<Header>> {
        let task = NonNull::new(self.0.cast_mut())?;
        // SAFETY: the cells of a chain are alive (I3).
        let link = unsafe { &task.as_ref().link };
        // SAFETY: by I6 the link is the loop's until `QUEUED` is cleared.
        self.0 = link.with(|link| unsafe { *link });
        Some(task)
    }
}

#[cfg(all(test, feature = "std", not(loom)))] // without it the loop has no thread of its own
mod tests;
