//! A loop on its own thread.

use std::fmt;
use std::io;
use std::thread;

use super::context;
use super::executor::Executor;
use super::local::Settings;
use super::slack;
use super::started::{Promise, promise};
use crate::error::{BoxError, StartError, contain, discard, forget_payload};
use crate::handle::Handle;
use crate::runtime::builder::Builder;
use crate::shutdown::{Shutdown, ShutdownReport};

/// A loop that runs on a thread of its own, and the right to wait for its end.
///
/// Made by [`LoopThread::start`] or a [`Builder`]. Everything else is done through its [`Handle`].
/// Dropping it aborts what lives and waits for the thread, as `shutdown(Shutdown::now())` does; on the
/// loop's own thread it only asks for the end. Two loops whose tasks own each other's `LoopThread` wait
/// for each other: keep it outside of loops.
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
    /// Starts a loop with the defaults, on its own thread. When this returns `Ok` the loop takes work.
    ///
    /// # Errors
    ///
    /// [`StartError::Thread`] if there is no thread to be had.
    pub fn start() -> Result<Self, StartError> {
        Builder::new().start()
    }

    /// Begins a loop with other settings: [`Builder::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::builder().name("audio").start()?;
    /// # Ok(()) }
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn launch(own: ThreadSettings, settings: Settings) -> Result<Self, StartError> {
        let (ready, started) = promise();
        let thread =
            own.builder()?.spawn(move || live(own, settings, ready)).map_err(StartError::Thread)?;
        // The thread answers, or drops its end: both end this wait.
        match started.wait() {
            Some(Ok(handle)) => Ok(Self { handle, thread: Some(thread) }),
            Some(Err(error)) => {
                let _ = thread.join();
                Err(error)
            }
            None => {
                let _ = thread.join();
                Err(StartError::Thread(io::Error::other("the loop's thread ended before it began")))
            }
        }
    }

    /// The handle to the loop, to be cloned to whoever needs it.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Asks the loop to end, waits for its thread, and says what became of its tasks.
    ///
    /// On the loop's own thread it does not wait: it returns at once what is known so far.
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

    /// Waits until somebody shuts the loop down, and says what became of its tasks.
    ///
    /// On the loop's own thread it does not wait: it returns at once what is known so far, and the
    /// loop goes on.
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
        match context::home(&shared.mailbox) {
            Some(local) => local.report(),
            None if is_current(&thread) => shared.last_report.lock().clone(),
            None => thread.join().unwrap_or_default(),
        }
    }
}

impl Drop for LoopThread {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.handle.shutdown(Shutdown::now());
        if !is_current(&thread) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for LoopThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopThread").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// Whether the caller is on this thread, also when the loop is gone from it: in the hook that runs
/// last, or in a destructor of the thread's own.
fn is_current<T>(thread: &thread::JoinHandle<T>) -> bool {
    thread.thread().id() == thread::current().id()
}

/// Runs the start hook. If it fails, nothing is left of the loop.
fn begin(executor: Executor, hook: Option<StartHook>) -> Result<Executor, StartError> {
    match hook.map(|hook| executor.inside(|| contain(hook))) {
        None | Some(Ok(Ok(()))) => Ok(executor),
        Some(Ok(Err(error))) => Err(StartError::Init(error)),
        Some(Err(payload)) => Err(StartError::Panicked(payload)),
    }
}

/// The life of the loop's thread.
fn live(
    own: ThreadSettings,
    settings: Settings,
    ready: Promise<Result<Handle, StartError>>,
) -> ShutdownReport {
    if own.precise {
        slack::sharpen();
    }
    let begun =
        Executor::on_this_thread(settings).and_then(|executor| begin(executor, own.on_start));
    let mut executor = match begun {
        Ok(executor) => executor,
        Err(error) => {
            discard(own.on_stop);
            ready.keep(Err(error));
            return ShutdownReport::default();
        }
    };
    ready.keep(Ok(executor.handle().clone()));
    let report = executor.run();
    drop(executor);
    if let Some(hook) = own.on_stop {
        if let Err(payload) = contain(hook) {
            forget_payload(payload);
        }
    }
    report
}
