//! The second floor: one turn of the loop, told the time and driven from above.
//!
//! A turn takes in some of what other threads pushed, fires the timers that are due, and runs one batch of
//! ready tasks. Deterministic: no thread, no clock, no blocking; what it needs of the world it asks
//! its [`Host`]. Every borrow here is short, and none is open while user code runs.

pub(crate) mod arena;
mod host;
pub(crate) mod index;
mod injected;
pub(crate) mod mix;
pub(crate) mod registry;
mod timer_target;
mod timers;
pub(crate) mod wheel;

use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::panic::Location;

pub(crate) use self::host::{Activity, Ended, Host, TaskSnapshot};
use self::injected::Injected;
use self::registry::{Registry, TaskEntry};
pub(crate) use self::timer_target::{HostWaker, TimerTarget};
use self::wheel::Wheel;
use crate::id::{Serials, TaskId};
pub(crate) use crate::task::cell::TaskMeta;
use crate::task::cell::{End, Label, Origin};
use crate::task::join::{Join, TaskRef};
use crate::task::loop_side::LoopSide;
use crate::task::owned_task::OwnedTask;
use crate::task::run::{Ending, Ran};
use crate::task::run_queues::{Parked, RunQueues};
use crate::task::shuffle::Shuffle;
use crate::task::spawn::{NewTask, Vacant};
use crate::task::state::{CancelRequest, Request};
use crate::tick::Tick;

/// What a turn did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) polls: usize,
    pub(crate) fired: usize,
    /// Timers are due that did not fit into this turn.
    pub(crate) more_timers: bool,
}

/// The tasks and timers of one loop.
pub(crate) struct Scheduler {
    pub(crate) side: LoopSide,
    registry: RefCell<Registry>,
    injected: Injected,
    timers: RefCell<Wheel<TimerTarget>>,
    /// The waker of the future that the host itself polls beside the tasks.
    pub(crate) host_waker: HostWaker,
    serials: Serials,
    /// What the order of each batch is drawn from, if it is drawn.
    shuffle: Option<RefCell<Shuffle>>,
}

impl Scheduler {
    /// An empty one; `start` is the time by now.
    pub(crate) fn new(side: LoopSide, start: Tick) -> Self {
        Self {
            side,
            registry: RefCell::default(),
            injected: Injected::default(),
            timers: RefCell::new(Wheel::new(start)),
            host_waker: HostWaker::default(),
            serials: Serials::default(),
            shuffle: None,
        }
    }

    /// Has the order of each batch drawn from `seed`; 0 leaves it first come, first served.
    pub(crate) fn drawn_from(mut self, seed: u64) -> Self {
        self.shuffle = (seed != 0).then(|| RefCell::new(Shuffle::new(seed)));
        self
    }

    /// A cell for a task that is spawned on the loop's thread.
    #[inline]
    pub(crate) fn vacant<F: Future, L: Label>(
        &self,
        label: L,
        location: &'static Location<'static>,
    ) -> Vacant<F, L> {
        self.side.vacant(label, Origin { serial: self.serials.draw(), location })
    }

    /// Spawns what was made in such a cell.
    #[inline]
    pub(crate) fn spawn<F: Future, L: Label>(
        &self,
        task: NewTask<F, L>,
        since: Tick,
    ) -> Join<F::Output> {
        let (task, join) = self.side.register_local(task);
        self.side.counters().spawned.add(1);
        let owned_task = self.registry.borrow_mut().insert_local(task, since);
        if let Err(task) = owned_task {
            self.enroll_with_room(task, since);
        }
        join
    }

    #[inline]
    fn enroll(&self, task: OwnedTask, since: Tick) {
        let owned_task = self.registry.borrow_mut().insert(task, since);
        if let Err(task) = owned_task {
            self.enroll_with_room(task, since);
        }
    }

    /// An allocator is user code: it may come back here, and take the room.
    #[cold]
    #[inline(never)]
    fn enroll_with_room(&self, mut task: OwnedTask, since: Tick) {
        loop {
            registry::make_room(&self.registry);
            self.provide();
            let owned_task = self.registry.borrow_mut().insert(task, since);
            let Err(back) = owned_task else { return };
            task = back;
        }
    }

