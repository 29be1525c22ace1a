//! What SIP travels over: sockets, and connections by number and by address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rustls_pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::{debug, warn};

use super::SipSockets;
use super::datagrams::{Datagram, Datagrams};
use super::stream::carry;
use crate::limits::{SIP_CONNECTIONS_MAX, SIP_MESSAGE_BYTES_MAX, SIP_WAITING_MESSAGES_MAX};
use crate::sip::{Broken, Hop, Message, SipConnection, Transport, next_host, parse_datagram};
use crate::tls::{Stream, TlsSetup};

/// Something that came in.
pub struct Inbound {
    /// Over what.
    pub hop: Hop,
    /// What.
    pub what: Arrived,
}

/// What came in.
pub enum Arrived {
    /// A message.
    Message(Box<Message>),
    /// A request that cannot be read.
    Broken(Box<Broken>),
    /// A connection that somebody has made. Over TLS the handshake is still to come.
    Accepted(TcpStream),
    /// A connection that we have made, with what is to be sent on it.
    Connected(Stream, Bytes),
    /// A connection that could not be made, with what was to be sent on it.
    Unreachable(Bytes),
    /// A connection that is over.
    Closed(SipConnection),
}

/// Everything that SIP travels over. Lives on one thread.
pub struct Flows {
    udp: HashMap<SocketAddr, Rc<Datagrams>>,
    connections: HashMap<SipConnection, Connection>,
    by_address: HashMap<(Transport, SocketAddr), SipConnection>,
    /// Connections that are being made.
    connecting: usize,
    next: u64,
    tls: Option<TlsSetup>,
    inbound: mpsc::Sender<Inbound>,
}

struct Connection {
    address: (Transport, SocketAddr),
    /// Over TLS, where we have made it: whose certificate was shown.
    peer: Option<ServerName<'static>>,
    outbound: mpsc::Sender<Bytes>,
    task: AbortHandle,
}

/// Messages that may wait for the focus; senders of more wait on their sockets.
pub const INBOUND_MAX: usize = 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

impl Flows {
    /// Puts the sockets to work. To be called within a `LocalSet`. Without `tls` nobody is heard or called over it.
    ///
    /// # Errors
    /// Where the runtime does not take a socket.
    pub fn start(sockets: SipSockets, tls: Option<TlsSetup>) -> io::Result<(Self, mpsc::Receiver<Inbound>)> {
        let (inbound, receiver) = mpsc::channel(INBOUND_MAX);
        let mut udp = HashMap::new();
        for socket in sockets.udp {
            let socket = Rc::new(Datagrams::new(socket)?);
            tokio::task::spawn_local(read_datagrams(socket.clone(), inbound.clone()));
            udp.insert(socket.local(), socket);
        }
        let tcp = sockets.tcp.into_iter().map(|listener| (Transport::Tcp, listener));
        let secure = sockets.tls.into_iter().map(|listener| (Transport::Tls, listener));
        for (transport, listener) in tcp.chain(secure) {
            let listener = TcpListener::from_std(listener)?;
            let local = listener.local_addr()?;
            tokio::task::spawn_local(accept(listener, transport, local, inbound.clone()));
        }
        let (connections, by_address) = (HashMap::new(), HashMap::new());
        Ok((Self { udp, connections, by_address, connecting: 0, next: 0, tls, inbound }, receiver))
    }

    /// Takes in a connection that a peer has made; one too many is closed.
    pub fn accepted(&mut self, stream: TcpStream, hop: Hop) {
        if self.connections.len() + self.connecting >= SIP_CONNECTIONS_MAX {
            warn!(peer = %hop.remote, "a SIP connection too many was closed");
            return;
        }
        match (hop.transport, &self.tls) {
            (Transport::Tls, Some(tls)) => {
                let shaken = shake_hands(stream, TlsAcceptor::from(tls.sip_server.clone()), hop);
                self.carry(shaken, hop, None);
            }
            (Transport::Tls, None) => {}
            _ => self.carry(async { Some(Box::new(stream) as Stream) }, hop, None),
        }
    }

