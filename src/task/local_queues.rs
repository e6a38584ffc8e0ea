//! What only the loop's thread touches: the ready queue, the urgent queue, and what is in hand of the way in.
//!
//! The ready queue links cells by their headers, so a wake allocates nothing. A task is in it at most
//! once, and at most once in the urgent queue, which holds what was asked to end and goes first. A batch is
//! bounded for both together, and a part of it is left to the ready queue, so that neither starves the other.
//! No user code runs while the queues are borrowed (I4).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::mem;
use core::ptr::{self, NonNull};

use super::block_cache::BlockCache;
use super::cell::Header;
use super::injection::{Hands, Lane};
use super::loop_flags::{BROKEN, EXPEDITED, POLLS_OVERFLOWED, READY, REGISTERED, URGENT};
use super::run_queues::RunQueues;
use super::shuffle::Shuffle;
use super::urgent::Urgent;

/// The queues of one loop.
#[derive(Debug)]
pub(super) struct LocalQueues {
    /// The oldest ready cell that no batch has in hand, or null.
    head: *const Header,
    /// The newest one, if there is any.
    tail: *const Header,
    /// How many cells were appended to the ready queue so far; wraps. Two counts and not a length, of
    /// which each would have to wait for the other's last change.
    pushed: usize,
    /// How many were taken out.
    popped: usize,
    /// What `popped` is when this turn's batch is over.
    until: usize,
    /// What `popped` may be at most at its end: less by one for each urgent task that it runs.
    most: usize,
    /// How many more urgent tasks it may run.
    left_urgent: usize,
    pub(super) urgent: Urgent,
    /// Changes with every small batch: one of a single task is for either of two kinds in turn.
    odd: bool,
    /// What was taken out of the way in.
    pub(super) hands: Hands,
    /// How many wakes there were since they were last counted.
    wakes: u32,
    /// The task whose future is being polled, or whose future or output is being dropped.
    running: Option<NonNull<Header>>,
    /// Overflows of the poll counts, by serial: one per 2^16 polls. Taken out while it is changed, as that
    /// allocates and frees.
    pub(super) polls_overflow: BTreeMap<u64, u64>,
    /// The memory of ended tasks.
    pub(super) block_cache: BlockCache,
}

impl LocalQueues {
    pub(super) fn new() -> Self {
        Self {
            head: ptr::null(),
            tail: ptr::null(),
            pushed: 0,
            popped: 0,
            until: 0,
            most: 0,
            left_urgent: 0,
            urgent: Urgent::default(),
            odd: false,
            hands: Hands::new(),
            wakes: 0,
            running: None,
            polls_overflow: BTreeMap::new(),
            block_cache: BlockCache::new(),
        }
    }

