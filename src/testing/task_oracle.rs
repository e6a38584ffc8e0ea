//! What becomes of tasks, said slowly and plainly: flags instead of one word, lists of numbers instead of
//! linked cells, counts instead of references.
//!
//! A task is a number here. [`Pair`](pair::Pair) does the same to this and to a [`LoopSide`], and compares.
//!
//! [`LoopSide`]: crate::task::loop_side::LoopSide

pub(super) mod operation;
pub(super) mod pair;
mod world;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::task::injection::Lane;
use crate::task::state::{CancelRequest, Request};

/// What is on one of the ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueEntry {
    Task(usize),
    /// Brings home the output of this task.
    RemoteDrop(usize),
}

/// What was taken of a stack.
#[derive(Debug, Default)]
struct Hand {
    /// In the order in which they were pushed.
    cells: VecDeque<QueueEntry>,
    /// How many of the newest were reversed.
    reversed: usize,
}

/// The sleep word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Running,
    Parked,
    Notified,
}

/// What is to happen to a task that is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Nothing,
    Polled,
    Dropped,
}

/// What there is to know of a task.
#[derive(Debug, Default)]
struct Task {
    /// It is a request to the loop, which no queue has.
    is_control: bool,
    /// It is in a stack, or in what was taken of it.
    stacked: bool,
    /// A wake came from elsewhere that no poll has answered.
    woken: bool,
    cancel: bool,
    abort: bool,
    registered: bool,
    ready: bool,
    urgent: bool,
    done: bool,
    /// The poll that it is in is its last.
    finishing: bool,
    /// Its future or its output is there, and has its token.
    holds: bool,
    joined: bool,
    taken: bool,
    /// Whose waker is in its join slot.
    slot: Option<usize>,
    /// How many wakers of it there are, and how many of these its own future keeps.
    wakers: usize,
    kept: usize,
    remote_drops: usize,
    polls: u64,
}

impl Task {
    fn is_requested(&self) -> bool {
        self.cancel || self.abort
    }

    /// Whether anybody has a reference to it.
    fn is_held(&self) -> bool {
        let by_loop = !self.done || self.ready || self.urgent || self.stacked;
        by_loop || self.joined || self.wakers + self.remote_drops > 0
    }
}

/// All tasks of one loop, and its queues.
#[derive(Debug)]
pub(super) struct Oracle {
    tasks: Vec<Task>,
    /// By lane, in the order in which they were pushed.
    stacks: [VecDeque<QueueEntry>; 3],
    hands: [Hand; 3],
    closed: bool,
    word: Word,
    /// How often the loop was unparked.
    rings: usize,
    ready: VecDeque<usize>,
    urgent: VecDeque<usize>,
    /// How many ready tasks, urgent tasks, and tasks of both kinds the batch may have yet.
    left: usize,
    left_urgent: usize,
    left_in_all: usize,
    /// Whether a batch of one leaves it to a task that is ready.
    odd: bool,
    running: Option<usize>,
    /// Whether this thread is inside of the loop's run.
    inside: bool,
    remote_wakes: u64,
    local_wakes: u64,
}

impl Oracle {
    fn new() -> Self {
        Self {
            tasks: Vec::new(),
            stacks: Default::default(),
            hands: Default::default(),
            closed: false,
            word: Word::Running,
            rings: 0,
            ready: VecDeque::new(),
            urgent: VecDeque::new(),
            left: 0,
            left_urgent: 0,
            left_in_all: 0,
            odd: false,
            running: None,
            inside: false,
            remote_wakes: 0,
            local_wakes: 0,
        }
    }

    /// A task from another thread: `false` if it is refused, and then there is none.
    fn push_new(&mut self, is_control: bool) -> bool {
        let lane = if is_control { Lane::Control } else { Lane::New };
        let accepted = self.push(QueueEntry::Task(self.tasks.len()), lane);
        if accepted {
            let (stacked, woken, holds, joined) = (true, true, true, true);
            self.tasks.push(Task { is_control, stacked, woken, holds, joined, ..Task::default() });
        }
        accepted
    }

    /// A task from this thread: the batch, if there is one, ends before it.
    fn spawn(&mut self) {
        self.left = self.left.min(self.ready.len());
        self.ready.push_back(self.tasks.len());
        let (registered, ready, holds, joined) = (true, true, true, true);
        self.tasks.push(Task { registered, ready, holds, joined, ..Task::default() });
    }

    fn push(&mut self, entry: QueueEntry, lane: Lane) -> bool {
        if self.closed {
            return false;
        }
        let stack = &mut self.stacks[lane as usize];
        let was_empty = stack.is_empty();
        stack.push_back(entry);
        if was_empty || self.word == Word::Parked {
            self.notify();
        }
        true
    }

    fn notify(&mut self) {
        self.rings += usize::from(self.word == Word::Parked);
        self.word = Word::Notified;
    }

    fn resume(&mut self) {
        self.word = Word::Running;
        self.left = usize::MAX;
    }

    fn park(&mut self) -> bool {
        let sleeps = self.word == Word::Running && self.stacks.iter().all(VecDeque::is_empty);
        self.word = if sleeps { Word::Parked } else { Word::Running };
        sleeps
    }

    fn wake(&mut self, at: usize) {
        if self.inside {
            self.local_wakes += 1;
            self.enqueue(at);
        } else if !self.tasks[at].done {
            self.tasks[at].woken = true;
            self.send(at);
        }
    }

    /// Has the task in the stack, once.
    fn send(&mut self, at: usize) {
        if !self.tasks[at].stacked {
            let accepted = self.push(QueueEntry::Task(at), Lane::Known);
            self.tasks[at].stacked = accepted;
            self.tasks[at].woken &= accepted;
        }
    }

