//! What the tests share: events across threads, gates for tasks, futures that keep a log.
//!
//! Everything that blocks here gives up after a limit and says what it waited for, so that a bug
//! fails a test by name instead of hanging the run. Nothing in here is built on the crate's own
//! wakers or handles, except [`loop_started`], [`hold`], [`thread_of`], [`join_ok`] and [`join_err`].

#![allow(dead_code, reason = "each module takes what it needs")]

mod probe;

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use sideloop::{Handle, JoinError, JoinHandle, LoopThread};

pub(crate) use probe::{CountingWaker, Drops, Probe, ProbeLog, Token};

/// How long a single wait may last.
pub(crate) const WAIT: Duration = Duration::from_secs(20);
/// How long the body of a test may last.
pub(crate) const BODY: Duration = Duration::from_secs(30);
/// A stack that no thread can have. Half of the addresses can be had where they have 32 bits.
pub(crate) const NO_STACK: usize =
    if usize::BITS < 64 { usize::MAX / 8 * 7 } else { usize::MAX >> 18 };

/// Locks, also when another thread panicked while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

// ───────────── limits ─────────────

/// Runs the body of a test on a thread of its own; panics by the test's name after [`BODY`].
///
/// The body's panic is passed on, its value is returned. A body that hangs is left behind.
#[track_caller]
pub(crate) fn limited<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    limited_to(BODY, body)
}

/// The same with a limit of its own, for the big ones.
#[track_caller]
pub(crate) fn limited_to<R: Send + 'static>(
    limit: Duration,
    body: impl FnOnce() -> R + Send + 'static,
) -> R {
    let current = thread::current();
    let name = current.name().unwrap_or("a test without a name");
    within(&format!("{name} ({})", Location::caller()), limit, body)
}

/// Runs `body` on a thread of its own; panics with `name` if it does not end within `limit`.
#[track_caller]
pub(crate) fn within<R: Send + 'static>(
    name: &str,
    limit: Duration,
    body: impl FnOnce() -> R + Send + 'static,
) -> R {
    let (ended, end) = mpsc::channel();
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _ended: mpsc::Sender<()> = ended; // dropped when the body ends, however it ends
            body()
        })
        .expect("a thread for the body of a test");
    match end.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{name}: hangs (no end after {limit:?})"),
        _ => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

// ───────────── events ─────────────

/// A one-shot event across threads. Clones are the same event.
#[derive(Clone, Debug)]
pub(crate) struct Latch(Arc<(&'static str, Mutex<bool>, Condvar)>);

impl Latch {
    /// An event that has not happened; `name` says what it is.
    pub(crate) fn new(name: &'static str) -> Latch {
        Latch(Arc::new((name, Mutex::new(false), Condvar::new())))
    }

    /// Lets it happen; again does nothing.
    pub(crate) fn set(&self) {
        *lock(&self.0.1) = true;
        self.0.2.notify_all();
    }

    /// Has it happened?
    pub(crate) fn is_set(&self) -> bool {
        *lock(&self.0.1)
    }

    /// Blocks the calling thread until it happens; panics by its name after [`WAIT`].
    #[track_caller]
    pub(crate) fn wait(&self) {
        assert!(self.wait_for(WAIT), "`{}` did not happen within {WAIT:?}", self.0.0);
    }

    /// Blocks until it happens or `limit` is over; says whether it happened.
    pub(crate) fn wait_for(&self, limit: Duration) -> bool {
        let set = lock(&self.0.1);
        let (set, _) = self
            .0
            .2
            .wait_timeout_while(set, limit, |set| !*set)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *set
    }
}

/// An event that tasks await; opened from any thread. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<GateState>>);

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    /// A closed gate.
    pub(crate) fn new() -> Gate {
        Gate::default()
    }

    /// Opens it and wakes everybody who waits; again does nothing.
    pub(crate) fn open(&self) {
        let waiting = {
            let mut state = lock(&self.0);
            state.open = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Is it open?
    pub(crate) fn is_open(&self) -> bool {
        lock(&self.0).open
    }

    /// How many different wakers wait here.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.0).waiting.len()
    }

    /// Pending until the gate is open.
    pub(crate) fn passed(&self) -> Passed {
        Passed(self.clone())
    }
}

/// The future of [`Gate::passed`].
#[derive(Clone, Debug)]
pub(crate) struct Passed(Gate);

impl Future for Passed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0.0);
        if state.open {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// What happened, in order. Clones share one list.
#[derive(Debug)]
pub(crate) struct Events<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Events<T> {
    fn clone(&self) -> Self {
        Events(Arc::clone(&self.0))
    }
}

impl<T: Clone> Events<T> {
    /// An empty list.
    pub(crate) fn new() -> Events<T> {
        Events(Arc::new(Mutex::new(Vec::new())))
    }

    /// Adds an event.
    pub(crate) fn push(&self, event: T) {
        lock(&self.0).push(event);
    }

    /// All events so far.
    pub(crate) fn all(&self) -> Vec<T> {
        lock(&self.0).clone()
    }
}

// ───────────── loops ─────────────

/// A loop with the defaults.
#[track_caller]
pub(crate) fn loop_started() -> LoopThread {
    LoopThread::start().expect("a loop thread starts")
}

/// The thread that the loop of `handle` runs on.
#[track_caller]
pub(crate) fn thread_of(handle: &Handle) -> ThreadId {
    join_ok(handle.call(|| thread::current().id()))
}

/// The loop thread kept busy inside one callback, until released or dropped.
pub(crate) struct Hold {
    release: Latch,
    handle: Option<JoinHandle<()>>,
}

/// Blocks the loop thread in a callback and returns when it is in there.
#[track_caller]
pub(crate) fn hold(handle: &Handle) -> Hold {
    let (held, release) = (Latch::new("the loop is held"), Latch::new("the loop is released"));
    let (held_there, release_there) = (held.clone(), release.clone());
    let handle = handle.call(move || {
        held_there.set();
        release_there.wait();
    });
    held.wait();
    Hold { release, handle: Some(handle) }
}

impl Hold {
    /// Lets the loop go on; returns when the callback has ended.
    #[track_caller]
    pub(crate) fn release(mut self) {
        self.release.set();
        join_ok(self.handle.take().expect("released once"));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release.set();
    }
}

/// Joins a task that must end soon; the result it ended with.
#[track_caller]
pub(crate) fn join_soon<T>(handle: JoinHandle<T>) -> Result<T, JoinError> {
    let id = handle.id();
    match handle.join_timeout(WAIT) {
        Ok(result) => result,
        Err(_) => panic!("task {id} has not ended within {WAIT:?}"),
    }
}

/// Joins a task that must end soon with a value.
#[track_caller]
pub(crate) fn join_ok<T>(handle: JoinHandle<T>) -> T {
    let id = handle.id();
    join_soon(handle).unwrap_or_else(|error| panic!("task {id} ended with {error:?}"))
}

/// Joins a task that must end soon without a value.
#[track_caller]
pub(crate) fn join_err<T>(handle: JoinHandle<T>) -> JoinError {
    let id = handle.id();
    match join_soon(handle) {
        Ok(_) => panic!("task {id} ended with a value"),
        Err(error) => error,
    }
}

/// Runs a closure when it is dropped.
pub(crate) struct OnDrop<F: FnOnce()>(pub(crate) Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}
