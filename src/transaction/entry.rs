//! A transaction in progress: its state machine, and what is charged for it.

use sipx_sip::{ClientTransaction, Header, Request, ServerTransaction, Timer};
use smallvec::SmallVec;

use crate::shares::Share;
use parlor_proto::sip::Hop;

/// Octets of a transaction in progress beside its request: its state, that of its user, and its timers.
pub const IN_PROGRESS_BYTES: usize = 2048;

/// One transaction in progress.
#[derive(Debug)]
pub struct Entry {
    /// Where its responses or its request are sent.
    pub hop: Hop,
    /// Its state machine (RFC 3261 §17).
    pub machine: Machine,
    /// The timers that are set.
    pub timers: SmallVec<[Timer; 2]>,
    /// The Timestamp header of the request, which its 100 repeats (RFC 3261 §8.2.6.1).
    pub timestamp: Option<Header>,
    /// A provisional response was sent, so the client does not retransmit its request.
    pub provisional: bool,
    /// What is charged to its source; `None` for a client transaction.
    pub share: Option<Share>,
}

/// The state machine of a transaction.
#[derive(Debug)]
pub enum Machine {
    /// The request was received.
    Server(ServerTransaction),
    /// The request was sent.
    Client(ClientTransaction),
}

/// Octets of a transaction in progress with its request, whose headers are held by the transaction and by its user.
pub fn bytes_in_progress(request: &Request) -> usize {
    let own = |header: &Header| header.raw_value().len() + 2 * size_of::<Header>();
    let headers: usize = request.headers.iter().map(own).sum();
    IN_PROGRESS_BYTES + request.uri.to_bytes().len() + headers + request.body().len()
}
