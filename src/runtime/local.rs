//! One loop on its thread: the scheduler, its clock and hooks, and the way it ends.

mod ending;
mod host;
#[cfg(all(feature = "io", unix))]
mod io;
mod pace;
mod parking;
mod refusals;
#[cfg(all(feature = "io", unix))]
mod registering;
mod settings;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::pace::Pace;
use self::parking::Reading;
use self::refusals::Refusals;
use self::settings::rouse;
#[cfg(all(feature = "io", unix))]
use super::bells::Bells;
use super::block_on_waker::BlockOnWaker;
use super::clock::Clock;
use super::context::{Held, LoopNumber};
use super::guards::Guards;
use super::guest::GuestWaker;
use super::parker::Parker;
use super::shared::{Refusal, Shared};
use super::spin::SpinBudget;
use super::watchdog::Watchdog;
use crate::error::JoinError;
use crate::handle::Handle;
use crate::id::TaskId;
use crate::metrics::{TaskInfo, TaskState};
use crate::panic::PanicHook;
use crate::scheduler::wheel::TimerKey;
use crate::scheduler::{Activity, Done, Host, Scheduler, TaskMeta, TaskSnapshot};
use crate::shutdown::{Phase, ShutdownReport};
use crate::task::cell::{Label, Origin};
use crate::task::join::Join;
use crate::task::loop_side::LoopSide;
use crate::task::run_queues::RunQueues;
use crate::task::spawn::{NewTask, Vacant};
use crate::tick::{Tick, nanos};

#[cfg(all(feature = "io", unix))]
pub(crate) use self::io::IoTicket;
#[cfg(all(feature = "io", unix))]
pub(crate) use self::registering::forget;

pub(crate) use self::settings::{Limits, Settings};

/// After more polls than this the time is asked for anew.
const FEW: usize = 4;

/// The loop, for its own thread.
pub(crate) struct Local {
    pub(crate) scheduler: Scheduler,
    pub(crate) shared: Arc<Shared>,
    pub(crate) guards: Guards,
    parker: Parker,
    batch: usize,
    pub(crate) pace: Pace,
    spin: SpinBudget,
    /// How much longer than to the next deadline it may sleep.
    tolerance: Tick,
    /// The waker of a host that polls the executor.
    pub(crate) guest: GuestWaker,
    /// Until the loop has ended.
    on_panic: RefCell<Option<Rc<PanicHook>>>,
    watchdog: Option<Watchdog>,
    /// Whether there is a watchdog or a gate.
    looks_on: bool,
    phase: Cell<Phase>,
    now: Cell<Reading>,
    /// What the clock said when a task last asked, if that was just now: see [`Self::read_clock`].
    read: Cell<Option<Tick>>,
    /// What wakes the future that is polled beside the tasks, if there is one.
    pub(crate) main: RefCell<Option<Arc<BlockOnWaker>>>,
    report: RefCell<ShutdownReport>,
    /// Those who are to be asked to end, in spawn order.
    to_ask: RefCell<VecDeque<TaskId>>,
    refusals: Refusals,
    /// Whether the way in is closed.
    closed: Cell<bool>,
    /// How many calls that block, on this thread inside of the run, keep the loop from going on.
    pub(super) held: Cell<u32>,
    #[cfg(all(feature = "io", unix))]
    io: io::Io,
}

