//! The peers behind one trait: what makes a timer, and what runs a future that waits for it.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A runtime with time limits, driven by the measuring thread.
pub trait Limits: Sized + 'static {
    const NAME: &'static str;

    fn new() -> Self;

    /// Runs `future`, as a task where there are tasks, to its end.
    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static;

    /// Waits for `future`, at most for `limit`; called inside of a run.
    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future;
}

/// One whose timers can be had as such.
pub trait Peer: Limits {
    type Sleep: Future + Send + 'static;

    /// A timer; called inside of a run.
    fn sleep_until(at: Instant) -> Self::Sleep;

    fn reset(sleep: Pin<&mut Self::Sleep>, at: Instant);

    /// Runs a future where this runtime's users would care for lateness most.
    fn run_apart<F>(future: F) -> F::Output
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        Self::new().run(future)
    }
}

pub struct Sideloop(sideloop::Executor);

impl Sideloop {
    pub fn executor(&mut self) -> &mut sideloop::Executor {
        &mut self.0
    }
}

impl Limits for Sideloop {
    const NAME: &'static str = "sideloop";

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

    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future {
        sideloop::time::timeout(limit, future)
    }
}

impl Peer for Sideloop {
    type Sleep = sideloop::time::Sleep;

    fn sleep_until(at: Instant) -> Self::Sleep {
        sideloop::time::sleep_until(at)
    }

    fn reset(sleep: Pin<&mut Self::Sleep>, at: Instant) {
        sleep.reset(at);
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

pub struct Tokio(tokio::runtime::LocalRuntime);

impl Limits for Tokio {
    const NAME: &'static str = "tokio";

    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Self(builder.enable_time().build_local(Default::default()).expect("a runtime"))
    }

    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static,
    {
        let task = self.0.spawn_local(future);
        self.0.block_on(task).expect("the workload runs through")
    }

    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future {
        tokio::time::timeout(limit, future)
    }
}

impl Peer for Tokio {
    type Sleep = tokio::time::Sleep;

    fn sleep_until(at: Instant) -> Self::Sleep {
        tokio::time::sleep_until(at.into())
    }

    fn reset(sleep: Pin<&mut Self::Sleep>, at: Instant) {
        sleep.reset(at.into());
    }
}

pub struct AsyncIo;

impl Limits for AsyncIo {
    const NAME: &'static str = "async-io";

    fn new() -> Self {
        Self
    }

    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static,
    {
        async_io::block_on(future)
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

impl Peer for AsyncIo {
    type Sleep = async_io::Timer;

    fn sleep_until(at: Instant) -> Self::Sleep {
        async_io::Timer::at(at)
    }

    fn reset(mut sleep: Pin<&mut Self::Sleep>, at: Instant) {
        sleep.set_at(at);
    }
}

/// Its timers are in an ordered map.
pub struct Compio(compio::runtime::Runtime);

impl Limits for Compio {
    const NAME: &'static str = "compio";

    fn new() -> Self {
        Self(compio::runtime::Runtime::new().expect("a runtime"))
    }

    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static,
    {
        let task = self.0.spawn(future);
        self.0.block_on(task).expect("the workload runs through")
    }

    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future {
        compio::time::timeout(limit, future)
    }
}

/// Its sleeps cannot be sent to another thread, so it has no part in the other tables.
pub struct Monoio(monoio::Runtime<monoio::time::TimeDriver<monoio::IoUringDriver>>);

impl Limits for Monoio {
    const NAME: &'static str = "monoio";

    fn new() -> Self {
        let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new();
        Self(builder.enable_timer().build().expect("a runtime"))
    }

    fn run<F>(&mut self, future: F) -> F::Output
    where
        F: Future + 'static,
    {
        self.0.block_on(async move { monoio::spawn(future).await })
    }

    fn limit(limit: Duration, future: impl Future<Output = ()>) -> impl Future {
        monoio::time::timeout(limit, future)
    }
}
