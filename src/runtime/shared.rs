//! What every handle of a loop shares: the way in, the clock, and the plan to end.

use std::future::Future;
use std::panic::Location;

use parking_lot::Mutex;

use super::clock::Clock;
use super::context;
use super::local::Local;
use crate::error::JoinError;
use crate::id;
use crate::shutdown::{Plan, Shutdown};
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::task::cell::{Label, Origin};
use crate::task::join::Join;
use crate::task::mailbox::Mailbox;
use crate::task::spawn::{Kind, NewTask, deferred};

/// One loop, as other threads know it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) clock: Clock,
    /// 1 from the first request to shut down on.
    closed: AtomicUsize,
    plan: Mutex<Option<Plan>>,
}

impl Shared {
    pub(crate) fn new(mailbox: Arc<Mailbox>, clock: Clock) -> Self {
        Self { mailbox, clock, closed: AtomicUsize::new(0), plan: Mutex::new(None) }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        // ORDERING: Acquire, paired with the Release in `shut_down`: who sees it closed sees the plan.
        self.closed.load(Ordering::Acquire) != 0
    }

    /// Asks the loop to end, or to end sooner.
    pub(crate) fn shut_down(&self, how: Shutdown) {
        let plan = how.plan(self.clock.now());
        {
            let mut current = self.plan.lock();
            *current = Some(current.map_or(plan, |earlier| earlier.or_sooner(plan)));
        }
        // ORDERING: AcqRel, paired with the Acquire in `is_closed`.
        self.closed.swap(1, Ordering::AcqRel);
        self.mailbox.notify();
    }

    /// Refuses what is spawned from now on: the loop is at its end, asked to or not.
    pub(crate) fn refuse(&self) {
        // ORDERING: AcqRel, as in `shut_down`.
        self.closed.swap(1, Ordering::AcqRel);
    }

    /// The plan, once there is one.
    #[inline]
    pub(crate) fn plan(&self) -> Option<Plan> {
        if self.is_closed() { *self.plan.lock() } else { None }
    }

    /// Spawns from any thread; gives the future back if the loop takes nothing more.
    #[inline]
    pub(crate) fn spawn<F, L>(
        &self,
        future: F,
        label: L,
        location: &'static Location<'static>,
    ) -> Result<Join<F::Output>, NewTask<F, L>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
        L: Label,
    {
        let home = context::home(&self.mailbox);
        if let Some(local) = home.as_ref().filter(|local| local.accepts()) {
            return Ok(local.spawn(future, label, location));
        }
        let task = NewTask::new(future, label, origin(location), self.mailbox.clone(), Kind::Task);
        if home.is_some() || self.is_closed() { Err(task) } else { task.push(&self.mailbox) }
    }

    /// The same for a future that is made on the loop's thread. If it is not taken it is ended here.
    pub(crate) fn spawn_with<C, F, L>(
        &self,
        make: C,
        label: L,
        location: &'static Location<'static>,
    ) -> Join<F::Output>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
        L: Label,
    {
        let home = context::home(&self.mailbox);
        if let Some(local) = home.as_ref().filter(|local| local.accepts()) {
            return local.spawn(async move { make().await }, label, location);
        }
        let task = deferred(make, label, origin(location), self.mailbox.clone());
        let taken =
            if home.is_some() || self.is_closed() { Err(task) } else { task.push(&self.mailbox) };
        taken.unwrap_or_else(|task| task.end(JoinError::Closed))
    }

    /// Has the loop run `f` ahead of any backlog, or here if this is its thread.
    #[track_caller]
    pub(crate) fn control<R>(&self, f: impl FnOnce(&Local) -> R + Send + 'static) -> Join<R>
    where
        R: Send + 'static,
    {
        let home = context::home(&self.mailbox);
        let request = async move {
            // PANICS: it cannot: control requests run inside their loop's run.
            f(&context::current().expect("a control request runs on its loop"))
        };
        let origin = origin(Location::caller());
        let task = NewTask::new(request, (), origin, self.mailbox.clone(), Kind::Control);
        match home {
            Some(local) if local.has_ended() => task.end(JoinError::Closed),
            Some(local) => {
                let _entered = local.scheduler.side.enter();
                task.run_here()
            }
            None => task.push(&self.mailbox).unwrap_or_else(|task| task.end(JoinError::Closed)),
        }
    }
}

/// Where a task of another thread comes from.
fn origin(location: &'static Location<'static>) -> Origin {
    Origin { serial: id::draw(), location }
}