impl Local {
    /// Builds a loop that lives on this thread from now on.
    pub(crate) fn new(settings: Settings) -> Rc<Self> {
        let (parker, limits) = (Parker::default(), settings.limits());
        let guest = GuestWaker::default();
        #[cfg(not(all(feature = "io", unix)))]
        let side =
            LoopSide::new(rouse(parker.clone().into_bell(), guest.clone(), settings.on_wake));
        #[cfg(all(feature = "io", unix))]
        let bells = Bells::new(parker.clone());
        #[cfg(all(feature = "io", unix))]
        let side = LoopSide::new(rouse(bells.clone().into_bell(), guest.clone(), settings.on_wake));
        let clock = settings.virtual_time.map_or(Clock::Real, |_| Clock::at_rest());
        let run_queues = side.run_queues().clone();
        let shared = LoopNumber::give(|number| Shared::new(number, run_queues, clock, limits));
        Rc::new(Self {
            scheduler: Scheduler::new(side, shared.clock.now())
                .drawn_from(settings.virtual_time.unwrap_or(0)),
            shared,
            guards: Guards::default(),
            parker,
            batch: settings.batch,
            pace: Pace::new(settings.poll_budget),
            spin: SpinBudget::of(settings.spin),
            tolerance: nanos(settings.timer_tolerance),
            guest,
            looks_on: settings.watchdog.is_some() || settings.capacity.is_some(),
            on_panic: RefCell::new(settings.on_panic.map(Rc::new)),
            watchdog: settings.watchdog,
            phase: Cell::new(Phase::Running),
            now: Cell::new(Reading::Outside),
            read: Cell::new(None),
            main: RefCell::default(),
            report: RefCell::default(),
            to_ask: RefCell::default(),
            refusals: Refusals::default(),
            closed: Cell::new(false),
            held: Cell::new(0),
            #[cfg(all(feature = "io", unix))]
            io: io::Io::new(bells),
        })
    }

    pub(crate) fn address(&self) -> *const () {
        RunQueues::address(&self.shared.run_queues)
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Whether the loop is over: nothing comes in any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.closed.get()
    }

    /// Spawns on this thread, straight to the ready queue, what was made in a cell of the scheduler's.
    #[inline]
    pub(crate) fn spawn<F: Future, L: Label>(&self, task: NewTask<F, L>) -> Join<F::Output> {
        let join = self.scheduler.spawn(task, self.now());
        if self.shared.is_closed() {
            self.spawned_late(join.id());
        }
        self.tell_host();
        join
    }

    /// Spawns on this thread a task that waits for a timer. The loop [accepts](Self::accepts).
    pub(crate) fn spawn_timed<F: Future>(
        &self,
        deadline: Tick,
        make: impl FnOnce(TimerKey) -> F,
        at_once: bool,
        location: &'static Location<'static>,
    ) -> Join<F::Output> {
        self.visit(|local| {
            let scheduler = &local.scheduler;
            let join = scheduler.spawn_timed(deadline, make, at_once, location, local.now());
            if local.shared.is_closed() {
                local.spawned_late(join.id());
            }
            join
        })
    }

    /// Begins a spawn on this thread of a future that cannot leave it: a cell for it, and whether its task
    /// will be taken.
    #[inline]
    pub(crate) fn open<F: Future, L: Label>(
        &self,
        label: L,
        location: &'static Location<'static>,
    ) -> (bool, Vacant<F, L>) {
        if self.accepts() {
            return (true, self.scheduler.vacant(label, location));
        }
        (false, Vacant::refused(label, self.origin(location), self.shared.run_queues.clone()))
    }

