//! What SIP travels over: sockets, and connections by number and by address.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls_pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::{debug, warn};

use super::SipSockets;
use super::datagrams::{Datagram, Datagrams};
use super::outbound::queue;
use super::stream::carry;
use super::table::{Connection, Table};
use crate::limits::{
    SIP_CONNECTIONS_MAX, SIP_MESSAGE_BYTES_MAX, SIP_OWN_CONNECTIONS_MAX, SIP_OWN_CONNECTIONS_PER_HOST_MAX,
    SIP_WAITING_BYTES_IN_ALL_MAX,
};
use crate::log_throttle::LogThrottle;
use crate::tls::{Stream, TlsSetup, reason};
use parlor_proto::sip::{Hop, MalformedRequest, Message, SipConnection, Transport, next_hop_host, parse_datagram};

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
    Malformed(Box<MalformedRequest>),
    /// A connection that somebody has made. Over TLS the handshake is still to come.
    Accepted(TcpStream),
    /// What was to be sent on a connection that could not be made.
    Unreachable(Bytes),
    /// The peer sends nothing more on a connection. Answers can still be sent.
    Ended(SipConnection),
    /// A connection that is over.
    Closed(SipConnection),
}

/// Everything that SIP travels over. Lives on one thread.
pub struct Flows {
    udp: HashMap<SocketAddr, Rc<Datagrams>>,
    table: Table,
    /// Octets that wait to be sent on all connections.
    octets: Rc<Cell<usize>>,
    /// Connections that we have closed and whose requests nobody answers any more.
    closed: Vec<SipConnection>,
    tls: Option<TlsSetup>,
    inbound: mpsc::Sender<Inbound>,
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
        let (table, octets, closed) = (Table::default(), Rc::default(), Vec::new());
        Ok((Self { udp, table, octets, closed, tls, inbound }, receiver))
    }

    /// Takes in a connection that a peer has made. Where there are too many another one is closed for it, or it is. `in_use` tells
    /// which ones carry a call or a subscription.
    pub fn accepted(&mut self, stream: TcpStream, hop: Hop, in_use: impl FnOnce() -> HashSet<SipConnection>) {
        if self.table.count(false) >= SIP_CONNECTIONS_MAX && !self.make_room(false, hop.remote.ip(), in_use) {
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

    /// Closes a connection for another one from or to `host`, if that may displace any.
    fn make_room(&mut self, own: bool, host: IpAddr, in_use: impl FnOnce() -> HashSet<SipConnection>) -> bool {
        let Some(number) = self.table.choose(own, host, Instant::now(), in_use) else { return false };
        if let Some(connection) = self.table.get(number) {
            debug!(peer = %connection.address.1, "a SIP connection was closed for another one");
        }
        self.close(number);
        true
    }

    /// Something has come on a connection.
    pub fn heard(&mut self, hop: Hop) {
        if let Some(number) = hop.connection {
            self.table.heard(number, Instant::now());
        }
    }

    /// The peer sends nothing more on a connection: it has no requests any more, answers only.
    pub fn ended(&mut self, number: SipConnection) {
        self.table.end(number);
    }

    /// Whether a connection may be used for a message that was not sent on it before: over TLS only if its other end has shown that
    /// it is whom the message is for (RFC 5922 §7.3).
    fn leads_to(&self, number: SipConnection, hop: Hop, message: &Bytes) -> bool {
        let connection = self.table.get(number);
        hop.transport != Transport::Tls
            || connection.is_some_and(|connection| connection.peer.is_some() && connection.peer == peer_of(message))
    }

    /// Carries a connection that will be there; `first` is what we make it for.
    fn carry(&mut self, stream: impl Future<Output = Option<Stream>> + 'static, hop: Hop, first: Option<Bytes>) {
        let number = self.table.number();
        let hop = Hop { connection: Some(number), ..hop };
        let (outbound, waiting) = queue(&self.octets);
        let peer = first.as_ref().filter(|_| hop.transport == Transport::Tls).and_then(peer_of);
        let own = first.is_some();
        if let Some(first) = first {
            let _ = outbound.try_send(first);
        }
        let task = tokio::task::spawn_local(carry(stream, hop, self.inbound.clone(), waiting, outbound.clone()));
        let address = (hop.transport, hop.remote);
        let mut connection = Connection::new(address, own, outbound, task.abort_handle(), Instant::now());
        connection.peer = peer;
        self.table.insert(number, connection);
    }

    /// Forgets a connection that is over, and ends it if it is not. Answers whether requests could be answered on it until now.
    pub fn forget(&mut self, number: SipConnection) -> bool {
        let Some(connection) = self.table.remove(number) else { return false };
        connection.outbound.discard();
        connection.task.abort();
        !connection.ended
    }

    fn close(&mut self, number: SipConnection) {
        if self.forget(number) {
            self.closed.push(number);
        }
    }

    /// The next connection that we have closed, for want of room.
    pub fn poll_closed(&mut self) -> Option<SipConnection> {
        self.closed.pop()
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
        // Where the peer sends nothing more, no answer to a request could come.
        let takes = |connection: &Connection| !connection.ended || message.starts_with(b"SIP/2.0 ");
        let standing = hop.connection.filter(|number| self.table.get(*number).is_some_and(takes));
        let other = || self.table.to((hop.transport, hop.remote));
        let number = standing.or_else(|| other().filter(|number| self.leads_to(*number, hop, &message)));
        let Some((number, connection)) = number.and_then(|number| Some((number, self.table.get(number)?))) else {
            return self.connect(hop, message);
        };
        match connection.outbound.try_send(message) {
            Ok(()) => {
                self.bound_octets();
                Ok(())
            }
            Err(TrySendError::Full(message)) => {
                debug!(peer = %hop.remote, "a SIP connection that does not read was closed");
                self.close(number);
                Err(message)
            }
            // It is over, and we have not been told yet.
            Err(TrySendError::Closed(message)) => {
                self.close(number);
                self.connect(hop, message)
            }
        }
    }

    /// Too much waits on all connections: the one where the most waits goes.
    fn bound_octets(&mut self) {
        while self.octets.get() > SIP_WAITING_BYTES_IN_ALL_MAX {
            let Some(fullest) = self.table.fullest() else { return };
            if let Some(connection) = self.table.get(fullest) {
                warn!(peer = %connection.address.1, "the SIP connection where the most waits was closed, for too much waits on all");
            }
            self.close(fullest);
        }
    }

    fn connect(&mut self, hop: Hop, message: Bytes) -> Result<(), Bytes> {
        let host = hop.remote.ip();
        let full = self.table.count(true) >= SIP_OWN_CONNECTIONS_MAX;
        if self.table.share(true, host) >= SIP_OWN_CONNECTIONS_PER_HOST_MAX
            // Whoever is on one of ours is reached again by another.
            || full && !self.make_room(true, host, HashSet::new)
        {
            return Err(message);
        }
        let tls = match (hop.transport, &self.tls) {
            (Transport::Tls, None) => return Err(message),
            (Transport::Tls, Some(tls)) => Some(TlsConnector::from(tls.client.clone())),
            _ => None,
        };
        let made = connect(hop.remote, tls, message.clone());
        self.carry(made, hop, Some(message));
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
            Some(Arrived::Malformed(Box::new(MalformedRequest::recover(datagram, error)?)))
        }
    }
}

