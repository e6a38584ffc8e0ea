//! Accepting connections, one after another.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use rustix::io::Errno;

use super::operation::WaitingFor;
use super::{Async, Direction};
use crate::time::{Sleep, sleep};

/// How long an error for want of descriptors or memory is held back: the connection waits in the system, and the next call
/// would fail at once.
const HOLD_BACK: Duration = Duration::from_millis(100);

/// Whether the system has run out of something.
fn is_shortage(error: &io::Error) -> bool {
    let short = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    short.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// One call of `accept` after another.
pub(super) struct Accepting<'a, L, C> {
    listener: &'a Async<L>,
    accept: fn(&L) -> io::Result<C>,
    waiting: WaitingFor<'a>,
    /// An error that is held back.
    shortage: Option<(Sleep, io::Error)>,
}

impl<'a, L, C> Accepting<'a, L, C> {
    pub(super) fn new(listener: &'a Async<L>, accept: fn(&L) -> io::Result<C>) -> Self {
        Self { listener, accept, waiting: listener.waiting(Direction::Read), shortage: None }
    }

    /// The next connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<C>> {
        if self.shortage.is_none() {
            let Self { listener, accept, waiting, .. } = self;
            match ready!(listener.poll_until(waiting, cx, &mut |listener| accept(listener))) {
                Err(error) if is_shortage(&error) => {
                    self.shortage = Some((sleep(HOLD_BACK), error));
                }
                accepted => return Poll::Ready(accepted),
            }
        }
        if let Some((sleep, _)) = &mut self.shortage {
            ready!(Pin::new(sleep).poll(cx));
        }
        self.shortage.take().map_or(Poll::Pending, |(_, error)| Poll::Ready(Err(error)))
    }

    pub(super) async fn once(mut self) -> io::Result<C> {
        poll_fn(|cx| self.poll(cx)).await
    }
}

/// The stream of [`Async::incoming`]: the connections of a listener. It never ends.
///
/// # Cancel safety
///
/// Strict: each accepted connection has been returned.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use futures::StreamExt;
/// use sideloop::io::Async;
/// use std::net::{TcpListener, TcpStream};
///
/// let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
/// let _client = TcpStream::connect(listener.get_ref().local_addr()?)?;
/// let stream: Async<TcpStream> = sideloop::block_on(listener.incoming().next()).unwrap()?;
/// # Ok(()) }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a, L, S> {
    accepting: Accepting<'a, L, S>,
    made: fn(S) -> io::Result<Async<S>>,
}

impl<'a, L, S: AsFd> Incoming<'a, L, S> {
    pub(super) fn new(accepting: Accepting<'a, L, S>, made: fn(S) -> io::Result<Async<S>>) -> Self {
        Self { accepting, made }
    }
}

impl<L, S> Stream for Incoming<'_, L, S> {
    type Item = io::Result<Async<S>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(self.accepting.poll(cx));
        Poll::Ready(Some(accepted.and_then(self.made)))
    }
}

impl<L, S> fmt::Debug for Incoming<'_, L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}
