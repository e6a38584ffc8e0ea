//! What a loop sleeps in when it waits for I/O too.
//!
//! A [`Driver`] is the user's interface. The loop itself asks for a little more, by [`Sleeper`]: our own driver keeps an
//! object registered, and gives out what it has seen as plain [`Event`]s, after it was looked at and outside of every
//! borrow; a driver of the user's takes one request for each readiness, and wakes a [`Signal`].

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod epoll;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Weak;
use std::task::Waker;
use std::time::Instant;

use futures_task::{ArcWake, waker};

use super::bells::Bell;
use super::control::tell;
use super::shared::Shared;
use crate::error::{StartError, contain};

/// The direction in which an object is ready.
///
/// # Examples
///
/// ```
/// use sideloop::io::Direction;
///
/// assert_ne!(Direction::Read, Direction::Write);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// For reading, or accepting.
    Read,
    /// For writing, or for the end of connecting.
    Write,
}

impl Direction {
    pub(crate) const BOTH: [Self; 2] = [Self::Read, Self::Write];
}

/// The place where a loop's thread sleeps. [`Builder::driver`](crate::Builder::driver) gives it to a loop; it is made, used
/// and dropped on the loop's thread only.
///
/// It has three operations. [`look`](Self::look) finds what is ready and returns at once; a busy loop calls it at least
/// every 61 turns or every millisecond, and a virtual clock before each jump. [`wait`](Self::wait) is where the idle loop
/// sleeps. [`register`](Self::register) requests one wake by the readiness of an object; [`Async`](crate::io::Async) needs it,
/// and a driver without it still serves for wakes and timers.
///
/// A driver that fails or panics does not end the loop. Each task that waits for I/O gets the error once; the loop sleeps
/// elsewhere until the next wake or deadline, then tries the driver again. A panic of the bell is contained, too.
///
/// # Examples
///
/// A driver that counts how often the loop has slept, on a lock and a condition variable:
///
/// ```
/// use std::sync::{Arc, Condvar, Mutex};
/// use std::time::Instant;
/// use sideloop::{Builder, io::Driver};
///
/// #[derive(Clone, Default)]
/// struct Doorbell(Arc<(Mutex<bool>, Condvar)>);
///
/// impl Driver for Doorbell {
///     type Bell = Box<dyn Fn() + Send + Sync>;
///
///     fn bell(&self) -> Self::Bell {
///         let Doorbell(door) = self.clone();
///         Box::new(move || {
///             *door.0.lock().unwrap() = true; // stays until a wait has seen it
///             door.1.notify_one();
///         })
///     }
///
///     fn look(&mut self) -> std::io::Result<()> {
///         Ok(()) // there is nothing here that could be ready
///     }
///
///     fn wait(&mut self, until: Option<Instant>) -> std::io::Result<()> {
///         let mut rung = self.0.0.lock().unwrap();
///         while !*rung && until.is_none_or(|at| Instant::now() < at) {
///             let left = until.map_or(std::time::Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
///             rung = self.0.1.wait_timeout(rung, left).unwrap().0;
///         }
///         *rung = false;
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let side = Builder::new().driver(|| Ok(Doorbell::default())).start()?;
/// assert_eq!(side.handle().call(|| 1).join()?, 1);
/// assert!(side.handle().metrics().io_waits > 0);
/// # Ok(()) }
/// ```
pub trait Driver {
    /// Ends the wait from any thread.
    type Bell: Fn() + Send + Sync + 'static;

    /// Returns the bell; called once. The bell may be rung from any thread at any time, also after the driver's end. It
    /// ends the current [`wait`](Self::wait), or, if there is none, the next one.
    fn bell(&self) -> Self::Bell;

    /// Wakes the wakers of all objects that have become ready, without waiting.
    ///
    /// # Errors
    ///
    /// Any; see above for its treatment.
    fn look(&mut self) -> io::Result<()>;

    /// Waits until an object has become ready and its waker was woken, the bell rings, or `until` comes; `None` is never.
    /// It may return early for no reason.
    ///
    /// # Errors
    ///
    /// Like [`look`](Self::look).
    fn wait(&mut self, until: Option<Instant>) -> io::Result<()>;

