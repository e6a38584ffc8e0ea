//! The worker threads of a loop.
//!
//! Jobs wait in a list, out of which a cancelled one is taken with all that it holds. A worker is started for a job
//! if none is idle, up to a limit, and ends when it has been idle for a while, or with the loop. It counts as idle
//! as soon as the user's code is over, before anybody can learn of the result: jobs joined one by one use one worker.
//!
//! - **J1 (claims)**: of the workers that wait for a claim, as many are idle as there are no claims on their way. A
//!   job that finds an idle worker makes it less idle and sends a claim, under the lock.
//! - **J2 (joined)**: the handle of each worker's thread is in its place, or in `last`, until somebody joins it, or it
//!   is given up because the loop has ended while its job runs on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use super::Run;
use crate::sync::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use crate::sync::{Arc as Owner, AtomicUsize, Mutex, Ordering, Thread, start_thread};
use crate::task::join::TaskRef;
use crate::task::run_queues::RunQueues;

/// How long a worker waits for its next job before it ends.
const IDLE: Duration = Duration::from_secs(5);

/// A job in the list, with its task.
struct Work {
    job: Arc<dyn Run>,
    task: TaskRef,
}

/// One worker.
struct Worker {
    /// `None` while it is being started.
    thread: Option<Thread>,
    /// What it runs.
    job: Option<Arc<dyn Run>>,
}

/// The worker threads of one loop.
pub(crate) struct Pool {
    most: usize,
    claims: Receiver<()>,
    state: Mutex<PoolState>,
    /// Under virtual time: how many jobs wait or run, and the loop that waits for them.
    awaited: Option<(AtomicUsize, Owner<RunQueues>)>,
}

struct PoolState {
    /// `None`: the loop has ended.
    claim: Option<Sender<()>>,
    waiting: BTreeMap<u64, Work>,
    next: u64,
    workers: Slab<Worker>,
    idle: usize,
    /// The worker that ended last, to be joined by the next, or at the end.
    last: Option<Thread>,
}

std::thread_local! {
    /// The pool that this thread works for, as an address.
    static WORKS_FOR: std::cell::Cell<*const ()> = const { std::cell::Cell::new(std::ptr::null()) };
}

impl Pool {
    /// `awaiting` is a loop that waits for its jobs before its clock jumps.
    pub(crate) fn new(most: usize, awaiting: Option<Owner<RunQueues>>) -> Arc<Self> {
        let (claim, claims) = unbounded();
        let state = PoolState {
            claim: Some(claim),
            waiting: BTreeMap::new(),
            next: 0,
            workers: Slab::new(),
            idle: 0,
            last: None,
        };
        let awaited = awaiting.map(|run_queues| (AtomicUsize::new(0), run_queues));
        Arc::new(Self { most: most.max(1), claims, state: Mutex::new(state), awaited })
    }