    #[cold]
    #[inline(never)]
    fn tidy_registry(&self) {
        registry::tidy(&self.registry);
        self.provide();
    }

    /// Has the urgent queue have room for each task that the registry has a place for, also where most of its
    /// places are free by now: they are taken again without coming here.
    fn provide(&self) {
        let places = self.registry.borrow().places();
        self.side.provide_for(places + registry::PAGE);
    }

    /// The number of the next task that is spawned on the loop's thread.
    pub(crate) fn draw_serial(&self) -> u64 {
        self.serials.draw()
    }

    /// One turn, with at most `batch` polls. Never blocks, except in user code.
    #[inline]
    pub(crate) fn turn(&self, host: &impl Host, batch: usize) -> Done {
        self.take_in_some(host, batch);
        let mut done = Done::default();
        self.fire_timers(host, &mut done);
        self.run_batch(host, batch, &mut done);
        done
    }

    /// 3. Tasks that can run.
    #[inline]
    fn run_batch(&self, host: &impl Host, batch: usize, done: &mut Done) {
        if self.side.take_slack() {
            self.provide();
        }
        let ready = self.side.ready();
        self.side.counters().ready.set(ready);
        if ready == 0 {
            self.side.count(0);
            return;
        }
        self.side.begin_batch(batch);
        if let Some(shuffle) = &self.shuffle {
            self.side.draw_batch(&mut shuffle.borrow_mut());
        }
        done.polls +=
            if host.looks_on() { self.poll_watched(host) } else { self.poll_all::<false>(host) };
        self.side.counters().ready.set(self.side.ready());
    }

    #[cold]
    #[inline(never)]
    fn poll_watched(&self, host: &impl Host) -> usize {
        self.poll_all::<true>(host)
    }

    /// Runs the tasks of the batch, and says how many polls were made. They are counted before
    /// anybody can learn of an end, and not with each poll.
    #[inline(always)]
    fn poll_all<const WATCHED: bool>(&self, host: &impl Host) -> usize {
        let (mut all, mut uncounted) = (0, 0);
        let mut batch = self.side.batch();
        while let Some(popped) = batch.next() {
            if WATCHED {
                if popped.give_place_up() {
                    host.admitted();
                }
                if host.watches() {
                    host.begins(popped.subject());
                }
            }
            let ran = match popped.run() {
                Ran::Asked(asked) => {
                    host.asked(asked.id());
                    asked.run(&self.side)
                }
                ran => ran,
            };
            if WATCHED && host.watches() {
                host.returns();
            }
            let (ending, how, polls) = match ran {
                Ran::Pending => {
                    uncounted += 1;
                    continue;
                }
                Ran::Nothing | Ran::Asked(_) => continue,
                Ran::Ended(ending, how) => (ending, how, uncounted + 1),
                Ran::Dropped(ending, how) => (ending, how, uncounted),
            };
            self.side.count(polls);
            all += polls as usize;
            uncounted = 0;
            self.retire(ending, how, host);
        }
        self.side.count(uncounted);
        all + uncounted as usize
    }

    /// Lets a task go whose future is gone: out of the registry first, then its joiner is told.
    #[inline(always)]
    fn retire(&self, ending: Ending<'_>, how: End, host: &impl Host) {
        let retired = self.registry.borrow_mut().retire(&ending);
        // A task that runs was taken in, and is removed here alone: without its entry it would leak.
        debug_assert!(retired.is_some(), "{:?} was not registered", ending.id());
        let Some((entry, is_untidy)) = retired else { return };
        if is_untidy {
            self.tidy_registry();
        }
        self.complete(ending, how, entry, host);
    }

    #[inline]
    fn complete(&self, ending: Ending<'_>, how: End, entry: TaskEntry, host: &impl Host) {
        host.retired(ending.id());
        self.count(how);
        if host.records() {
            let (request, details) = (ending.request(how), self.details(&entry));
            host.ended(Ended { how, request, details });
        }
        if let Some(lost) = ending.complete(entry.task, &self.side) {
            host.lost(lost);
        }
    }

    #[inline]
    fn count(&self, how: End) {
        let counters = self.side.counters();
        match how {
            End::Finished => counters.finished.add(1),
            End::Cancelled => counters.cancelled.add(1),
            End::Panicked => counters.panicked.add(1),
        }
    }

