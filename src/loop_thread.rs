//! A loop on its own thread.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::error::{BoxError, StartError, call_contained, contain, discard};
use crate::executor::Executor;
use crate::handle::Handle;
use crate::runtime::local::Settings;
use crate::runtime::{context, slack};
use crate::shutdown::{Shutdown, ShutdownReport};

/// A loop on its own thread, and the right to wait for its end.
///
/// Made by [`LoopThread::start`] or a [`Builder`](crate::Builder); everything else goes through its [`Handle`]. Dropping it
/// aborts every task and waits for the thread, like `shutdown(Shutdown::now())`. On the loop's own thread, in
/// its blocking jobs and in its watchdog's hook, dropping it only requests the end. Keep it outside loops: two
/// loops whose tasks own each other's `LoopThread` wait for each other.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = sideloop::LoopThread::start()?;
/// let task = side.handle().spawn(async { "hello" });
/// assert_eq!(task.join()?, "hello");
/// side.shutdown(sideloop::Shutdown::now());
/// # Ok(()) }
/// ```
#[must_use = "dropping it ends the loop"]
pub struct LoopThread {
    handle: Handle,
    /// `None` once it was joined or let go.
    thread: Option<thread::JoinHandle<ShutdownReport>>,
    /// Nothing comes: it is disconnected when the thread has run all but the last of its code.
    ended: Receiver<Infallible>,
    /// The process that has the thread: a forked child has not.
    process: u32,
}

std::thread_local! {
    /// The other end of `ended`. Of a thread's locals the first to be used is the last to be destroyed, on most
    /// systems.
    static ENDS: Cell<Option<Sender<Infallible>>> = const { Cell::new(None) };
}

type StartHook = Box<dyn FnOnce() -> Result<(), BoxError> + Send>;
type StopHook = Box<dyn FnOnce() + Send>;

/// What belongs to a loop's thread.
pub(crate) struct ThreadSettings {
    pub(crate) name: String,
    pub(crate) stack_size: Option<usize>,
    pub(crate) on_start: Option<StartHook>,
    pub(crate) on_stop: Option<StopHook>,
    /// Whether its sleeps are to end as exactly as the system can.
    pub(crate) precise: bool,
}

impl Default for ThreadSettings {
    fn default() -> Self {
        Self {
            name: "sideloop".into(),
            stack_size: None,
            on_start: None,
            on_stop: None,
            precise: true,
        }
    }
}

/// What the loop itself runs in, unoptimized, with room for small tasks.
const LEAST_STACK: usize = 64 * 1024;

impl ThreadSettings {
    /// The standard library's builder; what it would panic at is an error.
    fn builder(&self) -> Result<thread::Builder, StartError> {
        let refuse =
            |why: &str| StartError::Thread(io::Error::new(io::ErrorKind::InvalidInput, why));
        if self.name.contains('\0') {
            return Err(refuse("a thread's name cannot contain a NUL"));
        }
        let mut builder = thread::Builder::new().name(self.name.clone());
        if let Some(bytes) = self.stack_size {
            if isize::try_from(bytes).is_err() {
                return Err(refuse("a stack cannot be larger than half of the address space"));
            }
            builder = builder.stack_size(bytes.max(LEAST_STACK));
        }
        Ok(builder)
    }
}

impl LoopThread {
    /// Starts a loop with the defaults, on its own thread. When this returns `Ok`, the loop accepts work.
    ///
    /// # Errors
    ///
    /// [`StartError::Thread`] if the system gives no thread.
    pub fn start() -> Result<Self, StartError> {
        Self::launch(ThreadSettings::default(), Settings::default())
    }

    pub(crate) fn launch(own: ThreadSettings, settings: Settings) -> Result<Self, StartError> {
        let builder = own.builder()?;
        let (ready, started) = bounded(1);
        let (ends, ended) = bounded(0);
        let living = move || {
            ENDS.set(Some(ends));
            live(own, settings, ready)
        };
        let thread = builder.spawn(living).map_err(StartError::Thread)?;
        // The thread answers, or drops its end: both end this wait.
        let none =
            || StartError::Thread(io::Error::other("the loop's thread ended before it began"));
        match started.recv().unwrap_or_else(|_| Err(none())) {
            Ok(handle) => Ok(Self { handle, thread: Some(thread), ended, process: process::id() }),
            Err(error) => {
                let _ = thread.join();
                Err(error)
            }
        }
    }

    /// The handle to the loop; clone it for each thread that needs one.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Requests the end of the loop, waits for its thread, and reports the fate of its tasks.
    ///
    /// When this returns the report, no thread of the loop runs any more, those of its watchdog and its pool
    /// included; except blocking jobs past their limit, which the report lists as aborted. On the loop's own
    /// thread, in its jobs and in its watchdog's hook, this does not wait: it returns the report so far.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    /// use std::time::Duration;
    ///
    /// let side = LoopThread::start()?;
    /// side.handle().spawn(std::future::pending::<()>()).detach();
    /// let report = side.shutdown(Shutdown::graceful(Duration::from_secs(1)));
    /// assert_eq!(report.cancelled.len(), 1);
    /// # Ok(()) }
    /// ```
    pub fn shutdown(self, how: Shutdown) -> ShutdownReport {
        self.handle.shutdown(how);
        self.join()
    }