    /// A job has come to be.
    pub(super) fn begin(&self) {
        if let Some((jobs, _)) = &self.awaited {
            // ORDERING: Relaxed: it is published with the job's task.
            jobs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A job is over, and whoever waits for it has been told.
    pub(super) fn finish(&self) {
        if let Some((jobs, run_queues)) = &self.awaited {
            // ORDERING: Release, paired with the Acquire in `is_awaited`: a loop that sees no job any more sees
            // what the last one has sent.
            jobs.fetch_sub(1, Ordering::Release);
            run_queues.notify();
        }
    }

    /// Whether the loop's clock has to wait for jobs. After `false` the loop looks for what they have sent.
    pub(crate) fn is_awaited(&self) -> bool {
        // ORDERING: Acquire, paired with `finish`.
        self.awaited.as_ref().is_some_and(|(jobs, _)| jobs.load(Ordering::Acquire) > 0)
    }

    /// Whether the calling thread is one of this pool's.
    pub(crate) fn is_own_thread(&self) -> bool {
        WORKS_FOR.try_with(|pool| pool.get() == (&raw const *self).cast()).unwrap_or(false)
    }

    /// Draws the place of a job in the list.
    pub(super) fn draw(&self) -> u64 {
        let mut state = self.state.lock();
        state.next += 1;
        state.next
    }

    /// Queues a job, and sees to it that a worker comes for it.
    pub(super) fn submit(self: &Arc<Self>, place: u64, job: Arc<dyn Run>, task: TaskRef) {
        let failed = {
            let state = &mut *self.state.lock();
            let Some(claim) = &state.claim else { return };
            state.waiting.insert(place, Work { job, task });
            if state.idle > 0 {
                state.idle -= 1;
                // The pool has a receiver itself, so this cannot fail.
                let _ = claim.send(());
                return;
            }
            if state.workers.len() >= self.most {
                return;
            }
            match self.hire(state) {
                Ok(()) => return,
                // An existing worker will come to it.
                Err(_) if !state.workers.is_empty() => return,
                Err(error) => state.waiting.remove(&place).map(|work| (work, error)),
            }
        };
        if let Some((work, error)) = failed {
            let failure = format!("no thread for a blocking job: {error}");
            work.job.run(work.task, Some(failure), &mut || ());
        }
    }

    fn hire(self: &Arc<Self>, state: &mut PoolState) -> std::io::Result<()> {
        let key = state.workers.insert(Worker { thread: None, job: None });
        let pool = self.clone();
        match start_thread("sideloop-blocking", move || pool.work(key)) {
            Ok(thread) => {
                state.workers[key].thread = Some(thread);
                Ok(())
            }
            Err(error) => {
                state.workers.remove(key);
                Err(error)
            }
        }
    }

    /// How many jobs wait for a worker.
    #[cfg(loom)]
    #[allow(dead_code)] // for the models alone
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// Takes a job out of the list that is not to run any more.
    pub(super) fn remove(&self, place: u64) {
        let gone = self.state.lock().waiting.remove(&place);
        drop(gone); // its task's last reference, perhaps: not under the lock
    }

    /// The life of a worker.
    fn work(&self, key: usize) {
        let _ = WORKS_FOR.try_with(|pool| pool.set((&raw const *self).cast()));
        loop {
            while let Some(Work { job, task }) = self.take(key) {
                let mut is_idle = false;
                job.run(task, None, &mut || is_idle = self.rest(key));
                // An idle one waits to be claimed: what is in the list is for those who were.
                if is_idle || self.rest(key) {
                    break;
                }
            }
            if !self.wait(key) {
                return;
            }
        }
    }

    /// The next job of a worker that is not idle; without one it is.
    fn take(&self, key: usize) -> Option<Work> {
        let state = &mut *self.state.lock();
        let work = state.waiting.pop_first().map(|(_, work)| work);
        match &work {
            Some(work) => state.workers[key].job = Some(work.job.clone()),
            None => state.idle += 1,
        }
        work
    }

    /// A worker's job is over. Whether the worker is idle: else there is another one for it.
    fn rest(&self, key: usize) -> bool {
        let (job, is_idle) = {
            let state = &mut *self.state.lock();
            let is_idle = state.waiting.is_empty();
            state.idle += usize::from(is_idle);
            (state.workers[key].job.take(), is_idle)
        };
        drop(job);
        is_idle
    }

    /// Waits until the worker, which is idle, is claimed. `false`: it has left.
    fn wait(&self, key: usize) -> bool {
        match self.claims.recv_timeout(IDLE) {
            Ok(()) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let last = {
            let state = &mut *self.state.lock();
            // Claims are sent under this lock: none can come in between (J1).
            if self.claims.try_recv().is_ok() {
                return true;
            }
            if state.claim.is_none() {
                return false;
            }
            state.idle -= 1;
            let own = state.workers.remove(key).thread;
            std::mem::replace(&mut state.last, own)
        };
        if let Some(last) = last {
            last.join();
        }
        false
    }

    /// The loop has ended, and the task of each job: workers end after what they are at.
    pub(crate) fn close(&self) {
        let claim = self.state.lock().claim.take();
        drop(claim);
    }

    /// Waits until the workers of a pool that was closed have ended, but for those whose jobs run on.
    pub(crate) fn join(&self) {
        let (workers, last) = {
            let state = &mut *self.state.lock();
            let workers = state.workers.iter_mut();
            let workers: Vec<_> =
                workers.map(|(_, worker)| (worker.thread.take(), worker.job.clone())).collect();
            (workers, state.last.take())
        };
        let runs_on = |job: Option<Arc<dyn Run>>| job.is_some_and(|job| job.runs_on());
        let ending =
            workers.into_iter().filter_map(|(thread, job)| thread.filter(|_| !runs_on(job)));
        ending.chain(last).for_each(Thread::join);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = self.state.lock().workers.len();
        f.debug_struct("Pool").field("threads", &threads).finish_non_exhaustive()
    }
}