    /// Takes in a connection that we have made, and sends what it was made for.
    pub fn connected(&mut self, stream: Stream, hop: Hop, message: Bytes) {
        self.connecting -= 1;
        self.carry(async { Some(stream) }, hop, Some(message));
    }

    /// Whether a connection may be used for a message that was not sent on it before: over TLS only if its other end has shown that
    /// it is whom the message is for (RFC 5922 §7.3).
    fn leads_to(&self, number: SipConnection, hop: Hop, message: &Bytes) -> bool {
        let connection = self.connections.get(&number);
        hop.transport != Transport::Tls
            || connection.is_some_and(|connection| connection.peer.is_some() && connection.peer == peer_of(message))
    }

    /// A connection that was tried did not come to be.
    pub fn unreachable(&mut self) {
        self.connecting -= 1;
    }

    fn carry(&mut self, stream: impl Future<Output = Option<Stream>> + 'static, hop: Hop, first: Option<Bytes>) {
        self.next += 1;
        let number = SipConnection(self.next);
        let hop = Hop { connection: Some(number), ..hop };
        let (outbound, waiting) = mpsc::channel(SIP_WAITING_MESSAGES_MAX);
        let peer = first.as_ref().filter(|_| hop.transport == Transport::Tls).and_then(peer_of);
        if let Some(first) = first {
            let _ = outbound.try_send(first);
        }
        let task = tokio::task::spawn_local(carry(stream, hop, self.inbound.clone(), waiting, outbound.clone()));
        self.by_address.insert((hop.transport, hop.remote), number);
        let address = (hop.transport, hop.remote);
        self.connections.insert(number, Connection { address, peer, outbound, task: task.abort_handle() });
    }

    /// Forgets a connection that is over, and ends it if it is not.
    pub fn forget(&mut self, number: SipConnection) {
        let Some(connection) = self.connections.remove(&number) else { return };
        connection.task.abort();
        if self.by_address.get(&connection.address) == Some(&number) {
            self.by_address.remove(&connection.address);
        }
    }

    /// Sends a message where it belongs: on its connection while that stands, on another to the same address, or on a new one
    /// (RFC 3261 §18.2.2).
    ///
    /// # Errors
    /// Gives the message back where it cannot be sent.
    pub fn send(&mut self, hop: Hop, message: Bytes) -> Result<(), Bytes> {
        match hop.transport {
            Transport::Udp => {
                self.send_datagram(hop, &message);
                Ok(())
            }
            Transport::Tcp | Transport::Tls => self.send_on_stream(hop, message),
        }
    }

    /// Over the socket the dialog began on, or over one that reaches the peer.
    fn send_datagram(&self, hop: Hop, message: &Bytes) {
        let any: IpAddr = if hop.local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let everywhere = SocketAddr::new(any, hop.local.port());
        let same_family = || self.udp.values().find(|socket| socket.local().is_ipv4() == hop.remote.is_ipv4());
        let known = self.udp.get(&hop.local).or_else(|| self.udp.get(&everywhere));
        let Some(socket) = known.or_else(same_family) else { return };
        // What does not go now is as good as lost on the way; transactions send it again.
        if let Err(error) = socket.try_send(message, hop.local.ip(), hop.remote) {
            debug!(peer = %hop.remote, %error, "a SIP datagram was not sent");
        }
    }

