//! The life of a task as one machine word: flags in the low bits, a count of references above.
//!
//! | flag     | set by                    | cleared by            | meaning                                                        |
//! |----------|---------------------------|-----------------------|----------------------------------------------------------------|
//! | `QUEUED` | any waker, a request      | the loop, taking it in | the cell is in the injection stack, or about to be pushed by the thread that set it |
//! | `WOKEN`  | a waker elsewhere         | the loop: the poll, or the take-in | a remote wake that no poll has answered; never without `QUEUED` |
//! | `CANCEL` | a cancel request          | a guard that refuses  | the future is to be dropped at its next suspension, unless a guard lives |
//! | `ABORT`  | an abort request          | never                 | the same, guard or not                                         |
//! | `DONE`   | the loop                  | never                 | future dropped, outcome stored; terminal                       |
//! | `JOIN`   | creation                  | the handle's drop     | a join handle wants the outcome                                |
//! | `WAKER`  | the handle                | the handle, before `DONE` | the join waker's slot is lent to whoever sets `DONE`        |
//! | `QUEUE_OWNS_REF`   | the loop, after `DONE` | with `QUEUED`           | the loop's reference belongs to the entry in the injection stack |
//!
//! Two bits more say what a request may do to the task:
//!
//! | protection | entered by                               | `CANCEL`                        | `ABORT`         |
//! |------------|------------------------------------------|---------------------------------|-----------------|
//! | none       | creation; the last guard's drop          | ends it                         | ends it         |
//! | guarded    | its first guard, from none               | is told to the guards           | ends it         |
//! | decided    | the last guard's drop under `CANCEL`     | ends it, and no guard counts    | ends it         |
//! | pinned     | the start of its blocking job, from none | is told to the job              | the same        |
//!
//! Guards are made on the loop's thread in a poll of their task, so none comes to be between a look
//! of the loop that finds the task unprotected and its end.
//!
//! | state     | `DONE` | `JOIN` | `WAKER` | who owns the outcome        | who owns the waker's slot |
//! |-----------|:------:|:------:|:-------:|-----------------------------|---------------------------|
//! | live      |   0    |   1    |    0    | (there is none)             | the handle                |
//! | awaited   |   0    |   1    |    1    | (there is none)             | the loop                  |
//! | detached  |   0    |   0    |    0    | (there is none)             | nobody, and it is empty   |
//! | finished  |   1    |   1    |    0    | the handle                  | the handle                |
//! | to wake   |   1    |   1    |    1    | the handle                  | the loop, which empties it |
//! | dropped   |   1    |   0    |   any   | the loop (at completion), or a remote drop | as above         |
//!
//! Each transition is a pure function from a [`Snapshot`] to the next one and what its caller has
//! to do, applied by one read-modify-write. Only the loop sets `DONE`; only the handle touches
//! `JOIN` and `WAKER`. A reference more is made only from a reference held.

mod snapshot;

pub(crate) use self::snapshot::Snapshot;
use crate::sync::{AtomicUsize, Ordering};

const QUEUED: usize = 1;
const CANCEL: usize = 1 << 1;
const ABORT: usize = 1 << 2;
const DONE: usize = 1 << 3;
const JOIN: usize = 1 << 4;
const WAKER: usize = 1 << 5;
const QUEUE_OWNS_REF: usize = 1 << 6;
const WOKEN: usize = 1 << 7;
const GUARDED: usize = 1 << 8;
const DECIDED: usize = 2 << 8;
const PINNED: usize = 3 << 8;
const PROTECTION: usize = 3 << 8;
/// One reference.
const REF: usize = 1 << 10;
/// More references than a count may reach: half of its range.
const MOST: usize = usize::MAX / 2;

/// The answer to a request to end a task. Of several callers exactly one gets `Requested`.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{CancelRequest, LoopThread};
///
/// let side = LoopThread::start()?;
/// let task = side.handle().spawn(std::future::pending::<()>());
/// let (id, stop) = (task.id(), task.canceller());
/// assert_eq!(stop.cancel(), CancelRequest::Requested);
/// assert!(task.join().is_err());
/// assert_eq!(stop.cancel(), CancelRequest::Finished);
/// assert_eq!(side.handle().cancel(id).join()?, CancelRequest::NotFound);
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelRequest {
    /// This call made the request.
    Requested,
    /// A request was pending already.
    AlreadyRequested,
    /// The task had ended.
    Finished,
    /// The loop does not know the task, or no longer does. Only a request by id can get this answer.
    NotFound,
}

/// How a task is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Where a guard lives it may honour, clean up after, or refuse it.
    Cancel,
    /// Whatever the task thinks of it.
    Abort,
}