    /// Waits until the loop has been shut down by a [`Handle`], and reports the fate of its tasks.
    ///
    /// Otherwise like [`LoopThread::shutdown`]; where this does not wait, the loop goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown, current};
    ///
    /// let side = LoopThread::start()?;
    /// side.handle().call(|| current().shutdown(Shutdown::now())).detach(); // the user asks to quit
    /// let report = side.join();
    /// assert_eq!(report.finished, 1);
    /// # Ok(()) }
    /// ```
    pub fn join(mut self) -> ShutdownReport {
        let Some(thread) = self.thread.take() else { return ShutdownReport::default() };
        let shared = self.handle.shared();
        match context::home(&shared.run_queues) {
            Some(local) => local.report(),
            None if self.is_needed_here(&thread) => shared.last_report.lock().clone(),
            None => thread.join().unwrap_or_default(),
        }
    }

    /// Waits like [`LoopThread::join`], for at most `limit`, even if the loop is stuck in a poll.
    ///
    /// # Errors
    ///
    /// `Err` holds the `LoopThread` if the loop and all its threads have not ended; where `join` does not wait,
    /// at once. If the loop is stuck for good, let go of it with [`LoopThread::detach`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    /// use std::time::Duration;
    ///
    /// let side = LoopThread::start()?;
    /// let (begun, is_stuck) = std::sync::mpsc::channel();
    /// let (go_on, until) = std::sync::mpsc::channel::<()>();
    /// side.handle().call(move || (begun.send(()), until.recv().is_err())).detach();
    /// is_stuck.recv()?; // in a callback that does not return
    /// side.handle().shutdown(Shutdown::now());
    /// let side = side.join_timeout(Duration::from_millis(5)).unwrap_err();
    /// drop(go_on);
    /// assert!(side.join_timeout(Duration::MAX).is_ok());
    /// # Ok(()) }
    /// ```
    pub fn join_timeout(self, limit: Duration) -> Result<ShutdownReport, Self> {
        if self.thread.as_ref().is_some_and(|thread| self.is_needed_here(thread)) {
            return Err(self);
        }
        match self.ended.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => Err(self),
            Err(RecvTimeoutError::Disconnected) => Ok(self.join()),
            Ok(never) => match never {},
        }
    }

    /// Lets the loop run until it is shut down by a [`Handle`], without waiting for its end.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{LoopThread, Shutdown};
    ///
    /// let side = LoopThread::start()?;
    /// let handle = side.handle().clone();
    /// side.detach();
    /// assert_eq!(handle.call(|| 1).join()?, 1);
    /// handle.shutdown(Shutdown::now());
    /// # Ok(()) }
    /// ```
    pub fn detach(mut self) {
        self.thread = None;
    }

    /// Whether to wait for the thread here is to wait for ever: the caller is on it, also when the loop is
    /// gone from it (in the hook that runs last, or in a destructor of the thread's own), or on one of those that
    /// serve the loop; or the thread is another process's.
    fn is_needed_here(&self, thread: &thread::JoinHandle<ShutdownReport>) -> bool {
        thread.thread().id() == thread::current().id()
            || self.handle.shared().is_served_here()
            || self.process != process::id()
    }
}

impl Drop for LoopThread {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.handle.shutdown(Shutdown::now());
        if !self.is_needed_here(&thread) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for LoopThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopThread").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// Runs the start hook.
fn begin(executor: &Executor, hook: Option<StartHook>) -> Result<(), StartError> {
    match hook.map(|hook| executor.inside(|| contain(hook))) {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) => Err(StartError::Init(error)),
        Some(Err(payload)) => Err(StartError::Panicked(payload)),
    }
}

/// The life of the loop's thread.
fn live(
    own: ThreadSettings,
    settings: Settings,
    ready: Sender<Result<Handle, StartError>>,
) -> ShutdownReport {
    if own.precise {
        slack::set_timer_slack();
    }
    let mut executor = match Executor::on_this_thread(settings) {
        Ok(executor) => executor.silenced(),
        Err(error) => {
            discard(own.on_start);
            discard(own.on_stop);
            let _ = ready.send(Err(error)); // there is room, and somebody waits
            return ShutdownReport::default();
        }
    };
    let shared = executor.handle().shared().clone();
    if let Err(error) = begin(&executor, own.on_start) {
        drop(executor);
        discard(own.on_stop);
        shared.end();
        let _ = ready.send(Err(error));
        return ShutdownReport::default();
    }
    let _ = ready.send(Ok(executor.handle().clone()));
    drop(ready);
    executor.run();
    drop(executor);
    if let Some(hook) = own.on_stop {
        call_contained(hook);
    }
    shared.end()
}
