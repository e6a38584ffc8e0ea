//! The runtimes on the thread that measures, behind one trait.

use std::future::Future;
use std::rc::Rc;

use async_executor::LocalExecutor;
use futures::executor::{LocalPool, LocalSpawner};
use futures::future::RemoteHandle;
use futures::task::LocalSpawnExt;

/// A runtime that the measuring thread drives.
pub trait Runtime: 'static {
    const NAME: &'static str;
    type Spawner: Spawner;

    fn new() -> Self;

    /// Runs the future that `make` makes as a task of the runtime, to its end.
    fn run<F, T>(&mut self, make: impl FnOnce(Self::Spawner) -> F) -> T
    where
        F: Future<Output = T> + 'static,
        T: 'static;
}

/// What spawns inside a runtime.
pub trait Spawner: Clone + 'static {
    /// The handle to a task; its output wraps the task's in a way that differs.
    type Join<T: 'static>: Future;

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Self::Join<F::Output>;

    /// Spawns without a handle.
    fn start<F: Future<Output = ()> + 'static>(&self, future: F);
}

/// A spawner whose tasks can be ended from outside, and joined then.
pub trait Aborts: Spawner {
    /// Asks the task to end, and gives what waits for its end.
    fn abort<T: 'static>(join: Self::Join<T>) -> impl Future;
}

pub struct Sideloop(sideloop::Executor);

impl Runtime for Sideloop {
    const NAME: &'static str = "sideloop";
    type Spawner = Ambient;

    fn new() -> Self {
        Self(sideloop::Executor::new())
    }

    fn run<F, T>(&mut self, make: impl FnOnce(Ambient) -> F) -> T
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let task = self.0.spawn_local(make(Ambient));
        self.0.block_on(task).expect("the workload runs through")
    }
}

/// Spawns on the sideloop that runs.
#[derive(Clone)]
pub struct Ambient;

impl Spawner for Ambient {
    type Join<T: 'static> = sideloop::JoinHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Self::Join<F::Output> {
        sideloop::spawn_local(future)
    }

    fn start<F: Future<Output = ()> + 'static>(&self, future: F) {
        sideloop::spawn_local(future).detach();
    }
}

impl Aborts for Ambient {
    fn abort<T: 'static>(join: Self::Join<T>) -> impl Future {
        join.abort();
        join
    }
}

/// Tokio's current-thread runtime, in the variant whose tasks need not be `Send`.
pub struct Tokio(tokio::runtime::LocalRuntime);

impl Runtime for Tokio {
    const NAME: &'static str = "tokio";
    type Spawner = Set;

    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default());
        Self(runtime.expect("a runtime"))
    }

    fn run<F, T>(&mut self, make: impl FnOnce(Set) -> F) -> T
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let task = self.0.spawn_local(make(Set));
        self.0.block_on(task).expect("the workload runs through")
    }
}

/// The older way: a scheduler of its own on top of the runtime's.
pub struct TokioLocalSet {
    runtime: tokio::runtime::Runtime,
    set: tokio::task::LocalSet,
}

impl Runtime for TokioLocalSet {
    const NAME: &'static str = "tokio LocalSet";
    type Spawner = Set;

    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Self { runtime: runtime.expect("a runtime"), set: tokio::task::LocalSet::new() }
    }

    fn run<F, T>(&mut self, make: impl FnOnce(Set) -> F) -> T
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let task = self.set.spawn_local(make(Set));
        self.set.block_on(&self.runtime, task).expect("the workload runs through")
    }
}

/// Spawns on the tokio that runs.
#[derive(Clone)]
pub struct Set;

impl Spawner for Set {
    type Join<T: 'static> = tokio::task::JoinHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Self::Join<F::Output> {
        tokio::task::spawn_local(future)
    }

    fn start<F: Future<Output = ()> + 'static>(&self, future: F) {
        drop(tokio::task::spawn_local(future));
    }
}

impl Aborts for Set {
    fn abort<T: 'static>(join: Self::Join<T>) -> impl Future {
        join.abort();
        join
    }
}

