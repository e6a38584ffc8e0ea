//! Sockets, pipes and other pollable objects, on the loop's own thread.
//!
//! [`Async`] wraps a pollable object of the standard library or of any other crate, so that its operations can be awaited.
//! Names and meaning are those of async-io: to migrate, change the import. There is no thread besides the loop's: an idle
//! loop sleeps in one place for wakes, timers and readiness.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use futures::{AsyncReadExt, AsyncWriteExt};
//! use sideloop::io::Async;
//! use std::net::{TcpListener, TcpStream};
//!
//! sideloop::block_on(async {
//!     let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
//!     let address = listener.get_ref().local_addr()?;
//!     let echo = sideloop::spawn_local(async move {
//!         let (mut stream, _) = listener.accept().await?;
//!         let mut line = [0; 5];
//!         stream.read_exact(&mut line).await?;
//!         stream.write_all(&line).await
//!     });
//!     let mut stream = Async::<TcpStream>::connect(address).await?;
//!     stream.write_all(b"hello").await?;
//!     let mut line = [0; 5];
//!     stream.read_exact(&mut line).await?;
//!     assert_eq!(&line, b"hello");
//!     echo.await.unwrap()
//! })
//! # }
//! ```
//!
//! # How it waits
//!
//! A loop that never waits for I/O pays nothing: no descriptor, no system call. The first pending operation makes the
//! loop's driver, on Linux (5.11 or later) an `epoll` instance with an `eventfd`, and the loop sleeps there from then on.
//! The first pending operation of a direction registers its object, which stays registered until its [`Async`] is dropped:
//! later waits cost no system call. Each operation is tried first, and readiness is remembered until an operation would
//! block. Wakes by readiness are local wakes. A busy loop polls for readiness at least every 61 turns or every millisecond;
//! a task whose operations never block yields after 128 of them.
//!
//! The crate has no driver for other Unix systems yet: there an operation that would wait gives
//! [`Unsupported`](std::io::ErrorKind::Unsupported), unless [`Builder::driver`](crate::Builder::driver) brings a
//! [`Driver`], in which the loop then does all its sleeping. On systems that are not Unix the feature offers nothing.
//!
//! # Where it waits
//!
//! An operation waits on the loop that polls it. An [`Async`] may move to another loop, and several loops may wait for it.
//! Each direction keeps all of its waiters. Polled outside a loop, an operation gives an error that says so.
//!
//! # Failures
//!
//! If the system refuses (too many descriptors, an object that cannot be polled, such as a file), the operation returns its
//! error. [`accept`](Async::accept) delays errors for want of descriptors or memory by 100 ms, so that a loop that accepts
//! again at once does not spin. A driver that fails gives its error to all waiters, and is tried again later.
//!
//! # Virtual time
//!
//! The loop polls for readiness before each jump of a virtual clock. While there is a deadline it jumps rather than waits.

mod accepting;
mod connecting;
mod datagrams;
mod operation;
mod stream;
mod traits;
mod unix;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

pub use self::accepting::Incoming;
pub use self::connecting::connect;
pub use self::operation::{Readable, Writable};
pub use crate::runtime::driver::{Direction, Driver};
use crate::runtime::objects::Source;

/// A pollable object whose operations can be awaited.
///
/// It is `Send` and `Sync` if the object is. The object must be in non-blocking mode, which [`new`](Self::new) sets, and
/// must stay in it. It must also keep its descriptor: after an exchange, operations wait for the old one.
///
/// Dropping it deregisters the object, then closes it, on any thread and also after the end of its loop. A forgotten
/// [`Async`] stays open, and costs its loop a place in a list.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use sideloop::io::Async;
/// use std::net::UdpSocket;
///
/// let socket = Async::new(UdpSocket::bind("127.0.0.1:0")?)?;
/// let address = socket.get_ref().local_addr()?;
/// sideloop::block_on(async {
///     socket.send_to(b"to myself", address).await?;
///     socket.readable().await?;
///     assert_eq!(socket.as_ref().recv(&mut [0; 16])?, 9);
///     let plain: UdpSocket = socket.into_inner()?;
///     plain.set_nonblocking(false) // as it was
/// })
/// # }
/// ```
pub struct Async<T> {
    /// `None` once it has been taken out.
    object: Option<T>,
    descriptor: fn(&T) -> BorrowedFd<'_>,
    source: Source,
    /// Whether a read that returns less than there was room for has taken everything. True of TCP streams only: on
    /// other objects a read also ends at a message, or at credentials or descriptors that are passed.
    is_drained_by_short_reads: bool,
}

impl<T: AsFd> Async<T> {
    /// Puts the object into non-blocking mode and wraps it. The first pending operation registers it.
    ///
    /// # Errors
    ///
    /// The system's error if the mode cannot be set; the object is dropped.
    pub fn new(io: T) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Self::new_nonblocking(io)
    }

    /// Wraps an object that is in non-blocking mode already.
    ///
    /// # Errors
    ///
    /// None; the signature is that of async-io.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// socket.set_nonblocking(true)?;
    /// let socket = sideloop::io::Async::new_nonblocking(socket)?;
    /// # Ok(()) }
    /// ```
    pub fn new_nonblocking(io: T) -> io::Result<Self> {
        Ok(Self {
            object: Some(io),
            descriptor: T::as_fd,
            source: Source::new(),
            is_drained_by_short_reads: false,
        })
    }
}

