//! What only the loop's thread touches: the ready queue, the urgent queue, and each cell's notes.
//!
//! The ready queue links cells by their headers, so a wake allocates nothing. A task is in it at most
//! once, and at most once in the urgent queue, which holds what was cancelled and goes first. No
//! user code runs while the queues are borrowed (I4).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ptr::{self, NonNull};

use super::blocks::Blocks;
use super::cell::Header;
use super::mailbox::Mailbox;
use super::shuffle::Shuffle;
use crate::sync::Arc;

/// The cell is in the ready queue.
pub(super) const READY: u32 = 1;
/// The cell is in the urgent queue.
pub(super) const URGENT: u32 = 1 << 1;
/// The task is done, and the loop's reference waits for the cell to leave its last queue (I3).
pub(super) const LEFT: u32 = 1 << 2;
/// A request to the loop itself: run when it is taken in, and kept in no registry.
pub(super) const CONTROL: u32 = 1 << 3;
/// The loop knows the task.
pub(super) const ADOPTED: u32 = 1 << 4;
/// The task is done.
pub(super) const ENDED: u32 = 1 << 5;
/// One poll; the count fills the rest of the word, and overflows into [`Queues::carries`].
const POLL: u32 = 1 << 6;
/// How many polls fit beside the flags.
const POLLS: u64 = (u32::MAX / POLL) as u64 + 1;

/// How many references to its own mailbox a loop keeps for the tasks to come.
const SPARES: usize = 1024;

/// The queues of one loop.
#[derive(Debug)]
pub(super) struct Queues {
    head: *const Header,
    tail: *const Header,
    /// How many cells the ready queue holds.
    len: usize,
    /// How many more polls this turn may make.
    left: usize,
    /// How many more urgent tasks it may end: without a bound, destructors that spawn and cancel
    /// could keep it going for ever.
    left_urgent: usize,
    urgent: VecDeque<NonNull<Header>>,
    /// How many wakes there were since they were last counted.
    wakes: u32,
    /// The task whose future is being polled or dropped.
    running: Option<NonNull<Header>>,
    /// Overflows of the poll counts, by serial: one per 2^26 polls.
    carries: BTreeMap<u64, u64>,
    /// References to the mailbox that ended tasks gave back: reused without counting.
    spares: Vec<Arc<Mailbox>>,
    /// The memory of ended tasks.
    pub(super) blocks: Blocks,
}

impl Queues {
    pub(super) fn new() -> Self {
        Self {
            head: ptr::null(),
            tail: ptr::null(),
            len: 0,
            left: 0,
            left_urgent: 0,
            urgent: VecDeque::new(),
            wakes: 0,
            running: None,
            carries: BTreeMap::new(),
            spares: Vec::new(),
            blocks: Blocks::new(),
        }
    }

    /// How many tasks wait to be polled or ended.
    pub(super) fn len(&self) -> usize {
        self.len + self.urgent.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.len == 0 && self.urgent.is_empty()
    }

    pub(super) fn running(&self) -> Option<NonNull<Header>> {
        self.running
    }

    /// The task's future is about to be polled or dropped.
    #[inline]
    pub(super) fn begin(&mut self, task: NonNull<Header>) {
        // PANICS: it cannot: a loop's run cannot be entered from inside. To poll or drop a future
        // that is being polled would be unsound, so this is checked at all times.
        assert!(self.running.is_none(), "the loop was re-entered");
        self.running = Some(task);
    }

    /// Neither polled nor dropped any more.
    #[inline]
    pub(super) fn finish(&mut self) {
        self.running = None;
    }

    /// Begins a turn: what is spawned from here on is first polled in a later one.
    #[inline]
    pub(super) fn begin_turn(&mut self) {
        self.left = usize::MAX;
    }

    /// Begins the turn's batch: at most `polls` polls.
    pub(super) fn begin_batch(&mut self, polls: usize) {
        self.left = self.left.min(polls);
        self.left_urgent = self.urgent.len().saturating_add(polls);
    }

    /// Has the batch that has just begun be those of its tasks that are ready by now, in a drawn
    /// order. What becomes ready meanwhile waits for the next batch: it was not part of this draw.
    pub(super) fn draw_batch(&mut self, shuffle: &mut Shuffle) {
        self.left = self.left.min(self.len);
        let mut batch = Vec::with_capacity(self.left);
        let mut rest = self.head;
        while batch.len() < self.left {
            let Some(task) = NonNull::new(rest.cast_mut()) else { break };
            // SAFETY: the cell is in the queue, so it is alive (I3).
            let header = unsafe { task.as_ref() };
            // SAFETY: I4: the loop's thread.
            rest = header.next_ready.with(|next| unsafe { *next });
            batch.push(task);
        }
        debug_assert_eq!(batch.len(), self.left, "the ready queue holds less than {}", self.len);
        shuffle.shuffle(&mut batch);
        if let Some(last) = batch.last().filter(|_| rest.is_null()) {
            self.tail = last.as_ptr();
        }
        // Linked from the last to the first, so that each is put before what follows it.
        for task in batch.into_iter().rev() {
            // SAFETY: as above: the draw only swaps places, so these are the same cells, each once,
            // and no user code ran that could have taken one out (I4).
            let header = unsafe { task.as_ref() };
            // SAFETY: I4: the loop's thread.
            header.next_ready.with_mut(|next| unsafe { *next = rest });
            rest = task.as_ptr();
        }
        self.head = rest;
    }

    /// Ends the turn's batch before whatever is appended from here on: a task is being spawned.
    #[inline]
    pub(super) fn fence(&mut self) {
        self.left = self.left.min(self.len);
    }

