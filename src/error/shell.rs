//! The errors of the parts that need the standard library.

use super::PanicPayload;
use alloc::boxed::Box;
use core::fmt;

/// Any error of yours, as the hook of [`Builder::on_start`](crate::Builder::on_start) may return it.
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

/// Why a loop did not start. Nothing of it is left: no thread, no hook.
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
    /// The operating system gave no thread, with this error.
    Thread(std::io::Error),
    /// `on_start`, or making a driver, failed with this error.
    Init(BoxError),
    /// `on_start`, or making a driver, panicked.
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

/// Why [`Handle::try_spawn`](crate::Handle::try_spawn) did not start a task, with the future.
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
/// assert_eq!(sideloop::block_on(refused.into_inner()), 42); // it runs here instead
/// ```
pub enum SpawnError<F> {
    /// A shutdown of the loop was requested; it accepts no more work.
    Closed(F),
    /// The injection queue is at its capacity.
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

/// The error of [`CancelGuard::run`](crate::CancelGuard::run): a cancel came before the value.
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
/// The error of a [`timeout`](crate::time::timeout): the limit passed before the future was ready.
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

/// The error of intervals and repeated calls with a period of zero.
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
