//! What can go wrong, as types; and the one place where a panic of user code is caught.

use alloc::boxed::Box;
use core::any::Any;
use core::fmt;

#[cfg(feature = "std")]
pub use self::shell::{BoxError, Cancelled, Elapsed, SpawnError, StartError, ZeroPeriod};

/// Why a join gave no value.
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
    /// The task's closure, poll or destructor panicked; the payload is here.
    Panicked(PanicPayload),
    /// The loop had ended, or was asked to, before it could take the task in.
    Closed,
    /// The join was asked for on the very thread that would have to run the task.
    WouldDeadlock,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::Panicked(payload) => match payload.message() {
                Some(message) => write!(f, "the task panicked: {message}"),
                None => f.write_str("the task panicked"),
            },
            Self::Closed => f.write_str("the loop has shut down"),
            Self::WouldDeadlock => {
                f.write_str("a join on the task's own loop thread would deadlock")
            }
        }
    }
}

impl core::error::Error for JoinError {}

/// What a panic carried: its message where there is one, and the payload itself.
///
/// Without `std` no panic is caught: it unwinds out of the turn, or whatever else ran the task's code, and
/// has its payload there. What the handle then reports has no message and an empty payload.
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
        Self(Box::new(Caught { message, payload: parking_lot::Mutex::new(payload) }))
    }

    /// The message the panic was raised with, if its payload is a string.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        #[cfg(feature = "std")]
        return self.0.message.as_deref();
        #[cfg(not(feature = "std"))]
        None
    }

    /// The payload itself, as `std::panic::catch_unwind` gives it.
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

    /// Goes on with the panic on this thread, without calling the panic hook again.
    ///
    /// # Panics
    ///
    /// Always, with the original payload: that is what it is for.
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
    ///     Err(JoinError::Panicked(payload)) => payload.resume(), // as if it had panicked there
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

/// Drops a value of the user's; a panic in its destructor ends here.
pub(crate) fn discard<T>(value: T) {
    if let Err(payload) = contain(|| drop(value)) {
        forget_payload(payload);
    }
}

/// Drops a payload that nobody will see. If its destructor panics too, what that raised is leaked
/// rather than dropped: a chain of panicking payloads has to end somewhere.
pub(crate) fn forget_payload(payload: PanicPayload) {
    if let Err(second) = contain(|| drop(payload)) {
        core::mem::forget(second);
    }
}

#[cfg(feature = "std")]
mod shell {
    use super::PanicPayload;
    use alloc::boxed::Box;
    use core::fmt;

    /// Any error of the user's, as [`Builder::on_start`](crate::Builder::on_start) may return it.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{BoxError, Builder};
    ///
    /// fn open_device(name: &str) -> Result<(), BoxError> {
    ///     Err(format!("no device {name}").into())
    /// }
    /// assert!(Builder::new().on_start(|| open_device("hci0")).start().is_err());
    /// ```
    pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

    /// Why a loop did not start. Nothing is left of it: no thread, no hook.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, StartError};
    ///
    /// let failed = Builder::new().on_start(|| panic!("no licence")).start();
    /// let Err(StartError::Panicked(payload)) = failed else { panic!("it starts") };
    /// assert_eq!(payload.message(), Some("no licence"));
    /// let failed = Builder::new().name("a\0b").start();
    /// assert!(matches!(failed, Err(StartError::Thread(_))));
    /// ```
    #[derive(Debug)]
    pub enum StartError {
        /// The operating system gave no thread.
        Thread(std::io::Error),
        /// `on_start` returned this error.
        Init(BoxError),
        /// `on_start` panicked.
        Panicked(PanicPayload),
    }

    impl fmt::Display for StartError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::Thread(_) => f.write_str("the loop's thread could not be created"),
                Self::Init(_) => f.write_str("the start hook failed"),
                Self::Panicked(payload) => {
                    write!(
                        f,
                        "the start hook panicked: {}",
                        payload.message().unwrap_or("(no message)")
                    )
                }
            }
        }
    }

    impl core::error::Error for StartError {
        fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
            match self {
                Self::Thread(error) => Some(error),
                Self::Init(error) => Some(&**error),
                Self::Panicked(_) => None,
            }
        }
    }

    /// Why [`Handle::try_spawn`](crate::Handle::try_spawn) did not start a task; the future comes back.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Executor, Shutdown};
    ///
    /// let executor = Executor::new();
    /// executor.handle().shutdown(Shutdown::now());
    /// let refused = executor.handle().try_spawn(async { 42 }).unwrap_err();
    /// assert_eq!(refused.to_string(), "the loop has shut down");
    /// assert_eq!(sideloop::block_on(refused.into_inner()), 42); // so it is run here
    /// ```
    pub enum SpawnError<F> {
        /// The loop was asked to shut down; nothing can be spawned on it again.
        Closed(F),
        /// The injection queue holds as many submissions as it may.
        Full(F),
    }

    impl<F> SpawnError<F> {
        /// The future that was not spawned.
        #[must_use]
        pub fn into_inner(self) -> F {
            match self {
                Self::Closed(future) | Self::Full(future) => future,
            }
        }
    }

    impl<F> fmt::Debug for SpawnError<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Self::Closed(_) => "Closed(..)",
                Self::Full(_) => "Full(..)",
            })
        }
    }

    impl<F> fmt::Display for SpawnError<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Self::Closed(_) => "the loop has shut down",
                Self::Full(_) => "the injection queue is full",
            })
        }
    }

    impl<F> core::error::Error for SpawnError<F> {}

    /// What [`CancelGuard::run`](crate::CancelGuard::run) gives instead of a value: a cancel was first.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sideloop::{CancelGuard, Cancelled, LoopThread};
    ///
    /// let side = LoopThread::start()?;
    /// let (alive, is_alive) = std::sync::mpsc::channel();
    /// let task = side.handle().spawn(async move {
    ///     let guard = CancelGuard::new();
    ///     alive.send(()).unwrap();
    ///     guard.run(std::future::pending::<()>()).await?;
    ///     Ok::<_, Cancelled>(())
    /// });
    /// is_alive.recv()?;
    /// task.cancel();
    /// assert_eq!(task.join()?, Err(Cancelled)); // the task's own value
    /// # Ok(()) }
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Cancelled;

    impl fmt::Display for Cancelled {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cancelled")
        }
    }

    impl core::error::Error for Cancelled {}
    /// The limit of a [`timeout`](crate::time::timeout) came before its future was ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::time::{self, Elapsed};
    /// use std::time::Duration;
    ///
    /// let never = std::future::pending::<()>();
    /// let result = sideloop::block_on(time::timeout(Duration::from_millis(1), never));
    /// assert_eq!(result, Err(Elapsed));
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Elapsed;

    impl fmt::Display for Elapsed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the time limit has passed")
        }
    }

    impl core::error::Error for Elapsed {}

    /// What repeats cannot have a period of zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{ZeroPeriod, time};
    /// use std::time::Duration;
    ///
    /// assert_eq!(time::interval(Duration::ZERO).err(), Some(ZeroPeriod));
    /// ```
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct ZeroPeriod;

    impl fmt::Display for ZeroPeriod {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the period is zero")
        }
    }

    impl core::error::Error for ZeroPeriod {}
}
