//! One loop on its thread: the scheduler, its clock and hooks, and the way it ends.

mod host;
mod pace;
mod parking;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::pace::Pace;
use self::parking::Reading;
use super::clock::Clock;
use super::context::Number;
use super::guards::Guards;
use super::main_future::Main;
use super::parker::Parker;
use super::patience::Patience;
use super::shared::Shared;
use super::watchdog::{Busy, Watchdog};
use crate::error::discard;
use crate::handle::Handle;
use crate::metrics::{TaskInfo, TaskState};
use crate::panic::PanicHook;
use crate::scheduler::wheel::TimerKey;
use crate::scheduler::{Activity, Details, Done, Host, Scheduler, Subject};
use crate::shutdown::{Phase, ShutdownReport};
use crate::task::cell::{Label, Origin};
use crate::task::join::Join;
use crate::task::loop_side::LoopSide;
use crate::task::mailbox::{Mailbox, Unpark};
use crate::task::spawn::refused;
use crate::task::state::Request;
use crate::tick::{NEVER, Tick};

/// After more polls than this the time is asked for anew.
const FEW: usize = 4;

/// What a loop is built with.
pub(crate) struct Settings {
    pub(crate) batch: usize,
    pub(crate) poll_budget: Duration,
    pub(crate) spin: Duration,
    pub(crate) on_panic: Option<PanicHook>,
    pub(crate) on_wake: Option<Unpark>,
    pub(crate) capacity: Option<usize>,
    pub(crate) blocking_threads: usize,
    pub(crate) watchdog: Option<Watchdog>,
    /// The seed, if time is virtual.
    pub(crate) virtual_time: Option<u64>,
}

/// What is bounded, and how busy the loop is: for those who share it.
pub(crate) struct Limits {
    pub(crate) capacity: Option<usize>,
    pub(crate) blocking_threads: usize,
    pub(crate) busy: Option<Busy>,
}

/// The loop, for its own thread.
pub(crate) struct Local {
    pub(crate) scheduler: Scheduler,
    pub(crate) shared: Arc<Shared>,
    pub(crate) guards: Guards,
    parker: Parker,
    batch: usize,
    pub(crate) pace: Pace,
    patience: Patience,
    on_panic: Option<PanicHook>,
    watchdog: Option<Watchdog>,
    phase: Cell<Phase>,
    now: Cell<Reading>,
    /// What the clock said when a task last asked, if that was just now: see [`Self::read_clock`].
    read: Cell<Option<Tick>>,
    /// What wakes the future that is polled beside the tasks, if there is one.
    pub(super) main: RefCell<Option<Arc<Main>>>,
    report: RefCell<ShutdownReport>,
    /// Whether the way in is closed.
    closed: Cell<bool>,
}

impl Local {
    /// Builds a loop that lives on this thread from now on.
    pub(crate) fn new(settings: Settings) -> Rc<Self> {
        let parker = Parker::default();
        let bell = parker.clone();
        let unpark: Unpark = match settings.on_wake {
            None => Box::new(move || bell.unpark()),
            Some(hook) => Box::new(move || {
                bell.unpark();
                hook();
            }),
        };
        let side = LoopSide::new(unpark);
        let limits = Limits {
            capacity: settings.capacity,
            blocking_threads: settings.blocking_threads,
            busy: settings.watchdog.as_ref().map(Watchdog::busy),
        };
        let clock = settings.virtual_time.map_or(Clock::Real, |_| Clock::at_rest());
        let mailbox = side.mailbox().clone();
        let shared = Number::give(|number| Shared::new(number, mailbox, clock, limits));
        Rc::new(Self {
            scheduler: Scheduler::new(side, shared.clock.now())
                .drawn_from(settings.virtual_time.unwrap_or(0)),
            shared,
            guards: Guards::default(),
            parker,
            batch: settings.batch,
            pace: Pace::new(settings.poll_budget),
            patience: Patience::of(settings.spin),
            on_panic: settings.on_panic,
            watchdog: settings.watchdog,
            phase: Cell::new(Phase::Running),
            now: Cell::new(Reading::Outside),
            read: Cell::new(None),
            main: RefCell::default(),
            report: RefCell::default(),
            closed: Cell::new(false),
        })
    }

    pub(crate) fn address(&self) -> *const () {
        Mailbox::address(&self.shared.mailbox)
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::new(self.shared.clone())
    }

