//! Callbacks: called soon, later, or again and again, on the loop and in the model.
//!
//! Most polls of a callback that waits run no code of the program's: the model makes them unseen, where
//! they come in the order of polls.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use sideloop::{Canceller, JoinError, JoinHandle, TaskId};

use super::deeds::perform;
use super::model::{Blame, End, Model, NEVER, Waits};
use super::program::{Script, Step, Via, When};
use super::world::{Body, Output, afar, model, panic_as_planned, world};

/// What a callback waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    /// The next grid point; one that is not repeated has none.
    next: Option<u128>,
    period: u64,
    yielded: bool,
}

/// The deadline that an instant so long after the beginning stands for.
pub(crate) fn deadline_of(tick: u128) -> u64 {
    u64::try_from(tick).unwrap_or(NEVER)
}

// ───────────── the model ─────────────

impl Model {
    /// The task that was just spawned is a callback.
    pub(crate) fn call_later(&mut self, when: When) {
        let (task, now) = (self.tasks.len() - 1, u128::from(self.now));
        let at = match when {
            When::Soon | When::After(Some(0)) => return,
            When::After(None) => u128::MAX,
            When::After(Some(span)) => now + u128::from(span),
            When::Every(period, _) => now + u128::from(period),
        };
        let (next, period) = match when {
            When::Every(period, _) => (Some(at), period),
            _ => (None, 0),
        };
        self.tasks[task].call = Some(Timed { next, period, yielded: true });
        self.tasks[task].repeats = next.is_some();
        self.sleep(task, deadline_of(at));
        if self.tasks[task].known {
            self.visit(|model| model.arm_call(task));
        }
    }

    /// A callback for later is armed when it is handed in: here, or when it is taken in (M2).
    pub(crate) fn arm_call(&mut self, task: usize) {
        self.tasks[task].waits = Waits::Sleep;
        self.poll_sleep(task);
    }

    /// Whether this poll of a repeated callback ends it, because a drain has begun (H7).
    pub(crate) fn ends_unseen(&mut self, task: usize) -> bool {
        let repeats = self.tasks[task].repeats;
        if repeats && self.draining {
            self.note("repeated callback that ends with a drain");
            self.count_poll(task);
            self.tasks[task].result = Some(End::Finished);
        } else if repeats && !self.repeated.contains(&task) {
            self.repeated.push(task);
        }
        repeats && self.draining
    }

    /// Whether this poll only waits: then it is made here.
    pub(crate) fn is_polled_unseen(&mut self, task: usize) -> bool {
        let unseen = self.tasks[task].call.is_some() && !self.is_due(task);
        if unseen {
            let waits = self.tasks[task].waits;
            self.count_poll(task);
            self.tasks[task].waits = waits;
        }
        unseen
    }

    /// Polls what the callback waits for (M1, M10).
    fn is_due(&mut self, task: usize) -> bool {
        self.tasks[task].waits = Waits::Sleep;
        let Some(Timed { next, period, yielded }) = self.tasks[task].call else { return true };
        let Some(scheduled) = next else { return self.poll_sleep(task) };
        let now = u128::from(self.now);
        if now < scheduled {
            self.tasks[task].call = Some(Timed { next, period, yielded: true });
            if !self.poll_sleep(task) {
                return false;
            }
        } else if !yielded {
            self.tasks[task].call = Some(Timed { next, period, yielded: true });
            self.tasks[task].waits = Waits::Nothing;
            self.wake(task, true);
            return false;
        }
        // It keeps its grid, and skips what was missed.
        let late = now.saturating_sub(scheduled) % u128::from(period);
        let next = now.max(scheduled) + u128::from(period) - late;
        self.wake_up(task);
        self.sleep(task, deadline_of(next));
        self.tasks[task].call = Some(Timed { next: Some(next), period, yielded: false });
        true
    }

    /// What a callback waits for goes with it.
    pub(crate) fn forget_call(&mut self, task: usize) {
        if self.tasks[task].call.take().is_some() {
            self.wake_up(task);
        }
    }

