//! The runtimes on a thread of their own, as other threads use them.

use std::future::Future;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use async_executor::Executor;
use futures::channel::oneshot;
use futures::executor::block_on;

/// How long those that spin look for work before they sleep: many times what a round trip takes.
pub const SPIN: Duration = Duration::from_micros(200);

/// A thread that calls what other threads send it, until this is dropped.
pub trait Remote: Send + Sync + 'static {
    const NAME: &'static str;

    fn start() -> Self;

    /// Has the thread call `f`; nobody waits for it.
    fn post(&self, f: impl FnOnce() + Send + 'static);

    /// Has the thread call `f`; what this returns blocks for the result.
    fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T {
        let (answer, answered) = crossbeam_channel::bounded(1);
        self.post(move || _ = answer.send(f()));
        move || answered.recv().expect("the call runs through")
    }
}

/// A thread that polls as well.
pub trait RemoteSpawner: Remote {
    /// Spawns; nobody waits for it.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static);

    /// Spawns; what this returns blocks for the result.
    fn spawn_join<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl FnOnce() -> T;
}

/// Sideloop, which looks for work before it sleeps or does not.
pub struct SideloopThread<const SPINS: bool>(sideloop::LoopThread);

impl<const SPINS: bool> Remote for SideloopThread<SPINS> {
    const NAME: &'static str = "sideloop";

    fn start() -> Self {
        let spin = if SPINS { SPIN } else { Duration::ZERO };
        Self(sideloop::LoopThread::builder().spin(spin).start().expect("a thread"))
    }

    fn post(&self, f: impl FnOnce() + Send + 'static) {
        self.0.handle().call(f).detach();
    }

    fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T {
        let call = self.0.handle().call(f);
        move || call.join().expect("the call runs through")
    }
}

impl<const SPINS: bool> RemoteSpawner for SideloopThread<SPINS> {
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.handle().spawn(future).detach();
    }

    fn spawn_join<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl FnOnce() -> T {
        let task = self.0.handle().spawn(future);
        move || task.join().expect("the task runs through")
    }
}

/// A thread that runs something until it is told to stop.
struct Stoppable {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stoppable {
    fn new(run: impl FnOnce(oneshot::Receiver<()>) + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop: Some(stop), thread: Some(thread::spawn(move || run(stopped))) }
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

/// Tokio's current-thread runtime, by its `Handle`.
pub struct TokioThread {
    handle: tokio::runtime::Handle,
    _thread: Stoppable,
}

impl Remote for TokioThread {
    const NAME: &'static str = "tokio";

    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let _thread = Stoppable::new(move |stopped| _ = runtime.block_on(stopped));
        Self { handle, _thread }
    }

    fn post(&self, f: impl FnOnce() + Send + 'static) {
        self.spawn(async move { f() });
    }

    fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T {
        self.spawn_join(async move { f() })
    }
}

impl RemoteSpawner for TokioThread {
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(future));
    }

    fn spawn_join<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl FnOnce() -> T {
        let task = self.handle.spawn(future);
        move || block_on(task).expect("the task runs through")
    }
}

/// An `Executor`, which one thread runs.
pub struct AsyncExecutorThread {
    executor: Arc<Executor<'static>>,
    _thread: Stoppable,
}

impl Remote for AsyncExecutorThread {
    const NAME: &'static str = "async-executor";

    fn start() -> Self {
        let executor = Arc::new(Executor::new());
        let there = executor.clone();
        let _thread = Stoppable::new(move |stopped| _ = block_on(there.run(stopped)));
        Self { executor, _thread }
    }

    fn post(&self, f: impl FnOnce() + Send + 'static) {
        self.spawn(async move { f() });
    }

    fn call<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T {
        self.spawn_join(async move { f() })
    }
}

impl RemoteSpawner for AsyncExecutorThread {
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(future).detach();
    }

    fn spawn_join<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl FnOnce() -> T {
        let task = self.executor.spawn(future);
        move || block_on(task)
    }
}