impl<T> Async<T> {
    /// The wrapped object.
    #[must_use]
    #[allow(clippy::missing_panics_doc)] // it does not
    pub fn get_ref(&self) -> &T {
        // PANICS: it is there until `into_inner`, which ends `self`.
        self.object.as_ref().expect("the object has not been taken out")
    }

    /// Deregisters the object and returns it, still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// None; the signature is that of async-io.
    #[allow(clippy::missing_panics_doc)] // it does not
    pub fn into_inner(mut self) -> io::Result<T> {
        self.leave();
        // PANICS: as in `get_ref`.
        Ok(self.object.take().expect("the object has not been taken out"))
    }

    /// Waits until the object is readable: until reading from it, or accepting on it, would not block.
    ///
    /// Each call asks the system anew.
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
    ///
    /// let (reader, writer) = std::io::pipe()?;
    /// sideloop::block_on(async {
    ///     let reader = Async::new(reader)?;
    ///     drop(writer); // the end can be read
    ///     reader.readable().await
    /// })
    /// # }
    /// ```
    pub fn readable(&self) -> Readable<'_, T> {
        Readable::new(self)
    }

    /// Waits until the object is writable. See [`readable`](Self::readable).
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
    pub fn writable(&self) -> Writable<'_, T> {
        Writable::new(self)
    }

    /// Polls until the object is readable. All callers are woken, as long as their wakers differ.
    ///
    /// # Errors
    ///
    /// The system's error for the object; an error if the caller is outside a loop, or if the loop's driver has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use sideloop::io::Async;
    /// use std::future::poll_fn;
    ///
    /// let (reader, writer) = std::io::pipe()?;
    /// let reader = Async::new(reader)?;
    /// drop(writer);
    /// sideloop::block_on(poll_fn(|cx| reader.poll_readable(cx)))
    /// # }
    /// ```
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(Direction::Read, cx)
    }

    /// Polls until the object is writable. See [`poll_readable`](Self::poll_readable).
    ///
    /// # Errors
    ///
    /// Like [`poll_readable`](Self::poll_readable).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use sideloop::io::Async;
    /// use std::future::poll_fn;
    ///
    /// let (_reader, writer) = std::io::pipe()?;
    /// let writer = Async::new(writer)?;
    /// sideloop::block_on(poll_fn(|cx| writer.poll_writable(cx)))
    /// # }
    /// ```
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready(Direction::Write, cx)
    }

    /// Tries an operation that reads until it returns something other than
    /// [`WouldBlock`](io::ErrorKind::WouldBlock), and waits in between. The operation must return `WouldBlock` only if
    /// this object would block.
    ///
    /// # Errors
    ///
    /// Those of the operation, and those of [`poll_readable`](Self::poll_readable).
    ///
    /// # Cancel safety
    ///
    /// Strict: once the operation has had an effect, its result is returned.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use sideloop::io::Async;
    /// use std::net::UdpSocket;
    ///
    /// let socket = Async::<UdpSocket>::bind(([127, 0, 0, 1], 0))?;
    /// let address = socket.get_ref().local_addr()?;
    /// sideloop::block_on(async {
    ///     socket.write_with(|socket| socket.send_to(b"a", address)).await?;
    ///     assert_eq!(socket.read_with(|socket| socket.recv(&mut [0; 8])).await?, 1);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn read_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_until(Direction::Read, op).await
    }

    /// Tries an operation that writes until it would not block. See [`read_with`](Self::read_with).
    ///
    /// # Errors
    ///
    /// Like [`read_with`](Self::read_with).
    ///
    /// # Cancel safety
    ///
    /// Strict: once the operation has had an effect, its result is returned.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use sideloop::io::Async;
    /// use std::io::Write;
    ///
    /// let (_reader, writer) = std::io::pipe()?;
    /// let writer = Async::new(writer)?;
    /// assert_eq!(sideloop::block_on(writer.write_with(|mut writer| writer.write(b"abc")))?, 3);
    /// # Ok(()) }
    /// ```
    pub async fn write_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_until(Direction::Write, op).await
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        (self.descriptor)(self.get_ref())
    }

    fn leave(&mut self) {
        let Self { object: Some(object), descriptor, source, .. } = self else { return };
        source.leave(|| descriptor(object));
    }
}

impl<T> Drop for Async<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> Unpin for Async<T> {}

impl<T> AsRef<T> for Async<T> {
    fn as_ref(&self) -> &T {
        self.get_ref()
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsRawFd> AsRawFd for Async<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.get_ref().as_raw_fd()
    }
}

impl<T: AsFd + From<OwnedFd>> TryFrom<OwnedFd> for Async<T> {
    type Error = io::Error;

    fn try_from(descriptor: OwnedFd) -> io::Result<Self> {
        Self::new(descriptor.into())
    }
}

impl<T: Into<OwnedFd>> TryFrom<Async<T>> for OwnedFd {
    type Error = io::Error;

    fn try_from(of: Async<T>) -> io::Result<Self> {
        Ok(of.into_inner()?.into())
    }
}

impl<T: fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Async").field("io", &self.object).finish_non_exhaustive()
    }
}
