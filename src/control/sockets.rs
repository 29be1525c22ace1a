//! The listening sockets of SIP. They are bound before any thread starts.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use crate::shard::{TAKEN_PORT_TIMEOUT, bind_until};
use parlor_proto::sip::Transport;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Octets of datagrams that wait to be read: calls arrive in bursts faster than one thread reads.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Bound sockets.
#[derive(Debug, Default)]
pub struct SipSockets {
    /// UDP sockets.
    pub udp: Vec<UdpSocket>,
    /// TCP listeners.
    pub tcp: Vec<TcpListener>,
    /// TCP listeners for TLS.
    pub tls: Vec<TcpListener>,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for SIP on {transport}:{address}: {error}; change [sip] listen, or stop what uses the address")]
pub struct ListenError {
    transport: &'static str,
    address: SocketAddr,
    error: io::Error,
}

impl SipSockets {
    /// Binds an address. A port in use is tried again for [`TAKEN_PORT_TIMEOUT`], in case the previous server is about to exit.
    ///
    /// # Errors
    /// Returns an error if the address cannot be bound.
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

    /// The bound addresses, with the ports that the kernel has chosen for port 0.
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
    // The kernel may grant less, which is accepted.
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
