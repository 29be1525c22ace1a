//! A UDP socket that sends each response from the address that its request was received on.
//!
//! A response from another address is dropped by NATs and by clients with connected sockets (RFC 3581 §4). On a socket bound to the
//! wildcard address the kernel would choose the source by its routes, so the source is given with each datagram.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A bound UDP socket.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

/// A received datagram.
#[derive(Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its length in octets.
    pub len: usize,
    /// Its source address.
    pub remote: SocketAddr,
    /// Its destination address.
    pub local: SocketAddr,
}

impl DatagramSocket {
    /// Registers a bound socket with the runtime.
    ///
    /// # Errors
    /// Returns an error if the runtime refuses it, or if the kernel does not report destination addresses.
    pub fn new(socket: StdUdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        match local.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => setsockopt(&socket, Ipv4PacketInfo, &true)?,
            IpAddr::V6(ip) if ip.is_unspecified() => setsockopt(&socket, Ipv6RecvPacketInfo, &true)?,
            _ => {}
        }
        Ok(Self { socket: UdpSocket::from_std(socket)?, local })
    }

    /// The address that it is bound to.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Waits for a datagram.
    ///
    /// # Errors
    /// Returns an error if a datagram sent before was not delivered.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        if !self.local.ip().is_unspecified() {
            let (len, remote) = self.socket.recv_from(buffer).await?;
            return Ok(Datagram { len, remote, local: self.local });
        }
        self.socket.async_io(Interest::READABLE, || self.recv_with_destination(buffer)).await
    }

    fn recv_with_destination(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut control = cmsg_space!(in_pktinfo, in6_pktinfo);
        let mut pieces = [IoSliceMut::new(buffer)];
        let fd = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut pieces, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
        let ip = message.cmsgs().find_map(|control| destination(&control)).unwrap_or(self.local.ip());
        let remote = message.address.as_ref().and_then(socket_address).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Datagram { len: message.bytes, remote, local: SocketAddr::new(ip, self.local.port()) })
    }

    /// Sends a datagram from `source`, or from an address of the kernel's choice if the machine does not have `source`.
    ///
    /// # Errors
    /// Returns an error if the kernel does not accept the datagram now.
    pub fn try_send(&self, datagram: &[u8], source: IpAddr, remote: SocketAddr) -> io::Result<()> {
        let wildcard = self.local.ip().is_unspecified();
        let chosen = wildcard && !source.is_unspecified() && source.is_ipv4() == remote.is_ipv4();
        if chosen && self.socket.try_io(Interest::WRITABLE, || self.send_from(datagram, source, remote)).is_ok() {
            return Ok(());
        }
        self.socket.try_send_to(datagram, remote).map(drop)
    }

    fn send_from(&self, datagram: &[u8], source: IpAddr, remote: SocketAddr) -> io::Result<()> {
        let (fd, pieces, to) = (self.socket.as_raw_fd(), [IoSlice::new(datagram)], SockaddrStorage::from(remote));
        let send = |control: ControlMessage<'_>| sendmsg(fd, &pieces, &[control], MsgFlags::MSG_DONTWAIT, Some(&to));
        match source {
            IpAddr::V4(ip) => {
                let ipi_spec_dst = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                send(ControlMessage::Ipv4PacketInfo(&in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst,
                    ipi_addr: in_addr { s_addr: 0 },
                }))
            }
            IpAddr::V6(ip) => {
                // A link-local address needs the interface.
                let ipi6_ifindex = if let SocketAddr::V6(remote) = remote { remote.scope_id() } else { 0 };
                send(ControlMessage::Ipv6PacketInfo(&in6_pktinfo {
                    ipi6_addr: in6_addr { s6_addr: ip.octets() },
                    ipi6_ifindex,
                }))
            }
        }?;
        Ok(())
    }
}

/// The destination address of a datagram; `None` for multicast.
fn destination(control: &ControlMessageOwned) -> Option<IpAddr> {
    let ip = match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()),
        ControlMessageOwned::Ipv6PacketInfo(info) => IpAddr::from(info.ipi6_addr.s6_addr),
        _ => return None,
    };
    (!ip.is_multicast() && !ip.is_unspecified()).then_some(ip)
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a request to `at` on a socket bound to `listen`, and a response to it. Returns the request, its destination and the source
    /// of the response.
    async fn exchange(listen: &str, at: &str) -> (Datagram, SocketAddr, SocketAddr) {
        let bound = StdUdpSocket::bind(listen).unwrap();
        bound.set_nonblocking(true).unwrap();
        let socket = DatagramSocket::new(bound).unwrap();
        let destination = SocketAddr::new(at.parse().unwrap(), socket.local().port());
        let client = UdpSocket::bind(SocketAddr::new(destination.ip(), 0)).await.unwrap();
        client.send_to(b"ping", destination).await.unwrap();
        let mut buffer = [0; 100];
        let datagram = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..datagram.len], b"ping");
        socket.socket.writable().await.unwrap();
        socket.try_send(b"pong", datagram.local.ip(), datagram.remote).unwrap();
        let (len, source) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"pong");
        assert_eq!(datagram.remote, client.local_addr().unwrap());
        (datagram, destination, source)
    }

    async fn responds_from_destination(listen: &str, at: &str) {
        let (datagram, destination, source) = exchange(listen, at).await;
        assert_eq!((datagram.local, source), (destination, destination), "{listen} {at}");
    }

    #[tokio::test]
    async fn a_response_leaves_from_the_destination_of_its_request() {
        responds_from_destination("0.0.0.0:0", "127.0.0.1").await;
        responds_from_destination("0.0.0.0:0", "127.0.0.7").await;
        responds_from_destination("127.0.0.9:0", "127.0.0.9").await;
    }

    #[tokio::test]
    async fn a_response_leaves_from_the_destination_of_its_request_on_ipv6() {
        if StdUdpSocket::bind("[::1]:0").is_err() {
            return eprintln!("no IPv6 on this machine");
        }
        responds_from_destination("[::]:0", "::1").await;
        responds_from_destination("[::1]:0", "::1").await;
    }

    #[tokio::test]
    async fn a_source_address_that_the_machine_has_lost_is_replaced() {
        let bound = StdUdpSocket::bind("0.0.0.0:0").unwrap();
        bound.set_nonblocking(true).unwrap();
        let socket = DatagramSocket::new(bound).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.socket.writable().await.unwrap();
        socket.try_send(b"pong", "192.0.2.1".parse().unwrap(), client.local_addr().unwrap()).unwrap();
        assert_eq!(client.recv(&mut [0; 100]).await.unwrap(), 4);
    }
}
