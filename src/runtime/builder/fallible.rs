//! The settings that may fail: building on the caller's own thread, and a driver of the user's.

use super::Builder;
use crate::error::StartError;
use crate::runtime::executor::Executor;

impl Builder {
    /// Builds the executor on the caller's thread like [`build`](Self::build), and reports what fails.
    ///
    /// # Errors
    ///
    /// [`StartError::Thread`] if the system gives no thread for a watchdog; [`StartError::Init`] or
    /// [`StartError::Panicked`] if making your own driver failed or panicked. Nothing of the loop is left then.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut executor = sideloop::Builder::new().batch(16).try_build()?;
    /// assert_eq!(executor.block_on(async { 1 }), 1);
    /// # Ok(()) }
    /// ```
    pub fn try_build(self) -> Result<Executor, StartError> {
        let (_, settings, watchdog) = self.settle();
        watchdog.map_err(StartError::Thread)?;
        Executor::on_this_thread(settings)
    }

    /// Makes the loop sleep in a driver of your own. `make` runs on the loop's thread, before anything else.
    ///
    /// Without this the loop sleeps on a lock, and from the first wait for I/O on in the crate's own driver. If `make`
    /// fails, the start fails with [`StartError::Init`]. See [`Driver`](crate::io::Driver) for an example.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, StartError, io::Driver};
    ///
    /// /// A device that sleeps for us; this machine has none.
    /// fn open<D: Driver>() -> std::io::Result<D> {
    ///     Err(std::io::Error::other("no device"))
    /// }
    /// # struct Device;
    /// # impl Driver for Device {
    /// #     type Bell = fn();
    /// #     fn bell(&self) -> fn() { || () }
    /// #     fn look(&mut self) -> std::io::Result<()> { Ok(()) }
    /// #     fn wait(&mut self, _until: Option<std::time::Instant>) -> std::io::Result<()> { Ok(()) }
    /// # }
    /// let failed = Builder::new().driver(open::<Device>).try_build();
    /// assert!(matches!(failed, Err(StartError::Init(error)) if error.to_string() == "no device"));
    /// ```
    #[cfg(all(feature = "io", unix))]
    pub fn driver<D, M>(mut self, make: M) -> Self
    where
        M: FnOnce() -> std::io::Result<D> + Send + 'static,
        D: crate::io::Driver + 'static,
    {
        self.settings.driver = Some(crate::runtime::driver::users(make));
        self
    }
}