    /// How many tasks wait to be polled or ended.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.ready() + self.urgent.len()
    }

    /// How many cells the ready queue holds.
    #[inline]
    fn ready(&self) -> usize {
        self.pushed.wrapping_sub(self.popped)
    }

    /// How many more polls this turn may make.
    #[inline]
    fn left(&self) -> usize {
        self.until.wrapping_sub(self.popped)
    }

    #[inline]
    pub(super) fn is_idle(&mut self) -> bool {
        self.len() == 0 && self.hands.are_empty()
    }

    /// Reverses at most `most` cells of tasks that the loop knows. Those that are to end need not wait until
    /// the rest has been handled.
    #[inline]
    pub(super) fn reverse_known(&mut self, most: usize) {
        let Self { hands, urgent, .. } = self;
        hands.of(Lane::Known).reverse(most, |task| {
            // SAFETY: the cell is in hand, so it is alive (I3).
            if unsafe { task.as_ref() }.state.load().is_ending() {
                // SAFETY: as above, and this is the loop's thread (I4). There is room for each task that is
                // registered; without it this one would wait until it is taken in.
                let _ = unsafe { enqueue_urgent(urgent, task) };
            }
        });
    }

    /// How many new tasks this turn takes in: as many as there is room for in a batch, and half of a batch
    /// where more are ready than that, so that they and new ones alternate.
    pub(super) fn room_for_new(&self, batch: usize) -> usize {
        batch.saturating_sub(self.len()).max((batch + usize::from(self.odd)) / 2)
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

    /// A panic has unwound out of the code of the task that runs: what is left of its end is for the next
    /// turn (I10).
    #[cold]
    pub(super) fn unwound(&mut self) {
        let Some(task) = self.running.take() else { return };
        // SAFETY: a task that is being run is alive (I3).
        let loop_flags = &unsafe { task.as_ref() }.loop_flags;
        loop_flags.stand(loop_flags.standing() | BROKEN);
        // There is room for each task; without it this one is ended with its loop.
        if loop_flags.flags() & URGENT == 0 && self.urgent.push(task) {
            loop_flags.set(URGENT);
        }
    }

    /// From here on the code of this task is run; returns whose was before.
    pub(super) fn replace_running(
        &mut self,
        task: Option<NonNull<Header>>,
    ) -> Option<NonNull<Header>> {
        mem::replace(&mut self.running, task)
    }

    /// Begins a turn: what is spawned from here on is first polled in a later one.
    #[inline]
    pub(super) fn begin_turn(&mut self) {
        self.until = self.popped.wrapping_add(usize::MAX);
    }

    /// Begins the turn's batch: at most `polls` polls, of which urgent tasks leave some to those that are
    /// ready.
    #[inline]
    pub(super) fn begin_batch(&mut self, polls: usize) {
        let left = self.left().min(polls);
        self.until = self.popped.wrapping_add(left);
        self.most = self.popped.wrapping_add(polls);
        self.left_urgent = polls - left.min(self.ready()).min(polls / 4);
        if polls < 4 {
            self.begin_small_batch(polls);
        }
    }

    /// As above where a quarter would be nothing.
    #[cold]
    fn begin_small_batch(&mut self, polls: usize) {
        self.odd = !self.odd;
        let reserved = if polls == 1 { usize::from(self.odd) } else { polls / 2 };
        self.left_urgent = polls - self.left().min(self.ready()).min(reserved);
    }

    /// Has the batch that has just begun be those of its tasks that are ready by now, in a drawn
    /// order. What becomes ready meanwhile waits for the next batch: it was not part of this draw. If
    /// `batch`, which is empty, has no room for so many, says for how many.
    pub(super) fn draw_batch(
        &mut self,
        shuffle: &mut Shuffle,
        batch: &mut Vec<NonNull<Header>>,
    ) -> Result<(), usize> {
        self.fence();
        let left = self.left();
        if batch.capacity() < left {
            return Err(left);
        }
        let mut rest = self.head;
        while batch.len() < left {
            let Some(task) = NonNull::new(rest.cast_mut()) else { break };
            // SAFETY: the cell is in the queue, so it is alive (I3).
            let header = unsafe { task.as_ref() };
            // SAFETY: I4: the loop's thread.
            rest = header.next_ready.with(|next| unsafe { *next });
            batch.push(task);
        }
        debug_assert_eq!(batch.len(), left, "the ready queue holds less than {}", self.ready());
        shuffle.shuffle(batch);
        if let Some(last) = batch.last().filter(|_| rest.is_null()) {
            self.tail = last.as_ptr();
        }
        // Linked from the last to the first, so that each is put before what follows it.
        for task in batch.iter().rev() {
            // SAFETY: as above: the draw only swaps places, so these are the same cells, each once,
            // and no user code ran that could have taken one out (I4).
            let header = unsafe { task.as_ref() };
            // SAFETY: I4: the loop's thread.
            header.next_ready.with_mut(|next| unsafe { *next = rest });
            rest = task.as_ptr();
        }
        self.head = rest;
        Ok(())
    }

    /// Ends the turn's batch before whatever is appended from here on: a task is being spawned.
    #[inline]
    pub(super) fn fence(&mut self) {
        if self.left() > self.ready() {
            self.until = self.pushed;
        }
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
        if header.loop_flags.standing() != 0 {
            return;
        }
        header.loop_flags.stand(READY);
        // SAFETY: I4: the loop's thread.
        header.next_ready.with_mut(|next| unsafe { *next = ptr::null() });
        // SAFETY: the caller's promise; it is noted, and linked to nothing.
        unsafe { self.append(task) };
    }

    /// Appends a task that is noted as ready, and linked to nothing.
    ///
    /// # Safety
    ///
    /// As [`LocalQueues::enqueue`].
    #[inline]
    pub(super) unsafe fn append(&mut self, task: NonNull<Header>) {
        if self.head.is_null() {
            self.head = task.as_ptr();
        } else {
            // SAFETY: the tail of a queue that is not empty is in it, so it is alive (I3).
            let tail = unsafe { &*self.tail };
            // SAFETY: I4: the loop's thread.
            tail.next_ready.with_mut(|next| unsafe { *next = task.as_ptr() });
        }
        self.tail = task.as_ptr();
        self.pushed = self.pushed.wrapping_add(1);
    }

    /// Puts a task that is to end ahead of everything ready, unless it is there, done or unknown. `false`: there
    /// is no room for it.
    ///
    /// # Safety
    ///
    /// As [`LocalQueues::enqueue`].
    pub(super) unsafe fn enqueue_urgent(&mut self, task: NonNull<Header>) -> bool {
        // SAFETY: the caller keeps the task alive.
        unsafe { enqueue_urgent(&mut self.urgent, task) }
    }

    /// The next urgent task, if this batch may still end one.
    #[inline]
    pub(super) fn pop_urgent(&mut self) -> Option<NonNull<Header>> {
        if self.urgent.is_empty() { None } else { self.pop_urgent_now() }
    }

    #[cold]
    fn pop_urgent_now(&mut self) -> Option<NonNull<Header>> {
        if self.left_urgent == 0 || self.most == self.popped {
            return None;
        }
        let task = self.urgent.pop()?;
        self.left_urgent -= 1;
        self.most = self.most.wrapping_sub(1);
        let left = self.most.wrapping_sub(self.popped);
        if self.left() > left {
            self.until = self.most;
        }
        // SAFETY: the cell was in a queue, so it is alive (I3).
        unsafe { task.as_ref() }.loop_flags.clear(URGENT);
        Some(task)
    }

    /// Whether the batch has made its polls.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.popped == self.until
    }

    /// A ready task has been taken out, by the batch.
    #[inline]
    pub(super) fn popped(&mut self) {
        self.popped = self.popped.wrapping_add(1);
    }

    /// The list of what is ready: its first cell, or null, and its last one. For the batch, which pops
    /// each or puts the rest back.
    #[inline]
    pub(super) fn take_ready(&mut self) -> (*const Header, *const Header) {
        (mem::replace(&mut self.head, ptr::null()), self.tail)
    }

    /// Puts what is left of a list before what has become ready since.
    ///
    /// # Safety
    ///
    /// `first` begins and `last` ends a list of ready cells that [`LocalQueues::take_ready`] gave.
    pub(super) unsafe fn put_back(&mut self, first: *const Header, last: *const Header) {
        // SAFETY: the cell is ready, so it is alive (I3).
        let header = unsafe { &*last };
        // SAFETY: I4: the loop's thread.
        header.next_ready.with_mut(|next| unsafe { *next = self.head });
        if self.head.is_null() {
            self.tail = last;
        }
        self.head = first;
    }

    /// How many wakes there were since this was last asked.
    #[inline]
    pub(super) fn take_wakes(&mut self) -> u32 {
        mem::take(&mut self.wakes)
    }

    /// How often the task has been polled.
    pub(super) fn polls(&self, header: &Header) -> u64 {
        let polls = u64::from(header.loop_flags.polls());
        if header.loop_flags.flags() & POLLS_OVERFLOWED == 0 {
            return polls;
        }
        polls + self.polls_overflow.get(&header.id().as_u64()).copied().unwrap_or(0)
    }
}

