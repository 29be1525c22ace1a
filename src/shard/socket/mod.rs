//! Sockets and rings: the one folder of Parlor with unsafe code. Each site says what it relies on.
#![allow(unsafe_code, reason = "system calls take raw pointers and descriptors")]

mod abort;
mod arrival;
mod batch;
mod block;
mod buffers;
mod direct;
mod event_fd;
mod operations;
mod pieces;
mod ring;
mod scratch_cache;
mod send_ring;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::time::Duration;

use glommio::net::TcpListener;
use io_uring::IoUring;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

pub use arrival::{Arrival, Received};
pub use batch::{Batch, Gathering};
pub use block::Block;
pub use buffers::Taken;
pub use direct::Direct;
pub use event_fd::EventFd;
pub use pieces::Pieces;
pub use ring::Ring;
pub use stream::Stream;

/// Connections that may wait in the kernel to be accepted.
const BACKLOG: i32 = 4096;
/// How long a connection is idle before TCP keepalive probes the peer.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long sent octets may stay unacknowledged before the connection counts as lost.
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// Octets that may wait in the kernel unsent. They count in no outbox, so it must not be many.
const KERNEL_QUEUE_MAX: u32 = 128 * 1024;

/// A bound listener. Accepted connections inherit its options.
///
/// # Errors
/// Returns the error of the system call that fails, most often because the port is taken.
pub fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = tcp_socket(address)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // There is one address for MSRP, so `::` is to accept IPv4 connections too.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A non-blocking socket that connects to `address`. When it becomes writable, it is connected or has failed.
///
/// # Errors
/// Returns the error of the system call that fails.
pub fn connect(address: SocketAddr) -> io::Result<Socket> {
    let socket = tcp_socket(address)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => Ok(socket),
        outcome => outcome.map(|()| socket),
    }
}

/// A socket with the options that every MSRP connection has.
fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_notsent_lowat(KERNEL_QUEUE_MAX)?;
    Ok(socket)
}

/// Hands a listener to the executor of this thread.
#[must_use]
pub fn into_executor(listener: Socket) -> TcpListener {
    // SAFETY: the descriptor is that of a listening TCP socket, and this is its only owner.
    unsafe { TcpListener::from_raw_fd(listener.into_raw_fd()) }
}

/// Tests whether this process can have a ring at all.
///
/// # Errors
/// Returns an error if the kernel has no io_uring or it is switched off.
pub fn probe_ring() -> io::Result<()> {
    IoUring::new(2).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_connection_notices_a_dead_peer() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        drop(client);
    }
}