pub struct AsyncExecutor(Rc<LocalExecutor<'static>>);

impl Runtime for AsyncExecutor {
    const NAME: &'static str = "async-executor";
    type Spawner = Rc<LocalExecutor<'static>>;

    fn new() -> Self {
        Self(Rc::new(LocalExecutor::new()))
    }

    fn run<F, T>(&mut self, make: impl FnOnce(Self::Spawner) -> F) -> T
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let task = self.0.spawn(make(self.0.clone()));
        futures::executor::block_on(self.0.run(task))
    }
}

impl Spawner for Rc<LocalExecutor<'static>> {
    type Join<T: 'static> = async_executor::Task<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Self::Join<F::Output> {
        LocalExecutor::spawn(self, future)
    }

    fn start<F: Future<Output = ()> + 'static>(&self, future: F) {
        LocalExecutor::spawn(self, future).detach();
    }
}

impl Aborts for Rc<LocalExecutor<'static>> {
    fn abort<T: 'static>(join: Self::Join<T>) -> impl Future {
        join.cancel()
    }
}

pub struct Pool(LocalPool);

impl Runtime for Pool {
    const NAME: &'static str = "LocalPool";
    type Spawner = LocalSpawner;

    fn new() -> Self {
        Self(LocalPool::new())
    }

    fn run<F, T>(&mut self, make: impl FnOnce(LocalSpawner) -> F) -> T
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let task = Spawner::spawn(&self.0.spawner(), make(self.0.spawner()));
        self.0.run_until(task)
    }
}

impl Spawner for LocalSpawner {
    type Join<T: 'static> = RemoteHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Self::Join<F::Output> {
        self.spawn_local_with_handle(future).expect("the pool lives")
    }

    fn start<F: Future<Output = ()> + 'static>(&self, future: F) {
        self.spawn_local(future).expect("the pool lives");
    }
}

/// With its driver, which is asked for events between two batches of polls; io_uring where it is allowed.
pub struct Compio(compio::runtime::Runtime);

impl Runtime for Compio {
    const NAME: &'static str = "compio";
    type Spawner = compio::runtime::Runtime;

    fn new() -> Self {
        Self(compio::runtime::Runtime::new().expect("a runtime"))
    }

    fn run<F, T>(&mut self, make: impl FnOnce(Self::Spawner) -> F) -> T
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let task = self.0.spawn(make(self.0.clone()));
        self.0.block_on(task).expect("the workload runs through")
    }
}

impl Spawner for compio::runtime::Runtime {
    type Join<T: 'static> = compio::runtime::JoinHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Self::Join<F::Output> {
        compio::runtime::Runtime::spawn(self, future)
    }

    fn start<F: Future<Output = ()> + 'static>(&self, future: F) {
        compio::runtime::Runtime::spawn(self, future).detach();
    }
}

impl Aborts for compio::runtime::Runtime {
    fn abort<T: 'static>(join: Self::Join<T>) -> impl Future {
        join.cancel()
    }
}

/// Monoio on io_uring. It has no way to end a task.
pub struct Monoio(monoio::Runtime<monoio::IoUringDriver>);

impl Runtime for Monoio {
    const NAME: &'static str = "monoio";
    type Spawner = OnMonoio;

    fn new() -> Self {
        let builder = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new();
        Self(builder.build().expect("a runtime"))
    }

    fn run<F, T>(&mut self, make: impl FnOnce(OnMonoio) -> F) -> T
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        self.0.block_on(async move { monoio::spawn(make(OnMonoio)).await })
    }
}

/// Spawns on the monoio that runs.
#[derive(Clone)]
pub struct OnMonoio;

impl Spawner for OnMonoio {
    type Join<T: 'static> = monoio::task::JoinHandle<T>;

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Self::Join<F::Output> {
        monoio::spawn(future)
    }

    fn start<F: Future<Output = ()> + 'static>(&self, future: F) {
        drop(monoio::spawn(future));
    }
}
