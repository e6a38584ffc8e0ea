//! The loop's own side of its mailbox: tasks taken in, run, ended and let go.
//!
//! A [`LoopSide`] is made on the loop's thread and cannot leave it, so whoever has one is there
//! (I4). What it hands out says by its type what may be done next: an [`Enrolled`] task is known
//! to the registry and owns the loop's reference; a [`Popped`] one is to be run; an [`Ending`] one
//! has its outcome in place and waits for the registry to let it go.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::task::Waker;

use super::batch::Batch;
use super::cell::{Header, Subject};
use super::injection::Chain;
use super::join::{self, TaskRef};
use super::mailbox::{Mailbox, Unpark, release};
use super::notes::{ADOPTED, CONTROL, FOREIGN, LEFT};
use super::queues::{self, Queues};
use super::run::Popped;
use super::shuffle::Shuffle;
use super::state::{CancelRequest, Request};
use super::tally::Tally;
use super::waker::is_of;
use crate::error::PanicPayload;
use crate::id::{NO_KEY, TaskId};
use crate::sync::{self, Arc};

/// The loop's side. Neither `Send` nor `Sync`; there is one for each mailbox.
#[derive(Debug)]
pub(crate) struct LoopSide {
    mailbox: Arc<Mailbox>,
    /// How often the run has been entered and not left.
    depth: Cell<u32>,
    _on_its_thread: PhantomData<*const ()>,
}

/// While it lives, the thread is inside the loop's run.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    previous: *const (),
    side: &'a LoopSide,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        sync::replace_current(self.previous);
        self.side.depth.set(self.side.depth.get() - 1);
    }
}

/// A task that the loop knows: the loop's reference. Let go by being completed; merely dropped, it
/// leaks the task, which is safe and a bug.
#[must_use]
#[derive(Debug)]
pub(crate) struct Enrolled(pub(super) NonNull<Header>);

/// A panic that no handle will report.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) subject: Subject,
    pub(crate) payload: PanicPayload,
}

/// What came in from other threads.
#[must_use]
#[derive(Debug)]
pub(crate) enum News {
    /// A new task, ready to be polled.
    Spawned(Enrolled),
    /// A request to the loop: to be run at once, and kept nowhere.
    Control(Enrolled),
}

/// Everything that had been pushed when the loop looked. To be taken in to its end: what is left is leaked.
#[must_use]
#[derive(Debug)]
pub(crate) struct Intake(Chain);

impl Enrolled {
    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: I2: this owns the loop's reference.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn id(&self) -> TaskId {
        self.header().id()
    }

    #[inline]
    pub(crate) fn set_key(&self, key: u32) {
        self.header().set_key(key);
    }

    /// Whether it came by the injection stack, as what other threads spawn does.
    #[inline]
    pub(crate) fn is_foreign(&self) -> bool {
        self.header().notes.flags() & FOREIGN != 0
    }

    pub(crate) fn subject(&self) -> Subject {
        // SAFETY: I2: this owns the loop's reference.
        unsafe { Subject::of(self.0) }
    }

    /// Asks the task to end.
    pub(crate) fn request(&self, what: Request) -> CancelRequest {
        // SAFETY: this owns a reference.
        unsafe { join::request(self.0, what) }
    }

    /// Another reference to the task.
    pub(crate) fn task(&self) -> TaskRef {
        // SAFETY: this owns a reference.
        unsafe { TaskRef::new(self.0) }
    }
}

impl Intake {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next cell in, in the order in which they came.
    pub(crate) fn next(&mut self, side: &LoopSide) -> Option<News> {
        while let Some(task) = self.0.next() {
            // SAFETY: a cell that was taken out is alive by its entry's reference (I3).
            let news = unsafe { side.take_in(task) };
            if news.is_some() {
                return news;
            }
        }
        None
    }
}

impl LoopSide {
    pub(crate) fn new(unpark: Unpark) -> Self {
        let mailbox = Arc::new(Mailbox::new(unpark));
        Self { mailbox, depth: Cell::new(0), _on_its_thread: PhantomData }
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Enters the loop's run on this thread: wakes and requests of its tasks are local from here on.
    pub(crate) fn enter(&self) -> Entered<'_> {
        let previous = sync::replace_current(Mailbox::address(&self.mailbox));
        self.depth.set(self.depth.get() + 1);
        Entered { previous, side: self }
    }

    /// Whether the thread is inside of the loop's run, also if it has entered another loop's since.
    pub(crate) fn is_entered(&self) -> bool {
        self.depth.get() > 0
    }

    /// Borrows the queues. `f` runs no user code.
    #[inline]
    pub(super) fn queues<R>(&self, f: impl FnOnce(&mut Queues) -> R) -> R {
        self.mailbox.queues.with_mut(|queues| {
            // SAFETY: I4: the holder of this side is on the loop's thread, and `f` calls nothing
            // that could come back here.
            f(unsafe { &mut *queues })
        })
    }

    /// Takes what other threads pushed.
    #[inline]
    pub(crate) fn take_all(&self) -> Intake {
        Intake(self.mailbox.take_all())
    }

    /// Ends the way in: every later push is refused.
    pub(crate) fn close(&self) -> Intake {
        Intake(self.mailbox.close())
    }