    /// Appends a task to the ready queue, unless it is there or done.
    ///
    /// # Safety
    ///
    /// On the loop's thread; `task` is alive (I3).
    #[inline]
    pub(super) unsafe fn enqueue(&mut self, task: NonNull<Header>) {
        // SAFETY: the caller keeps the task alive.
        let header = unsafe { task.as_ref() };
        if flags(header) & (READY | ENDED) != 0 {
            return;
        }
        set(header, READY);
        // SAFETY: I4: the loop's thread.
        header.next_ready.with_mut(|next| unsafe { *next = ptr::null() });
        // SAFETY: the tail is in the queue, so it is alive (I3).
        match unsafe { self.tail.as_ref() } {
            None => self.head = task.as_ptr(),
            // SAFETY: I4: the loop's thread.
            Some(tail) => tail.next_ready.with_mut(|next| unsafe { *next = task.as_ptr() }),
        }
        self.tail = task.as_ptr();
        self.len += 1;
    }

    /// Puts a task that is to end ahead of everything ready, unless it is there, done or unknown.
    ///
    /// # Safety
    ///
    /// As [`Queues::enqueue`].
    pub(super) unsafe fn urge(&mut self, task: NonNull<Header>) {
        // SAFETY: the caller keeps the task alive.
        let header = unsafe { task.as_ref() };
        if flags(header) & (URGENT | ENDED | ADOPTED) == ADOPTED {
            set(header, URGENT);
            self.urgent.push_back(task);
        }
    }

    /// The next task of the batch: an urgent one, else the oldest ready one.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<NonNull<Header>> {
        let urgent = if self.left_urgent > 0 { self.urgent.pop_front() } else { None };
        if let Some(task) = urgent {
            self.left_urgent -= 1;
            // SAFETY: the cell was in a queue, so it is alive (I3).
            clear(unsafe { task.as_ref() }, URGENT);
            return Some(task);
        }
        if self.left == 0 {
            return None;
        }
        let task = NonNull::new(self.head.cast_mut())?;
        // SAFETY: as above.
        let header = unsafe { task.as_ref() };
        // SAFETY: I4: the loop's thread.
        self.head = header.next_ready.with(|next| unsafe { *next });
        if self.head.is_null() {
            self.tail = ptr::null();
        }
        self.len -= 1;
        self.left -= 1;
        clear(header, READY);
        Some(task)
    }

    /// Counts a poll of the task with these notes.
    #[inline]
    pub(super) fn count_poll(&mut self, header: &Header, notes: u32) {
        let (notes, wrapped) = notes.overflowing_add(POLL);
        put(header, notes);
        if wrapped {
            *self.carries.entry(header.id().as_u64()).or_default() += POLLS;
        }
    }

    /// How many wakes there were since this was last asked.
    #[inline]
    pub(super) fn take_wakes(&mut self) -> u32 {
        core::mem::take(&mut self.wakes)
    }

    /// How often the task has been polled.
    pub(super) fn polls(&self, header: &Header) -> u64 {
        let carried = self.carries.get(&header.id().as_u64()).copied().unwrap_or(0);
        carried + u64::from(flags(header) / POLL)
    }

    /// Forgets what was kept about a task beside its cell.
    #[inline]
    pub(super) fn forget(&mut self, header: &Header) {
        if !self.carries.is_empty() {
            self.carries.remove(&header.id().as_u64());
        }
    }

    /// A reference to the mailbox without counting, if one was given back before.
    #[inline]
    pub(super) fn spare(&mut self) -> Option<Arc<Mailbox>> {
        self.spares.pop()
    }

    /// Keeps a reference for the next task; gives it back when there are enough.
    #[inline]
    pub(super) fn keep(&mut self, owner: Arc<Mailbox>) -> Option<Arc<Mailbox>> {
        if self.spares.len() >= SPARES {
            return Some(owner);
        }
        self.spares.push(owner);
        None
    }

    /// Lets go of the references, which would keep the mailbox alive for ever, and of the memory.
    pub(super) fn take_spares(&mut self) -> Vec<Arc<Mailbox>> {
        self.blocks.clear();
        core::mem::take(&mut self.spares)
    }
}

/// Wakes a task from its own loop's thread: no read-modify-write, no allocation.
///
/// # Safety
///
/// On the loop's thread, inside its run; `task` is alive.
#[inline]
pub(super) unsafe fn wake(owner: &Mailbox, task: NonNull<Header>) {
    owner.queues.with_mut(|queues| {
        // SAFETY: I4: the loop's thread, and no other borrow is open.
        let queues = unsafe { &mut *queues };
        queues.wakes = queues.wakes.wrapping_add(1);
        // SAFETY: the caller's promise.
        unsafe { queues.enqueue(task) };
    });
}

/// The notes of a task. For the loop's thread (I4).
#[inline]
pub(super) fn flags(header: &Header) -> u32 {
    // SAFETY: I4: only the loop's thread reads or writes the notes of a published cell.
    header.notes.with(|notes| unsafe { *notes })
}

#[inline]
pub(super) fn put(header: &Header, value: u32) {
    // SAFETY: as in `flags`.
    header.notes.with_mut(|notes| unsafe { *notes = value });
}

#[inline]
pub(super) fn set(header: &Header, flag: u32) {
    put(header, flags(header) | flag);
}

#[inline]
pub(super) fn clear(header: &Header, flag: u32) {
    put(header, flags(header) & !flag);
}

#[cfg(all(test, feature = "std", not(loom)))] // without it every wake comes by the injection stack
mod tests;
