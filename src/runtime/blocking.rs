//! Work that blocks: jobs on a pool of worker threads, each with a task on the loop that waits for it.
//!
//! Whether a job starts or is cancelled is decided by its task's state word: a worker that takes a
//! job up *pins* the task, which fails once the task was asked to end, and after which no request
//! ends it any more. Closure and result lie under a lock, and whoever takes them out owns them. A job
//! whose task ends before it starts leaves the pool's list at once, with all that it holds.
//! Modelled in `tests/loom/jobs.rs`.

mod pool;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) use self::pool::Pool;
use crate::error::{PanicPayload, call_contained, contain, discard};
use crate::id::TaskId;
use crate::sync::Mutex;
use crate::task::join::TaskRef;

/// One job, shared by its worker and its task.
struct Job<C, R> {
    pool: Arc<Pool>,
    /// Where it waits for a worker.
    place: u64,
    stage: Mutex<JobStage<C, R>>,
}

enum JobStage<C, R> {
    Waiting(C, Option<Waker>),
    Running(Option<Waker>),
    Done(Result<R, PanicPayload>),
    /// Its task is gone, and it runs on.
    Abandoned,
    /// The closure or the result was taken out.
    Over,
}

/// A job, as its worker knows it.
trait Run: Send + Sync {
    /// Runs the job, unless its task was asked to end before; with a message it fails. `done` is called when the
    /// user's code is over, before anybody is told of the result.
    fn run(&self, task: TaskRef, failure: Option<String>, done: &mut dyn FnMut());

    /// Whether its task was aborted while it ran, and it runs still.
    fn runs_on(&self) -> bool;
}

impl<C, R> Run for Job<C, R>
where
    C: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn run(&self, task: TaskRef, failure: Option<String>, done: &mut dyn FnMut()) {
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
        let (waker, late) = self.end(result);
        discard(late);
        done();
        if let Some(waker) = waker {
            call_contained(|| waker.wake());
        }
        self.pool.finish();
    }

    fn runs_on(&self) -> bool {
        matches!(*self.stage.lock(), JobStage::Abandoned)
    }
}

/// The waker to tell of a result, or the result itself if it comes too late.
type JobCompletion<R> = (Option<Waker>, Option<Result<R, PanicPayload>>);

impl<C, R> Job<C, R> {
    /// Takes the closure out.
    fn start(&self) -> Option<C> {
        let mut stage = self.stage.lock();
        match std::mem::replace(&mut *stage, JobStage::Over) {
            JobStage::Waiting(f, waker) => {
                *stage = JobStage::Running(waker);
                Some(f)
            }
            _ => None,
        }
    }

    /// Puts the result in.
    fn end(&self, result: Result<R, PanicPayload>) -> JobCompletion<R> {
        let mut stage = self.stage.lock();
        match std::mem::replace(&mut *stage, JobStage::Done(result)) {
            JobStage::Running(waker) => (waker, None),
            left => match std::mem::replace(&mut *stage, left) {
                JobStage::Done(late) => (None, Some(late)),
                _ => (None, None),
            },
        }
    }

    /// In the task: the result, or the promise to wake.
    fn poll(&self, waker: &Waker) -> Poll<Result<R, PanicPayload>> {
        let mut other = Some(waker.clone());
        let result = {
            let mut stage = self.stage.lock();
            match &mut *stage {
                JobStage::Waiting(_, slot) | JobStage::Running(slot) => {
                    std::mem::swap(slot, &mut other);
                    None
                }
                _ => Some(std::mem::replace(&mut *stage, JobStage::Over)),
            }
        };
        discard(other);
        match result {
            Some(JobStage::Done(result)) => Poll::Ready(result),
            _ => Poll::Pending,
        }
    }

    /// The task is gone: takes out what is still there.
    fn leave(&self) -> JobStage<C, R> {
        let mut stage = self.stage.lock();
        let runs = matches!(*stage, JobStage::Running(_));
        std::mem::replace(&mut *stage, if runs { JobStage::Abandoned } else { JobStage::Over })
    }

    fn is_over(&self) -> bool {
        matches!(*self.stage.lock(), JobStage::Over)
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
    pub(crate) fn new(f: C, pool: &Arc<Pool>) -> Self {
        pool.begin();
        let stage = Mutex::new(JobStage::Waiting(f, None));
        Self { job: Arc::new(Job { pool: pool.clone(), place: pool.draw(), stage }) }
    }

    /// What queues the job once its task is known. The closure is kept alive by the future alone.
    pub(crate) fn starter(&self) -> impl FnOnce(TaskRef) + 'static {
        let job = self.job.clone();
        move |task| {
            job.pool.submit(job.place, job.clone(), task);
            // Its task may have ended, and looked for it, before it was there.
            if job.is_over() {
                job.pool.remove(job.place);
            }
        }
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
    /// What it takes out is a closure that never runs, with its place in the list, or a result that nobody got.
    fn drop(&mut self) {
        let left = self.job.leave();
        if matches!(left, JobStage::Waiting(..)) {
            self.job.pool.remove(self.job.place);
            self.job.pool.finish();
        }
        drop(left);
    }
}

std::thread_local! {
    /// The task of the job that this thread runs.
    static JOB: RefCell<Option<TaskRef>> = const { RefCell::new(None) };
}

/// The task of the job that this thread runs, if it runs one.
pub(crate) fn current_job() -> Option<TaskRef> {
    JOB.try_with(|job| job.borrow().clone()).ok().flatten()
}

/// Whether this thread runs the job of this task.
pub(crate) fn runs_job_of(task: TaskId) -> bool {
    let is_it = |job: &RefCell<Option<TaskRef>>| {
        job.borrow().as_ref().is_some_and(|running| running.id() == task)
    };
    JOB.try_with(is_it).unwrap_or(false)
}
