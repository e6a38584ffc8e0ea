//! The runtimes on a thread of their own, as another thread uses them.

use std::future::Future;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_executor::Executor;
use futures::channel::oneshot;
use futures::executor::block_on;

/// A runtime that runs on its own thread until it is dropped.
pub(crate) trait Remote: 'static {
    const NAME: &'static str;

    fn start() -> Self;

    /// Spawns without a handle.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static);

    /// Has the other thread call `f`, and blocks for what it returns.
    fn call<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T;
}

pub(crate) struct SideloopThread(sideloop::LoopThread);

impl Remote for SideloopThread {
    const NAME: &'static str = "sideloop";

    fn start() -> Self {
        Self(sideloop::LoopThread::start().expect("a thread"))
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.handle().spawn(future).detach();
    }

    fn call<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        self.0.handle().call(f).join().expect("the call runs through")
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

pub(crate) struct TokioThread {
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

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(future));
    }

    fn call<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        block_on(self.handle.spawn(async move { f() })).expect("the call runs through")
    }
}

pub(crate) struct AsyncExecutorThread {
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

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(future).detach();
    }

    fn call<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        block_on(self.executor.spawn(async move { f() }))
    }
}
