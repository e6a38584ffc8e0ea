//! What every handle of a loop shares: the way in, the clock, and the plan to end.

use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use parking_lot::Mutex;

use super::blocking::Pool;
use super::clock::Clock;
use super::closing::Closing;
use super::context::{self, Number};
use super::gate::Gate;
use super::local::{Limits, Local};
use super::watchdog::Busy;
use crate::error::JoinError;
use crate::id;
use crate::shutdown::{Plan, Shutdown, ShutdownReport};
use crate::sync::Arc;
use crate::task::cell::{Label, Origin};
use crate::task::deferred::Deferred;
use crate::task::join::Join;
use crate::task::mailbox::Mailbox;
use crate::task::spawn::{Kind, NewTask, Vacant};

/// One loop, as other threads know it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) number: Number,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) clock: Clock,
    closing: Closing<Plan>,
    /// The bound on submissions, if there is one.
    gate: Option<Gate>,
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

/// What a submission does at a full gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    Tries,
}

impl Shared {
    pub(crate) fn new(number: Number, mailbox: Arc<Mailbox>, clock: Clock, limits: Limits) -> Self {
        let Limits { capacity, blocking_threads, busy } = limits;
        let gate = capacity.map(Gate::new);
        let pool = Pool::new(blocking_threads);
        let (closing, last_report) = (Closing::new(), Mutex::default());
        Self { number, mailbox, clock, closing, gate, pool, busy, last_report }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closing.is_closed()
    }

    /// Asks the loop to end, or to end sooner.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        self.closing.request(how.plan(self.clock.now()), Plan::or_sooner, &self.mailbox);
        self.let_go();
    }

    /// Refuses what is spawned from now on: the loop is at its end, asked to or not.
    pub(crate) fn refuse(&self) {
        self.closing.close();
        self.let_go();
    }

    /// Lets go of who waits for room: there will be none.
    fn let_go(&self) {
        if let Some(gate) = &self.gate {
            gate.look_again();
        }
    }

    /// A submission was taken in, or did not come to be.
    #[inline]
    pub(crate) fn admitted(&self) {
        if let Some(gate) = &self.gate {
            gate.leave();
        }
    }

    /// How many submissions have not been taken in, where that is counted.
    pub(crate) fn submitted(&self) -> usize {
        self.gate.as_ref().map_or(0, Gate::inside)
    }

    /// How long the loop has been in user code, where that is measured.
    pub(crate) fn busy(&self) -> Duration {
        self.busy.as_ref().map_or(Duration::ZERO, Busy::time)
    }

    /// The plan, once there is one.
    #[inline]
    pub(crate) fn plan(&self) -> Option<Plan> {
        self.closing.plan()
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
        self.open_with(label, location, |label, origin, mailbox| {
            Vacant::new(label, origin, mailbox, Kind::Task)
        })
    }

    /// The same for a future that is made on the loop's thread.
    pub(crate) fn open_deferred<C, F, L>(
        &self,
        label: L,
        location: &'static Location<'static>,
    ) -> (Way, Vacant<Deferred<C, F>, L>)
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
        L: Label,
    {
        self.open_with(label, location, Vacant::deferred)
    }

    #[inline]
    fn open_with<F: Future, L: Label>(
        &self,
        label: L,
        location: &'static Location<'static>,
        elsewhere: impl FnOnce(L, Origin, Arc<Mailbox>) -> Vacant<F, L>,
    ) -> (Way, Vacant<F, L>) {
        let way = match context::home(&self.mailbox) {
            Some(local) if local.accepts() => {
                let vacant = local.scheduler.vacant(label, location);
                return (Way::Here(local), vacant);
            }
            Some(_) => Way::Nowhere,
            None => Way::Elsewhere,
        };
        (way, elsewhere(label, origin(location), self.mailbox.clone()))
    }

    /// Hands a task to the loop, past the gate; gives it back if the loop takes nothing more.
    #[inline]
    pub(crate) fn submit<F: Future, L: Label>(
        &self,
        way: Way,
        task: NewTask<F, L>,
        patience: Patience,
    ) -> Submitted<F, L>
    where
        F::Output: Send,
    {
        if let Way::Here(local) = way {
            return Ok(local.spawn(task));
        }
        if matches!(way, Way::Nowhere) || self.is_closed() {
            return Err((task, Refusal::Closed));
        }
        if let Some(gate) = &self.gate {
            let entered = match patience {
                Patience::Waits => gate.enter(|| self.is_closed()),
                Patience::Tries => gate.try_enter(),
            };
            if !entered {
                let refusal = if self.is_closed() { Refusal::Closed } else { Refusal::Full };
                return Err((task, refusal));
            }
        }
        task.push(&self.mailbox).map_err(|task| {
            self.admitted();
            (task, Refusal::Closed)
        })
    }

    /// The same, for who waits for room; if the task is not taken it is ended here.
    #[inline]
    pub(crate) fn spawn<F: Future, L: Label>(
        &self,
        way: Way,
        task: NewTask<F, L>,
    ) -> Join<F::Output>
    where
        F::Output: Send,
    {
        self.submit(way, task, Patience::Waits)
            .unwrap_or_else(|(task, _)| task.end(JoinError::Closed))
    }

    /// Has the loop run `f` ahead of any backlog, or here if this is its thread.
    #[track_caller]
    pub(crate) fn control<R>(&self, f: impl FnOnce(&Local) -> R + Send + 'static) -> Join<R>
    where
        R: Send + 'static,
    {
        control(&self.mailbox, f)
    }
}

/// Has the loop of this mailbox run `f` ahead of any backlog, or here if this is its thread.
#[track_caller]
pub(crate) fn control<R>(
    mailbox: &Arc<Mailbox>,
    f: impl FnOnce(&Local) -> R + Send + 'static,
) -> Join<R>
where
    R: Send + 'static,
{
    let home = context::home(mailbox);
    let request = async move {
        // PANICS: it cannot: control requests run inside their loop's run.
        f(&context::current().expect("a control request runs on its loop"))
    };
    let origin = origin(Location::caller());
    let task = NewTask::new(request, (), origin, mailbox.clone(), Kind::Control);
    match home {
        Some(local) if local.has_ended() => task.end(JoinError::Closed),
        Some(local) => {
            let join = {
                let _entered = local.scheduler.side.enter();
                task.run_here()
            };
            local.tell_host();
            join
        }
        None => task.push(mailbox).unwrap_or_else(|task| task.end(JoinError::Closed)),
    }
}

/// Tells the loop of this mailbox something, ahead of any backlog, or at once if this is its thread. A
/// loop without a shell hears nothing.
#[track_caller]
pub(crate) fn tell(mailbox: &Arc<Mailbox>, f: impl FnOnce(&Local) + Send + 'static) {
    if let Some(local) = context::home(mailbox) {
        f(&local);
        return local.tell_host();
    }
    let message = async move {
        if let Some(local) = context::current() {
            f(&local);
        }
    };
    let origin = origin(Location::caller());
    let task = NewTask::new(message, (), origin, mailbox.clone(), Kind::Control);
    drop(task.push(mailbox).unwrap_or_else(|task| task.end(JoinError::Closed)));
}

/// Where a task of another thread comes from.
fn origin(location: &'static Location<'static>) -> Origin {
    Origin { serial: id::draw(), location }
}
