//! What every handle of a loop shares: the way in, the clock, and the plan to end.

use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::blocking::Pool;
use super::blocking_wait;
use super::clock::{Clock, Moment};
use super::context::{self, LoopNumber};
use super::gate::{Gate, GateWaiter};
use super::latch::Latch;
use super::local::{Limits, Local};
use super::shutdown_request::ShutdownRequest;
use super::watchdog::Busy;
use crate::error::JoinError;
use crate::id;
use crate::scheduler::wheel::TimerKey;
use crate::shutdown::{Plan, Shutdown, ShutdownReport};
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::task::cell::{Label, Origin};
use crate::task::join::Join;
use crate::task::run_queues::RunQueues;
use crate::task::spawn::{Kind, NewTask, Vacant};
use crate::task::spawn_with::SpawnWith;

/// One loop, as other threads know it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) number: LoopNumber,
    pub(crate) run_queues: Arc<RunQueues>,
    pub(crate) clock: Clock,
    pub(crate) request: ShutdownRequest<Plan>,
    /// A drain has begun: tasks may finish, and those that repeat themselves are to.
    pub(crate) draining: Latch,
    /// Nothing of the loop runs any more.
    pub(crate) ended: Latch,
    refused: Refused,
    /// The bound on submissions, if there is one.
    pub(super) gate: Option<std::sync::Arc<Gate>>,
    pub(crate) pool: std::sync::Arc<Pool>,
    busy: Option<Busy>,
    /// What became of the tasks, once the loop has ended.
    pub(crate) last_report: Mutex<ShutdownReport>,
}

/// Why a submission was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Closed,
    Full,
}

/// A submission's handle, or the task and why it was not taken.
pub(crate) type Submitted<F, L> = Result<Join<<F as Future>::Output>, (NewTask<F, L>, Refusal)>;

/// How many submissions were not taken. A number comes round after 2^32 of them where words have 32 bits.
#[derive(Debug)]
struct Refused {
    /// After the request to end.
    closed: AtomicUsize,
    /// For want of room.
    full: AtomicUsize,
}

/// The way that a task goes which is being spawned.
#[derive(Debug)]
pub(crate) enum Way {
    /// To the ready queue of the loop on this thread.
    Here(Rc<Local>),
    /// To a loop on another thread.
    Elsewhere,
    /// The loop on this thread takes nothing more.
    Nowhere,
}

/// What a submission does at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFull {
    /// Blocks until there is room.
    Waits,
    Tries,
    /// Brings a place that it has been given.
    Holds,
}

impl Shared {
    pub(crate) fn new(
        number: LoopNumber,
        run_queues: Arc<RunQueues>,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let Limits { capacity, blocking_threads, busy } = limits;
        let gate = capacity.map(|capacity| std::sync::Arc::new(Gate::new(capacity)));
        let pool = Pool::new(blocking_threads, clock.is_virtual().then(|| run_queues.clone()));
        Self {
            number,
            run_queues,
            clock,
            request: ShutdownRequest::new(),
            draining: Latch::new(),
            ended: Latch::new(),
            refused: Refused { closed: AtomicUsize::new(0), full: AtomicUsize::new(0) },
            gate,
            pool,
            busy,
            last_report: Mutex::default(),
        }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.request.is_made()
    }

    /// Whether the caller's submissions are taken.
    pub(crate) fn accepts(&self) -> bool {
        let home = context::home(&self.run_queues);
        home.map_or_else(|| !self.is_closed(), |local| local.accepts())
    }

