//! TCP.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::Async;
use super::accepting::{Accepting, Incoming};
use super::connecting::{connected, stream_socket};

impl Async<TcpListener> {
    /// Listens at an address; with port 0 the system chooses one.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let listener = sideloop::io::Async::<std::net::TcpListener>::bind(([127, 0, 0, 1], 0))?;
    /// assert_ne!(listener.get_ref().local_addr()?.port(), 0);
    /// # Ok(()) }
    /// ```
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        Self::new(TcpListener::bind(address.into())?)
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The system's error. If the system is out of descriptors or memory, the connection stays with it, and the error comes
    /// after 100 ms, so that a loop that accepts again at once does not spin.
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
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0))?;
    /// let client = TcpStream::connect(listener.get_ref().local_addr()?)?;
    /// let (stream, address) = sideloop::block_on(listener.accept())?;
    /// assert_eq!(client.local_addr()?, address);
    /// # Ok(()) }
    /// ```
    pub async fn accept(&self) -> io::Result<(Async<TcpStream>, SocketAddr)> {
        let (stream, address) = Accepting::new(self, TcpListener::accept).once().await?;
        Ok((Async::tcp(stream)?, address))
    }

    /// The stream of incoming connections, with the errors of [`accept`](Self::accept).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use futures::TryStreamExt;
    ///
    /// let listener = sideloop::io::Async::<std::net::TcpListener>::bind(([127, 0, 0, 1], 0))?;
    /// let _client = std::net::TcpStream::connect(listener.get_ref().local_addr()?)?;
    /// assert!(sideloop::block_on(listener.incoming().try_next())?.is_some());
    /// # Ok(()) }
    /// ```
    pub fn incoming(&self) -> Incoming<'_, TcpListener, TcpStream> {
        let accept = |listener: &TcpListener| Ok(listener.accept()?.0);
        Incoming::new(Accepting::new(self, accept), Async::tcp)
    }
}

impl Async<TcpStream> {
    /// A stream whose short reads are known to take everything.
    fn tcp(stream: TcpStream) -> io::Result<Self> {
        let mut stream = Self::new(stream)?;
        stream.is_drained_by_short_reads = true;
        Ok(stream)
    }

    /// Connects to an address.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the socket, and the connection with it.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use sideloop::io::Async;
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let stream = sideloop::block_on(Async::<std::net::TcpStream>::connect(listener.local_addr()?))?;
    /// assert_eq!(stream.get_ref().peer_addr()?, listener.local_addr()?);
    /// # Ok(()) }
    /// ```
    pub async fn connect(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let address = address.into();
        let family = match address {
            SocketAddr::V4(_) => rustix::net::AddressFamily::INET,
            SocketAddr::V6(_) => rustix::net::AddressFamily::INET6,
        };
        let (socket, is_there) = stream_socket(family, &address)?;
        let stream = Self::tcp(socket.into())?;
        connected(&stream, is_there, TcpStream::take_error).await?;
        Ok(stream)
    }

    /// Reads the next bytes without consuming them; returns their number, 0 at the end.
    ///
    /// # Errors
    ///
    /// The system's error.
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
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = sideloop::block_on(Async::<TcpStream>::connect(listener.local_addr()?))?;
    /// std::io::Write::write_all(&mut listener.accept()?.0, b"x")?;
    /// let mut byte = [0];
    /// assert_eq!(sideloop::block_on(stream.peek(&mut byte))?, 1);
    /// # Ok(()) }
    /// ```
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|stream| stream.peek(buf)).await
    }
}

impl TryFrom<TcpListener> for Async<TcpListener> {
    type Error = io::Error;

    fn try_from(listener: TcpListener) -> io::Result<Self> {
        Self::new(listener)
    }
}

impl TryFrom<TcpStream> for Async<TcpStream> {
    type Error = io::Error;

    fn try_from(stream: TcpStream) -> io::Result<Self> {
        Self::tcp(stream)
    }
}
