//! The runtimes on a thread of their own, as other threads use them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
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

    /// Begins or ends a time in which the thread is not to sleep, where that is not of its own making.
    fn keep_awake(&self, _on: bool) {}

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

/// What keeps a runtime awake that cannot spin: a task that yields until it is told to end.
#[derive(Default)]
struct Awake(Arc<AtomicBool>);

impl Awake {
    /// Begins, with a task to be spawned, or ends.
    fn set(&self, on: bool) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.0.store(on, Ordering::Relaxed);
        let awake = self.0.clone();
        let yields = poll_fn(move |cx| {
            if !awake.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        on.then_some(yields)
    }
}

/// Blocks for the result of a task; one that spins asks for it again and again.
fn result<const SPINS: bool, F: Future>(task: F) -> F::Output {
    if !SPINS {
        return block_on(task);
    }
    let mut task = pin!(task);
    loop {
        if let Poll::Ready(result) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
        std::hint::spin_loop();
    }
}

/// Tokio's current-thread runtime, by its `Handle`.
pub struct TokioThread<const SPINS: bool> {
    handle: tokio::runtime::Handle,
    awake: Awake,
    _thread: Stoppable,
}

impl<const SPINS: bool> Remote for TokioThread<SPINS> {
    const NAME: &'static str = "tokio";

    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let _thread = Stoppable::new(move |stopped| _ = runtime.block_on(stopped));
        Self { handle, awake: Awake::default(), _thread }
    }

    fn keep_awake(&self, on: bool) {
        if let Some(yields) = self.awake.set(on && SPINS) {
            self.spawn(yields);
        }
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

impl<const SPINS: bool> RemoteSpawner for TokioThread<SPINS> {
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(future));
    }

    fn spawn_join<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl FnOnce() -> T {
        let task = self.handle.spawn(future);
        move || result::<SPINS, _>(task).expect("the task runs through")
    }
}

/// An `Executor`, which one thread runs.
pub struct AsyncExecutorThread<const SPINS: bool> {
    executor: Arc<Executor<'static>>,
    awake: Awake,
    _thread: Stoppable,
}

impl<const SPINS: bool> Remote for AsyncExecutorThread<SPINS> {
    const NAME: &'static str = "async-executor";

    fn start() -> Self {
        let executor = Arc::new(Executor::new());
        let there = executor.clone();
        let _thread = Stoppable::new(move |stopped| _ = block_on(there.run(stopped)));
        Self { executor, awake: Awake::default(), _thread }
    }

    fn keep_awake(&self, on: bool) {
        if let Some(yields) = self.awake.set(on && SPINS) {
            self.spawn(yields);
        }
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

impl<const SPINS: bool> RemoteSpawner for AsyncExecutorThread<SPINS> {
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(future).detach();
    }

    fn spawn_join<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl FnOnce() -> T {
        let task = self.executor.spawn(future);
        move || result::<SPINS, _>(task)
    }
}
