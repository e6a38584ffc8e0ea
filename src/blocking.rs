//! Blocking jobs, on threads beside the loop.

use std::panic::Location;

use crate::handle::Handle;
use crate::join::JoinHandle;
use crate::runtime::blocking::Blocking;
use crate::runtime::context;
use crate::task::cell::Label;

impl Handle {
    /// Runs `f` on a thread of a pool, where it may block, and returns the handle to its result.
    ///
    /// May be called from any thread. The job is a task of the loop like any other, with an id and a place in
    /// the reports, and the loop is free meanwhile. Threads start on demand, up to
    /// [`Builder::blocking_threads`](crate::Builder::blocking_threads), and end after some idle seconds.
    ///
    /// A cancel removes a job that has not started, which then joins as
    /// [`JoinError::Cancelled`](crate::JoinError::Cancelled). A job that runs cannot be ended: a cancel or an
    /// abort is recorded, the job can read it with [`cancel_requested`](crate::cancel_requested), and the handle
    /// gives its value. A shutdown waits for the job within its limits, and then reports it as aborted: its
    /// handle reports [`JoinError::Closed`](crate::JoinError::Closed), and a late value is dropped on the pool's
    /// thread.
    ///
    /// In a job, [`current`](crate::current) is the loop on which it was spawned, and
    /// [`current_task`](crate::current_task) the job's task. A job that joins itself gets
    /// [`JoinError::WouldDeadlock`](crate::JoinError::WouldDeadlock). A job runs on another thread than the
    /// loop, so its spawns are refused after a request to shut down. Tasks of the loop may start jobs until the
    /// abort phase begins.
    ///
    /// If the system gives no thread, the handle reports a panic that says so.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let lines = side.handle().spawn_blocking(|| std::fs::read_to_string("Cargo.toml"));
    /// assert!(lines.join()?.is_ok());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<C, R>(&self, f: C) -> JoinHandle<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.start_blocking(f, (), Location::caller())
    }

    pub(crate) fn start_blocking<C, R, L>(
        &self,
        f: C,
        label: L,
        location: &'static Location<'static>,
    ) -> JoinHandle<R>
    where
        C: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
        L: Label,
    {
        let shared = self.shared().clone();
        let job = move || context::in_job_of(shared, f);
        let future = Blocking::new(job, &self.shared().pool);
        let starter = future.starter();
        let handle = self.start(future, label, location);
        // If the task was refused it has ended, and so has its job.
        starter(handle.task());
        handle
    }
}