/// How news of a task travels to its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// From the loop's own thread: by its urgent queue; `QUEUED` stays as it is.
    Local,
    /// From any thread: by the injection stack, under `QUEUED`.
    Remote,
}

/// What the caller of a transition owes the loop's queues.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScheduleAction {
    /// Push the cell: this transition set `QUEUED`.
    Push,
    /// On the loop's thread: put the cell into the urgent queue.
    EnqueueUrgent,
    /// Nothing: the cell is in the stack, or has no need to be.
    Nothing,
}

/// What became of the handle's interest when it was dropped.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detached {
    /// The task lives on without it; the handle's reference was given back with the flag.
    Released,
    /// As `Released`, and that was the last reference.
    Last,
    /// The waker's slot is the handle's again: empty it, then give the reference back.
    HasWaker,
    /// The outcome is there and is the handle's.
    HasOutcome,
}

/// What the loop does after it set `DONE`.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completed {
    /// The handle owns the outcome, and the loop's reference went with the flag. Others hold the cell.
    Released,
    /// As `Released`, and that was the last reference: the caller frees the cell.
    Last,
    /// The loop's reference is still there.
    Kept {
        /// The handle owns the outcome; otherwise the loop drops it.
        wanted: bool,
        /// The join waker is the loop's, to be taken and woken.
        has_waker: bool,
    },
}

/// The word itself.
#[derive(Debug)]
pub(crate) struct State(AtomicUsize);

impl State {
    /// A new task: one reference for the loop and one for the join handle. `queued`: the thread
    /// that makes it is about to push it.
    pub(crate) fn new(queued: bool) -> Self {
        Self(AtomicUsize::new(2 * REF + JOIN + if queued { QUEUED | WOKEN } else { 0 }))
    }

    /// A new request to the loop, about to be pushed, that nobody waits for: it has one reference.
    pub(crate) fn unobserved() -> Self {
        Self(AtomicUsize::new(REF + QUEUED + WOKEN))
    }

