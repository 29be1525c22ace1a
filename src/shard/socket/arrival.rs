//! What a shard waits for.

use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;

use super::buffers::Taken;
use crate::ids::ConnectionId;

/// The completion of something that was waited for.
#[derive(Debug)]
pub enum Arrival<S = OwnedFd> {
    /// A connection of one of the listeners, or why there is none; after an error nobody listens there until
    /// [`Ring::accept`](super::Ring::accept) is called again.
    Accepted(usize, io::Result<S>),
    /// A socket of ours is connected, or has failed; by the number of the connection.
    Connected(u32),
    /// The result of a connection's receive. There is no other until [`Ring::receive`](super::Ring::receive) is called again.
    Received(ConnectionId, Received),
    /// A connection's socket has room again, or has failed.
    Writable(ConnectionId),
    /// Another thread has written to the eventfd.
    Woken,
}

/// The result of a receive.
#[derive(Debug)]
pub enum Received {
    /// Octets, and their buffer, which has to be returned by [`Ring::give_back`](super::Ring::give_back).
    Bytes {
        /// The octets.
        bytes: Bytes,
        /// Their buffer, if a ring has received them.
        buffer: Option<Taken>,
        /// Whether more are there already.
        more: bool,
    },
    /// The peer has closed the connection, or it has failed.
    Over,
}
