//! The worker threads of a loop.
//!
//! A worker is started when there are more jobs than workers, up to a limit, and ends when it has
//! been idle for a while or the loop has ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use crate::sync::{Mutex, start_thread};

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
    pub(crate) fn submit(self: &Arc<Self>, work: Work) {
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
            match start_thread("sideloop-blocking", move || pool.work()) {
                Ok(()) => return,
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
