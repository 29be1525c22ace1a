//! The transport layer of SIP (RFC 3261 §18): UDP sockets, and TCP and TLS connections.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::{debug, warn};

use super::connect::{accept_tls, connect, server_name};
use super::datagram_socket::DatagramSocket;
use super::eviction::Eviction;
use super::inbound::Inbound;
use super::listen::{accept, receive_datagrams};
use super::send_queue::send_queue;
use super::sockets::SipSockets;
use super::stream::run_connection;
use super::table::{Connection, ConnectionTable, Side};
use crate::limits::{
    SIP_CONNECTIONS_MAX, SIP_OWN_CONNECTIONS_MAX, SIP_OWN_CONNECTIONS_PER_HOST_MAX, SIP_WAITING_BYTES_IN_ALL_MAX,
};
use crate::tls::{Stream, TlsSetup};
use parlor_proto::sip::{Hop, SipConnection, Transport};

/// Messages that wait for the control thread. Above it, the sockets are not read.
const INBOUND_MAX: usize = 1024;

/// All sockets and connections of SIP. It stays on one thread.
pub struct TransportLayer {
    udp: HashMap<SocketAddr, Rc<DatagramSocket>>,
    table: ConnectionTable,
    /// Octets queued on all connections.
    queued: Rc<Cell<usize>>,
    /// Connections that were closed here and are not reported yet.
    closed: Vec<SipConnection>,
    evictions: [Eviction; 2],
    tls: Option<TlsSetup>,
    inbound: mpsc::Sender<Inbound>,
}

impl TransportLayer {
    /// Registers the sockets with the runtime. Must be called within a `LocalSet`. Without `tls`, SIP over TLS is refused.
    ///
    /// # Errors
    /// Returns an error if the runtime refuses a socket.
    pub fn start(sockets: SipSockets, tls: Option<TlsSetup>) -> io::Result<(Self, mpsc::Receiver<Inbound>)> {
        let (inbound, receiver) = mpsc::channel(INBOUND_MAX);
        let mut udp = HashMap::new();
        for socket in sockets.udp {
            let socket = Rc::new(DatagramSocket::new(socket)?);
            tokio::task::spawn_local(receive_datagrams(socket.clone(), inbound.clone()));
            udp.insert(socket.local(), socket);
        }
        let tcp = sockets.tcp.into_iter().map(|listener| (Transport::Tcp, listener));
        let secure = sockets.tls.into_iter().map(|listener| (Transport::Tls, listener));
        for (transport, listener) in tcp.chain(secure) {
            let listener = TcpListener::from_std(listener)?;
            let local = listener.local_addr()?;
            tokio::task::spawn_local(accept(listener, transport, local, inbound.clone()));
        }
        let layer = Self {
            udp,
            table: ConnectionTable::default(),
            queued: Rc::default(),
            closed: Vec::new(),
            evictions: [Eviction::new(Side::Server), Eviction::new(Side::Client)],
            tls,
            inbound,
        };
        Ok((layer, receiver))
    }

    /// Takes over a connection that a peer has opened. At [`SIP_CONNECTIONS_MAX`], another connection is closed for it, or it is
    /// closed itself. `in_use` returns the connections that carry calls or subscriptions.
    pub fn accept(&mut self, stream: TcpStream, hop: Hop, in_use: impl FnOnce() -> HashSet<SipConnection>) {
        if self.table.count(Side::Server) >= SIP_CONNECTIONS_MAX && !self.evict(Side::Server, hop.remote.ip(), in_use) {
            warn!(peer = %hop.remote, "connection limit reached: a SIP connection was closed");
            return;
        }
        match (hop.transport, &self.tls) {
            (Transport::Tls, Some(tls)) => {
                let handshake = accept_tls(stream, TlsAcceptor::from(tls.sip_server.clone()), hop);
                self.spawn(handshake, hop, None);
            }
            (Transport::Tls, None) => {}
            _ => self.spawn(async { Some(Box::new(stream) as Stream) }, hop, None),
        }
    }

    /// Closes a connection for another one with `host`. Returns whether one could be closed.
    fn evict(&mut self, side: Side, host: IpAddr, in_use: impl FnOnce() -> HashSet<SipConnection>) -> bool {
        let eviction = &mut self.evictions[side as usize];
        let Some(number) = eviction.choose(&self.table, host, Instant::now(), in_use) else { return false };
        if let Some(connection) = self.table.get(number) {
            debug!(peer = %connection.address.1, "connection limit reached: a SIP connection was closed for another one");
        }
        self.close(number);
        true
    }

    /// Records that a message was received on a connection.
    pub fn record_receipt(&mut self, hop: Hop) {
        if let Some(number) = hop.connection {
            self.table.record_receipt(number, Instant::now());
        }
    }

    /// Records that the peer has closed its sending side: from now on only responses are sent on this connection.
    pub fn half_close(&mut self, number: SipConnection) {
        self.table.half_close(number);
    }

    /// Whether a message may be sent on a connection that carried nothing for it before: over TLS only if the peer's certificate was
    /// verified for the host of the message (RFC 5922 §7.3).
    fn may_reuse(&self, number: SipConnection, hop: Hop, message: &Bytes) -> bool {
        let verified = self.table.get(number).and_then(|connection| connection.server_name.as_ref());
        hop.transport != Transport::Tls || verified.is_some_and(|name| Some(name) == server_name(message).as_ref())
    }

