//! The sockets of a participant.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::Via;
use super::secure::Security;
use crate::limits::SIP_MESSAGE_BYTES_MAX;
use crate::tls::Stream;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::Fingerprint;
use parlor_proto::sip::{Framed, Framer, Hop, Message, SipConnection, Transport, parse_datagram};

/// How long a connection may take to be made, and then its TLS handshake.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Our end of the SIP hop.
pub(super) enum SipSocket {
    /// Datagrams to and from one place.
    Udp(UdpSocket),
    /// One connection, with TLS or without.
    Stream(Stream, Box<Framer>),
}

/// What went wrong on the way, in words that say what to do.
pub(super) type Trouble = String;

impl SipSocket {
    /// Reaches for the first hop.
    pub(super) async fn open(via: &Via, security: &Security) -> Result<(Self, Hop), Trouble> {
        let remote = resolve(&via.host, via.port).await?;
        let failed = |error: io::Error| unreachable(via, &error);
        let (socket, local) = match via.transport {
            Transport::Udp => {
                let any: SocketAddr = if remote.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
                let socket = UdpSocket::bind(any).await.map_err(failed)?;
                // Connected, so that it knows its own address and hears of refusals.
                socket.connect(remote).await.map_err(failed)?;
                let local = socket.local_addr().map_err(failed)?;
                (Self::Udp(socket), local)
            }
            Transport::Tcp | Transport::Tls => {
                let stream = connect(remote).await.map_err(failed)?;
                let local = stream.local_addr().map_err(failed)?;
                let stream: Stream = match via.transport {
                    Transport::Tls => security.by_name(stream, &via.host).await?,
                    _ => Box::new(stream),
                };
                (Self::Stream(stream, Box::default()), local)
            }
        };
        let connection = via.transport.is_reliable().then_some(SipConnection(1));
        Ok((socket, Hop { transport: via.transport, local, remote, connection }))
    }

    /// Sends one message.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).await.map(drop),
            Self::Stream(stream, _) => {
                stream.write_all(message).await?;
                stream.flush().await
            }
        }
    }

    /// Waits for messages. What cannot be read is passed over in a datagram and the end of a connection.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<Message>> {
        let mut buffer = vec![0; SIP_MESSAGE_BYTES_MAX];
        match self {
            Self::Udp(socket) => {
                let len = socket.recv(&mut buffer).await?;
                Ok(parse_datagram(&buffer[..len]).ok().flatten().into_iter().collect())
            }
            Self::Stream(stream, framer) => match stream.read(&mut buffer).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                len => {
                    let framed = framer.push(&buffer[..len]);
                    match framer.error() {
                        Some(why) if framed.is_empty() => Err(io::Error::other(why.clone())),
                        _ => Ok(framed.into_iter().filter_map(Framed::message).collect()),
                    }
                }
            },
        }
    }
}

/// Connects to the first hop of an MSRP path, over TLS where its URI says so.
pub(super) async fn connect_msrp(
    path: &Path,
    fingerprints: &[Fingerprint],
    security: &Security,
) -> Result<Stream, Trouble> {
    let uri = path.first_uri().ok_or("the room gave no address for messages")?;
    let (host, port) = uri.host_and_port();
    // 2855 is the port of MSRP where none is named (RFC 4975 §15.4).
    let address = resolve(host, port.unwrap_or(2855)).await?;
    let stream = connect(address)
        .await
        .map_err(|error| format!("the room's address for messages, {address}, is out of reach: {error}"))?;
    // A line that was typed is to leave at once.
    let _ = stream.set_nodelay(true);
    if uri.secure { security.by_fingerprint(stream, host, fingerprints).await } else { Ok(Box::new(stream)) }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    timeout(CONNECT_MAX, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// An address of a host: an IPv4 one where it has both, as `localhost` does, which is what servers listen on first.
async fn resolve(host: &str, port: u16) -> Result<SocketAddr, Trouble> {
    let found = lookup_host((host, port)).await;
    let found = found.map_err(|error| format!("{host} has no address: {error}; give one with --via"))?;
    found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| format!("{host} has no address; give one with --via"))
}

/// Why the first hop cannot be reached.
pub(super) fn unreachable(via: &Via, error: &io::Error) -> Trouble {
    let (transport, host, port) = (via.transport.name().to_ascii_lowercase(), &via.host, via.port);
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("nobody listens at {transport}:{host}:{port}; is the server running? `parlor serve` starts one")
        }
        _ => format!("{transport}:{host}:{port} is out of reach: {error}"),
    }
}