    fn request(&mut self, at: usize, what: Request) -> CancelRequest {
        let task = &mut self.tasks[at];
        if task.done {
            return CancelRequest::Finished;
        }
        let pending = task.is_requested();
        let is_news = if what == Request::Abort { !task.abort } else { !pending };
        match what {
            Request::Abort => task.abort = true,
            Request::Cancel => task.cancel |= is_news,
        }
        match is_news {
            true if self.inside => self.enqueue_urgent(at),
            true => self.send(at),
            false => {}
        }
        if pending { CancelRequest::AlreadyRequested } else { CancelRequest::Requested }
    }

    fn enqueue(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        if !task.ready && !task.done {
            task.ready = true;
            self.ready.push_back(at);
        }
    }

    fn enqueue_urgent(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        if task.registered && !task.urgent && !task.done {
            task.urgent = true;
            self.urgent.push_back(at);
        }
    }

    /// What was pushed is taken, if nothing is in hand, and so much of what is in hand is reversed.
    fn look(&mut self, lane: Lane, most: usize) {
        let hand = &mut self.hands[lane as usize];
        if hand.cells.is_empty() {
            hand.cells = core::mem::take(&mut self.stacks[lane as usize]);
            hand.reversed = 0;
        }
        let before = hand.reversed;
        hand.reversed = hand.cells.len().min(before.saturating_add(most));
        let seen = hand.cells.iter().rev().take(hand.reversed).skip(before);
        let seen: Vec<QueueEntry> = seen.filter(|_| lane == Lane::Known).copied().collect();
        for entry in seen {
            if matches!(entry, QueueEntry::Task(at) if self.tasks[at].is_requested()) {
                let (QueueEntry::Task(at) | QueueEntry::RemoteDrop(at)) = entry;
                self.enqueue_urgent(at);
            }
        }
    }

    /// The oldest in hand, once all have been reversed.
    fn next(&mut self, lane: Lane) -> Option<QueueEntry> {
        let hand = &mut self.hands[lane as usize];
        if hand.reversed < hand.cells.len() {
            return None;
        }
        hand.reversed = hand.reversed.saturating_sub(1);
        hand.cells.pop_front()
    }

    /// The loop takes it in.
    fn take_in(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        let (woken, is_new) = (task.woken, !task.registered);
        let is_last = task.done && !task.ready && !task.urgent;
        (task.stacked, task.woken, task.registered) = (false, false, !task.is_control);
        if is_last || task.is_control {
            return;
        }
        if task.is_requested() {
            self.enqueue_urgent(at);
        } else if woken {
            self.enqueue(at);
        }
        self.remote_wakes += u64::from(woken && !is_new);
    }

    fn begin_batch(&mut self, polls: usize) {
        self.left = self.left.min(polls);
        self.left_in_all = polls;
        self.odd ^= polls < 4;
        let reserved = match polls {
            1 => usize::from(self.odd),
            2 | 3 => 1,
            _ => polls / 4,
        };
        self.left_urgent = polls - self.left.min(self.ready.len()).min(reserved);
    }

    fn pop(&mut self) -> Option<usize> {
        if !self.urgent.is_empty() && self.left_urgent.min(self.left_in_all) > 0 {
            self.left_urgent -= 1;
            self.left_in_all -= 1;
            self.left = self.left.min(self.left_in_all);
            let at = self.urgent.pop_front()?;
            self.tasks[at].urgent = false;
            return Some(at);
        }
        if self.left == 0 {
            return None;
        }
        let at = self.ready.pop_front()?;
        (self.left, self.left_in_all) = (self.left - 1, self.left_in_all - 1);
        self.tasks[at].ready = false;
        Some(at)
    }

    fn begin_run(&mut self, at: usize) -> Fate {
        let task = &mut self.tasks[at];
        if task.done {
            return Fate::Nothing;
        }
        task.woken = false;
        if task.is_requested() {
            return Fate::Dropped;
        }
        task.polls += 1;
        self.running = Some(at);
        Fate::Polled
    }

    /// Its future is gone, and it is let go.
    fn complete(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        task.done = true;
        task.holds &= task.finishing && task.joined;
        task.wakers -= task.kept;
        task.kept = 0;
        if let Some(waiter) = task.slot.take() {
            self.wake(waiter);
            self.tasks[waiter].wakers -= 1;
        }
    }

    fn drop_join(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        task.joined = false;
        let has_output = task.done && task.holds;
        if let Some(waiter) = task.slot.take() {
            self.tasks[waiter].wakers -= 1;
        }
        if has_output {
            let sent = self.push(QueueEntry::RemoteDrop(at), Lane::Control);
            self.tasks[at].remote_drops += usize::from(sent);
            self.tasks[at].holds = sent;
        }
    }

    /// The join handle of `at` is polled with a waker of `waiter`. `None`: it has to wait.
    fn poll_join(&mut self, at: usize, waiter: usize) -> Option<bool> {
        let task = &mut self.tasks[at];
        if task.done {
            let has_output = task.holds && !task.taken;
            (task.holds, task.taken) = (false, true);
            return Some(has_output);
        }
        self.tasks[waiter].wakers += 1;
        if let Some(before) = self.tasks[at].slot.replace(waiter) {
            self.tasks[before].wakers -= 1;
        }
        None
    }

    /// The remote drop is there.
    fn deliver(&mut self, at: usize) {
        self.tasks[at].remote_drops -= 1;
        self.tasks[at].holds = false;
    }

    /// How many futures and outputs are not dropped.
    fn tokens(&self) -> usize {
        self.tasks.iter().filter(|task| task.holds).count()
    }

    /// How many cells are not freed.
    fn cells(&self) -> usize {
        let tasks = self.tasks.iter();
        tasks.map(|task| usize::from(task.is_held()) + task.remote_drops).sum()
    }
}