    /// Spawns it, or ends it here if it is not taken.
    pub(crate) fn spawn_local<F: Future + 'static, L: Label>(
        &self,
        taken: bool,
        task: NewTask<F, L>,
    ) -> Join<F::Output> {
        if taken {
            return self.spawn(task);
        }
        self.shared.refusal(Refusal::Closed);
        self.end_refused(task, |task| task.end(JoinError::Closed))
    }

    /// The same from inside the run: nobody has to be told.
    #[inline]
    pub(crate) fn spawn_inside<F: Future + 'static, L: Label>(
        &self,
        taken: bool,
        task: NewTask<F, L>,
    ) -> Join<F::Output> {
        if !taken || self.shared.is_closed() {
            return self.spawn_local(taken, task);
        }
        self.scheduler.spawn(task, self.now())
    }

    /// Has `end` drop what was not taken.
    pub(crate) fn end_refused<T, R>(&self, task: T, end: impl FnOnce(T) -> Join<R>) -> Join<R>
    where
        T: 'static,
        R: 'static,
    {
        self.refusals.end(task, end).unwrap_or_else(|| {
            let (origin, owner) = (self.origin(Location::caller()), self.shared.run_queues.clone());
            Vacant::refused((), origin, owner).fill(pending()).end(JoinError::Closed)
        })
    }

    fn origin(&self, location: &'static Location<'static>) -> Origin {
        Origin { serial: self.scheduler.draw_serial(), location }
    }

    /// One turn. The caller has entered.
    pub(crate) fn turn(&self) -> Done {
        self.turn_inlined()
    }

    /// The same for a caller that makes single turns.
    #[inline(always)]
    pub(crate) fn turn_inlined(&self) -> Done {
        self.scheduler.side.resume();
        let read = self.read.take();
        self.now.set(read.map_or(Reading::Wanted, Reading::Of));
        if self.shared.is_closed() {
            // The request may have come after the reading, and its limits may have passed.
            self.now.set(Reading::Wanted);
            self.advance_shutdown();
        }
        // What came due since the reading waits for the rest of the last batch already.
        let batch =
            if read.is_some() { self.batch.saturating_sub(FEW - 1).max(1) } else { self.batch };
        let done = self.scheduler.turn(self, batch);
        if done.polls > FEW {
            self.forget_reading();
        }
        done
    }

    /// The time of this turn; outside of a turn the time.
    pub(crate) fn time(&self) -> Tick {
        self.now()
    }

    /// The caller on this thread has changed something: outside of the loop's run its host has to know.
    pub(crate) fn tell_host(&self) {
        if !RunQueues::is_current(&self.shared.run_queues) {
            self.shared.run_queues.notify();
        }
    }

    /// Does what a caller on this thread asks for. Outside of the loop's run its host has to know if there
    /// is something to do since, or at another time than before; of a mere look it is not told.
    pub(crate) fn visit<R>(&self, f: impl FnOnce(&Self) -> R) -> R {
        if RunQueues::is_current(&self.shared.run_queues) {
            return f(self);
        }
        let outlook = || (self.scheduler.is_idle(), self.next_deadline());
        let before = outlook();
        let result = f(self);
        if outlook() != before {
            self.shared.run_queues.notify();
        }
        result
    }

    /// Runs turns until the loop was asked to end and has.
    pub(crate) fn run(&self) {
        let _held = Held::by(self);
        let _entered = self.scheduler.side.enter();
        self.forget_reading();
        self.keep_pace();
        loop {
            let done = self.turn();
            if self.end_if_empty() {
                break;
            }
            if self.is_idle() && !done.more_timers {
                self.park();
            } else {
                self.look_if_due();
            }
        }
        self.close();
    }

    /// Waits until no thread of the loop's but its own is left, except for jobs past their limit. It was closed.
    pub(crate) fn join_threads(&self) {
        self.shared.pool.join();
        if let Some(watchdog) = &self.watchdog {
            watchdog.join();
        }
    }

    /// Every task that has not ended, in spawn order.
    pub(crate) fn tasks(&self) -> Vec<TaskInfo> {
        let now = self.now();
        self.scheduler.snapshot(now).into_iter().map(|details| Self::info(details, now)).collect()
    }

    fn info(details: TaskSnapshot, now: Tick) -> TaskInfo {
        let TaskSnapshot { subject: TaskMeta { id, name, location }, activity, polls, since } =
            details;
        let state = match activity {
            Activity::Idle => TaskState::Idle,
            Activity::Ready => TaskState::Ready,
            Activity::Running => TaskState::Running,
        };
        let age = Duration::from_nanos(now.saturating_sub(since));
        TaskInfo { id, name, location, state, polls, age }
    }
}

/// Without I/O there is nothing to look for.
#[cfg(not(all(feature = "io", unix)))]
impl Local {
    #[inline(always)]
    pub(crate) fn look_if_due(&self) {}

    #[inline(always)]
    pub(crate) fn look_for_host(&self) {}

    #[inline(always)]
    pub(crate) fn look_for_io(&self) -> bool {
        false
    }

    #[inline(always)]
    fn sleep_in_driver(&self, _deadline: Option<std::time::Instant>) -> bool {
        false
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.shared.number.forget();
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("phase", &self.phase.get()).finish_non_exhaustive()
    }
}