    /// Whether the loop is over: nothing comes in any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.closed.get()
    }

    /// What the report would say if the loop ended now.
    pub(crate) fn report(&self) -> ShutdownReport {
        self.report.borrow().clone()
    }

    /// Whether a spawn on this thread is taken: until the request to end, and while draining from
    /// inside the run.
    #[inline]
    pub(crate) fn accepts(&self) -> bool {
        !self.shared.is_closed() || self.drains()
    }

    fn drains(&self) -> bool {
        self.scheduler.side.is_entered() && self.phase.get() <= Phase::Draining
    }

    /// Spawns on this thread, straight to the ready queue. The loop [accepts](Self::accepts).
    #[inline]
    pub(crate) fn spawn<F: Future, L: Label>(
        &self,
        future: F,
        label: L,
        location: &'static Location<'static>,
    ) -> Join<F::Output> {
        let join = self.scheduler.spawn(future, label, location, self.now());
        self.tell_host();
        join
    }

    /// Spawns on this thread a task that waits for a timer. The loop [accepts](Self::accepts).
    pub(crate) fn spawn_timed<F: Future>(
        &self,
        deadline: Tick,
        make: impl FnOnce(TimerKey) -> F,
        location: &'static Location<'static>,
    ) -> Join<F::Output> {
        self.visit(|local| local.scheduler.spawn_timed(deadline, make, location, local.now()))
    }

    /// Spawns on this thread a future that cannot leave it. If it is not taken it is ended here.
    pub(crate) fn spawn_local<F: Future, L: Label>(
        &self,
        future: F,
        label: L,
        location: &'static Location<'static>,
    ) -> Join<F::Output> {
        if self.accepts() {
            return self.spawn(future, label, location);
        }
        self.refuse(future, location)
    }

    /// The same from inside the run: nobody has to be told.
    #[inline]
    pub(crate) fn spawn_inside<F: Future>(
        &self,
        future: F,
        location: &'static Location<'static>,
    ) -> Join<F::Output> {
        if self.accepts() {
            return self.scheduler.spawn(future, (), location, self.now());
        }
        self.refuse(future, location)
    }

    #[inline(never)]
    fn refuse<F: Future>(
        &self,
        future: F,
        location: &'static Location<'static>,
    ) -> Join<F::Output> {
        let origin = Origin { serial: self.scheduler.draw_serial(), location };
        refused(future, origin, self.shared.mailbox.clone())
    }

    /// One turn. The caller has entered.
    #[inline]
    pub(crate) fn turn(&self) -> Done {
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

    /// Goes from phase to phase as the plan has it.
    fn advance_shutdown(&self) {
        let Some(plan) = self.shared.plan() else { return };
        if self.phase.get() == Phase::Running {
            self.phase.set(Phase::Draining);
            // What was accepted before the request is part of what is ended and reported.
            self.scheduler.take_in_all(self);
        }
        let now = self.now();
        let cancels = plan.cancel_at <= plan.abort_at;
        if self.phase.get() == Phase::Draining && cancels && plan.cancel_at <= now {
            self.phase.set(Phase::Cancelling);
            self.scheduler.request_all(Request::Cancel);
        } else if plan.abort_at <= now && self.phase.get() < Phase::Ended {
            self.phase.set(Phase::Cancelling);
            self.scheduler.end_all(self);
        }
    }

    /// Whether the loop was asked to end and nothing is left of it.
    pub(crate) fn is_over(&self) -> bool {
        if self.phase.get() > Phase::Running && self.scheduler.live() == 0 {
            self.phase.set(Phase::Ended);
        }
        self.phase.get() == Phase::Ended
    }

    /// The instant at which the loop has to look again though nobody wakes it; `None` for never.
    pub(crate) fn next_deadline(&self) -> Option<Tick> {
        let timer = self.scheduler.next_deadline();
        let limit = self.shared.plan().map(|plan| match self.phase.get() {
            Phase::Running => 0,
            Phase::Draining => plan.cancel_at.min(plan.abort_at),
            Phase::Cancelling => plan.abort_at,
            Phase::Ended => NEVER,
        });
        [timer, limit].into_iter().flatten().min().filter(|tick| *tick != NEVER)
    }

    /// The time of this turn; outside of a turn the time.
    pub(crate) fn time(&self) -> Tick {
        self.now()
    }

    /// The caller on this thread has changed something: outside of the loop's run its host has to know.
    pub(crate) fn tell_host(&self) {
        if !Mailbox::is_current(&self.shared.mailbox) {
            self.shared.mailbox.notify();
        }
    }

    /// Does what a caller on this thread asks for. Outside of the loop's run its host has to know if there
    /// is something to do since, or at another time than before; of a mere look it is not told.
    pub(crate) fn visit<R>(&self, f: impl FnOnce(&Self) -> R) -> R {
        if Mailbox::is_current(&self.shared.mailbox) {
            return f(self);
        }
        let outlook = || (self.scheduler.is_idle(), self.next_deadline());
        let before = outlook();
        let result = f(self);
        if outlook() != before {
            self.shared.mailbox.notify();
        }
        result
    }

    /// Runs turns until the loop was asked to end and has.
    pub(crate) fn run(&self) -> ShutdownReport {
        let _entered = self.scheduler.side.enter();
        self.forget_reading();
        self.keep_pace();
        loop {
            let done = self.turn();
            if self.is_over() {
                break;
            }
            if self.scheduler.is_idle() && !done.more_timers {
                self.park();
            }
        }
        self.close();
        self.report()
    }

    /// The loop's end: what still lives is dropped in spawn order, and nothing comes in any more.
    pub(crate) fn close(&self) {
        let _entered = self.scheduler.side.enter();
        if self.closed.get() {
            // Timers may have been armed since, by a `block_on`.
            self.scheduler.disarm_all();
            return;
        }
        self.phase.set(Phase::Ended);
        self.shared.refuse();
        self.now.set(Reading::Wanted); // one for all that ends
        self.scheduler.close(self);
        self.leave_turn();
        self.scheduler.disarm_all();
        self.closed.set(true);
        self.shared.pool.close();
        *self.shared.last_report.lock() = self.report();
    }

    /// Every task that has not ended, in spawn order.
    pub(crate) fn tasks(&self) -> Vec<TaskInfo> {
        self.scheduler.snapshot().into_iter().map(|details| self.info(details)).collect()
    }

    fn info(&self, details: Details) -> TaskInfo {
        let Details { subject: Subject { id, name, location }, activity, polls, since } = details;
        let state = match activity {
            Activity::Idle => TaskState::Idle,
            Activity::Ready => TaskState::Ready,
            Activity::Running => TaskState::Running,
        };
        let age = Duration::from_nanos(self.now().saturating_sub(since));
        TaskInfo { id, name, location, state, polls, age }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.shared.number.forget();
        discard(self.on_panic.take());
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("phase", &self.phase.get()).finish_non_exhaustive()
    }
}
