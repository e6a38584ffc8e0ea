//! One loop on its thread: the scheduler, its clock and hooks, and the way it ends.

mod host;
#[cfg(all(feature = "io", unix))]
mod io;
mod parking;
#[cfg(all(feature = "io", unix))]
mod registering;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

#[cfg(all(feature = "io", unix))]
use super::bells::Bells;
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
use crate::scheduler::{Activity, Details, Done, Host, Scheduler, Subject};
use crate::shutdown::{Phase, ShutdownReport};
use crate::task::cell::{Label, Origin};
use crate::task::join::Join;
use crate::task::loop_side::LoopSide;
use crate::task::mailbox::{Mailbox, Unpark};
use crate::task::spawn::refused;
use crate::task::state::Request;
use crate::tick::{NEVER, Tick};

#[cfg(all(feature = "io", unix))]
pub(crate) use self::io::Ticket;
#[cfg(all(feature = "io", unix))]
pub(crate) use self::registering::forget;

/// After more polls than this the time is asked for anew.
const FEW: usize = 4;

/// What a loop is built with.
pub(crate) struct Settings {
    pub(crate) batch: usize,
    pub(crate) spin: Duration,
    pub(crate) on_panic: Option<PanicHook>,
    pub(crate) on_wake: Option<Unpark>,
    pub(crate) capacity: Option<usize>,
    pub(crate) blocking_threads: usize,
    pub(crate) watchdog: Option<Watchdog>,
    /// The seed, if time is virtual.
    pub(crate) virtual_time: Option<u64>,
    /// What makes a driver of the user's.
    #[cfg(all(feature = "io", unix))]
    pub(crate) driver: Option<super::driver::Make>,
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
    patience: Patience,
    on_panic: Option<PanicHook>,
    watchdog: Option<Watchdog>,
    phase: Cell<Phase>,
    /// The time of this turn, once it was asked for.
    now: Cell<Option<Tick>>,
    /// What the clock said when a task last asked, if that was just now: see [`Self::read_clock`].
    read: Cell<Option<Tick>>,
    /// What wakes the future that is polled beside the tasks, if there is one.
    pub(super) main: RefCell<Option<Arc<Main>>>,
    report: RefCell<ShutdownReport>,
    /// Whether the way in is closed.
    closed: Cell<bool>,
    #[cfg(all(feature = "io", unix))]
    io: io::Io,
}

impl Local {
    /// Builds a loop that lives on this thread from now on.
    pub(crate) fn new(settings: Settings) -> Rc<Self> {
        let parker = Parker::default();
        #[cfg(not(all(feature = "io", unix)))]
        let side = LoopSide::new(rouse(parker.clone().into_bell(), settings.on_wake));
        #[cfg(all(feature = "io", unix))]
        let bells = Bells::new(parker.clone());
        #[cfg(all(feature = "io", unix))]
        let side = LoopSide::new(rouse(bells.clone().into_bell(), settings.on_wake));
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
            patience: Patience::of(settings.spin),
            on_panic: settings.on_panic,
            watchdog: settings.watchdog,
            phase: Cell::new(Phase::Running),
            now: Cell::new(None),
            read: Cell::new(None),
            main: RefCell::default(),
            report: RefCell::default(),
            closed: Cell::new(false),
            #[cfg(all(feature = "io", unix))]
            io: io::Io::new(bells),
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
        self.now.set(read);
        if self.shared.is_closed() {
            // The request may have come after the reading, and its limits may have passed.
            self.now.set(None);
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

    /// The time of this turn.
    pub(crate) fn time(&self) -> Tick {
        self.now()
    }

    /// The caller on this thread has changed something: outside of the loop's run its host has to know.
    pub(crate) fn tell_host(&self) {
        if !Mailbox::is_current(&self.shared.mailbox) {
            self.shared.mailbox.notify();
        }
    }

    /// Runs turns until the loop was asked to end and has.
    pub(crate) fn run(&self) -> ShutdownReport {
        let _entered = self.scheduler.side.enter();
        self.forget_reading();
        loop {
            let done = self.turn();
            if self.is_over() {
                break;
            }
            if self.scheduler.is_idle() && !done.more_timers {
                self.park();
            } else {
                self.look_if_due();
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
        self.scheduler.close(self);
        self.scheduler.disarm_all();
        self.closed.set(true);
        #[cfg(all(feature = "io", unix))]
        self.io.close();
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

/// How the loop is roused, and its host told.
fn rouse(bell: impl Fn() + Send + Sync + 'static, hook: Option<Unpark>) -> Unpark {
    match hook {
        None => Box::new(bell),
        Some(hook) => Box::new(move || {
            bell();
            hook();
        }),
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
        discard(self.on_panic.take());
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("phase", &self.phase.get()).finish_non_exhaustive()
    }
}