    /// # Safety
    ///
    /// `task` was taken out of the stack, and its link has been read.
    unsafe fn take_in(&self, task: NonNull<Header>) -> Option<News> {
        // SAFETY: the entry's reference keeps it alive (I3).
        let header = unsafe { task.as_ref() };
        let old = header.state.take_in();
        if old.is_heir() {
            // SAFETY: by I3 the loop's reference is the entry's.
            unsafe { release(task) };
            return None;
        }
        let flags = header.notes.flags();
        if flags & ADOPTED == 0 {
            header.notes.set(ADOPTED);
            if flags & CONTROL != 0 {
                return Some(News::Control(Enrolled(task)));
            }
        }
        if old.is_done() {
            // It is in a plain queue still, and is let go when it leaves that.
        } else if old.is_requested() {
            // SAFETY: on the loop's thread, and the task lives.
            self.queues(|queues| unsafe { queues.urge(task) });
        } else if old.is_woken() {
            // SAFETY: as above. Otherwise a poll has answered every wake while the entry waited.
            self.queues(|queues| unsafe { queues.enqueue(task) });
        }
        if flags & ADOPTED == 0 {
            return Some(News::Spawned(Enrolled(task)));
        }
        self.tally().remote_wakes.add(old.is_woken().into());
        None
    }

    /// Counts so many polls, and the wakes since the last time.
    #[inline]
    pub(crate) fn count(&self, polls: u32) {
        self.tally().polls.add(polls);
        self.tally().local_wakes.add(self.queues(Queues::take_wakes));
    }

    #[inline]
    pub(crate) fn tally(&self) -> &Tally {
        &self.mailbox.tally
    }

    /// How many tasks wait to be run.
    pub(crate) fn ready(&self) -> usize {
        self.queues(|queues| queues.len())
    }

    /// Whether the task is being run, and whether it waits for that.
    pub(crate) fn activity(&self, task: &Enrolled) -> (bool, bool) {
        let running = self.queues(|queues| queues.running()) == Some(task.0);
        (running, task.header().notes.is_queued())
    }

    /// Begins a batch of at most `polls` polls.
    #[inline]
    pub(crate) fn begin_batch(&self, polls: usize) {
        self.queues(|queues| queues.begin_batch(polls));
    }

    /// Has the batch that has just begun be what is ready now, in a drawn order.
    pub(crate) fn draw_batch(&self, shuffle: &mut Shuffle) {
        self.queues(|queues| queues.draw_batch(shuffle));
    }

    /// The tasks of the batch that has begun.
    #[inline]
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Whether nothing is ready to be run.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues(|queues| queues.is_idle())
    }

    /// The task that is being polled, or whose future or output is being dropped.
    pub(crate) fn running(&self) -> Option<TaskId> {
        // SAFETY: a task that is being run is alive (I3).
        self.queues(|queues| queues.running()).map(|task| unsafe { task.as_ref() }.id())
    }

    /// The task that is being polled, if `waker` is a waker of it and the registry has it.
    #[inline]
    pub(crate) fn lent_to(&self, waker: &Waker) -> Option<TaskId> {
        let task = self.queues(|queues| queues.running()).filter(|task| is_of(waker, *task))?;
        // SAFETY: a task that is being run is alive (I3).
        Some(unsafe { task.as_ref() }.id()).filter(|id| id.key() != NO_KEY)
    }

    /// Wakes a task that the loop knows, from inside its run.
    pub(crate) fn wake(&self, task: &Enrolled) {
        // SAFETY: on the loop's thread, and the loop's reference keeps the task alive.
        unsafe { queues::wake(&self.mailbox, task.0) };
    }

    /// A reference to the same.
    pub(crate) fn running_task(&self) -> Option<TaskRef> {
        let task = self.queues(|queues| queues.running())?;
        // SAFETY: a task that is being run is alive (I3).
        Some(unsafe { TaskRef::new(task) })
    }

    /// How often the task was polled.
    pub(crate) fn polls(&self, task: &Enrolled) -> u64 {
        self.queues(|queues| queues.polls(task.header()))
    }

    /// See [`Mailbox`]: the loop is awake.
    #[inline]
    pub(crate) fn resume(&self) {
        self.mailbox.resume();
        self.queues(Queues::begin_turn);
    }

    /// See [`Mailbox`]: the loop is about to sleep; `false` if it must look again.
    pub(crate) fn park(&self) -> bool {
        self.mailbox.park()
    }

    /// A task to be run or ended at once, whatever queue it is in.
    pub(crate) fn out_of_turn(&self, task: &Enrolled) -> Popped<'_> {
        Popped(task.0, self)
    }

    /// Gives the loop's reference to a finished task back, or leaves it to the entry in the injection
    /// stack, once its cell is in no plain queue (I3).
    ///
    /// # Safety
    ///
    /// `task` is alive; if the loop's reference is all that keeps it so, it is not used again.
    pub(super) unsafe fn settle(&self, task: NonNull<Header>) {
        // SAFETY: the caller's promise.
        let header = unsafe { task.as_ref() };
        if header.notes.flags() & LEFT == 0 || header.notes.is_queued() {
            return;
        }
        header.notes.clear(LEFT);
        if !header.state.bequeath() {
            // SAFETY: `LEFT` said that the reference is still to be given back.
            unsafe { release(task) };
        }
    }
}

impl Drop for LoopSide {
    /// Lets go of the memory that is kept: its references would keep the mailbox alive for ever.
    fn drop(&mut self) {
        // Else a block could be kept after this (I9).
        debug_assert!(!self.is_entered(), "the loop goes inside of its run");
        self.queues(|queues| queues.blocks.clear());
    }
}

/// Drops an outcome that no handle wants; says so if it was, or became, a panic.
///
/// # Safety
///
/// On the loop's thread, which owns the outcome (I5) and a reference.
pub(super) unsafe fn lose(task: NonNull<Header>) -> Option<Lost> {
    // SAFETY: the caller's reference.
    let header = unsafe { task.as_ref() };
    // SAFETY: the caller owns the outcome.
    let payload = unsafe { (header.vtable().drop_outcome)(task) }?;
    // SAFETY: the caller's reference.
    Some(Lost { subject: unsafe { Subject::of(task) }, payload })
}
