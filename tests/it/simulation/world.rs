//! Programs, run: their tasks on a real executor, each deed told to the model.
//!
//! All of it lies in a thread-local, so that a task is a number and may be spawned from any thread.
//! No deed is done while that is borrowed: it may come back here by a destructor, a waker or a hook.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use sideloop::time::{self, Sleep};
use sideloop::{CancelGuard, CancelRequest, Handle, JoinHandle, TaskId, current_task, yield_now};

use super::calls::Held;
use super::deeds::{cancel_by_id, perform};
use super::model::{Blame, End, Joiner, Model, NEVER, Waits};
use super::outcomes::{Foreign, poll_handle};
use super::program::{How, Script, Span, Step, Via};

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// What belongs to one run of a program.
pub(crate) struct World {
    pub(crate) model: Model,
    pub(crate) scripts: Vec<Rc<Script>>,
    pub(crate) handle: Handle,
    pub(crate) origin: Instant,
    pub(crate) tasks: Vec<Record>,
    /// Requests by id that another thread made.
    pub(crate) pending: Vec<JoinHandle<CancelRequest>>,
    pub(crate) watchers: Vec<Weak<Foreign>>,
    /// The ids that the hook for panics was told.
    pub(crate) lost: Vec<u64>,
    /// This task is asked to end after that poll.
    pub(crate) victim: Option<Victim>,
    pub(crate) afar: Arc<AtomicUsize>,
}

/// What is kept of a task.
pub(crate) struct Record {
    pub(crate) script: Rc<Script>,
    pub(crate) id: Option<TaskId>,
    pub(crate) handle: Option<Held>,
    pub(crate) waker: Option<Waker>,
    body: Option<Pin<Box<dyn Future<Output = ()>>>>,
    pub(crate) sleep: Option<Pin<Box<Sleep>>>,
    pub(crate) foreign_wakes: u64,
}

impl World {
    /// Keeps a record of a new task, of which the model knows already.
    pub(crate) fn record(&mut self, script: Rc<Script>) -> Body {
        let (id, handle, waker, body, sleep) = (None, None, None, None, None);
        let task = self.tasks.len();
        self.tasks.push(Record { script, id, handle, waker, body, sleep, foreign_wakes: 0 });
        Body { task, home: thread::current().id(), afar: self.afar.clone() }
    }

    /// Keeps the handle of a new task.
    pub(crate) fn hold(&mut self, task: usize, handle: Held) {
        self.model.tasks[task].id = handle.id().as_u64();
        self.tasks[task].id = Some(handle.id());
        self.tasks[task].handle = Some(handle);
        let refused = self.model.refusing;
        self.model.check(!refused, || format!("{task} was taken by a loop that ends"));
    }
}

/// The payload of a panic that the program has planned.
pub(crate) struct Planned(pub(crate) usize, pub(crate) Blame);

/// Where a panic unwinds already a second one would end the process: then it is left out.
pub(crate) fn panic_as_planned(task: usize, blame: Blame) {
    if !thread::panicking() {
        resume_unwind(Box::new(Planned(task, blame)));
    }
}

/// A look at the world, for as long as nothing of the crate's is called.
pub(crate) fn world<R>(look: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(|world| look(world.as_mut().expect("a program is being run")))
}

/// Puts a new world in place of the one that was there.
pub(crate) fn replace_world(new: Option<World>) -> Option<World> {
    WORLD.with_borrow_mut(|world| std::mem::replace(world, new))
}

pub(crate) fn model<R>(look: impl FnOnce(&mut Model) -> R) -> R {
    world(|world| look(&mut world.model))
}

pub(crate) fn check(holds: bool, what: impl FnOnce() -> String) {
    model(|model| model.check(holds, what));
}

/// On another thread, which is over when this returns.
pub(crate) fn afar<R: Send>(deed: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(deed).join().expect("a deed afar does not panic"))
}

// ───────────── a task ─────────────

/// Who is asked to end at which of its suspensions, beside what the program does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Victim {
    pub(crate) task: usize,
    pub(crate) poll: u64,
    pub(crate) how: How,
}

/// A task's future: a number, for the rest is in the world. Dropped on another thread it only counts that.
pub(crate) struct Body {
    pub(crate) task: usize,
    pub(crate) home: ThreadId,
    pub(crate) afar: Arc<AtomicUsize>,
}

/// What a task gives.
pub(crate) struct Output {
    pub(crate) task: usize,
    home: ThreadId,
    afar: Arc<AtomicUsize>,
    pub(crate) panics: bool,
}

impl Future for Body {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Output> {
        let me = self.task;
        self.begin(Some(cx.waker()));
        let mut body = world(|world| world.tasks[me].body.take()).unwrap_or_else(|| {
            let script = world(|world| world.tasks[me].script.clone());
            Box::pin(follow(me, script))
        });
        if body.as_mut().poll(cx).is_pending() {
            world(|world| world.tasks[me].body = Some(body));
            let polls = model(|model| model.tasks[me].polls);
            let victim = world(|world| world.victim);
            if let Some(Victim { how, .. }) = victim.filter(|v| (v.task, v.poll) == (me, polls)) {
                model(|model| model.note("end at a chosen suspension"));
                cancel_by_id(me, how, Via::Here);
            }
            return Poll::Pending;
        }
        Poll::Ready(self.output())
    }
}

