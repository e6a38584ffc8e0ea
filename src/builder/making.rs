//! What a builder makes: a loop on a thread of its own, or an executor; and with whose driver.

use super::Builder;
use crate::error::StartError;
use crate::executor::Executor;
use crate::loop_thread::{LoopThread, ThreadSettings};
use crate::runtime::local::Settings;
use crate::runtime::watchdog::Watchdog;

impl Builder {
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

    /// Starts the loop on its own thread. When this returns `Ok`, `on_start` has finished, and a call made at
    /// once runs.
    ///
    /// # Errors
    ///
    /// [`StartError::Thread`] if the system gives no thread; [`StartError::Init`] or [`StartError::Panicked`] if
    /// `on_start` failed or panicked. Nothing of the loop is left then.
    pub fn start(self) -> Result<LoopThread, StartError> {
        let (thread, settings, watchdog) = self.settle();
        watchdog.map_err(StartError::Thread)?;
        LoopThread::launch(thread, settings)
    }

    /// Builds the executor on the caller's thread. The settings of a thread (name, stack size, `on_start`,
    /// `on_stop`, precise timers) do not apply. If the system gives no thread for a watchdog, there is none.
    ///
    /// # Panics
    ///
    /// If your own driver cannot be made; [`try_build`](Self::try_build) returns an error instead.
    #[must_use]
    pub fn build(self) -> Executor {
        let (_, settings, _) = self.settle();
        let built = Executor::on_this_thread(settings);
        built.unwrap_or_else(|error| panic!("the executor could not be built: {error}: {error:?}"))
    }

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

    /// Starts the watchdog, if there is to be one.
    fn settle(mut self) -> (ThreadSettings, Settings, std::io::Result<()>) {
        let watchdog = self.watchdog.map(|(limit, hook)| Watchdog::start(limit, hook)).transpose();
        let outcome = watchdog.map(|watchdog| self.settings.watchdog = watchdog);
        (self.thread, self.settings, outcome)
    }
}

impl LoopThread {
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
}
