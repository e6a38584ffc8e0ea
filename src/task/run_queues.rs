//! What other threads see of a loop: the way in, and the bell.
//!
//! # The sleep word
//!
//! | word       | the loop                  | a producer that must be heard            |
//! |------------|---------------------------|------------------------------------------|
//! | `RUNNING`  | will look again           | swaps in `NOTIFIED`, done                |
//! | `NOTIFIED` | will look again           | swaps in `NOTIFIED`, done                |
//! | `PARKED`   | sleeps, or is about to    | swaps in `NOTIFIED`, and unparks: only one producer replaces `PARKED` |
//!
//! After it found the stack empty the loop exchanges `RUNNING` for `PARKED`, and sleeps only if that
//! succeeded. It is an exchange under a condition and not a swap: `PARKED` put over `NOTIFIED`, even
//! for a moment, would have a second producer unpark a loop that does not sleep (W3). Both sides
//! change one word, so one of them sees the other: acquire and release are enough.
//!
//! Only the producer that found a stack empty has to be heard. It may be preempted between its push and its
//! swap, and others push behind it meanwhile (T6). So the loop looks at the stacks once more after it has
//! declared itself asleep, and a producer behind others looks at the word after its push: of the two looks
//! one at least sees the other side's write, as all four are sequentially consistent. Once the loop sleeps
//! nobody but the thread that owes the one bell can end that, and the others wait for it (W3).

use alloc::boxed::Box;
use core::alloc::Layout;
use core::fmt;
use core::mem;
use core::ops::Deref;
use core::ptr::NonNull;

use super::block_cache::BlockCache;
use super::cell::{Header, unmake_header};
use super::counters::Counters;
use super::injection::{Lane, Push, Stack};
use super::local_queues::LocalQueues;
use crate::error::{contain, discard, forget_payload};
use crate::sync::{self, Arc, AtomicUsize, Ordering, UnsafeCell};

const RUNNING: usize = 0;
const PARKED: usize = 1;
const NOTIFIED: usize = 2;

/// What came of an attempt to sleep.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    /// The loop is declared asleep.
    Asleep,
    /// It has to look again.
    Awake,
    /// It has to look again, and a producer has taken it for asleep, and rings.
    Roused,
}

/// How the loop's thread is roused: called once for each sleep that a producer ends.
pub(crate) type Unpark = Box<dyn Fn() + Send + Sync>;

/// What threads race for, on cache lines of its own: two, because some processors fetch them in pairs.
///
/// A producer changes the stack and then the word. While the loop takes the stack it shall neither wait
/// for the second change nor take the line away from it; and what only the loop writes, or only producers
/// count, is on neither line. With cores far apart a round trip to a loop that spins took 1180 ns without
/// this, and takes 1010.
#[repr(align(128))]
struct CachePadded<T>(T);

impl<T> Deref for CachePadded<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// What other threads see of a loop.
pub(crate) struct RunQueues {
    stacks: CachePadded<[Stack; 3]>,
    word: CachePadded<AtomicUsize>,
    unpark: Unpark,
    pub(super) queues: UnsafeCell<LocalQueues>,
    /// What the loop has done so far.
    pub(crate) counters: Counters,
}

// SAFETY: the queues are touched by the loop's thread alone (I4); the rest is atomic, or `Sync`.
unsafe impl Sync for RunQueues {}
// SAFETY: the pointers in the queues are to cells whose operations are argued thread by thread;
// dropping run queues, on whichever thread, follows no pointer.
unsafe impl Send for RunQueues {}

impl RunQueues {
    /// The run queues as an address: for the current loop, and to be compared with that.
    #[inline(always)]
    pub(crate) fn address(this: &Arc<Self>) -> *const () {
        (&raw const **this).cast()
    }

    /// Whether the caller is on this loop's thread and inside its run.
    #[inline]
    pub(crate) fn is_current(this: &Arc<Self>) -> bool {
        core::ptr::eq(sync::current(), Self::address(this))
    }

