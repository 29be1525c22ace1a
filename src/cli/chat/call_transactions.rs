//! The SIP transactions of a call, with their timers and outgoing messages (RFC 3261 §17).

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::transaction::{Arrival, TransactionId, TransactionOutput, TransactionTimer, Transactions};
use parlor_proto::sip::{Hop, Message, Request, Response};

/// The transactions on one hop. Call [`Self::drain`] after each change.
pub struct CallTransactions {
    hop: Hop,
    transactions: Transactions,
    timers: Vec<(Instant, TransactionId, TransactionTimer)>,
    outgoing: VecDeque<Bytes>,
}

impl CallTransactions {
    /// No transactions yet.
    pub fn new(hop: Hop) -> Self {
        Self { hop, transactions: Transactions::default(), timers: Vec::new(), outgoing: VecDeque::new() }
    }

    /// The hop.
    pub fn hop(&self) -> Hop {
        self.hop
    }

    /// Sends a request in a client transaction.
    pub fn request(&mut self, request: Request) -> Option<TransactionId> {
        self.transactions.request(request, self.hop)
    }

    /// Cancels an INVITE (RFC 3261 §9.1).
    pub fn cancel(&mut self, invite: &TransactionId) {
        if let Some(cancel) = self.transactions.cancel_of(invite) {
            self.request(cancel.empty());
        }
    }

    /// Sends a response.
    pub fn respond(&mut self, id: &TransactionId, response: Response) {
        self.transactions.respond(id, response);
    }

    /// Sends an ACK, which has no transaction.
    pub fn acknowledge(&mut self, ack: Request) {
        self.outgoing.push_back(Message::Request(ack).to_bytes());
    }

    /// Handles a received message.
    pub fn receive(&mut self, message: Message) -> Option<Arrival> {
        self.transactions.receive(message, self.hop)
    }

    /// Handles one expired timer.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Arrival> {
        let due = self.timers.iter().position(|(at, ..)| *at <= now)?;
        let (_, id, timer) = self.timers.swap_remove(due);
        self.transactions.fire(&id, timer)
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.iter().map(|(at, ..)| *at).min()
    }

    /// The next message to send.
    pub fn poll_outgoing(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    /// Carries out the outputs of the transactions.
    pub fn drain(&mut self, now: Instant) {
        while let Some(output) = self.transactions.poll_output() {
            match output {
                TransactionOutput::Send { message, .. } => self.outgoing.push_back(message),
                TransactionOutput::SetTimer { id, timer, after } => {
                    self.timers.retain(|(_, other, set)| (other, *set) != (&id, timer));
                    self.timers.push((now + after, id, timer));
                }
                TransactionOutput::ClearTimer { id, timer } => {
                    self.timers.retain(|(_, other, set)| (other, *set) != (&id, timer));
                }
            }
        }
    }
}
