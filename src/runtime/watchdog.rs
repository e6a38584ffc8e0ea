//! A second thread that tells when a poll takes too long.
//!
//! The loop notes under a lock what it is about to poll, and that it is done: the price of a
//! watchdog, paid only where there is one. The watchdog sleeps until the poll it sees would be too
//! long; after a period without polls it sleeps until the loop wakes it, so an idle loop is left
//! alone.

pub(crate) mod watch;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use self::watch::Watch;
use crate::error::call_contained;
use crate::id::TaskId;
use crate::scheduler::TaskMeta;
use crate::sync::{Thread, start_thread};

std::thread_local! {
    /// What this thread watches, as an address.
    static WATCHES: Cell<*const ()> = const { Cell::new(ptr::null()) };
}

/// The hook of [`Builder::watchdog`](crate::Builder::watchdog).
pub(crate) type StallHook = Box<dyn Fn(&Stall) + Send>;

/// A poll, a callback or a destructor that takes too long, as the watchdog sees it.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let (tell, told) = mpsc::channel();
/// let side = sideloop::LoopThread::builder()
///     .watchdog(Duration::from_millis(5), move |stall| {
///         let _ = tell.send((stall.id(), stall.elapsed()));
///     })
///     .start()?;
/// let (stuck, until) = mpsc::channel::<()>();
/// let call = side.handle().call(move || until.recv().is_err());
/// let (id, elapsed) = told.recv()?; // told while the call is stuck
/// assert!(id == call.id() && elapsed >= Duration::from_millis(5));
/// drop(stuck);
/// assert!(call.join()?);
/// # Ok(()) }
/// ```
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let (tell, told) = std::sync::mpsc::channel();
/// let side = sideloop::LoopThread::builder()
///     .watchdog(Duration::from_millis(5), move |stall| {
///         let name = stall.name().unwrap_or("a task without a name");
///         let _ = tell.send(format!("{name} is stuck, from {}", stall.location().file()));
///     })
///     .start()?;
/// let (go_on, until) = std::sync::mpsc::channel::<()>();
/// side.handle().task().name("hog").spawn(async move { until.recv().is_err() }).detach();
/// assert!(told.recv()?.starts_with("hog is stuck"));
/// drop(go_on);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Stall {
    subject: TaskMeta,
    elapsed: Duration,
}

impl Stall {
    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.subject.id
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.subject.name.as_deref()
    }

    /// Where the task was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.subject.location
    }

    /// How long the task has been running since its poll, callback or destructor began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

/// The loop's end of it. Dropped, it stops the watchdog, and waits for its thread.
pub(crate) struct Watchdog {
    watch: Arc<Watch<TaskMeta>>,
    /// `None` once it was waited for.
    thread: Cell<Option<Thread>>,
}

/// What reads how long the loop has been busy, from any thread.
#[derive(Clone)]
pub(crate) struct Busy(Arc<Watch<TaskMeta>>);

impl Watchdog {
    /// Starts the watchdog's thread.
    pub(crate) fn start(limit: Duration, hook: StallHook) -> io::Result<Self> {
        let watch = Arc::new(Watch::default());
        let shared = watch.clone();
        let tell = move |subject, elapsed| {
            call_contained(|| hook(&Stall { subject, elapsed }));
        };
        let thread = start_thread("sideloop-watchdog", move || {
            let _ = WATCHES.try_with(|watch| watch.set(Arc::as_ptr(&shared).cast()));
            shared.run(limit, tell);
        })?;
        Ok(Self { watch, thread: Cell::new(Some(thread)) })
    }

    /// Stops it, and waits until its thread has ended, with what its hook is at.
    pub(crate) fn join(&self) {
        self.watch.stop();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }

    /// The loop is about to run the task's code.
    pub(crate) fn begin(&self, subject: TaskMeta) {
        self.watch.begin(subject);
    }

    /// It came back.
    pub(crate) fn end(&self) {
        self.watch.end();
    }

    pub(crate) fn busy(&self) -> Busy {
        Busy(self.watch.clone())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.join();
    }
}

impl Busy {
    /// Whether the calling thread is the watchdog's.
    pub(crate) fn is_own_thread(&self) -> bool {
        WATCHES.try_with(|watch| watch.get() == Arc::as_ptr(&self.0).cast()).unwrap_or(false)
    }

    /// The time spent in user code, the current poll included.
    pub(crate) fn time(&self) -> Duration {
        self.0.busy()
    }
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Busy").field(&self.time()).finish()
    }
}
