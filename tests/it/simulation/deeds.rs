//! What tasks, destructors and the outside do: first told to the model, then done, then compared.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use sideloop::{CancelRequest, JoinError, Shutdown, TaskState};

use super::calls::{Held, call, deadline_of};
use super::model::{Answer, Joiner};
use super::outcomes::{Foreign, check_outcome, poll_handle};
use super::program::{Act, How, Script, Shut, Span, Via};
use super::world::{afar, check, model, world};

/// The most tasks that tasks may bring about.
const MOST_TASKS: usize = 48;

/// What is refused deeper inside of others is dropped after them.
const MOST_NESTED: usize = 8;

pub(crate) fn perform(act: Act) {
    let none = model(|model| model.tasks.is_empty());
    if none && !matches!(act, Act::Spawn(..) | Act::Call(..) | Act::Snapshot | Act::Shutdown(_)) {
        return;
    }
    let pick = |task: usize| model(|model| task % model.tasks.len());
    match act {
        Act::Spawn(script, via) => {
            if let Some(script) = scripted(script) {
                spawn(script, via);
            }
        }
        Act::Wake(task, via) => wake(pick(task), via),
        Act::Cancel(task, how, via) => cancel(pick(task), how, via),
        Act::CancelById(task, how, via) => cancel_by_id(pick(task), how, via),
        Act::DropHandle(task, via) => drop_handle(pick(task), via),
        Act::Join(task) => join_here(pick(task), true),
        Act::JoinAtOnce(task) => join_here(pick(task), false),
        Act::Watch { task, panics } => watch(pick(task), panics),
        Act::Reset(task, span) => reset(pick(task), span),
        Act::Snapshot => snapshot(),
        Act::Shutdown(how) => shut_down(how),
        Act::Call(script, when, via) => {
            if let Some(script) = scripted(script) {
                call(script, when, via);
            }
        }
    }
}

/// A script of the program, unless there are too many tasks already.
fn scripted(script: usize) -> Option<Rc<Script>> {
    world(|world| {
        let few = world.tasks.len() < MOST_TASKS && world.model.nested < MOST_NESTED;
        few.then(|| world.scripts[script % world.scripts.len()].clone())
    })
}

/// Spawns a task that follows `script`.
pub(crate) fn spawn(script: Rc<Script>, via: Via) {
    let (handle, body) = world(|world| {
        world.model.spawn(via == Via::Afar, script.output_panics, false);
        let body = world.record(script);
        (world.handle.clone(), body)
    });
    let task = body.task;
    let join = match via {
        Via::Afar if task % 2 == 0 => afar(|| handle.spawn_with(move || body)),
        Via::Afar => afar(|| handle.spawn(body)),
        Via::Here if task % 2 == 0 && handle.is_current() => sideloop::spawn_local(body),
        Via::Here => handle.spawn(body),
    };
    world(|world| world.hold(task, Held::Task(join)));
}

pub(crate) fn wake(task: usize, via: Via) {
    let Some(waker) = world(|world| world.tasks[task].waker.clone()) else { return };
    model(|model| {
        model.note(if via == Via::Here { "wake from here" } else { "wake from another thread" });
        model.wake(task, via == Via::Here && model.inside());
    });
    match via {
        Via::Here => waker.wake(),
        Via::Afar => afar(|| waker.wake_by_ref()),
    }
}

pub(crate) fn answer_of(request: CancelRequest) -> Answer {
    match request {
        CancelRequest::Requested => Answer::Requested,
        CancelRequest::AlreadyRequested => Answer::Already,
        CancelRequest::Finished => Answer::Finished,
        CancelRequest::NotFound => Answer::NotFound,
    }
}

fn span(span: Span) -> Duration {
    span.map_or(Duration::MAX, Duration::from_nanos)
}

pub(crate) fn cancel(task: usize, how: How, via: Via) {
    let canceller = world(|world| world.tasks[task].handle.as_ref().map(|h| h.canceller()));
    let Some(canceller) = canceller else { return };
    let how = if via == Via::Afar && how != How::Abort { How::Cancel } else { how };
    let truth = model(|model| model.ask(task, how, via == Via::Here && model.inside()));
    let request = || match how {
        How::Cancel => canceller.cancel(),
        How::Abort => canceller.abort(),
        How::Within(grace) => canceller.cancel_within(span(grace)),
    };
    let answer = answer_of(if via == Via::Here { request() } else { afar(request) });
    check(answer == truth, || format!("cancelled {task}: {answer:?}, not {truth:?}"));
}

