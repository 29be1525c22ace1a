//! What a ring has waited for.

use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;

use super::buffers::Taken;
use crate::ids::ConnectionId;

/// Something that was waited for.
#[derive(Debug)]
pub enum Arrival<S = OwnedFd> {
    /// A connection of one of the listeners, or why there is none; after an error nobody listens there until
    /// [`Ring::accept`](super::Ring::accept) is called again.
    Accepted(usize, io::Result<S>),
    /// A connection that was being made is there, or has failed.
    Connected(u32),
    /// What a connection's receive has brought. There is no other until [`Ring::receive`](super::Ring::receive) is called again.
    Received(ConnectionId, Received),
    /// A connection's socket has room again, or has failed.
    Writable(ConnectionId),
    /// Another thread has written to the eventfd.
    Woken,
}

/// What a receive has brought.
#[derive(Debug)]
pub enum Received {
    /// Octets, and the buffer that they are in, which has to be returned by [`Ring::give_back`](super::Ring::give_back).
    Bytes {
        /// The octets.
        bytes: Bytes,
        /// Where they are, if a ring has received them.
        buffer: Option<Taken>,
        /// More is there already.
        more: bool,
    },
    /// The peer has said its last, or the connection has failed.
    Over,
}