/// See [`LocalQueues::enqueue_urgent`].
///
/// # Safety
///
/// On the loop's thread; `task` is alive (I3).
unsafe fn enqueue_urgent(urgent: &mut Urgent, task: NonNull<Header>) -> bool {
    // SAFETY: the caller keeps the task alive.
    let header = unsafe { task.as_ref() };
    if header.loop_flags.has_ended()
        || header.loop_flags.flags() & (URGENT | REGISTERED) != REGISTERED
    {
        return true;
    }
    let has_room = urgent.push(task);
    if has_room {
        header.loop_flags.set(URGENT | EXPEDITED);
    }
    has_room
}

/// Wakes a task from its own loop's thread: no read-modify-write, no allocation.
///
/// # Safety
///
/// On the loop's thread, inside its run; `task` is alive.
#[inline]
pub(super) unsafe fn wake(owner: &RunQueues, task: NonNull<Header>) {
    owner.queues.with_mut(|queues| {
        // SAFETY: I4: the loop's thread, and no other borrow is open.
        let queues = unsafe { &mut *queues };
        queues.wakes = queues.wakes.wrapping_add(1);
        // SAFETY: the caller's promise.
        unsafe { queues.enqueue(task) };
    });
}

#[cfg(all(test, feature = "std", not(loom)))] // without it every wake comes by the injection stack
mod tests;
