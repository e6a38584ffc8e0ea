//! A second thread that tells when a poll takes too long.
//!
//! The loop notes under a lock what it is about to poll, and that it is done: the price of a
//! watchdog, paid only where there is one. The watchdog sleeps until the poll it sees would be too
//! long; after a period without polls it sleeps until the loop wakes it, so an idle loop is left
//! alone.

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::{contain, forget_payload};
use crate::id::TaskId;
use crate::scheduler::Subject;

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
    subject: Subject,
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

    /// How long it has been going on.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

/// What the loop and its watchdog share.
#[derive(Default)]
struct Watch {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// How many polls have begun.
    begun: u64,
    busy: Duration,
    /// The watchdog waits to be woken by the next poll.
    asleep: bool,
    stopped: bool,
}

struct Current {
    subject: Subject,
    since: Instant,
    told: bool,
}

/// The loop's end of it. Dropped, it stops the watchdog, and does not wait for it.
pub(crate) struct Watchdog(Arc<Watch>);

/// What reads how long the loop has been busy, from any thread.
#[derive(Clone)]
pub(crate) struct Busy(Arc<Watch>);

impl Watchdog {
    /// Starts the watchdog's thread.
    pub(crate) fn start(limit: Duration, hook: StallHook) -> io::Result<Self> {
        let watch = Arc::new(Watch::default());
        let shared = watch.clone();
        let name = String::from("sideloop-watchdog");
        thread::Builder::new().name(name).spawn(move || shared.run(limit, &hook))?;
        Ok(Self(watch))
    }

    /// The loop is about to run the task's code.
    pub(crate) fn begin(&self, subject: Subject) {
        let mut state = self.0.state.lock();
        state.begun += 1;
        state.current = Some(Current { subject, since: Instant::now(), told: false });
        if std::mem::take(&mut state.asleep) {
            self.0.bell.notify_one();
        }
    }

    /// It came back.
    pub(crate) fn end(&self) {
        let mut state = self.0.state.lock();
        if let Some(current) = state.current.take() {
            state.busy += current.since.elapsed();
        }
    }

    pub(crate) fn busy(&self) -> Busy {
        Busy(self.0.clone())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.state.lock().stopped = true;
        self.0.bell.notify_one();
    }
}

impl Busy {
    /// The time spent in user code, the current poll included.
    pub(crate) fn time(&self) -> Duration {
        let state = self.0.state.lock();
        state.busy + state.current.as_ref().map_or(Duration::ZERO, |now| now.since.elapsed())
    }
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Busy").field(&self.time()).finish()
    }
}

impl Watch {
    /// The life of the watchdog's thread.
    fn run(&self, limit: Duration, hook: &StallHook) {
        let mut state = self.state.lock();
        while !state.stopped {
            match &mut state.current {
                Some(current) if !current.told => {
                    let elapsed = current.since.elapsed();
                    if elapsed >= limit {
                        current.told = true;
                        let stall = Stall { subject: current.subject.clone(), elapsed };
                        MutexGuard::unlocked(&mut state, || {
                            if let Err(payload) = contain(|| hook(&stall)) {
                                forget_payload(payload);
                            }
                            drop(stall);
                        });
                    } else {
                        self.bell.wait_for(&mut state, limit - elapsed);
                    }
                }
                _ => self.rest(&mut state, limit),
            }
        }
    }

    /// Waits for as long as no poll that begins from now on can be too long; if none began
    /// meanwhile, until one does.
    fn rest(&self, state: &mut MutexGuard<'_, State>, limit: Duration) {
        let begun = state.begun;
        // At least a millisecond, lest a limit of zero makes this thread spin.
        self.bell.wait_for(state, limit.max(Duration::from_millis(1)));
        if state.begun == begun && !state.stopped {
            state.asleep = true;
            self.bell.wait_while(state, |state| state.asleep && !state.stopped);
        }
    }
}
