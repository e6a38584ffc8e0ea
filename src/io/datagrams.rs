//! UDP.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::Async;

impl Async<UdpSocket> {
    /// A socket at an address; with port 0 the system chooses one.
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
    /// use std::net::UdpSocket;
    ///
    /// let (one, two) = (Async::<UdpSocket>::bind(([127, 0, 0, 1], 0))?, Async::<UdpSocket>::bind(([127, 0, 0, 1], 0))?);
    /// one.get_ref().connect(two.get_ref().local_addr()?)?;
    /// two.get_ref().connect(one.get_ref().local_addr()?)?;
    /// sideloop::block_on(async {
    ///     let mut message = [0; 8];
    ///     one.send(b"abc").await?;
    ///     assert_eq!(two.peek(&mut message).await?, 3);
    ///     assert_eq!(two.recv(&mut message).await?, 3);
    ///     one.send_to(b"de", two.get_ref().local_addr()?).await?;
    ///     assert_eq!(two.peek_from(&mut message).await?, (2, one.get_ref().local_addr()?));
    ///     assert_eq!(two.recv_from(&mut message).await?, (2, one.get_ref().local_addr()?));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn bind(address: impl Into<SocketAddr>) -> io::Result<Self> {
        Self::new(UdpSocket::bind(address.into())?)
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

    /// Reads the next message without consuming it, like [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Cancel safety
    ///
    /// Strict.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.read_with(|socket| socket.peek_from(buf)).await
    }

    /// Sends a message to an address; returns the number of bytes sent.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Cancel safety
    ///
    /// Strict.
    pub async fn send_to(&self, buf: &[u8], address: impl Into<SocketAddr>) -> io::Result<usize> {
        let address = address.into();
        self.write_with(|socket| socket.send_to(buf, address)).await
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

    /// Reads the next message from the peer without consuming it.
    ///
    /// # Errors
    ///
    /// The system's error.
    ///
    /// # Cancel safety
    ///
    /// Strict.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|socket| socket.peek(buf)).await
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

impl TryFrom<UdpSocket> for Async<UdpSocket> {
    type Error = io::Error;

    fn try_from(socket: UdpSocket) -> io::Result<Self> {
        Self::new(socket)
    }
}
