//! Work that blocks: jobs on a pool of worker threads, each with a task on the loop that waits for it.
//!
//! Whether a job starts or is cancelled is decided by its task's state word: a worker that takes a
//! job up *pins* the task, which fails once the task was asked to end, and after which no request
//! ends it any more. Closure and result lie under a lock, and whoever takes them out owns them.
//!
//! A worker is started when there are more jobs than workers, up to a limit, and ends when it has
//! been idle for a while or the loop has ended.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use parking_lot::Mutex;

use crate::error::{PanicPayload, contain, discard, forget_payload};
use crate::task::join::TaskRef;

/// How long a worker waits for its next job before it ends.
const IDLE: Duration = Duration::from_secs(5);

/// What a worker does with a job: runs it, or with a message fails it.
type Work = Box<dyn FnOnce(Option<String>) + Send>;

/// The worker threads of one loop.
pub(crate) struct Pool {
    most: usize,
    queue: Receiver<Work>,
    counts: Mutex<Counts>,
}

struct Counts {
    /// `None`: the loop has ended.
    send: Option<Sender<Work>>,
    threads: usize,
    /// Jobs that wait or run.
    jobs: usize,
}

impl Pool {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let (send, queue) = unbounded();
        let counts = Mutex::new(Counts { send: Some(send), threads: 0, jobs: 0 });
        Arc::new(Self { most: most.max(1), queue, counts })
    }

    /// Queues a job, and starts a worker for it if it would have to wait for one.
    fn submit(self: &Arc<Self>, work: Work) {
        let failed = {
            let mut counts = self.counts.lock();
            let Some(send) = &counts.send else { return };
            // The pool has a receiver itself, so this cannot fail.
            let _ = send.send(work);
            counts.jobs += 1;
            if counts.threads >= counts.jobs || counts.threads >= self.most {
                return;
            }
            counts.threads += 1;
            let pool = self.clone();
            let name = String::from("sideloop-blocking");
            match thread::Builder::new().name(name).spawn(move || pool.work()) {
                Ok(_) => return,
                Err(error) => {
                    counts.threads -= 1;
                    if counts.threads > 0 {
                        return; // an existing worker will come to it
                    }
                    counts.jobs -= 1;
                    error
                }
            }
        };
        if let Ok(work) = self.queue.try_recv() {
            work(Some(format!("no thread for a blocking job: {failed}")));
        }
    }

    /// The life of a worker.
    fn work(&self) {
        loop {
            match self.queue.recv_timeout(IDLE) {
                Ok(work) => {
                    work(None);
                    self.counts.lock().jobs -= 1;
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let mut counts = self.counts.lock();
                    // Jobs are queued under this lock: none can come in between.
                    if self.queue.is_empty() {
                        counts.threads -= 1;
                        return;
                    }
                }
            }
        }
    }

    /// The loop has ended: workers end after what they are at.
    pub(crate) fn close(&self) {
        self.counts.lock().send = None;
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.counts.lock().threads).finish_non_exhaustive()
    }
}

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