    /// Asks the loop to end, or to end sooner.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        self.request.make(how.plan(self.clock.now()), Plan::or_sooner, &self.run_queues);
        self.let_go();
    }

    /// Refuses what is spawned from now on: the loop is at its end, asked to or not.
    pub(crate) fn refuse(&self) {
        self.request.close();
        self.let_go();
    }

    /// Lets go of who waits for room: there will be none.
    fn let_go(&self) {
        if let Some(gate) = &self.gate {
            gate.close();
        }
    }

    /// Counts a submission that is not taken, and says why.
    #[cold]
    pub(crate) fn refusal(&self, why: Refusal) -> Refusal {
        let count = match why {
            Refusal::Closed => &self.refused.closed,
            Refusal::Full => &self.refused.full,
        };
        // ORDERING: Relaxed: a number to look at, by which nothing is published.
        count.fetch_add(1, Ordering::Relaxed);
        why
    }

    /// How many were not taken since the request to end, and before it for want of room.
    pub(crate) fn refused(&self) -> (u64, u64) {
        // ORDERING: Relaxed: as in `refusal`.
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed) as u64;
        (read(&self.refused.closed), read(&self.refused.full))
    }

    /// Nothing of the loop runs any more: completes the report, and wakes those that wait for it.
    pub(crate) fn end(&self) -> ShutdownReport {
        let report = {
            let mut report = self.last_report.lock();
            report.refused = self.refused().0;
            report.clone()
        };
        self.ended.happen();
        report
    }

    /// How many submissions have not been taken in, where that is counted.
    pub(crate) fn submitted(&self) -> usize {
        self.gate.as_ref().map_or(0, |gate| gate.outside())
    }

    /// How long the loop has been in user code, where that is measured.
    pub(crate) fn busy(&self) -> Duration {
        self.busy.as_ref().map_or(Duration::ZERO, Busy::time)
    }

    /// Whether the calling thread serves the loop: its watchdog's, or one of its pool's.
    pub(crate) fn is_served_here(&self) -> bool {
        self.pool.is_own_thread() || self.busy.as_ref().is_some_and(Busy::is_own_thread)
    }

    /// The plan, once there is one.
    #[inline]
    pub(crate) fn plan(&self) -> Option<Plan> {
        self.request.plan()
    }

    /// Begins a spawn, from any thread: a cell for the future, and the way that its task will go.
    #[inline]
    pub(crate) fn open<F, L>(
        &self,
        label: L,
        location: &'static Location<'static>,
    ) -> (Way, Vacant<F, L>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
        L: Label,
    {
        self.open_with(label, location, |label, origin, run_queues| {
            Vacant::new(label, origin, run_queues, Kind::Task)
        })
    }

    /// Spawns, from any thread, a task that waits for a timer first. `make` gets the timer's key where it
    /// can be armed here; else the future's first poll arms it, and does nothing else. If the task is not
    /// taken it is ended here.
    pub(crate) fn spawn_timed<F>(
        &self,
        deadline: Moment,
        make: impl FnOnce(Option<TimerKey>) -> F,
        at_once: bool,
        location: &'static Location<'static>,
    ) -> Join<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let home = context::home(&self.run_queues);
        if let Some(local) = home.as_ref().filter(|local| local.accepts()) {
            let tick = deadline.on(&self.clock);
            return local.spawn_timed(tick, |key| make(Some(key)), at_once, location);
        }
        let way = if home.is_some() { Way::Nowhere } else { Way::Elsewhere };
        let vacant = Vacant::new((), origin(location), self.run_queues.clone(), Kind::Timed);
        self.spawn(way, vacant.fill(make(None)))
    }

    /// The same for a future that is made on the loop's thread.
    pub(crate) fn open_deferred<C, F, L>(
        &self,
        label: L,
        location: &'static Location<'static>,
    ) -> (Way, Vacant<SpawnWith<C, F>, L>)
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
        L: Label,
    {
        self.open_with(label, location, Vacant::spawn_with)
    }

    #[inline]
    fn open_with<F: Future, L: Label>(
        &self,
        label: L,
        location: &'static Location<'static>,
        elsewhere: impl FnOnce(L, Origin, Arc<RunQueues>) -> Vacant<F, L>,
    ) -> (Way, Vacant<F, L>) {
        let way = match context::home(&self.run_queues) {
            Some(local) if local.accepts() => {
                let vacant = local.scheduler.vacant(label, location);
                return (Way::Here(local), vacant);
            }
            Some(_) => Way::Nowhere,
            None => Way::Elsewhere,
        };
        (way, elsewhere(label, origin(location), self.run_queues.clone()))
    }

    /// Hands a task to the loop, past the gate; gives it back if the loop takes nothing more.
    #[inline]
    pub(crate) fn submit<F: Future, L: Label>(
        &self,
        way: Way,
        task: NewTask<F, L>,
        spin: OnFull,
    ) -> Submitted<F, L>
    where
        F::Output: Send,
    {
        if let Way::Here(local) = way {
            return Ok(local.spawn(task));
        }
        if matches!(way, Way::Nowhere) || self.is_closed() {
            self.give_back(spin);
            return Err((task, self.refusal(Refusal::Closed)));
        }
        match self.pass(spin) {
            Ok(spin) => task.push(&self.run_queues).map_err(|task| {
                self.give_back(spin);
                (task, self.refusal(Refusal::Closed))
            }),
            Err(refusal) => Err((task, self.refusal(refusal))),
        }
    }

    /// Passes the gate, if there is one: what comes of it is a place that is held.
    #[inline]
    fn pass(&self, spin: OnFull) -> Result<OnFull, Refusal> {
        self.gate.as_ref().map_or(Ok(spin), |gate| self.pass_gate(gate, spin))
    }

    #[inline(never)]
    fn pass_gate(&self, gate: &std::sync::Arc<Gate>, spin: OnFull) -> Result<OnFull, Refusal> {
        let entered = match spin {
            OnFull::Holds => true,
            OnFull::Tries => gate.try_enter(),
            OnFull::Waits => {
                gate.try_enter() || {
                    let mut waiting = GateWaiter::new(gate.clone());
                    // Without a limit there is always an answer.
                    blocking_wait::block(None, |waker| waiting.poll(waker))
                        .is_some_and(|entered| entered.is_ok())
                }
            }
        };
        match entered {
            true if self.is_closed() => {
                gate.leave();
                Err(Refusal::Closed)
            }
            true => Ok(OnFull::Holds),
            false if self.is_closed() => Err(Refusal::Closed),
            false => Err(Refusal::Full),
        }
    }

    /// What a submission that waits without blocking has at the gate once it is to be handed in: a place, or
    /// no need of one.
    pub(crate) fn poll_place(
        &self,
        waiting: &mut Option<GateWaiter>,
        waker: &Waker,
    ) -> Poll<OnFull> {
        let gate = self.gate.as_ref().filter(|_| !self.is_closed());
        let Some(gate) = gate.filter(|_| context::home(&self.run_queues).is_none()) else {
            *waiting = None; // gives up what it has been given
            return Poll::Ready(OnFull::Tries);
        };
        if waiting.is_none() && gate.try_enter() {
            return Poll::Ready(OnFull::Holds);
        }
        let waiting = waiting.get_or_insert_with(|| GateWaiter::new(gate.clone()));
        waiting.poll(waker).map(|entered| entered.map_or(OnFull::Tries, |()| OnFull::Holds))
    }

    /// A submission that has passed the gate did not come to be.
    fn give_back(&self, spin: OnFull) {
        if let (Some(gate), OnFull::Holds) = (&self.gate, spin) {
            gate.leave();
        }
    }

    /// The same, for who waits for room; if the task is not taken it is ended here.
    #[inline]
    pub(crate) fn spawn<F: Future + 'static, L: Label>(
        &self,
        way: Way,
        task: NewTask<F, L>,
    ) -> Join<F::Output>
    where
        F::Output: Send,
    {
        self.submit(way, task, OnFull::Waits).unwrap_or_else(|(task, _)| self.end_refused(task))
    }

    /// Ends a task that was not taken.
    pub(crate) fn end_refused<F, L>(&self, task: NewTask<F, L>) -> Join<F::Output>
    where
        F: Future + 'static,
        L: Label,
    {
        match context::home(&self.run_queues) {
            Some(local) => local.end_refused(task, |task| task.end(JoinError::Closed)),
            None => task.end(JoinError::Closed),
        }
    }
}

/// Where a task of another thread comes from.
pub(super) fn origin(location: &'static Location<'static>) -> Origin {
    Origin { serial: id::draw(), location }
}