    fn send_on_stream(&mut self, hop: Hop, message: Bytes) -> Result<(), Bytes> {
        let standing = hop.connection.filter(|number| self.connections.contains_key(number));
        let other = || self.by_address.get(&(hop.transport, hop.remote)).copied();
        let number = standing.or_else(|| other().filter(|number| self.leads_to(*number, hop, &message)));
        let Some((number, connection)) = number.and_then(|number| Some((number, self.connections.get(&number)?)))
        else {
            return self.connect(hop, message);
        };
        match connection.outbound.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => {
                debug!(peer = %hop.remote, "a SIP connection that does not read was closed");
                self.forget(number);
                Err(message)
            }
            // It is over, and we have not been told yet.
            Err(TrySendError::Closed(message)) => {
                self.forget(number);
                self.connect(hop, message)
            }
        }
    }

    fn connect(&mut self, hop: Hop, message: Bytes) -> Result<(), Bytes> {
        if self.connections.len() + self.connecting >= SIP_CONNECTIONS_MAX {
            return Err(message);
        }
        let tls = match (hop.transport, &self.tls) {
            (Transport::Tls, None) => return Err(message),
            (Transport::Tls, Some(tls)) => Some(TlsConnector::from(tls.client.clone())),
            _ => None,
        };
        self.connecting += 1;
        tokio::task::spawn_local(connect(hop, tls, message, self.inbound.clone()));
        Ok(())
    }
}

async fn read_datagrams(socket: Rc<Datagrams>, inbound: mpsc::Sender<Inbound>) {
    let mut buffer = vec![0; SIP_MESSAGE_BYTES_MAX];
    loop {
        // An error here is about a datagram sent earlier, which nobody took.
        let Ok(Datagram { len, remote, local }) = socket.recv(&mut buffer).await else { continue };
        let hop = Hop { transport: Transport::Udp, local, remote, connection: None };
        let Some(what) = read_datagram(&buffer[..len], remote) else { continue };
        if inbound.send(Inbound { hop, what }).await.is_err() {
            return;
        }
    }
}

fn read_datagram(datagram: &[u8], remote: SocketAddr) -> Option<Arrived> {
    match parse_datagram(datagram) {
        Ok(message) => Some(Arrived::Message(Box::new(message?))),
        Err(error) => {
            debug!(peer = %remote, %error, "a datagram that is no SIP message");
            Some(Arrived::Broken(Box::new(Broken::of(datagram, error)?)))
        }
    }
}

async fn accept(listener: TcpListener, transport: Transport, local: SocketAddr, inbound: mpsc::Sender<Inbound>) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let local = stream.local_addr().unwrap_or(local);
                let hop = Hop { transport, local, remote, connection: None };
                if inbound.send(Inbound { hop, what: Arrived::Accepted(stream) }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                warn!(%error, "cannot accept a SIP connection");
                sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

/// The server's side of a handshake; `None` where it failed or took too long.
async fn shake_hands(stream: TcpStream, acceptor: TlsAcceptor, hop: Hop) -> Option<Stream> {
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            debug!(peer = %hop.remote, %error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// Whom a message is for, as a certificate names it.
fn peer_of(message: &Bytes) -> Option<ServerName<'static>> {
    ServerName::try_from(next_host(&parse_datagram(message).ok()??)?).ok()
}

/// Makes a connection. Over TLS the other end has to have a certificate for whom the message is for.
async fn reach(remote: SocketAddr, tls: Option<TlsConnector>, message: &Bytes) -> io::Result<Stream> {
    let stream = TcpStream::connect(remote).await?;
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let peer = peer_of(message).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Box::new(tls.connect(peer, stream).await?))
}

async fn connect(hop: Hop, tls: Option<TlsConnector>, message: Bytes, inbound: mpsc::Sender<Inbound>) {
    match timeout(CONNECT_TIMEOUT, reach(hop.remote, tls, &message)).await {
        Ok(Ok(stream)) => {
            let _ = inbound.send(Inbound { hop, what: Arrived::Connected(stream, message) }).await;
        }
        failed => {
            let error = failed
                .map_or_else(|late| late.to_string(), |made| made.err().map_or_else(String::new, |e| e.to_string()));
            debug!(peer = %hop.remote, error, "no SIP connection to the peer");
            let _ = inbound.send(Inbound { hop, what: Arrived::Unreachable(message) }).await;
        }
    }
}
