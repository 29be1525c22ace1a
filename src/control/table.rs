//! The SIP connections, by number and by address.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rustls_pki_types::ServerName;
use tokio::task::AbortHandle;

use super::send_queue::SendQueue;
use crate::shares::network;
use parlor_proto::sip::{SipConnection, Transport};

/// Which side of a connection this server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The peer has connected.
    Server,
    /// This server has connected.
    Client,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// The transport and the peer's address.
    pub address: (Transport, SocketAddr),
    /// The name that the certificate of the peer was verified for; `None` without TLS and on the server side.
    pub server_name: Option<ServerName<'static>>,
    /// Messages to be sent.
    pub queue: SendQueue,
    /// The task that reads and writes.
    pub task: AbortHandle,
    /// Which side this server is.
    pub side: Side,
    /// The peer has closed its sending side: only responses are sent.
    pub half_closed: bool,
    /// When a message was received last; when the connection began, before that.
    pub last_receipt: Instant,
}

/// All connections. Each side has its own count, so that neither takes room from the other.
#[derive(Debug, Default)]
pub struct ConnectionTable {
    by_number: HashMap<SipConnection, Connection>,
    by_address: HashMap<(Transport, SocketAddr), SipConnection>,
    sides: [SideCount; 2],
    last_number: u64,
}

/// The connections of one side, in total and by network.
#[derive(Debug, Default)]
struct SideCount {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

impl Connection {
    /// A connection established at `now`.
    pub fn new(
        address: (Transport, SocketAddr),
        side: Side,
        queue: SendQueue,
        task: AbortHandle,
        now: Instant,
    ) -> Self {
        Self { address, server_name: None, queue, task, side, half_closed: false, last_receipt: now }
    }

    /// The network of the peer.
    pub fn network(&self) -> IpAddr {
        network(self.address.1.ip())
    }
}

impl ConnectionTable {
    /// The number of the next connection.
    pub fn next_number(&mut self) -> SipConnection {
        self.last_number += 1;
        SipConnection(self.last_number)
    }

    /// Adds a connection.
    pub fn insert(&mut self, number: SipConnection, connection: Connection) {
        let count = &mut self.sides[connection.side as usize];
        count.total += 1;
        *count.by_network.entry(connection.network()).or_default() += 1;
        self.by_address.insert(connection.address, number);
        self.by_number.insert(number, connection);
    }

    /// Removes a connection.
    pub fn remove(&mut self, number: SipConnection) -> Option<Connection> {
        let connection = self.by_number.remove(&number)?;
        self.remove_address(connection.address, number);
        let (count, network) = (&mut self.sides[connection.side as usize], connection.network());
        count.total -= 1;
        if let Some(of_network) = count.by_network.get_mut(&network) {
            *of_network -= 1;
            if *of_network == 0 {
                count.by_network.remove(&network);
            }
        }
        Some(connection)
    }

    /// Records that the peer has closed its sending side.
    pub fn half_close(&mut self, number: SipConnection) {
        let Some(connection) = self.by_number.get_mut(&number) else { return };
        connection.half_closed = true;
        let address = connection.address;
        self.remove_address(address, number);
    }

    fn remove_address(&mut self, address: (Transport, SocketAddr), number: SipConnection) {
        if self.by_address.get(&address) == Some(&number) {
            self.by_address.remove(&address);
        }
    }

    /// Records that a message was received on a connection.
    pub fn record_receipt(&mut self, number: SipConnection, now: Instant) {
        if let Some(connection) = self.by_number.get_mut(&number) {
            connection.last_receipt = now;
        }
    }

    /// A connection by its number.
    pub fn get(&self, number: SipConnection) -> Option<&Connection> {
        self.by_number.get(&number)
    }

    /// The connection for requests to an address.
    pub fn find(&self, address: (Transport, SocketAddr)) -> Option<SipConnection> {
        self.by_address.get(&address).copied()
    }

    /// The connections of one side.
    pub fn of_side(&self, side: Side) -> impl Iterator<Item = (SipConnection, &Connection)> {
        let all = self.by_number.iter().map(|(number, connection)| (*number, connection));
        all.filter(move |(_, connection)| connection.side == side)
    }

    /// The number of connections of one side.
    pub fn count(&self, side: Side) -> usize {
        self.sides[side as usize].total
    }

    /// The number of connections of one side with the network of an address.
    pub fn count_of_network(&self, side: Side, address: IpAddr) -> usize {
        self.sides[side as usize].by_network.get(&network(address)).copied().unwrap_or_default()
    }

    /// The connection with the most octets in its queue.
    pub fn fullest(&self) -> Option<SipConnection> {
        self.by_number.iter().max_by_key(|(_, connection)| connection.queue.octets()).map(|(number, _)| *number)
    }
}
