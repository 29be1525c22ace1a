//! What the transports hand to the control thread.

use bytes::Bytes;
use parlor_proto::sip::{Hop, MalformedRequest, Message, SipConnection};
use tokio::net::TcpStream;

/// One input from the network.
pub struct Inbound {
    /// The transport and addresses that it arrived on.
    pub hop: Hop,
    /// What happened.
    pub event: InboundEvent,
}

/// What happened on a transport.
pub enum InboundEvent {
    /// A message was received.
    Message(Box<Message>),
    /// A request that cannot be parsed was received.
    Malformed(Box<MalformedRequest>),
    /// A peer has connected. Over TLS the handshake follows.
    Accepted(TcpStream),
    /// A message was not sent, because its connection could not be established.
    Unsent(Bytes),
    /// The peer has closed its sending side. Responses can still be sent (RFC 3261 §18.2.2).
    HalfClosed(SipConnection),
    /// The connection is closed.
    Closed(SipConnection),
}