    /// Requests that `waker` be woken once, from any thread, when `object` is or becomes ready in this direction; then the
    /// driver forgets the request. The driver may keep the number of the descriptor, but does not own it: the object may be
    /// closed before it is ready.
    ///
    /// There is at most one request for an object and direction at a time, unless the driver has failed meanwhile.
    ///
    /// # Errors
    ///
    /// Any; it goes to the tasks that wait for the object. By default [`io::ErrorKind::Unsupported`].
    fn register(
        &mut self,
        object: BorrowedFd<'_>,
        direction: Direction,
        waker: Waker,
    ) -> io::Result<()> {
        let _ = (object, direction, waker);
        Err(io::Error::new(io::ErrorKind::Unsupported, "this loop's driver registers no objects"))
    }
}

/// What a loop knows an object by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// Its place among the objects of the loop.
    pub(crate) place: usize,
    /// The lower half of its number, which tells it from a later tenant of the place.
    pub(crate) half: u32,
}

/// An object has become ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: Key,
    /// In which directions.
    pub(crate) ready: [bool; 2],
    /// In which directions an operation can be tried at any time from now on: what it says next, an end, an error or
    /// urgent data, is announced by nothing else.
    pub(crate) over: [bool; 2],
}

/// What is to be registered.
pub(crate) struct Wanted<'a> {
    pub(crate) key: Key,
    pub(crate) object: BorrowedFd<'a>,
    pub(crate) direction: Direction,
    /// Whether the object is registered for the other direction already.
    pub(crate) has_other: bool,
    /// The loop, for a signal.
    pub(crate) home: &'a std::sync::Arc<Shared>,
}

/// A driver, as the loop asks it.
pub(crate) trait Sleeper {
    /// Whether a registration is over with the first event.
    fn is_one_shot(&self) -> bool;
    fn look(&mut self) -> io::Result<()>;
    fn wait(&mut self, until: Option<Instant>) -> io::Result<()>;
    fn register(&mut self, wanted: Wanted<'_>) -> io::Result<()>;
    /// One of the events of the last look or wait.
    fn next_event(&mut self) -> Option<Event>;
}

/// A driver of the user's.
struct Users<D>(D);

impl<D: Driver> Sleeper for Users<D> {
    fn is_one_shot(&self) -> bool {
        true
    }

    fn look(&mut self) -> io::Result<()> {
        self.0.look()
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.0.wait(until)
    }

    fn register(&mut self, wanted: Wanted<'_>) -> io::Result<()> {
        let Wanted { key, object, direction, home, .. } = wanted;
        let signal = Signal { key, direction, home: std::sync::Arc::downgrade(home) };
        self.0.register(object, direction, waker(std::sync::Arc::new(signal)))
    }

    fn next_event(&mut self) -> Option<Event> {
        None
    }
}

/// What a driver of the user's wakes.
struct Signal {
    key: Key,
    direction: Direction,
    home: Weak<Shared>,
}

impl ArcWake for Signal {
    fn wake_by_ref(signal: &std::sync::Arc<Self>) {
        let Some(home) = signal.home.upgrade() else { return };
        let ready = Direction::BOTH.map(|direction| direction == signal.direction);
        let event = Event { key: signal.key, ready, over: [false; 2] };
        tell(&home.run_queues, move |local| local.take_event(event));
    }
}

/// A driver with its bell.
pub(crate) type Made = (Box<dyn Sleeper>, Bell);

/// Makes a driver, on the thread of its loop.
pub(crate) type Make = Box<dyn FnOnce() -> Result<Made, StartError> + Send>;

/// What makes a driver of the user's. Its failure, and its panic, are those of a start.
pub(crate) fn users<D, M>(make: M) -> Make
where
    M: FnOnce() -> io::Result<D> + Send + 'static,
    D: Driver + 'static,
{
    Box::new(move || {
        let made = contain(move || {
            let driver = make()?;
            let bell: Bell = Box::new(driver.bell());
            let driver: Box<dyn Sleeper> = Box::new(Users(driver));
            Ok((driver, bell))
        });
        match made {
            Ok(Ok(made)) => Ok(made),
            Ok(Err(error)) => Err(StartError::Init(Box::<io::Error>::new(error))),
            Err(payload) => Err(StartError::Panicked(payload)),
        }
    })
}
