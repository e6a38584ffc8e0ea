//! Unix sockets.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix};

use super::Async;
use super::accepting::{Accepting, Incoming};
use super::connecting::{connected, stream_socket};

impl Async<UnixListener> {
    /// Listens at a path that must not exist.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use sideloop::io::Async;
    /// use std::os::unix::net::{UnixListener, UnixStream};
    ///
    /// let path = std::env::temp_dir().join(format!("sideloop-{}", std::process::id()));
    /// let listener = Async::<UnixListener>::bind(&path)?;
    /// let both = sideloop::block_on(async {
    ///     let stream = Async::<UnixStream>::connect(&path).await?;
    ///     Ok::<_, std::io::Error>((stream, listener.accept().await?))
    /// });
    /// std::fs::remove_file(&path)?;
    /// both.map(drop)
    /// # }
    /// ```
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::new(UnixListener::bind(path)?)
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// Like those of a TCP listener.
    ///
    /// # Cancel safety
    ///
    /// Strict.
    pub async fn accept(&self) -> io::Result<(Async<UnixStream>, SocketAddr)> {
        let (stream, address) = Accepting::new(self, UnixListener::accept).once().await?;
        Ok((Async::new(stream)?, address))
    }

    /// The stream of incoming connections.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use futures::TryStreamExt;
    /// use sideloop::io::Async;
    /// use std::os::unix::net::{UnixListener, UnixStream};
    ///
    /// let path = std::env::temp_dir().join(format!("sideloop-incoming-{}", std::process::id()));
    /// let listener = Async::<UnixListener>::bind(&path)?;
    /// let _client = UnixStream::connect(&path)?;
    /// std::fs::remove_file(&path)?;
    /// assert!(sideloop::block_on(listener.incoming().try_next())?.is_some());
    /// # Ok(()) }
    /// ```
    pub fn incoming(&self) -> Incoming<'_, UnixListener, UnixStream> {
        let accept = |listener: &UnixListener| Ok(listener.accept()?.0);
        Incoming::new(Accepting::new(self, accept), Async::new)
    }
}

impl Async<UnixStream> {
    /// Connects to a listener at a path.
    ///
    /// # Errors
    ///
    /// The system's error; [`WouldBlock`](io::ErrorKind::WouldBlock) if the listener's queue is full.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the socket, and the connection with it.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path.as_ref())?;
        let (socket, is_there) = stream_socket(AddressFamily::UNIX, &address)?;
        let stream = Self::new_nonblocking(socket.into())?;
        connected(&stream, is_there, UnixStream::take_error).await?;
        Ok(stream)
    }

    /// Two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use futures::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let (mut one, mut two) = sideloop::io::Async::<std::os::unix::net::UnixStream>::pair()?;
    /// sideloop::block_on(async {
    ///     one.write_all(b"abc").await?;
    ///     two.read_exact(&mut [0; 3]).await
    /// })
    /// # }
    /// ```
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, two) = UnixStream::pair()?;
        Ok((Self::new(one)?, Self::new(two)?))
    }
}

impl Async<UnixDatagram> {
    /// A socket at a path that must not exist.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use sideloop::io::Async;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// let path = std::env::temp_dir().join(format!("sideloop-datagram-{}", std::process::id()));
    /// let (one, two) = (Async::<UnixDatagram>::bind(&path)?, Async::<UnixDatagram>::unbound()?);
    /// let received = sideloop::block_on(async {
    ///     two.send_to(b"abc", &path).await?;
    ///     one.recv_from(&mut [0; 8]).await
    /// });
    /// std::fs::remove_file(&path)?;
    /// assert_eq!(received?.0, 3);
    /// # Ok(()) }
    /// ```
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::new(UnixDatagram::bind(path)?)
    }

    /// A socket without an address.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let socket = sideloop::io::Async::<std::os::unix::net::UnixDatagram>::unbound()?;
    /// # Ok(()) }
    /// ```
    pub fn unbound() -> io::Result<Self> {
        Self::new(UnixDatagram::unbound()?)
    }

    /// Two sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let (one, two) = sideloop::io::Async::<std::os::unix::net::UnixDatagram>::pair()?;
    /// sideloop::block_on(async {
    ///     one.send(b"abc").await?;
    ///     assert_eq!(two.recv(&mut [0; 8]).await?, 3);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, two) = UnixDatagram::pair()?;
        Ok((Self::new(one)?, Self::new(two)?))
    }

    /// Receives a message; returns its length, at most that of `buf`, and the sender's address.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Cancel safety
    ///
    /// Strict.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.read_with(|socket| socket.recv_from(buf)).await
    }

    /// Sends a message to the socket at a path; returns the number of bytes sent.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Cancel safety
    ///
    /// Strict.
    pub async fn send_to(&self, buf: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.write_with(|socket| socket.send_to(buf, path.as_ref())).await
    }

    /// Receives a message from the peer to which the socket is connected; returns its length.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Cancel safety
    ///
    /// Strict.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|socket| socket.recv(buf)).await
    }

    /// Sends a message to the peer; returns the number of bytes sent.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Cancel safety
    ///
    /// Strict.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.write_with(|socket| socket.send(buf)).await
    }
}

macro_rules! from_std {
    ($($socket:ty),*) => {$(
        impl TryFrom<$socket> for Async<$socket> {
            type Error = io::Error;

            fn try_from(socket: $socket) -> io::Result<Self> {
                Self::new(socket)
            }
        }
    )*};
}

from_std!(UnixListener, UnixStream, UnixDatagram);
