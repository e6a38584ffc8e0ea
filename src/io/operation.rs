//! Operations that are tried until they do not block, and the futures that wait for it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Async, Direction};
use crate::runtime::context;
use crate::runtime::local::{IoTicket, Local, forget};
use crate::runtime::objects::Source;

/// The loop that runs here.
fn home() -> io::Result<Rc<Local>> {
    context::current().ok_or_else(|| {
        io::Error::other(
            "I/O was polled outside of a sideloop loop: there is nothing that waits for it here",
        )
    })
}

/// A future that waits for an object, as its loop knows it: dropped, it does no more.
pub(super) struct WaitingFor<'a> {
    source: &'a Source,
    direction: Direction,
    ticket: IoTicket,
}

impl<'a> WaitingFor<'a> {
    fn new(source: &'a Source, direction: Direction) -> Self {
        Self { source, direction, ticket: None }
    }

    /// Waits on this loop, and no more on another.
    fn wait<T>(&mut self, of: &Async<T>, local: &Local, cx: &Context<'_>) -> io::Result<()> {
        let Self { source, direction, ticket } = self;
        if ticket.is_some_and(|(home, _)| home != local.shared.number) {
            forget(source.at(), *direction, ticket.take());
        }
        local.wait_for(source, of.descriptor(), *direction, cx.waker(), Some(ticket))
    }
}

impl Drop for WaitingFor<'_> {
    fn drop(&mut self) {
        forget(self.source.at(), self.direction, self.ticket);
    }
}

/// Whether the object is ready at this moment, as the system says.
fn is_ready(object: BorrowedFd<'_>, direction: Direction) -> bool {
    let flags = match direction {
        Direction::Read => PollFlags::IN | PollFlags::PRI,
        Direction::Write => PollFlags::OUT,
    };
    let mut looked = [PollFd::from_borrowed_fd(object, flags)];
    // Where the system does not say, an operation will.
    poll(&mut looked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready > 0)
}

/// Lets others have their turn first, if the task has done enough.
fn go_on(local: &Local, cx: &Context<'_>) -> Poll<()> {
    if local.may_go_on() {
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Tries an operation. `None`: it would have blocked. Pending: others are to have their turn first.
fn attempt<R>(
    local: &Local,
    source: &Source,
    direction: Direction,
    cx: &Context<'_>,
    op: impl FnOnce() -> io::Result<R>,
) -> Poll<Option<io::Result<R>>> {
    ready!(go_on(local, cx));
    match op() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            local.set_unready(source, direction);
            Poll::Ready(None)
        }
        done => Poll::Ready(Some(done)),
    }
}

