//! Work that blocks: jobs on a pool of worker threads, each with a task on the loop that waits for it.
//!
//! Whether a job starts or is cancelled is decided by its task's state word: a worker that takes a
//! job up *pins* the task, which fails once the task was asked to end, and after which no request
//! ends it any more. Closure and result lie under a lock, and whoever takes them out owns them.
//! Modelled in `tests/loom/jobs.rs`.

mod pool;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) use self::pool::Pool;
use crate::error::{PanicPayload, contain, discard, forget_payload};
use crate::sync::Mutex;
use crate::task::join::TaskRef;

/// One job, shared by its worker and its task.
struct Job<C, R>(Mutex<Stage<C, R>>);

enum Stage<C, R> {
    Waiting(C, Option<Waker>),
    Running(Option<Waker>),
    Done(Result<R, PanicPayload>),
    /// The closure or the result was taken out, or the task is gone.
    Over,
}

impl<C, R> Job<C, R>
where
    C: FnOnce() -> R,
{
    /// On a worker: runs the job, unless its task was asked to end before.
    fn run(&self, task: TaskRef, failure: Option<String>) {
        if !task.pin() {
            return;
        }
        let Some(f) = self.start() else { return };
        let result = match failure {
            Some(message) => {
                discard(f);
                Err(PanicPayload::new(Box::new(message)))
            }
            None => {
                let before = JOB.replace(Some(task));
                let result = contain(f);
                JOB.replace(before);
                result
            }
        };
        let (waker, late) = {
            let mut stage = self.0.lock();
            match std::mem::replace(&mut *stage, Stage::Over) {
                Stage::Running(waker) => {
                    *stage = Stage::Done(result);
                    (waker, None)
                }
                _ => (None, Some(result)),
            }
        };
        discard(late);
        if let Some(Err(payload)) = waker.map(|waker| contain(|| waker.wake())) {
            forget_payload(payload);
        }
    }

    /// Takes the closure out.
    fn start(&self) -> Option<C> {
        let mut stage = self.0.lock();
        match std::mem::replace(&mut *stage, Stage::Over) {
            Stage::Waiting(f, waker) => {
                *stage = Stage::Running(waker);
                Some(f)
            }
            _ => None,
        }
    }
}

impl<C, R> Job<C, R> {
    /// In the task: the result, or the promise to wake.
    fn poll(&self, waker: &Waker) -> Poll<Result<R, PanicPayload>> {
        let mut other = Some(waker.clone());
        let result = {
            let mut stage = self.0.lock();
            match &mut *stage {
                Stage::Waiting(_, slot) | Stage::Running(slot) => {
                    std::mem::swap(slot, &mut other);
                    None
                }
                Stage::Done(_) | Stage::Over => Some(std::mem::replace(&mut *stage, Stage::Over)),
            }
        };
        discard(other);
        match result {
            Some(Stage::Done(result)) => Poll::Ready(result),
            _ => Poll::Pending,
        }
    }
}

/// The future of a job's task.
pub(crate) struct Blocking<C, R> {
    job: Arc<Job<C, R>>,
}

impl<C, R> Blocking<C, R>
where
    C: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    pub(crate) fn new(f: C) -> Self {
        Self { job: Arc::new(Job(Mutex::new(Stage::Waiting(f, None)))) }
    }

    /// What queues the job once its task is known. The closure is kept alive by the future alone.
    pub(crate) fn starter(&self) -> impl FnOnce(&Arc<Pool>, TaskRef) + 'static {
        let job = self.job.clone();
        move |pool, task| pool.submit(Box::new(move |failure| job.run(task, failure)))
    }
}

impl<C, R> Future for Blocking<C, R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        match self.job.poll(cx.waker()) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(value)) => Poll::Ready(value),
            Poll::Ready(Err(payload)) => payload.resume(),
        }
    }
}

impl<C, R> Drop for Blocking<C, R> {
    /// Takes out what is still there: a closure that never runs, or a result that nobody got.
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.job.0.lock(), Stage::Over);
        drop(left);
    }
}

std::thread_local! {
    /// The task of the job that this thread runs.
    static JOB: RefCell<Option<TaskRef>> = const { RefCell::new(None) };
}

/// The task of the job that this thread runs.
pub(crate) fn current_job() -> Option<TaskRef> {
    JOB.try_with(|job| job.borrow().clone()).ok().flatten()
}