pub(crate) fn cancel_by_id(task: usize, how: How, via: Via) {
    let found = world(|world| Some((world.tasks[task].id?, world.handle.clone())));
    let Some((id, handle)) = found else { return };
    let request = || match how {
        How::Cancel => handle.cancel(id),
        How::Abort => handle.abort(id),
        How::Within(grace) => handle.cancel_within(id, span(grace)),
    };
    if via == Via::Afar {
        model(|model| model.send_by_id(task, how));
        let pending = afar(request);
        return world(|world| world.pending.push(pending));
    }
    let truth = model(|model| {
        if model.over { None } else { Some(model.visit(|model| model.ask_by_id(task, how, true))) }
    });
    let answer = match request().join() {
        Ok(request) => Some(answer_of(request)),
        Err(_) => None,
    };
    check(answer == truth, || format!("cancelled {task} by id: {answer:?}, not {truth:?}"));
}

fn drop_handle(task: usize, via: Via) {
    let Some(handle) = world(|world| world.tasks[task].handle.take()) else { return };
    model(|model| model.drop_handle(task, via == Via::Afar));
    match via {
        Via::Here => drop(handle),
        Via::Afar => afar(|| drop(handle)),
    }
}

/// On the loop's own thread an unfinished task cannot be waited for (J4).
pub(crate) fn join_here(task: usize, blocks: bool) {
    let Some(handle) = world(|world| world.tasks[task].handle.take()) else { return };
    let ended = model(|model| model.tasks[task].end.is_some());
    let outcome = if blocks { Ok(handle.join()) } else { handle.join_at_once() };
    match outcome {
        Err(handle) => {
            check(!ended && !blocks, || format!("{task} has ended, and is not joined"));
            world(|world| world.tasks[task].handle = Some(handle));
        }
        Ok(Err(JoinError::WouldDeadlock)) => {
            check(!ended && blocks, || format!("{task} has ended, and would deadlock"));
            model(|model| model.drop_handle(task, false));
        }
        Ok(outcome) => check_outcome(task, outcome),
    }
}

fn watch(task: usize, panics: bool) {
    let Some(handle) = world(|world| world.tasks[task].handle.take()) else { return };
    let foreign = Arc::new(Foreign { task, panics });
    world(|world| world.watchers.push(Arc::downgrade(&foreign)));
    let waker = Waker::from(foreign);
    let _ = poll_handle(task, handle, &mut Context::from_waker(&waker), Joiner::Foreign);
}

fn reset(task: usize, span: Span) {
    let Some(mut sleep) = world(|world| world.tasks[task].sleep.take()) else { return };
    let at = world(|world| {
        let deadline = world.model.now.saturating_add(span.unwrap_or(u64::MAX));
        world.model.reset(task, deadline_of(deadline.into()));
        world.model.note("reset of a sleep");
        world.origin + Duration::from_nanos(deadline)
    });
    sleep.as_mut().reset(at);
    world(|world| world.tasks[task].sleep = Some(sleep));
}

/// Each live task once, in spawn order (O1).
fn snapshot() {
    let handle = world(|world| world.handle.clone());
    let Ok(tasks) = handle.tasks().join() else {
        return check(model(|model| model.over), || "no snapshot".into());
    };
    model(|model| {
        let shown = model.tasks.iter().filter(|task| task.lives() || task.is_new());
        let shown = shown.map(|t| (t.id, t.polls, t.ready || t.urgent || t.is_new()));
        let mut truth: Vec<_> = shown.collect();
        truth.sort_unstable();
        let seen = tasks.iter().zip(&truth).map(|(info, truth)| {
            // Of the one that runs it is not said whether it is ready again.
            let ready = match info.state {
                TaskState::Running => truth.2,
                state => state == TaskState::Ready,
            };
            (info.id.as_u64(), info.polls, ready)
        });
        let same = tasks.len() == truth.len() && seen.eq(truth.iter().copied());
        model.check(same, || format!("{tasks:?}, not {truth:?}"));
    });
}

fn shut_down(how: Shut) {
    model(|model| model.shut_down(how));
    let shutdown = how.grace.map_or(Shutdown::now(), |grace| Shutdown::graceful(span(grace)));
    let handle = world(|world| world.handle.clone());
    handle.shutdown(shutdown.drain(span(how.drain)));
}
