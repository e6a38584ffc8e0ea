//! Requests to a loop: what it is to do itself, ahead of any backlog.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::rc::Rc;
use std::task::Poll;

use super::context;
use super::local::Local;
use super::shared::{Shared, origin};
use crate::error::JoinError;
use crate::id::TaskId;
use crate::sync::Arc;
use crate::task::join::{Join, TaskRef};
use crate::task::run_queues::RunQueues;
use crate::task::spawn::{Kind, NewTask};

impl Shared {
    /// As [`Shared::control`], once the loop knows the task, which may be on its way still, or cannot come. Here,
    /// if this is its thread: with `waiting`, if the task waits to be taken in.
    #[track_caller]
    pub(crate) fn control_of<R>(
        &self,
        id: TaskId,
        f: impl FnOnce(&Local) -> R + Send + 'static,
        waiting: impl FnOnce(TaskRef) -> R + Send + 'static,
    ) -> Join<R>
    where
        R: Send + 'static,
    {
        let home = context::home(&self.run_queues);
        if let Some(local) = &home {
            return match local.scheduler.waiting_task(id) {
                Some(task) => post(&self.run_queues, home, async move { waiting(task) }),
                None => post(&self.run_queues, home, async move { f(&this_loop()) }),
            };
        }
        let mut round = None;
        let request = async move {
            poll_fn(|_| match this_loop().scheduler.awaits(id, &mut round) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
            f(&this_loop())
        };
        post(&self.run_queues, None, request)
    }

    /// Has the loop run `f` ahead of any backlog, or here if this is its thread.
    #[track_caller]
    pub(crate) fn control<R>(&self, f: impl FnOnce(&Local) -> R + Send + 'static) -> Join<R>
    where
        R: Send + 'static,
    {
        control(&self.run_queues, f)
    }
}

/// Has the loop of these run queues run `f` ahead of any backlog, or here if this is its thread.
#[track_caller]
pub(crate) fn control<R>(
    run_queues: &Arc<RunQueues>,
    f: impl FnOnce(&Local) -> R + Send + 'static,
) -> Join<R>
where
    R: Send + 'static,
{
    post(run_queues, context::home(run_queues), async move { f(&this_loop()) })
}

/// The loop that runs a control request.
fn this_loop() -> Rc<Local> {
    // PANICS: it cannot: control requests run inside their loop's run.
    context::current().expect("a control request runs on its loop")
}

/// Hands a control request to the loop of these run queues, or runs it here if this is its `home`.
#[track_caller]
fn post<R: Send + 'static>(
    run_queues: &Arc<RunQueues>,
    home: Option<Rc<Local>>,
    request: impl Future<Output = R> + Send + 'static,
) -> Join<R> {
    let origin = origin(Location::caller());
    let task = NewTask::new(request, (), origin, run_queues.clone(), Kind::Control);
    match home {
        Some(local) if local.has_ended() => task.end(JoinError::Closed),
        Some(local) => local.visit(|local| {
            let _entered = local.scheduler.side.enter();
            task.run_here()
        }),
        None => task.push(run_queues).unwrap_or_else(|task| task.end(JoinError::Closed)),
    }
}

/// Tells the loop of these run queues something, ahead of any backlog, or at once if this is its thread. A
/// loop without a shell hears nothing.
#[track_caller]
pub(crate) fn tell(run_queues: &Arc<RunQueues>, f: impl FnOnce(&Local) + Send + 'static) {
    if let Some(local) = context::home(run_queues) {
        return local.visit(f);
    }
    let message = async move {
        if let Some(local) = context::current() {
            f(&local);
        }
    };
    let origin = origin(Location::caller());
    let task = NewTask::new(message, (), origin, run_queues.clone(), Kind::Control);
    drop(task.push(run_queues).unwrap_or_else(|task| task.end(JoinError::Closed)));
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::future::pending;
    use std::sync::{Arc, Mutex};

    use super::{
        Join, JoinError, Kind, Location, NewTask, Poll, Shared, TaskId, origin, poll_fn, post,
        this_loop,
    };
    use crate::executor::Executor;
    use crate::id::{self, NO_KEY};

    type Last = Arc<Mutex<Option<Join<()>>>>;

    /// Sends a request that waits for a task that never comes, behind so many that each send the next. Before it
    /// is polled a task is submitted, as if by a thread that had seen the loop open.
    fn send_behind(links: usize, shared: &Arc<Shared>, last: &Last) {
        let (to, own) = (Arc::clone(shared), Arc::clone(last));
        if links > 0 {
            drop(post(&shared.run_queues, None, async move { send_behind(links - 1, &to, &own) }));
            return;
        }
        let (gone, mut round) = (TaskId::new(id::draw(), NO_KEY), None);
        let request = async move {
            let origin = origin(Location::caller());
            let task = NewTask::new(pending::<()>(), (), origin, to.run_queues.clone(), Kind::Task);
            drop(task.push(&to.run_queues).unwrap_or_else(|task| task.end(JoinError::Closed)));
            poll_fn(|_| match this_loop().scheduler.awaits(gone, &mut round) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
        };
        *last.lock().expect("nobody panics") = Some(post(&shared.run_queues, None, request));
    }

    /// P6: wherever in the loop's end the request comes, also just ahead of the close that takes the task.
    #[test]
    fn a_request_that_waits_for_what_the_close_takes_is_answered() {
        let mut sent = 0;
        for links in 0..16 {
            let (executor, last) = (Executor::new(), Last::default());
            send_behind(links, executor.handle().shared(), &last);
            drop(executor);
            if let Some(join) = last.lock().expect("nobody panics").take() {
                assert!(join.is_done(), "behind {links} others");
                sent += 1;
            }
        }
        assert!(sent > 4, "{sent} were sent before the loop refused them");
    }
}
