//! The peers behind one trait: what makes a timer, and what runs a future that waits for it.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A runtime with timers, driven by the measuring thread.
pub(crate) trait Peer: Sized + 'static {
    const NAME: &'static str;
    type Sleep: Future + Send + 'static;

    fn new() -> Self;

    /// Runs `future`, as a task where there are tasks, to its end.
    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static;

    /// A timer; called inside of a run.
    fn sleep_until(at: Instant) -> Self::Sleep;

    fn reset(sleep: Pin<&mut Self::Sleep>, at: Instant);

    /// Waits for `future`, at most for `limit`; called inside of a run.
    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future;

    /// Runs a future where this runtime's users would care for lateness most.
    fn run_apart<F>(future: F) -> F::Output
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        Self::new().run(future)
    }
}

pub(crate) struct Sideloop(sideloop::Executor);

impl Sideloop {
    pub(crate) fn executor(&mut self) -> &mut sideloop::Executor {
        &mut self.0
    }
}

impl Peer for Sideloop {
    const NAME: &'static str = "sideloop";
    type Sleep = sideloop::time::Sleep;

    fn new() -> Self {
        Self(sideloop::Executor::new())
    }

    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static,
    {
        let task = self.0.spawn_local(future);
        self.0.block_on(task).expect("the workload runs through")
    }

    fn sleep_until(at: Instant) -> Self::Sleep {
        sideloop::time::sleep_until(at)
    }

    fn reset(sleep: Pin<&mut Self::Sleep>, at: Instant) {
        sleep.reset(at);
    }

    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future {
        sideloop::time::timeout(limit, future)
    }

    /// On a loop thread: what is set for timers there does not hold for a thread of the caller's.
    fn run_apart<F>(future: F) -> F::Output
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let side = sideloop::LoopThread::start().expect("a thread");
        side.handle().spawn(future).join().expect("the workload runs through")
    }
}

pub(crate) struct Tokio {
    runtime: tokio::runtime::Runtime,
    set: tokio::task::LocalSet,
}

impl Peer for Tokio {
    const NAME: &'static str = "tokio";
    type Sleep = tokio::time::Sleep;

    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Self { runtime: runtime.expect("a runtime"), set: tokio::task::LocalSet::new() }
    }

    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static,
    {
        let task = self.set.spawn_local(future);
        self.set.block_on(&self.runtime, task).expect("the workload runs through")
    }

    fn sleep_until(at: Instant) -> Self::Sleep {
        tokio::time::sleep_until(at.into())
    }

    fn reset(sleep: Pin<&mut Self::Sleep>, at: Instant) {
        sleep.reset(at.into());
    }

    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future {
        tokio::time::timeout(limit, future)
    }
}

pub(crate) struct AsyncIo;

impl Peer for AsyncIo {
    const NAME: &'static str = "async-io";
    type Sleep = async_io::Timer;

    fn new() -> Self {
        Self
    }

    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static,
    {
        async_io::block_on(future)
    }

    fn sleep_until(at: Instant) -> Self::Sleep {
        async_io::Timer::at(at)
    }

    fn reset(mut sleep: Pin<&mut Self::Sleep>, at: Instant) {
        sleep.set_at(at);
    }

    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future {
        futures_lite::future::or(
            async {
                future.await;
                Ok(())
            },
            async move { Err(async_io::Timer::after(limit).await) },
        )
    }
}