    /// What there is to say of each task that has not ended, in spawn order.
    pub(crate) fn snapshot(&self, now: Tick) -> Vec<TaskSnapshot> {
        let ids = self.ids();
        let mut all = Vec::with_capacity(ids.len());
        {
            let registry = self.registry.borrow();
            // There is room for each: nothing is allocated under the borrow.
            for entry in ids.iter().filter_map(|id| registry.get(*id)) {
                all.push(self.details(entry));
            }
        }
        if self.side.has_arrivals() {
            let new =
                |subject| TaskSnapshot { subject, activity: Activity::Ready, polls: 0, since: now };
            all.extend(self.side.waiting().map(new));
            all.sort_unstable_by_key(|details| details.subject.id);
        }
        self.charge(all.len());
        all
    }

    /// The ids of all tasks, in spawn order. Nothing is allocated while the registry is borrowed.
    pub(crate) fn ids(&self) -> Vec<TaskId> {
        let mut ids = Vec::new();
        while !self.registry.borrow().list(&mut ids) {
            ids.reserve(self.live());
        }
        ids
    }

    fn details(&self, entry: &TaskEntry) -> TaskSnapshot {
        let TaskEntry { task, since } = entry;
        let activity = match self.side.activity(task) {
            (true, _) => Activity::Running,
            (_, true) => Activity::Ready,
            _ => Activity::Idle,
        };
        let polls = self.side.polls(task);
        TaskSnapshot { subject: task.subject(), activity, polls, since: *since }
    }

    /// Whether nothing is left to do until something comes in or a timer is due.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.side.is_idle() && !self.injected.is_left()
    }

    /// Declares the loop asleep for its host. `false`: there is something to do, and nobody calls the hook for
    /// it. What has come since it was declared calls the hook, like all that ends a sleep (W3).
    pub(crate) fn rest(&self) -> bool {
        self.side.park() != Parked::Awake
    }

    /// How many tasks have not ended.
    pub(crate) fn live(&self) -> usize {
        self.registry.borrow().len()
    }

    /// Asks one task to end.
    pub(crate) fn request(&self, id: TaskId, what: Request) -> CancelRequest {
        // Outside of the run to ask may ring a host's bell, so no borrow is open. A reference costs two
        // read-modify-writes; inside there is room in the urgent queue, and that is all that it takes.
        if !RunQueues::is_current(self.side.run_queues()) {
            return self.task(id).map_or(CancelRequest::NotFound, |task| task.request(what));
        }
        let registry = self.registry.borrow();
        registry.get(id).map_or(CancelRequest::NotFound, |entry| entry.task.request(what))
    }

    /// Whether the task has not ended, as far as the loop knows.
    pub(crate) fn knows(&self, id: TaskId) -> bool {
        self.registry.borrow().get(id).is_some()
    }

    /// A reference to a task that has not ended.
    pub(crate) fn task(&self, id: TaskId) -> Option<TaskRef> {
        self.registry.borrow().get(id).map(|entry| entry.task.task())
    }

    /// Ends every task here and now, in spawn order; runs their destructors.
    pub(crate) fn end_all(&self, host: &impl Host) {
        for id in self.ids() {
            // A destructor may spawn, wake and cancel, and may have ended nothing of ours.
            let task =
                self.registry.borrow().get(id).map(|entry| self.side.out_of_turn(&entry.task));
            if let Some(task) = task {
                if task.give_place_up() {
                    host.admitted();
                }
                if host.watches() {
                    host.begins(task.subject());
                }
                // It stays registered meanwhile: a panic that nobody catches leaves it to be told.
                let (ending, how) = task.abort();
                if host.watches() {
                    host.returns();
                }
                self.retire(ending, how, host);
            }
        }
    }

    /// Ends the loop: what still lives is ended, and nothing comes in any more.
    pub(crate) fn close(&self, host: &impl Host) {
        self.take_in_all(host);
        self.end_all(host);
        // What was accepted until this very moment is ended, and reported, like the rest.
        self.take_in_the_last(host);
        self.end_all(host);
        self.side.resume();
        self.run_batch(host, usize::MAX, &mut Done::default());
    }
}