async fn accept(listener: TcpListener, transport: Transport, local: SocketAddr, inbound: mpsc::Sender<Inbound>) {
    let mut failures = LogThrottle::default();
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
                if let Some(times) = failures.add(Instant::now()) {
                    warn!(%local, %error, times, "cannot accept a SIP connection");
                }
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
            debug!(peer = %hop.remote, error = reason(&error), "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}

/// Whom a message is for, as a certificate names it.
fn peer_of(message: &Bytes) -> Option<ServerName<'static>> {
    ServerName::try_from(next_hop_host(&parse_datagram(message).ok()??)?).ok()
}

/// Makes a connection. Over TLS the other end has to have a certificate for whom the message is for.
async fn reach(remote: SocketAddr, tls: Option<TlsConnector>, message: &Bytes) -> io::Result<Stream> {
    let stream = TcpStream::connect(remote).await?;
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let peer = peer_of(message).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Box::new(tls.connect(peer, stream).await?))
}

/// Our side of a connection; `None` where it could not be made, or took too long.
async fn connect(remote: SocketAddr, tls: Option<TlsConnector>, message: Bytes) -> Option<Stream> {
    let error = match timeout(CONNECT_TIMEOUT, reach(remote, tls, &message)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error,
        Err(late) => late.into(),
    };
    debug!(peer = %remote, error = reason(&error), "no SIP connection to the peer");
    None
}

#[cfg(test)]
mod tests;
