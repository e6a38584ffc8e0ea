//! Connecting: by address, or by name.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect as begin, socket_with};

use super::Async;
use crate::error::JoinError;
use crate::runtime::context;

/// A non-blocking socket that connects, and whether it has.
pub(super) fn stream_socket(
    family: AddressFamily,
    address: &impl SocketAddrArg,
) -> io::Result<(OwnedFd, bool)> {
    #[cfg(not(target_vendor = "apple"))]
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    #[cfg(target_vendor = "apple")]
    let flags = SocketFlags::empty();
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    #[cfg(target_vendor = "apple")]
    {
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
    }
    match begin(&socket, address) {
        Ok(()) => Ok((socket, true)),
        // A Unix socket whose listener has a full queue says `AGAIN`, and is not connecting: that is the error.
        Err(Errno::INPROGRESS) => Ok((socket, false)),
        Err(error) => Err(error.into()),
    }
}

/// Waits until a socket has connected, or not.
pub(super) async fn connected<T>(
    socket: &Async<T>,
    is_there: bool,
    error: fn(&T) -> io::Result<Option<io::Error>>,
) -> io::Result<()> {
    if !is_there {
        socket.writable().await?;
        if let Some(error) = error(socket.get_ref())? {
            return Err(error);
        }
    }
    Ok(())
}

/// Connects to a host by name: `"host:port"`, `("host", port)`, or anything else that resolves to addresses.
///
/// The name is looked up on the [pool for blocking jobs](crate::Handle::spawn_blocking) of the loop that polls this. The
/// addresses are tried in the order in which the system returns them.
///
/// # Errors
///
/// The error of the look-up, or that of the last address; [`InvalidInput`](io::ErrorKind::InvalidInput) if the name has no
/// address.
///
/// # Cancel safety
///
/// Dropping it closes the socket, and the connection with it. A look-up that has begun goes on, without effect.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let port = listener.local_addr()?.port();
/// let stream = sideloop::block_on(sideloop::io::connect(("localhost", port)))?;
/// assert_eq!(stream.get_ref().peer_addr()?.port(), port);
/// # Ok(()) }
/// ```
pub async fn connect(address: impl ToSocketAddrs + Send + 'static) -> io::Result<Async<TcpStream>> {
    let home = context::current().map(|local| local.handle());
    let home = home
        .ok_or_else(|| io::Error::other("a connection was asked for outside of a sideloop loop"))?;
    let look_up = move || address.to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>);
    let looked_up = home.spawn_blocking(look_up).cancel_on_drop().await;
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in looked_up.map_err(failed)?? {
        match Async::<TcpStream>::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The look-up gave nothing.
fn failed(error: JoinError) -> io::Error {
    io::Error::other(error)
}
