//! The loop's own side of its run queues: tasks taken in, run, ended and let go.
//!
//! A [`LoopSide`] is made on the loop's thread and cannot leave it, so whoever has one is there
//! (I4). What it hands out says by its type what may be done next: an [`OwnedTask`] task is known
//! to the registry and owns the loop's reference; a [`Runnable`] one is to be run; an [`Ending`](super::run::Ending) one
//! has its outcome in place and waits for the registry to let it go.

use alloc::vec::Vec;
use core::cell::Cell;
use core::marker::PhantomData;
use core::mem;
use core::ptr::NonNull;
use core::task::Waker;

use super::batch::Batch;
use super::block_cache::BlockCache;
use super::cell::{Header, TaskMeta};
use super::counters::Counters;
use super::join::TaskRef;
use super::local_queues::{self, LocalQueues};
use super::loop_flags::RELEASE_PENDING;
use super::owned_task::OwnedTask;
use super::run::Runnable;
use super::run_queues::{Parked, RunQueues, Unpark, release};
use super::shuffle::Shuffle;
use super::waker::is_of;
use crate::error::PanicPayload;
use crate::id::{NO_KEY, TaskId, TaskIdentity};
use crate::sync::{self, Arc};

/// The loop's side. Neither `Send` nor `Sync`; there is one for each loop.
#[derive(Debug)]
pub(crate) struct LoopSide {
    run_queues: Arc<RunQueues>,
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

/// A panic that no handle will report.
#[derive(Debug)]
pub(crate) struct UnobservedPanic {
    pub(crate) subject: TaskMeta,
    pub(crate) payload: PanicPayload,
}

impl From<TaskMeta> for TaskIdentity {
    fn from(TaskMeta { id, name, location }: TaskMeta) -> Self {
        Self::new(id, name, location)
    }
}

impl LoopSide {
    pub(crate) fn new(unpark: Unpark) -> Self {
        let run_queues = Arc::new(RunQueues::new(unpark));
        Self { run_queues, depth: Cell::new(0), _on_its_thread: PhantomData }
    }

    #[inline]
    pub(crate) fn run_queues(&self) -> &Arc<RunQueues> {
        &self.run_queues
    }

    /// Enters the loop's run on this thread: wakes and requests of its tasks are local from here on.
    pub(crate) fn enter(&self) -> Entered<'_> {
        let previous = sync::replace_current(RunQueues::address(&self.run_queues));
        self.depth.set(self.depth.get() + 1);
        Entered { previous, side: self }
    }

    /// Whether the thread is inside of the loop's run, also if it has entered another loop's since.
    pub(crate) fn is_entered(&self) -> bool {
        self.depth.get() > 0
    }

    /// Borrows the queues. `f` runs no user code.
    #[inline]
    pub(super) fn queues<R>(&self, f: impl FnOnce(&mut LocalQueues) -> R) -> R {
        self.run_queues.queues.with_mut(|queues| {
            // SAFETY: I4: the holder of this side is on the loop's thread, and `f` calls nothing
            // that could come back here.
            f(unsafe { &mut *queues })
        })
    }

    /// Counts so many polls, and the wakes since the last time.
    #[inline]
    pub(crate) fn count(&self, polls: u32) {
        self.counters().polls.add(polls);
        self.counters().local_wakes.add(self.queues(LocalQueues::take_wakes));
    }

    #[inline]
    pub(crate) fn counters(&self) -> &Counters {
        &self.run_queues.counters
    }

    /// How many tasks wait to be run.
    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.queues(|queues| queues.len())
    }

    /// Whether the task is being run, and whether it waits for that.
    pub(crate) fn activity(&self, task: &OwnedTask) -> (bool, bool) {
        let running = self.queues(|queues| queues.running()) == Some(task.0);
        (running, task.header().loop_flags.is_queued())
    }

    /// Begins a batch of at most `polls` polls.
    #[inline]
    pub(crate) fn begin_batch(&self, polls: usize) {
        self.queues(|queues| queues.begin_batch(polls));
    }

    /// Has the batch that has just begun be what is ready now, in a drawn order.
    pub(crate) fn draw_batch(&self, shuffle: &mut Shuffle) {
        let mut batch = Vec::new();
        while let Err(room) = self.queues(|queues| queues.draw_batch(shuffle, &mut batch)) {
            batch = Vec::with_capacity(room);
        }
    }

    /// The tasks of the batch that has begun.
    #[inline]
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Whether nothing is ready to be run.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.queues(LocalQueues::is_idle)
    }

    /// What tells the poll that is being made from those before it and after: the task's serial, and the
    /// lower bits of its count of polls.
    pub(crate) fn poll_number(&self) -> Option<(u64, u16)> {
        let task = self.queues(|queues| queues.running())?;
        // SAFETY: a task that is being run is alive (I3).
        let header = unsafe { task.as_ref() };
        Some((header.id().as_u64(), header.loop_flags.polls()))
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
    pub(crate) fn wake(&self, task: &OwnedTask) {
        // SAFETY: on the loop's thread, and the loop's reference keeps the task alive.
        unsafe { local_queues::wake(&self.run_queues, task.0) };
    }

    /// A reference to the same.
    pub(crate) fn running_task(&self) -> Option<TaskRef> {
        let task = self.queues(|queues| queues.running())?;
        // SAFETY: a task that is being run is alive (I3).
        Some(unsafe { TaskRef::new(task) })
    }

    /// How often the task was polled.
    pub(crate) fn polls(&self, task: &OwnedTask) -> u64 {
        self.queues(|queues| queues.polls(task.header()))
    }

    /// See [`RunQueues`]: the loop is awake.
    #[inline]
    pub(crate) fn resume(&self) {
        self.run_queues.resume();
        self.queues(LocalQueues::begin_turn);
    }

    /// See [`RunQueues`]: the loop is about to sleep.
    pub(crate) fn park(&self) -> Parked {
        self.run_queues.park()
    }

    /// A task to be run or ended at once, whatever queue it is in.
    pub(crate) fn out_of_turn(&self, task: &OwnedTask) -> Runnable<'_> {
        Runnable(task.0, self)
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
        if header.loop_flags.flags() & RELEASE_PENDING == 0 || header.loop_flags.is_queued() {
            return;
        }
        header.loop_flags.clear(RELEASE_PENDING);
        if !header.state.transfer_ref() {
            // SAFETY: `RELEASE_PENDING` said that the reference is still to be given back.
            unsafe { release(task) };
        }
    }
}

impl Drop for LoopSide {
    /// Lets go of the memory that is kept: its references would keep the run queues alive for ever.
    fn drop(&mut self) {
        // Else a block could be kept after this (I9).
        debug_assert!(!self.is_entered(), "the loop goes inside of its run"); // cleared outside of the borrow
        self.queues(|queues| mem::replace(&mut queues.block_cache, BlockCache::new())).clear();
    }
}

/// Drops an outcome that no handle wants; says so if it was, or became, a panic.
///
/// # Safety
///
/// On the loop's thread, which owns the outcome (I5) and a reference.
pub(super) unsafe fn lose(task: NonNull<Header>) -> Option<UnobservedPanic> {
    // SAFETY: the caller's reference.
    let header = unsafe { task.as_ref() };
    // SAFETY: the caller owns the outcome.
    let payload = unsafe { (header.vtable().drop_outcome)(task) }?;
    // SAFETY: the caller's reference.
    Some(UnobservedPanic { subject: unsafe { TaskMeta::of(task) }, payload })
}
