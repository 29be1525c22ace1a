//! Establishing SIP connections, with TLS or without.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::debug;

use crate::tls::{Stream, reason};
use parlor_proto::sip::{Hop, next_hop_host, parse_datagram};

/// The longest time for a connection, TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time for the TLS handshake of a peer that has connected.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The server side of a TLS handshake; `None` if it fails or times out.
pub async fn accept_tls(stream: TcpStream, acceptor: TlsAcceptor, hop: Hop) -> Option<Stream> {
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            debug!(peer = %hop.remote, error = reason(&error), "TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// The host that a message is for, which the certificate of the peer has to name (RFC 5922 §7.1).
pub fn server_name(message: &Bytes) -> Option<ServerName<'static>> {
    ServerName::try_from(next_hop_host(&parse_datagram(message).ok()??)?).ok()
}

/// Connects to a peer to send it `message`; `None` if that fails or times out.
pub async fn connect(remote: SocketAddr, tls: Option<TlsConnector>, message: Bytes) -> Option<Stream> {
    let error = match timeout(CONNECT_TIMEOUT, open(remote, tls, &message)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error,
        Err(elapsed) => elapsed.into(),
    };
    debug!(peer = %remote, error = reason(&error), "cannot connect to a SIP peer");
    None
}

async fn open(remote: SocketAddr, tls: Option<TlsConnector>, message: &Bytes) -> io::Result<Stream> {
    let stream = TcpStream::connect(remote).await?;
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = server_name(message).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Box::new(tls.connect(name, stream).await?))
}