    /// Pushes a cell, and makes the loop look. `false`: the loop has ended, the cell is still the caller's.
    ///
    /// # Safety
    ///
    /// The caller set the task's `QUEUED` (I6), keeps these run queues alive until this returns, and the
    /// task until it is pushed.
    #[inline]
    pub(super) unsafe fn push(&self, task: NonNull<Header>, lane: Lane) -> bool {
        // SAFETY: the caller's promise.
        let pushed = unsafe { self.stack(lane).push(task) };
        self.ring(pushed)
    }

    /// What a producer does after its push. `false`: it was refused.
    #[inline]
    pub(super) fn ring(&self, pushed: Push) -> bool {
        match pushed {
            Push::Refused => return false,
            Push::First => self.notify(),
            Push::Behind => {
                sync::order_for_models();
                // ORDERING: SeqCst, paired with the exchange in `park`: see there. The producer that
                // pushed first notifies in any case; but it may be preempted before it does.
                if self.word.load(Ordering::SeqCst) == PARKED {
                    self.notify();
                }
            }
        }
        true
    }

    #[inline]
    pub(super) fn stack(&self, lane: Lane) -> &Stack {
        &self.stacks[lane as usize]
    }

    /// Pushes a task that lives, for a wake or a request.
    ///
    /// # Safety
    ///
    /// As [`RunQueues::push`].
    pub(super) unsafe fn push_or_settle(this: &Arc<Self>, task: NonNull<Header>) {
        // SAFETY: the caller's promise.
        if unsafe { this.push(task, Lane::Known) } {
            return;
        }
        // SAFETY: the caller keeps the task alive.
        let header = unsafe { task.as_ref() };
        let old = header.state.take_in();
        // The loop ended between the setting of `QUEUED` and the push. What it would have given back
        // with the entry is this entry's, which never came to be.
        if old.queue_owns_ref() {
            // SAFETY: by I3 the loop's reference is this entry's.
            unsafe { release(task) };
        }
    }

    /// Makes the loop look at its work once more.
    pub(crate) fn notify(&self) {
        // ORDERING: AcqRel, paired with the exchanges in `park` and `resume`: the loop that reads
        // `NOTIFIED` sees what was pushed before; who reads `PARKED` comes after the loop's last look.
        if self.word.swap(NOTIFIED, Ordering::AcqRel) == PARKED {
            if let Err(payload) = contain(|| (self.unpark)()) {
                forget_payload(payload);
            }
        }
    }

    /// Whether the loop is still meant to sleep. For the parker's own waiting.
    #[inline]
    pub(crate) fn is_parked(&self) -> bool {
        // ORDERING: Acquire, paired with `notify`.
        self.word.load(Ordering::Acquire) == PARKED
    }

    /// Whether there is something to take in. A hint.
    #[inline]
    pub(crate) fn has_any(&self) -> bool {
        Stack::tells(self.stacks.iter().fold(0, |all, stack| all | stack.look()))
    }

    /// Whether something was pushed, or the loop notified, since it last looked. A hint.
    pub(crate) fn has_news(&self) -> bool {
        // ORDERING: Relaxed: who acts on the hint looks again, with the orderings of that look.
        self.word.load(Ordering::Relaxed) == NOTIFIED || self.has_any()
    }

    /// The loop's thread looks at its work again.
    #[inline]
    pub(super) fn resume(&self) {
        // ORDERING: Relaxed: a notification that is missed here stays, and is seen when the loop
        // would park.
        if self.word.load(Ordering::Relaxed) != RUNNING {
            // ORDERING: AcqRel, paired with `notify`: what came before a notification is seen by
            // the look that follows.
            self.word.swap(RUNNING, Ordering::AcqRel);
        }
    }

    /// Declares the loop asleep, after it found nothing to do.
    pub(super) fn park(&self) -> Parked {
        // ORDERING: SeqCst, with the looks at the stacks below, and paired with the exchange in
        // `Stack::push` and the load that follows it in `ring`: either a producer behind others sees
        // `PARKED`, or its push is seen here. It includes AcqRel, paired with `notify`: either this reads
        // `NOTIFIED` and the next look sees the push, or that reads `PARKED` and unparks. A failure needs no
        // ordering of its own: the swap below acquires.
        let slept =
            self.word.compare_exchange(RUNNING, PARKED, Ordering::SeqCst, Ordering::Relaxed);
        if slept.is_ok() {
            sync::order_for_models();
            let looks = self.stacks.iter().fold(0, |all, stack| all | stack.look_at_last());
            if !Stack::tells(looks) {
                return Parked::Asleep;
            }
        }
        // ORDERING: AcqRel: as above; all notifications so far are part of the next look.
        let old = self.word.swap(RUNNING, Ordering::AcqRel);
        if slept.is_ok() && old == NOTIFIED { Parked::Roused } else { Parked::Awake }
    }

