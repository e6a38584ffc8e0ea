//! What the host of an executor waits for.

use std::time::Instant;

use super::Executor;

impl Executor {
    /// The next moment at which the loop has to be driven though nothing comes in: that of a timer, or of a
    /// shutdown. Exact; `None` is never. As [`Turn::next_deadline`], without a turn.
    ///
    /// # Examples
    ///
    /// ```
    /// use sideloop::{Builder, time};
    /// use std::time::Duration;
    ///
    /// let mut executor = Builder::new().virtual_time(0).build();
    /// assert_eq!(executor.next_deadline(), None);
    /// executor.spawn_local(time::sleep(Duration::from_secs(60))).detach();
    /// let turn = executor.turn();
    /// assert!(turn.next_deadline.is_some() && turn.next_deadline == executor.next_deadline());
    /// ```
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.local.next_deadline().and_then(|tick| self.local.shared.clock.instant(tick))
    }

    /// A descriptor that is readable when the loop has something to do, made at the first call: for a host loop that waits
    /// for descriptors.
    ///
    /// The host waits until it is readable, or [`next_deadline`](Self::next_deadline) comes, and then calls
    /// [`turn`](Self::turn) until that is idle. Nobody else may read from it, or change it. It stays the same as long as
    /// the executor lives.
    ///
    /// # Errors
    ///
    /// What the system says where it has none to give; [`Unsupported`](std::io::ErrorKind::Unsupported) where the loop
    /// sleeps in a driver of the user's, or the system has no driver of ours.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use rustix::event::{PollFd, PollFlags, poll};
    ///
    /// let mut executor = sideloop::Executor::new();
    /// let handle = executor.handle().clone();
    /// executor.try_fd()?; // from here on it tells of what comes in
    /// while !executor.turn().idle {}
    /// let task = std::thread::spawn(move || handle.call(|| 1)).join().unwrap();
    /// poll(&mut [PollFd::new(&executor.try_fd()?, PollFlags::IN)], None)?;
    /// while !executor.turn().idle {}
    /// assert!(task.is_finished());
    /// # Ok(()) }
    /// # #[cfg(not(target_os = "linux"))] fn main() {}
    /// ```
    #[cfg(all(feature = "io", unix))]
    pub fn try_fd(&self) -> std::io::Result<std::os::fd::BorrowedFd<'_>> {
        self.local.descriptor()
    }
}

/// As [`Executor::try_fd`].
///
/// # Panics
///
/// Where that fails.
#[cfg(all(feature = "io", unix))]
impl std::os::fd::AsFd for Executor {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.try_fd()
            .unwrap_or_else(|error| panic!("there is no descriptor for this executor: {error}"))
    }
}
