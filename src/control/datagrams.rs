//! A socket for datagrams that answers from where it was asked.
//!
//! A response leaves from the address that its request came to (RFC 3581 §4), or a NAT, and a client that has connected its
//! socket, do not let it in. Where a socket listens on every address the kernel would choose one by the way back, so it is told.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A bound socket.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    local: SocketAddr,
}

/// A datagram that has come.
#[derive(Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Octets of it.
    pub len: usize,
    /// Where it came from.
    pub remote: SocketAddr,
    /// Where it came to.
    pub local: SocketAddr,
}

impl Datagrams {
    /// Puts a socket to work.
    ///
    /// # Errors
    /// Where the runtime does not take it, or the kernel does not tell where datagrams come to.
    pub fn new(socket: StdUdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        match local.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => setsockopt(&socket, Ipv4PacketInfo, &true)?,
            IpAddr::V6(ip) if ip.is_unspecified() => setsockopt(&socket, Ipv6RecvPacketInfo, &true)?,
            _ => {}
        }
        Ok(Self { socket: UdpSocket::from_std(socket)?, local })
    }

    /// Where it listens.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Waits for a datagram.
    ///
    /// # Errors
    /// About a datagram sent earlier, which nobody took.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        if !self.local.ip().is_unspecified() {
            let (len, remote) = self.socket.recv_from(buffer).await?;
            return Ok(Datagram { len, remote, local: self.local });
        }
        self.socket.async_io(Interest::READABLE, || self.receive(buffer)).await
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut told = cmsg_space!(in_pktinfo, in6_pktinfo);
        let mut pieces = [IoSliceMut::new(buffer)];
        let message =
            recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut pieces, Some(&mut told), MsgFlags::MSG_DONTWAIT)?;
        let ip = message.cmsgs().find_map(|told| arrived_at(&told)).unwrap_or(self.local.ip());
        let remote = message.address.as_ref().and_then(socket_address).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Datagram { len: message.bytes, remote, local: SocketAddr::new(ip, self.local.port()) })
    }

    /// Sends a datagram, from an address of this machine if there is such an address.
    ///
    /// # Errors
    /// Where the kernel does not take it now.
    pub fn try_send(&self, datagram: &[u8], from: IpAddr, remote: SocketAddr) -> io::Result<()> {
        let chosen = self.local.ip().is_unspecified() && !from.is_unspecified() && from.is_ipv4() == remote.is_ipv4();
        if chosen && self.socket.try_io(Interest::WRITABLE, || self.send(datagram, from, remote)).is_ok() {
            return Ok(());
        }
        self.socket.try_send_to(datagram, remote).map(drop)
    }

    fn send(&self, datagram: &[u8], from: IpAddr, remote: SocketAddr) -> io::Result<()> {
        let (fd, pieces, to) = (self.socket.as_raw_fd(), [IoSlice::new(datagram)], SockaddrStorage::from(remote));
        let send = |told: ControlMessage<'_>| sendmsg(fd, &pieces, &[told], MsgFlags::MSG_DONTWAIT, Some(&to));
        match from {
            IpAddr::V4(ip) => {
                let ipi_spec_dst = in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                send(ControlMessage::Ipv4PacketInfo(&in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst,
                    ipi_addr: in_addr { s_addr: 0 },
                }))
            }
            IpAddr::V6(ip) => {
                // A link-local address is one of one link only.
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

/// The address of ours that a datagram came to; `None` where it came to several machines at once.
fn arrived_at(told: &ControlMessageOwned) -> Option<IpAddr> {
    let ip = match told {
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

    /// What is sent to an address of a socket that listens on all is answered from there.
    async fn answered(listen: &str, at: &str) -> (Datagram, SocketAddr, SocketAddr) {
        let bound = StdUdpSocket::bind(listen).unwrap();
        bound.set_nonblocking(true).unwrap();
        let datagrams = Datagrams::new(bound).unwrap();
        let asked = SocketAddr::new(at.parse().unwrap(), datagrams.local().port());
        let client = UdpSocket::bind(SocketAddr::new(asked.ip(), 0)).await.unwrap();
        client.send_to(b"ping", asked).await.unwrap();
        let mut buffer = [0; 100];
        let datagram = datagrams.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..datagram.len], b"ping");
        datagrams.socket.writable().await.unwrap();
        datagrams.try_send(b"pong", datagram.local.ip(), datagram.remote).unwrap();
        let (len, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..len], b"pong");
        assert_eq!(datagram.remote, client.local_addr().unwrap());
        (datagram, asked, from)
    }

    async fn is_answered_from_there(listen: &str, at: &str) {
        let (datagram, asked, from) = answered(listen, at).await;
        assert_eq!((datagram.local, from), (asked, asked), "{listen} {at}");
    }

    #[tokio::test]
    async fn an_answer_leaves_from_where_the_question_came_to() {
        is_answered_from_there("0.0.0.0:0", "127.0.0.1").await;
        is_answered_from_there("0.0.0.0:0", "127.0.0.7").await;
        is_answered_from_there("127.0.0.9:0", "127.0.0.9").await;
    }

    #[tokio::test]
    async fn an_answer_leaves_from_where_the_question_came_to_on_ipv6() {
        if StdUdpSocket::bind("[::1]:0").is_err() {
            return eprintln!("no IPv6 on this machine");
        }
        is_answered_from_there("[::]:0", "::1").await;
        is_answered_from_there("[::1]:0", "::1").await;
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_any_more_is_not_insisted_on() {
        let bound = StdUdpSocket::bind("0.0.0.0:0").unwrap();
        bound.set_nonblocking(true).unwrap();
        let datagrams = Datagrams::new(bound).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        datagrams.socket.writable().await.unwrap();
        datagrams.try_send(b"pong", "192.0.2.1".parse().unwrap(), client.local_addr().unwrap()).unwrap();
        assert_eq!(client.recv(&mut [0; 100]).await.unwrap(), 4);
    }
}
