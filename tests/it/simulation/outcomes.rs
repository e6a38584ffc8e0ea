//! What handles give, against what the model knows of each task; and the wakers of no loop.

use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use sideloop::JoinError;

use super::calls::{Held, Outcome};
use super::model::{Blame, End, Joiner};
use super::world::{Planned, check, model, panic_as_planned, world};

/// Polls a handle that was taken out of the world, and puts it back if it is not ready.
pub(crate) fn poll_handle(
    task: usize,
    mut handle: Held,
    cx: &mut Context<'_>,
    joiner: Joiner,
) -> Poll<()> {
    match handle.poll(cx) {
        Poll::Pending => {
            world(|world| {
                world.tasks[task].handle = Some(handle);
                let truth = &mut world.model.tasks[task];
                truth.joiner = Some(joiner);
                let lives = truth.end.is_none();
                world.model.check(lives, || format!("joined {task}, which has ended: pending"));
            });
            Poll::Pending
        }
        Poll::Ready(outcome) => {
            check_outcome(task, outcome);
            Poll::Ready(())
        }
    }
}

/// The outcome that a handle gave is the one that the model knows.
pub(crate) fn check_outcome(task: usize, outcome: Outcome) {
    let end = match outcome {
        Ok(None) => Some(End::Finished),
        Ok(Some(mut output)) => {
            output.panics = false;
            let truth = model(|model| model.take(output.task));
            check(output.task == task && truth == Some(End::Finished), || {
                format!("joined {task}: the output of {}, {truth:?}", output.task)
            });
            return;
        }
        Err(JoinError::Cancelled) => Some(End::Cancelled),
        Err(JoinError::Closed) => Some(End::Closed),
        Err(JoinError::Panicked(payload)) => match payload.into_inner().downcast::<Planned>() {
            Ok(planned) if planned.0 == task => Some(End::Panicked(planned.1)),
            _ => None,
        },
        Err(_) => None,
    };
    let truth = model(|model| model.take(task));
    check(end.is_some() && end == truth, || format!("joined {task}: {end:?}, not {truth:?}"));
}

/// A waker of no loop.
pub(crate) struct Foreign {
    pub(crate) task: usize,
    pub(crate) panics: bool,
}

impl Wake for Foreign {
    fn wake(self: Arc<Self>) {
        world(|world| world.tasks[self.task].foreign_wakes += 1);
        if self.panics {
            model(|model| model.note("panic in a waker"));
            panic_as_planned(self.task, Blame::Poll);
        }
    }
}