impl Body {
    /// The program's own code runs: it is this task's turn, on its thread, at its time.
    pub(crate) fn begin(&self, waker: Option<&Waker>) {
        let (me, thread) = (self.task, thread::current().id());
        let (id, now) = (current_task(), time::now());
        world(|world| {
            world.model.begin_poll(me);
            let (record, truth) = (&mut world.tasks[me], &world.model.tasks[me]);
            let at = world.origin + Duration::from_nanos(world.model.now);
            let holds = thread == self.home && id.is_some_and(|id| id.as_u64() == truth.id);
            let holds = holds && now == at;
            world.model.check(holds, || format!("polled on {thread:?} as {id:?} at {now:?}"));
            if let Some(waker) = waker {
                let same = record.waker.get_or_insert_with(|| waker.clone()).will_wake(waker);
                world.model.check(same, || format!("{me} has two wakers"));
            }
        });
    }

    /// The task has come to its end.
    pub(crate) fn output(&self) -> Output {
        let (task, panics) =
            (self.task, world(|world| world.tasks[self.task].script.output_panics));
        model(|model| {
            model.tasks[task].result = Some(End::Finished);
            model.outputs += 1;
        });
        Output { task, home: self.home, afar: self.afar.clone(), panics }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if thread::current().id() != self.home {
            self.afar.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let me = self.task;
        let body = world(|world| {
            world.model.begin_drop(me);
            world.model.forget_call(me);
            world.tasks[me].body.take()
        });
        drop(body);
        let script = world(|world| world.tasks[me].script.clone());
        if let Some(act) = script.on_drop {
            perform(act);
        }
        // A poll that panics may drop a future while it unwinds, and whatever that one spawns and is refused.
        let panics = script.drop_panics && !thread::panicking();
        model(|model| model.end_drop(me, panics));
        if panics {
            model(|model| model.note("panic in a destructor"));
            panic_as_planned(me, Blame::Drop);
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if thread::current().id() != self.home {
            self.afar.fetch_add(1, Ordering::SeqCst);
            return;
        }
        model(|model| model.drop_output(self.task));
        if self.panics {
            model(|model| model.note("panic in an output's destructor"));
            panic_as_planned(self.task, Blame::Drop);
        }
    }
}

/// Does what the script says, step by step.
async fn follow(me: usize, script: Rc<Script>) {
    let mut guards = Vec::new();
    for step in &script.steps {
        match *step {
            Step::Act(act) => perform(act),
            Step::Yield => {
                waits_for(me, Waits::Nothing);
                model(|model| model.wake(me, true));
                yield_now().await;
            }
            Step::Wait => wait(me).await,
            Step::Sleep(span) => nap(me, span).await,
            Step::Join(task) => join(me, task).await,
            Step::Guard => guards.push(Guard::new(me)),
            Step::Unguard => drop(guards.pop()),
            Step::Requested => {
                if let Some(Guard(guard, _)) = guards.last() {
                    requested(me, guard).await;
                }
            }
            Step::Refuse => {
                if let Some(Guard(guard, _)) = guards.last() {
                    let (refused, truth) = (guard.refuse(), model(|model| model.refuse(me)));
                    check(refused == truth, || format!("refused {me}: {refused}"));
                    model(|model| model.note(if refused { "refusal" } else { "vain refusal" }));
                }
            }
            Step::Panic => {
                model(|model| {
                    model.tasks[me].result = Some(End::Panicked(Blame::Poll));
                    model.note("panic in a poll");
                });
                panic_as_planned(me, Blame::Poll);
            }
        }
    }
}

/// A guard of which the model knows.
struct Guard(CancelGuard, usize);

impl Guard {
    fn new(me: usize) -> Self {
        model(|model| model.guard(me));
        Self(CancelGuard::new(), me)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        model(|model| model.unguard(self.1));
    }
}

fn waits_for(me: usize, what: Waits) {
    model(|model| model.tasks[me].waits = what);
}

async fn wait(me: usize) {
    let mut waited = false;
    poll_fn(|_| {
        waits_for(me, Waits::Wake);
        if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn requested(me: usize, guard: &CancelGuard) {
    let mut requested = guard.requested();
    poll_fn(|cx| {
        let asked = Pin::new(&mut requested).poll(cx);
        waits_for(me, Waits::Request);
        let truth = model(|model| model.tasks[me].cancel);
        check(asked.is_ready() == truth, || format!("requested {me}: {asked:?}"));
        asked
    })
    .await;
}

/// Takes the sleep of its task out of the world when it goes.
struct Nap(usize);

impl Drop for Nap {
    fn drop(&mut self) {
        let sleep = world(|world| {
            world.model.wake_up(self.0);
            world.tasks[self.0].sleep.take()
        });
        drop(sleep);
    }
}

async fn nap(me: usize, span: Span) {
    let sleep = Box::pin(time::sleep(span.map_or(Duration::MAX, Duration::from_nanos)));
    world(|world| {
        let deadline = span.map_or(NEVER, |span| world.model.now.saturating_add(span));
        world.model.sleep(me, deadline);
        world.tasks[me].sleep = Some(sleep);
    });
    let _nap = Nap(me);
    poll_fn(|cx| {
        let mut sleep = world(|world| world.tasks[me].sleep.take()).expect("it is there");
        let slept = sleep.as_mut().poll(cx);
        let truth = world(|world| {
            world.tasks[me].sleep = Some(sleep);
            world.model.tasks[me].waits = Waits::Sleep;
            world.model.poll_sleep(me)
        });
        check(slept.is_ready() == truth, || format!("slept {me}: {slept:?}"));
        slept
    })
    .await;
}

async fn join(me: usize, task: usize) {
    poll_fn(|cx| {
        let (task, handle) = world(|world| {
            let task = task % world.tasks.len();
            (task, world.tasks[task].handle.take())
        });
        let Some(handle) = handle else { return Poll::Ready(()) };
        waits_for(me, Waits::Join);
        poll_handle(task, handle, cx, Joiner::Task(me))
    })
    .await;
}
