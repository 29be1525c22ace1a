//! The sockets that SIP comes in on, bound before anything runs.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use crate::shard::{TAKEN_PORT_TIMEOUT, bind_until};
use parlor_proto::sip::Transport;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Octets of datagrams that may wait to be read: a storm of calls comes faster than one thread reads.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Bound sockets.
#[derive(Debug, Default)]
pub struct SipSockets {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
    pub(super) tls: Vec<TcpListener>,
}

/// A socket that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen for SIP on {transport}:{address}: {error}; choose another address in [sip] listen, or end what has it"
)]
pub struct ListenError {
    transport: &'static str,
    address: SocketAddr,
    error: io::Error,
}

impl SipSockets {
    /// Binds one more. A port that is taken is waited for a little: the server before this one may be about to end.
    ///
    /// # Errors
    /// Where it cannot be bound.
    pub fn listen(&mut self, transport: Transport, address: SocketAddr) -> Result<(), ListenError> {
        let name = match transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        let until = Instant::now() + TAKEN_PORT_TIMEOUT;
        let failed = |error| ListenError { transport: name, address, error };
        match transport {
            Transport::Udp => self.udp.push(bind_until(until, || bind_udp(address)).map_err(failed)?),
            Transport::Tcp => self.tcp.push(bind_until(until, || bind_tcp(address)).map_err(failed)?),
            Transport::Tls => self.tls.push(bind_until(until, || bind_tcp(address)).map_err(failed)?),
        }
        Ok(())
    }

    /// Where the sockets are, with the ports that they have got.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        let udp = self.udp.iter().filter_map(|socket| Some((Transport::Udp, socket.local_addr().ok()?)));
        let tcp = self.tcp.iter().filter_map(|socket| Some((Transport::Tcp, socket.local_addr().ok()?)));
        let tls = self.tls.iter().filter_map(|socket| Some((Transport::Tls, socket.local_addr().ok()?)));
        udp.chain(tcp).chain(tls).collect()
    }
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The kernel may grant less; then it is less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
