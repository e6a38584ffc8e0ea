//! The error types; and the one place that catches panics of user code.

use alloc::boxed::Box;
use core::any::Any;
use core::fmt;

use crate::id::TaskIdentity;

#[cfg(feature = "std")]
mod shell;

#[cfg(feature = "std")]
pub use self::shell::{BoxError, Cancelled, Elapsed, SpawnError, StartError, ZeroPeriod};

/// Why a join returned no value.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{JoinError, LoopThread};
///
/// let side = LoopThread::start()?;
/// let stuck = side.handle().spawn(std::future::pending::<()>());
/// stuck.cancel();
/// assert!(matches!(stuck.join(), Err(JoinError::Cancelled)));
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
#[non_exhaustive]
#[derive(Debug)]
pub enum JoinError {
    /// The task was cancelled or aborted; its future has been dropped.
    Cancelled,
    /// The task's closure, poll or destructor panicked, with this payload.
    Panicked(PanicPayload),
    /// The loop had ended, or its end had been requested, before it accepted the task.
    Closed,
    /// The join was called on the thread that would have to run the task.
    WouldDeadlock,
}

impl JoinError {
    /// The task that panicked; `None` for the other reasons, and for a panic outside tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let side = sideloop::LoopThread::start()?;
    /// let error = side.handle().call(|| panic!("out of paper")).join().unwrap_err();
    /// let line = error.task().map(|task| task.location().line());
    /// assert!(line.is_some());
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[must_use]
    pub fn task(&self) -> Option<&TaskIdentity> {
        match self {
            Self::Panicked(payload) => payload.task(),
            _ => None,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::Panicked(payload) => {
                match payload.task() {
                    Some(task) => task.fmt(f)?,
                    None => f.write_str("the task")?,
                }
                match payload.message() {
                    Some(message) => write!(f, " panicked: {message}"),
                    None => f.write_str(" panicked"),
                }
            }
            Self::Closed => f.write_str("the loop has shut down"),
            Self::WouldDeadlock => {
                f.write_str("a join on the task's own loop thread would deadlock")
            }
        }
    }
}

impl core::error::Error for JoinError {}

/// The payload of a panic, and its message if it has one.
///
/// Without `std` no panic is caught: it unwinds, with its payload, out of the turn or whatever else ran the
/// task's code. The handle then reports an empty payload without a message.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sideloop::{JoinError, LoopThread};
///
/// let side = LoopThread::start()?;
/// match side.handle().call(|| panic!("no {}", "luck")).join() {
///     Err(JoinError::Panicked(payload)) => assert_eq!(payload.message(), Some("no luck")),
///     other => panic!("unexpected: {other:?}"),
/// }
/// # Ok(()) }
/// # #[cfg(not(feature = "std"))] fn main() {}
/// ```
pub struct PanicPayload(Payload);

#[cfg(feature = "std")]
type Payload = Box<Caught>;
/// There is none, and it takes no memory.
#[cfg(not(feature = "std"))]
type Payload = Box<()>;

#[cfg(feature = "std")]
struct Caught {
    message: Option<Box<str>>,
    /// It is `Send` and not `Sync`; behind a lock that nobody takes it is both.
    payload: parking_lot::Mutex<Box<dyn Any + Send>>,
    /// Whose panic it was, if it was a task's.
    task: Option<TaskIdentity>,
}

impl PanicPayload {
    /// That of a panic that was not caught.
    pub(crate) fn uncaught() -> Self {
        #[cfg(feature = "std")]
        return Self::new(Box::new(()));
        #[cfg(not(feature = "std"))]
        Self(Box::new(()))
    }

    #[cfg(feature = "std")]
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<&'static str>().copied();
        let message = text
            .or_else(|| payload.downcast_ref::<alloc::string::String>().map(|text| text.as_str()))
            .map(Box::from);
        Self(Box::new(Caught { message, payload: parking_lot::Mutex::new(payload), task: None }))
    }

    /// Notes whose panic it was. Without `std` there is nothing to note it in.
    pub(crate) fn set_task(&mut self, task: TaskIdentity) {
        #[cfg(feature = "std")]
        {
            self.0.task = Some(task);
        }
        #[cfg(not(feature = "std"))]
        drop(task);
    }

    fn task(&self) -> Option<&TaskIdentity> {
        #[cfg(feature = "std")]
        return self.0.task.as_ref();
        #[cfg(not(feature = "std"))]
        None
    }

    /// The panic's message, if its payload is a string.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        #[cfg(feature = "std")]
        return self.0.message.as_deref();
        #[cfg(not(feature = "std"))]
        None
    }

    /// The payload itself, as `std::panic::catch_unwind` returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{JoinError, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let task = side.handle().call(|| std::panic::panic_any(404));
    /// let Err(JoinError::Panicked(payload)) = task.join() else { panic!("it panics") };
    /// assert!(payload.message().is_none()); // it is not a string
    /// assert_eq!(payload.into_inner().downcast_ref(), Some(&404));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Any + Send> {
        #[cfg(feature = "std")]
        return self.0.payload.into_inner();
        #[cfg(not(feature = "std"))]
        self.0
    }

    /// Resumes the panic on this thread, without calling the panic hook again.
    ///
    /// # Panics
    ///
    /// Always, with the original payload.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{JoinError, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let task = side.handle().call(|| panic!("out of paper"));
    /// let relay = std::thread::spawn(|| match task.join() {
    ///     Err(JoinError::Panicked(payload)) => payload.resume(), // as if this thread had panicked
    ///     _ => (),
    /// });
    /// assert_eq!(relay.join().unwrap_err().downcast_ref(), Some(&"out of paper"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "std"))] fn main() {}
    /// ```
    #[cfg(feature = "std")]
    pub fn resume(self) -> ! {
        std::panic::resume_unwind(self.into_inner())
    }
}

impl fmt::Debug for PanicPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanicPayload").field("message", &self.message()).finish_non_exhaustive()
    }
}

/// Calls user code and catches its panic. Without `std` there is no catching: the call is plain, and a
/// panic unwinds through the caller.
#[inline]
pub(crate) fn contain<R>(user_code: impl FnOnce() -> R) -> Result<R, PanicPayload> {
    #[cfg(feature = "std")]
    return std::panic::catch_unwind(std::panic::AssertUnwindSafe(user_code))
        .map_err(PanicPayload::new);
    #[cfg(not(feature = "std"))]
    Ok(user_code())
}

/// Calls user code whose panic nobody will see. `false`: it panicked.
#[inline]
pub(crate) fn call_contained(user_code: impl FnOnce()) -> bool {
    contain(user_code).map_err(forget_payload).is_ok()
}

/// Drops a value of the user's; a panic in its destructor ends here.
pub(crate) fn discard<T>(value: T) {
    call_contained(|| drop(value));
}

/// Drops a payload that nobody will see. If its destructor panics too, what that raised is leaked
/// rather than dropped: a chain of panicking payloads has to end somewhere.
pub(crate) fn forget_payload(payload: PanicPayload) {
    if let Err(second) = contain(|| drop(payload)) {
        core::mem::forget(second);
    }
}
