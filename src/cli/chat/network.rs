//! The sockets of the client: SIP over UDP, TCP or TLS, and the MSRP connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::arguments::Via;
use super::error::ChatError;
use super::tls::TlsOptions;
use crate::limits::SIP_MESSAGE_BYTES_MAX;
use crate::tls::Stream;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::Fingerprint;
use parlor_proto::sip::{Framed, Framer, Hop, Message, SipConnection, Transport, parse_datagram};

/// The longest time for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The socket to the first SIP hop.
pub enum SipSocket {
    /// A connected UDP socket.
    Udp(UdpSocket),
    /// A TCP or TLS connection.
    Stream(Stream, Box<Framer>),
}

impl SipSocket {
    /// Connects to the first hop.
    ///
    /// # Errors
    /// Returns an error if the host cannot be resolved or connected to.
    pub async fn open(via: &Via, tls: &TlsOptions) -> Result<(Self, Hop), ChatError> {
        let remote = resolve(&via.host, via.port).await?;
        let failed = |error: io::Error| unreachable(via, &error);
        let (socket, local) = match via.transport {
            Transport::Udp => {
                let any: SocketAddr = if remote.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
                let socket = UdpSocket::bind(any).await.map_err(failed)?;
                // A connected socket has a local address and reports ICMP errors.
                socket.connect(remote).await.map_err(failed)?;
                let local = socket.local_addr().map_err(failed)?;
                (Self::Udp(socket), local)
            }
            Transport::Tcp | Transport::Tls => {
                let stream = connect(remote).await.map_err(failed)?;
                let local = stream.local_addr().map_err(failed)?;
                let stream: Stream = match via.transport {
                    Transport::Tls => tls.connect(stream, &via.host).await?,
                    _ => Box::new(stream),
                };
                (Self::Stream(stream, Box::default()), local)
            }
        };
        let connection = via.transport.is_reliable().then_some(SipConnection(1));
        Ok((socket, Hop { transport: via.transport, local, remote, connection }))
    }

    /// Sends one message.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).await.map(drop),
            Self::Stream(stream, _) => {
                stream.write_all(message).await?;
                stream.flush().await
            }
        }
    }

    /// Waits for messages. A malformed datagram is ignored.
    ///
    /// # Errors
    /// Returns an error if the socket fails or is closed, or if a stream cannot be framed.
    pub async fn receive(&mut self) -> io::Result<Vec<Message>> {
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

/// Connects to the first hop of an MSRP path, over TLS if its URI is msrps.
///
/// # Errors
/// Returns an error if the host cannot be resolved or connected to, or if its certificate does not match.
pub async fn connect_msrp(path: &Path, fingerprints: &[Fingerprint], tls: &TlsOptions) -> Result<Stream, ChatError> {
    let uri = path.first_uri().ok_or("the answer of the room has no MSRP address")?;
    let (host, port) = uri.host_and_port();
    // 2855 is the default port (RFC 4975 §15.4).
    let address = resolve(host, port.unwrap_or(2855)).await?;
    let stream = connect(address)
        .await
        .map_err(|error| format!("cannot connect to the MSRP address of the room, {address}: {error}"))?;
    let _ = stream.set_nodelay(true);
    if uri.secure { tls.connect_by_fingerprint(stream, host, fingerprints).await } else { Ok(Box::new(stream)) }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Resolves a host, to an IPv4 address if it has both kinds: `localhost` has, and servers listen on IPv4 by default.
async fn resolve(host: &str, port: u16) -> Result<SocketAddr, ChatError> {
    let found = lookup_host((host, port)).await;
    let found = found.map_err(|error| format!("cannot resolve {host}: {error}; give an address with --via"))?;
    found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| format!("{host} has no address; give one with --via"))
}

/// The error for a first hop that cannot be reached.
pub fn unreachable(via: &Via, error: &io::Error) -> ChatError {
    let (transport, host, port) = (via.transport.name().to_ascii_lowercase(), &via.host, via.port);
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("connection refused: {transport}:{host}:{port}; is the server running? `parlor serve` starts one")
        }
        _ => format!("cannot reach {transport}:{host}:{port}: {error}"),
    }
}
