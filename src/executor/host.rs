//! The host's side of an executor: the turn, and the descriptor to wait for.

use std::time::Instant;

use super::{Executor, Turn};
use crate::scheduler::Done;

impl Executor {
    /// Makes one turn: takes in new work, fires due timers, polls one batch. It blocks only where a task
    /// blocks. Virtual time does not jump.
    ///
    /// After a request to shut down each turn carries it on. The turn that finds no task left ends the loop, as
    /// [`run`](Self::run) does at its end, and reports that in [`Turn::ended`].
    ///
    /// # Examples
    ///
    /// A host loop. It sleeps on its channel, into which the hook of [`Builder::on_wake`] sends:
    ///
    /// ```
    /// use sideloop::{Builder, Shutdown};
    /// use std::sync::mpsc::channel;
    /// use std::time::Instant;
    ///
    /// let (wake, events) = channel();
    /// let mut executor = Builder::new().on_wake(move || drop(wake.send(()))).build();
    /// let handle = executor.handle().clone();
    /// std::thread::spawn(move || handle.shutdown(Shutdown::now()));
    /// loop {
    ///     let turn = executor.turn();
    ///     if turn.ended {
    ///         break;
    ///     }
    ///     let _event = match turn.next_deadline {
    ///         _ if !turn.idle => events.try_recv().ok(), // there is more to do
    ///         Some(at) => events.recv_timeout(at.saturating_duration_since(Instant::now())).ok(),
    ///         None => events.recv().ok(),
    ///     };
    /// }
    /// ```
    ///
    /// [`Builder::on_wake`]: crate::Builder::on_wake
    pub fn turn(&mut self) -> Turn {
        let local = &*self.local;
        let _entered = local.scheduler.side.enter();
        local.forget_reading();
        local.look_for_host();
        local.keep_pace();
        let done = local.turn_inlined();
        local.leave_turn();
        if local.end_if_empty() {
            return self.last_turn(done);
        }
        self.report(done, false)
    }

    /// The loop has ended, in this turn or before.
    #[cold]
    #[inline(never)]
    fn last_turn(&self, done: Done) -> Turn {
        self.local.end();
        self.report(done, true)
    }

    #[inline(always)]
    fn report(&self, done: Done, ended: bool) -> Turn {
        let local = &*self.local;
        let (known, next) =
            local.next_deadline().map_or_else(|at| (false, Some(at)), |at| (true, at));
        let idle = known && local.is_idle() && !done.more_timers && local.rest();
        let next_deadline = next.and_then(|tick| local.shared.clock.instant(tick));
        Turn { polls: done.polls, fired: done.fired, idle, next_deadline, ended }
    }

    /// Looks for I/O that is ready, where nothing else is. `false`: there is still nothing to do. The look takes the
    /// ring of what has come in since the last turn, too: the host would not be told of it any more.
    #[inline]
    pub(super) fn look(&self) -> bool {
        cfg!(all(feature = "io", unix)) && self.look_for_io()
    }

    fn look_for_io(&self) -> bool {
        let _entered = self.local.scheduler.side.enter();
        self.local.look_for_io() || self.local.shared.run_queues.has_news()
    }

    #[inline(never)]
    pub(super) fn has_come(&self, at: Instant) -> bool {
        at <= self.local.shared.clock.now_instant()
    }

    /// The next moment at which the loop has to be driven even if nothing comes in: the deadline of a timer or of a
    /// shutdown; `None` for never. Like [`Turn::next_deadline`], without a turn: exact, or too early if many timers
    /// have been cancelled since the last turn.
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
        let next = self.local.next_deadline().unwrap_or_else(Some);
        next.and_then(|tick| self.local.shared.clock.instant(tick))
    }

    /// A descriptor that is readable when the loop has something to do, made at the first call: for a host loop that waits
    /// for descriptors.
    ///
    /// The host waits until it is readable or [`next_deadline`](Self::next_deadline) comes, and then calls
    /// [`turn`](Self::turn) until a turn is idle. The host must not read from the descriptor or change it. It stays the
    /// same as long as the executor lives. Unlike the hook of `on_wake`, it also covers the readiness of sockets.
    ///
    /// # Errors
    ///
    /// The system's error if it gives no descriptor; [`Unsupported`](std::io::ErrorKind::Unsupported) if the loop sleeps
    /// in a driver of your own, or the crate has none for this system.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use rustix::event::{PollFd, PollFlags, poll};
    ///
    /// let mut executor = sideloop::Executor::new();
    /// let handle = executor.handle().clone();
    /// executor.try_fd()?; // from here on it announces new work
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

/// Like [`Executor::try_fd`].
///
/// # Panics
///
/// If [`Executor::try_fd`] fails.
#[cfg(all(feature = "io", unix))]
impl std::os::fd::AsFd for Executor {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.try_fd()
            .unwrap_or_else(|error| panic!("there is no descriptor for this executor: {error}"))
    }
}