    #[inline]
    pub(crate) fn load(&self) -> Snapshot {
        // ORDERING: Acquire, paired with the Release of `complete`: who sees `DONE` sees the
        // outcome. (On the loop thread, which set it, and for requests, which carry no data,
        // Relaxed would do; the load costs the same.)
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Applies `f` until it applies to the word's true value; `None` changes nothing.
    #[inline]
    fn update<R>(&self, mut f: impl FnMut(Snapshot) -> (Option<Snapshot>, R)) -> R {
        // ORDERING: Acquire on the way in, paired with `complete`'s Release (see `load`).
        let mut old = self.0.load(Ordering::Acquire);
        loop {
            let (next, result) = f(Snapshot(old));
            let Some(next) = next else { return result };
            // ORDERING: AcqRel. Release, paired with the Acquire of `take_in` and of `complete`:
            // what a thread wrote before its wake, request or registration is seen by the loop
            // that acts on it. Acquire, paired with `complete`, so that a transition after `DONE`
            // sees the outcome. A failed exchange acquires for the same reason as the load.
            match self.0.compare_exchange_weak(old, next.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return result,
                Err(now) => old = now,
            }
        }
    }

    /// Marks the task woken by another thread.
    ///
    /// An exchange even where `QUEUED` is set already and stays as it is: a load that returned
    /// early would publish nothing, and the poll could miss what the second waker's thread wrote.
    pub(crate) fn wake(&self) -> ScheduleAction {
        self.update(|now| match now.wake() {
            Some((next, then)) => (Some(next), then),
            None => (None, ScheduleAction::Nothing),
        })
    }

    /// Asks the task to end.
    pub(crate) fn request(&self, what: Request, route: Route) -> (CancelRequest, ScheduleAction) {
        self.update(|now| {
            let (next, answer, then) = now.request(what, route);
            (next, (answer, then))
        })
    }

    /// The task's first guard is made, in its poll.
    pub(crate) fn guard(&self) {
        self.update(|now| (now.guard(), ()));
    }

    /// The task's last guard is gone.
    pub(crate) fn unguard(&self, route: Route) -> ScheduleAction {
        self.update(|now| now.unguard(route))
    }

    /// Forgets a pending cancel, at a guard's wish. `false`: there was none to be refused.
    pub(crate) fn refuse(&self) -> bool {
        self.update(|now| {
            let next = now.refuse();
            (next, next.is_some())
        })
    }

    /// The task's blocking job starts, and from here on runs to its end. `false`: the task was asked
    /// to end before.
    pub(crate) fn pin(&self) -> bool {
        self.update(|now| {
            let next = now.pin();
            (next, next.is_some())
        })
    }

    /// The loop took the cell out of the injection stack, having read its link. The value before.
    #[inline]
    pub(crate) fn take_in(&self) -> Snapshot {
        // ORDERING: AcqRel. Acquire, paired with the Release of every `wake` and `request`
        // before it: what they published is seen by the poll that follows. Release: the link was
        // read before the flag is given back, and the next pusher, which acquires the flag's
        // clearing in `update`, may overwrite it.
        Snapshot(self.0.fetch_and(!(QUEUED | WOKEN | QUEUE_OWNS_REF), Ordering::AcqRel))
    }

    /// A finished task has left its plain queues. `true`: there is an entry in the injection stack, or
    /// about to be, and the loop's reference is its from here on. `false`: it is still the loop's.
    pub(crate) fn transfer_ref(&self) -> bool {
        self.update(|now| {
            debug_assert!(now.is_done(), "transferred alive: {now:?}");
            if now.is_queued() {
                (Some(Snapshot(now.0 | QUEUE_OWNS_REF)), true)
            } else {
                (None, false)
            }
        })
    }

    /// A poll begins: it answers every remote wake so far, also those whose entry is still in the
    /// injection stack. What wakes from here on asks for another poll. Returns what it found.
    #[inline]
    pub(crate) fn begin_poll(&self) -> Snapshot {
        let now = self.load();
        if now.is_woken() {
            // ORDERING: Acquire, paired with the Release of `wake`: the poll sees what the wakes
            // that it answers published. AcqRel for the release sequence: a later `take_in`
            // still acquires from them.
            return Snapshot(self.0.fetch_and(!WOKEN, Ordering::AcqRel));
        }
        now
    }

    /// The loop stored the outcome. If the handle wants it, nobody waits and the cell is in no
    /// queue, the loop's reference goes with the same exchange, unless `keep`: then nothing of the
    /// cell may be touched after.
    #[inline]
    pub(crate) fn complete(&self, keep: bool) -> Completed {
        self.update(|now| {
            debug_assert!(!now.is_done(), "completed twice: {now:?}");
            let plain = now.0 & (JOIN | WAKER | QUEUED) == JOIN;
            if plain && !keep {
                let next = Snapshot((now.0 | DONE) - REF);
                let is_last = next.references() == 0;
                return (Some(next), if is_last { Completed::Last } else { Completed::Released });
            }
            let (wanted, has_waker) = (now.0 & JOIN != 0, now.has_waker());
            (Some(Snapshot(now.0 | DONE)), Completed::Kept { wanted, has_waker })
        })
    }

    /// Lends the filled waker's slot to the loop. `false`: the task is done, the slot stays the handle's.
    pub(crate) fn lend_waker(&self) -> bool {
        self.update(|now| {
            debug_assert!(!now.has_waker(), "lent twice: {now:?}");
            if now.is_done() { (None, false) } else { (Some(Snapshot(now.0 | WAKER)), true) }
        })
    }

    /// Takes the slot back. `false`: the task is done and the loop keeps it.
    pub(crate) fn reclaim_waker(&self) -> bool {
        self.update(|now| {
            if now.is_done() { (None, false) } else { (Some(Snapshot(now.0 & !WAKER)), true) }
        })
    }

    /// The handle is dropped with the outcome untaken.
    pub(crate) fn detach(&self) -> Detached {
        self.update(Snapshot::detach)
    }

    /// Counts one reference more; the caller holds one.
    #[inline]
    pub(crate) fn retain(&self) {
        // ORDERING: Relaxed, as in `Arc`: a new reference is made from one that is held, so the
        // cell cannot go away meanwhile, and nothing is published by counting.
        let old = self.0.fetch_add(REF, Ordering::Relaxed);
        if old >= MOST {
            // ORDERING: Relaxed: as above. Undone, so that callers who go on after the panic do not
            // wrap the count; the other half of its range is for threads that are here at once.
            self.0.fetch_sub(REF, Ordering::Relaxed);
            // PANICS: with millions of wakers of one task, kept or forgotten, where words have 32
            // bits. Like `Arc`: fail before the count could wrap into a use after free.
            panic!("too many wakers of one task");
        }
    }

    /// Gives one reference back. `true`: it was the last, the memory is the caller's to free.
    #[inline]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // ORDERING: Acquire, paired with the Release below. The only reference is the caller's, and
        // only from a reference is another made: no exchange is needed to know that it is the last.
        if self.0.load(Ordering::Acquire) / REF == 1 {
            return true;
        }
        // ORDERING: AcqRel. Release: everything this reference did with the cell happens before
        // it is freed; Acquire: whoever frees it sees all of that, from every former reference.
        let old = self.0.fetch_sub(REF, Ordering::AcqRel);
        debug_assert!(old >= REF, "released once too often");
        old / REF == 1
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