    /// Starts the task of a connection that `stream` establishes. `first` is the message that this server connects for.
    fn spawn(&mut self, stream: impl Future<Output = Option<Stream>> + 'static, hop: Hop, first: Option<Bytes>) {
        let number = self.table.next_number();
        let hop = Hop { connection: Some(number), ..hop };
        let (queue, receiver) = send_queue(&self.queued);
        let name = first.as_ref().filter(|_| hop.transport == Transport::Tls).and_then(server_name);
        let side = if first.is_some() { Side::Client } else { Side::Server };
        if let Some(first) = first {
            let _ = queue.try_send(first);
        }
        let connection = run_connection(stream, hop, self.inbound.clone(), receiver, queue.clone());
        let task = tokio::task::spawn_local(connection).abort_handle();
        let mut connection = Connection::new((hop.transport, hop.remote), side, queue, task, Instant::now());
        connection.server_name = name;
        self.table.insert(number, connection);
    }

    /// Removes a connection and stops its task. Returns whether requests were still received on it.
    pub fn remove(&mut self, number: SipConnection) -> bool {
        let Some(connection) = self.table.remove(number) else { return false };
        connection.queue.discard();
        connection.task.abort();
        !connection.half_closed
    }

    fn close(&mut self, number: SipConnection) {
        if self.remove(number) {
            self.closed.push(number);
        }
    }

    /// The next connection that was closed because of a limit.
    pub fn poll_closed(&mut self) -> Option<SipConnection> {
        self.closed.pop()
    }

    /// Sends a message: on the connection of its hop if that is open, else on another one to the same address, else on a new one
    /// (RFC 3261 §18.2.2).
    ///
    /// # Errors
    /// Returns the message if it cannot be sent.
    pub fn send(&mut self, hop: Hop, message: Bytes) -> Result<(), Bytes> {
        match hop.transport {
            Transport::Udp => {
                self.send_datagram(hop, &message);
                Ok(())
            }
            Transport::Tcp | Transport::Tls => self.send_on_stream(hop, message),
        }
    }

    /// Sends on the socket that the dialog began on, or else on one of the same address family.
    fn send_datagram(&self, hop: Hop, message: &Bytes) {
        let any: IpAddr = if hop.local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let wildcard = SocketAddr::new(any, hop.local.port());
        let same_family = || self.udp.values().find(|socket| socket.local().is_ipv4() == hop.remote.is_ipv4());
        let known = self.udp.get(&hop.local).or_else(|| self.udp.get(&wildcard));
        let Some(socket) = known.or_else(same_family) else { return };
        // An unsent datagram is like a lost one: the transaction retransmits it.
        if let Err(error) = socket.try_send(message, hop.local.ip(), hop.remote) {
            debug!(peer = %hop.remote, %error, "a SIP datagram was not sent");
        }
    }

    fn send_on_stream(&mut self, hop: Hop, message: Bytes) -> Result<(), Bytes> {
        // A peer that has closed its sending side cannot respond to a request.
        let takes = |connection: &Connection| !connection.half_closed || message.starts_with(b"SIP/2.0 ");
        let own = hop.connection.filter(|number| self.table.get(*number).is_some_and(takes));
        let other = || self.table.find((hop.transport, hop.remote));
        let number = own.or_else(|| other().filter(|number| self.may_reuse(*number, hop, &message)));
        let Some((number, connection)) = number.and_then(|number| Some((number, self.table.get(number)?))) else {
            return self.connect(hop, message);
        };
        match connection.queue.try_send(message) {
            Ok(()) => {
                self.enforce_queued_max();
                Ok(())
            }
            Err(TrySendError::Full(message)) => {
                debug!(peer = %hop.remote, "send queue full: a SIP connection was closed");
                self.close(number);
                Err(message)
            }
            // Its task has ended and the report of that is still to come.
            Err(TrySendError::Closed(message)) => {
                self.close(number);
                self.connect(hop, message)
            }
        }
    }

    /// Closes the connections with the most octets queued while [`SIP_WAITING_BYTES_IN_ALL_MAX`] is exceeded.
    fn enforce_queued_max(&mut self) {
        while self.queued.get() > SIP_WAITING_BYTES_IN_ALL_MAX {
            let Some(fullest) = self.table.fullest() else { return };
            if let Some(connection) = self.table.get(fullest) {
                warn!(peer = %connection.address.1, "send queues full: the SIP connection with the most octets was closed");
            }
            self.close(fullest);
        }
    }

    fn connect(&mut self, hop: Hop, message: Bytes) -> Result<(), Bytes> {
        let host = hop.remote.ip();
        let full = self.table.count(Side::Client) >= SIP_OWN_CONNECTIONS_MAX;
        if self.table.count_of_network(Side::Client, host) >= SIP_OWN_CONNECTIONS_PER_HOST_MAX
            // None counts as in use: a peer of a closed one is connected to again.
            || full && !self.evict(Side::Client, host, HashSet::new)
        {
            return Err(message);
        }
        let tls = match (hop.transport, &self.tls) {
            (Transport::Tls, None) => return Err(message),
            (Transport::Tls, Some(tls)) => Some(TlsConnector::from(tls.client.clone())),
            _ => None,
        };
        let stream = connect(hop.remote, tls, message.clone());
        self.spawn(stream, hop, Some(message));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