    /// A call of many is over, and its poll goes on to wait.
    fn called(&mut self, task: usize) {
        let due = self.is_due(task);
        self.check(!due, || format!("{task} is called twice in one poll"));
    }
}

// ───────────── the world ─────────────

/// Has the loop call back.
pub(crate) fn call(script: Rc<Script>, when: When, via: Via) {
    // The order of polls that a seed draws cannot be told where some are unseen.
    let when = if model(|model| model.drawn) { When::Soon } else { when };
    let (handle, body) = world(|world| {
        let timed = !matches!(when, When::Soon | When::After(Some(0)));
        world.model.spawn(via == Via::Afar, script.output_panics, timed);
        let body = world.record(script);
        (world.handle.clone(), body)
    });
    let task = body.task;
    model(|model| model.call_later(when));
    let begin = move || match when {
        When::Soon => Held::Task(handle.call(move || body.call())),
        When::After(span) => {
            let delay = span.map_or(Duration::MAX, Duration::from_nanos);
            Held::Task(handle.call_after(delay, move || body.call()))
        }
        When::Every(period, times) => {
            let mut left = times;
            let calls = handle.call_every(Duration::from_nanos(period), move || {
                left -= 1;
                body.call_again(left == 0);
            });
            Held::Every(calls.expect("the period is not zero"))
        }
    };
    let held = if via == Via::Afar { afar(begin) } else { begin() };
    world(|world| world.hold(task, held));
}

impl Body {
    /// A call, which is all that there is of its task.
    fn call(self) -> Output {
        self.begin(None);
        model(|model| model.note("callback"));
        self.follow_what_does_not_wait();
        // Dropped by hand: where a destructor panics on the way out, what is returned is leaked (rust#47949).
        let output = self.output();
        drop(self);
        output
    }

    /// One call of many; the last one panics.
    fn call_again(&self, last: bool) {
        self.begin(None);
        model(|model| model.note("repeated callback"));
        self.follow_what_does_not_wait();
        if last {
            self.panic();
        }
        model(|model| model.called(self.task));
    }

    fn follow_what_does_not_wait(&self) {
        let script = world(|world| world.tasks[self.task].script.clone());
        for step in &script.steps {
            match *step {
                Step::Act(act) => perform(act),
                Step::Panic => self.panic(),
                _ => {}
            }
        }
    }

    fn panic(&self) {
        model(|model| {
            model.tasks[self.task].result = Some(End::Panicked(Blame::Poll));
            model.note("panic in a callback");
        });
        panic_as_planned(self.task, Blame::Poll);
    }
}

/// The handle of a task; a callback that is repeated gives no output.
pub(crate) enum Held {
    Task(JoinHandle<Output>),
    Every(JoinHandle<()>),
}

/// What a handle gives.
pub(crate) type Outcome = Result<Option<Output>, JoinError>;

/// A repeated callback has no output: it ends when a drain begins, by a panic, or by a request.
fn gives_none(outcome: Result<(), JoinError>) -> Outcome {
    outcome.map(|()| None)
}

impl Held {
    pub(crate) fn id(&self) -> TaskId {
        match self {
            Self::Task(handle) => handle.id(),
            Self::Every(handle) => handle.id(),
        }
    }

    pub(crate) fn canceller(&self) -> Canceller {
        match self {
            Self::Task(handle) => handle.canceller(),
            Self::Every(handle) => handle.canceller(),
        }
    }

    pub(crate) fn join(self) -> Outcome {
        match self {
            Self::Task(handle) => handle.join().map(Some),
            Self::Every(handle) => gives_none(handle.join()),
        }
    }

    pub(crate) fn join_at_once(self) -> Result<Outcome, Self> {
        match self {
            Self::Task(handle) => {
                let joined = handle.join_timeout(Duration::ZERO);
                joined.map(|outcome| outcome.map(Some)).map_err(Self::Task)
            }
            Self::Every(handle) => {
                handle.join_timeout(Duration::ZERO).map(gives_none).map_err(Self::Every)
            }
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self {
            Self::Task(handle) => Pin::new(handle).poll(cx).map_ok(Some),
            Self::Every(handle) => Pin::new(handle).poll(cx).map(gives_none),
        }
    }
}