impl<T> Async<T> {
    /// Polls an operation by hand: who waits is known by the waker.
    pub(super) fn poll_with<R>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let local = home()?;
        if local.may_try(&self.source, direction) {
            let op = || op(self.get_ref());
            if let Some(done) = ready!(attempt(&local, &self.source, direction, cx, op)) {
                return Poll::Ready(done);
            }
        }
        local.wait_for(&self.source, self.descriptor(), direction, cx.waker(), None)?;
        Poll::Pending
    }

    /// The same for an operation that changes the object.
    pub(super) fn poll_with_mut<R>(
        &mut self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&mut T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let local = home()?;
        if local.may_try(&self.source, direction) {
            let Self { object, source, .. } = self;
            // PANICS: it is there until `into_inner`, which ends `self`.
            let op = || op(object.as_mut().expect("the object has not been taken out"));
            if let Some(done) = ready!(attempt(&local, source, direction, cx, op)) {
                return Poll::Ready(done);
            }
        }
        local.wait_for(&self.source, self.descriptor(), direction, cx.waker(), None)?;
        Poll::Pending
    }

    /// Whether it is ready, for who polls by hand.
    pub(super) fn poll_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let local = home()?;
        ready!(go_on(&local, cx));
        if is_ready(self.descriptor(), direction) {
            return Poll::Ready(Ok(()));
        }
        local.set_unready(&self.source, direction);
        local.wait_for(&self.source, self.descriptor(), direction, cx.waker(), None)?;
        Poll::Pending
    }

    pub(super) fn waiting(&self, direction: Direction) -> WaitingFor<'_> {
        WaitingFor::new(&self.source, direction)
    }

    /// Polls an operation for a future.
    pub(super) fn poll_until<R>(
        &self,
        waiting: &mut WaitingFor<'_>,
        cx: &mut Context<'_>,
        op: &mut impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let local = home()?;
        // The first time it is tried in any case: it may be another operation than that which would have blocked.
        if waiting.ticket.is_none() || local.may_try(&self.source, waiting.direction) {
            let op = || op(self.get_ref());
            if let Some(done) = ready!(attempt(&local, &self.source, waiting.direction, cx, op)) {
                return Poll::Ready(done);
            }
        }
        waiting.wait(self, &local, cx)?;
        Poll::Pending
    }

    /// Tries an operation until it would not block.
    pub(super) async fn try_until<R>(
        &self,
        direction: Direction,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut waiting = self.waiting(direction);
        poll_fn(|cx| self.poll_until(&mut waiting, cx, &mut op)).await
    }

    /// A read has taken less than there was room for.
    pub(super) fn note_short_read(&self) {
        if self.is_drained_by_short_reads {
            if let Some(local) = context::current() {
                local.set_unready(&self.source, Direction::Read);
            }
        }
    }
}

/// Waits until an object is ready.
struct Ready<'a, T> {
    of: &'a Async<T>,
    waiting: WaitingFor<'a>,
}

impl<'a, T> Ready<'a, T> {
    fn new(of: &'a Async<T>, direction: Direction) -> Self {
        Self { of, waiting: of.waiting(direction) }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let (Self { of, waiting }, local) = (self, home()?);
        let direction = waiting.direction;
        ready!(go_on(&local, cx));
        // Whoever has waited was woken by an event; what was ready before may have been taken since.
        let is_ready = match waiting.ticket {
            Some(_) => {
                local.owed_failure(&of.source, direction)?;
                local.may_try(&of.source, direction)
            }
            None => is_ready(of.descriptor(), direction),
        };
        if is_ready {
            return Poll::Ready(Ok(()));
        }
        local.set_unready(&of.source, direction);
        waiting.wait(of, &local, cx)?;
        Poll::Pending
    }
}

/// The future of [`Async::readable`].
///
/// # Cancel safety
///
/// Strict.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use sideloop::{io::Async, time};
/// use std::os::unix::net::UnixStream;
///
/// let (stream, _silent) = Async::<UnixStream>::pair()?;
/// let limit = std::time::Duration::from_millis(1);
/// let readable = async { time::timeout(limit, stream.readable()).await };
/// assert!(sideloop::block_on(readable).is_err());
/// # Ok(())
/// # }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Readable<'a, T>(Ready<'a, T>);

impl<'a, T> Readable<'a, T> {
    pub(super) fn new(of: &'a Async<T>) -> Self {
        Self(Ready::new(of, Direction::Read))
    }
}

impl<T> Future for Readable<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll(cx)
    }
}

impl<T> fmt::Debug for Readable<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readable").finish_non_exhaustive()
    }
}

/// The future of [`Async::writable`].
///
/// # Cancel safety
///
/// Strict.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use sideloop::io::Async;
/// use std::os::unix::net::UnixStream;
///
/// let (stream, _other) = Async::<UnixStream>::pair()?;
/// sideloop::block_on(stream.writable())
/// # }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Writable<'a, T>(Ready<'a, T>);

impl<'a, T> Writable<'a, T> {
    pub(super) fn new(of: &'a Async<T>) -> Self {
        Self(Ready::new(of, Direction::Write))
    }
}

impl<T> Future for Writable<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll(cx)
    }
}

impl<T> fmt::Debug for Writable<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").finish_non_exhaustive()
    }
}
