//! What transactions want done, and what they pass on to their user.

use std::time::Duration;

use bytes::Bytes;
use sipx_sip::{Request, Response, Timer};

use super::key::TransactionId;
use parlor_proto::sip::Hop;

/// An action for the caller of the transactions.
#[derive(Debug)]
pub enum TransactionOutput {
    /// Send a message.
    Send {
        /// The transport and address to send it to.
        hop: Hop,
        /// The octets of the message.
        message: Bytes,
    },
    /// Start a timer; when it expires, call [`super::Transactions::fire`].
    SetTimer {
        /// The transaction.
        id: TransactionId,
        /// The timer.
        timer: Timer,
        /// The time from now.
        after: Duration,
    },
    /// Stop a timer.
    ClearTimer {
        /// The transaction.
        id: TransactionId,
        /// The timer.
        timer: Timer,
    },
}

/// What a message or a timer means to the transaction user (RFC 3261 §17).
#[derive(Debug)]
pub enum Arrival {
    /// A new request, to be answered with [`super::Transactions::respond`].
    Request {
        /// Its transaction.
        id: TransactionId,
        /// The request.
        request: Box<Request>,
    },
    /// The ACK of a 2xx, or of no known response.
    Ack(Box<Request>),
    /// A response to a request of a client transaction.
    Response {
        /// The transaction.
        id: TransactionId,
        /// The response.
        response: Box<Response>,
    },
    /// The transaction ended without a response, or without the ACK of a refusal.
    TimedOut(TransactionId),
}