    /// What is left of a freed cell, its memory and its reference to the run queues: on the loop's thread
    /// they are kept for the next task, elsewhere they are given up.
    ///
    /// # Safety
    ///
    /// `block` has this layout, what is left in it is its header, and it is not used again.
    pub(super) unsafe fn take_back(block: NonNull<Header>, layout: Layout) {
        // SAFETY: the caller's promise.
        let owner = unsafe { block.as_ref() }.owner();
        let kept = Self::is_current(owner) && {
            // SAFETY: the caller's promise.
            let kept = owner.block_cache(|block_cache| unsafe { block_cache.put(block, layout) });
            kept || owner.block_cache(|block_cache| block_cache.has_other(layout))
                && Self::exchange(owner, block, layout)
        };
        if !kept {
            // SAFETY: the caller's promise, and it was not kept.
            drop(unsafe { unmake_header(block, layout) });
        }
    }

    /// Keeps a block in exchange for one of another size, which is freed outside of the borrow. `false`: such
    /// blocks are not kept, or the other was too small. On the loop's thread.
    #[cold]
    #[inline(never)]
    fn exchange(owner: &Arc<Self>, block: NonNull<Header>, layout: Layout) -> bool {
        let other = owner.block_cache(|block_cache| block_cache.take_other(layout));
        let Some((other, size)) = other else { return false };
        // The block keeps the run queues alive: its header's reference has not been taken out.
        // SAFETY: it has this layout, and is in no list any more.
        unsafe { other.give_up(size) };
        // SAFETY: the caller of `take_back` promises it: what is left in the block is its header.
        owner.block_cache(|block_cache| unsafe { block_cache.put(block, layout) })
    }

    /// Borrows the free blocks. On the loop's thread; `f` runs no user code.
    #[inline]
    fn block_cache<R>(&self, f: impl FnOnce(&mut BlockCache) -> R) -> R {
        self.queues.with_mut(|queues| {
            // SAFETY: I4: the loop's thread; cells are freed outside of any borrow of the queues.
            f(unsafe { &mut (*queues).block_cache })
        })
    }
}

impl Drop for RunQueues {
    fn drop(&mut self) {
        // The hook is user code, and so is its destructor, on whichever thread this is.
        discard(mem::replace(&mut self.unpark, Box::new(|| ())));
    }
}

impl fmt::Debug for RunQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunQueues").finish_non_exhaustive()
    }
}

/// Gives one reference back, and frees the cell if it was the last.
///
/// # Safety
///
/// The caller owns a reference, and does not use it again.
pub(super) unsafe fn release(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the task alive until it is given back here.
    let header = unsafe { task.as_ref() };
    let free = header.vtable().free;
    if header.state.release() {
        // SAFETY: that was the last reference (I2).
        unsafe { free(task) };
    }
}

/// Gives one reference back when it is dropped: after what is called meanwhile, also by its panic. Whoever
/// makes one owns the reference, and does not use it again.
#[derive(Debug)]
pub(super) struct Releasing(pub(super) NonNull<Header>);

impl Drop for Releasing {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference was the maker's.
        unsafe { release(self.0) };
    }
}

impl RunQueues {
    /// New run queues; `unpark` ends the loop's sleep.
    pub(super) fn new(unpark: Unpark) -> Self {
        Self {
            stacks: CachePadded(Lane::ALL.map(|_| Stack::new())),
            word: CachePadded(AtomicUsize::new(RUNNING)),
            unpark,
            queues: UnsafeCell::new(LocalQueues::new()),
            counters: Counters::default(),
        }
    }
}

#[cfg(all(test, feature = "std", not(loom)))] // without it the loop has no thread of its own
mod tests;
