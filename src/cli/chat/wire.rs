//! The transactions of a call, their timers, and what waits to be sent (RFC 3261 §17).

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::transaction::{Arrival, TransactionId, TransactionOutput, TransactionTimer, Transactions};
use parlor_proto::sip::{Hop, Message, Request, Response};

/// One end of one hop.
pub(super) struct Wire {
    hop: Hop,
    transactions: Transactions,
    timers: Vec<(Instant, TransactionId, TransactionTimer)>,
    outgoing: VecDeque<Bytes>,
}

impl Wire {
    /// An end over which nothing was sent.
    pub(super) fn new(hop: Hop) -> Self {
        Self { hop, transactions: Transactions::default(), timers: Vec::new(), outgoing: VecDeque::new() }
    }

    /// The hop.
    pub(super) fn hop(&self) -> Hop {
        self.hop
    }

    /// Sends a request that is answered.
    pub(super) fn request(&mut self, request: Request) -> Option<TransactionId> {
        self.transactions.request(request, self.hop)
    }

    /// Cancels an INVITE (RFC 3261 §9.1).
    pub(super) fn cancel(&mut self, invite: &TransactionId) {
        if let Some(cancel) = self.transactions.cancel_of(invite) {
            self.request(cancel.empty());
        }
    }

    /// Answers a request.
    pub(super) fn respond(&mut self, id: &TransactionId, response: Response) {
        self.transactions.respond(id, response);
    }

    /// Sends an ACK, which is not answered.
    pub(super) fn acknowledge(&mut self, ack: Request) {
        self.outgoing.push_back(Message::Request(ack).to_bytes());
    }

    /// Takes a message from the network.
    pub(super) fn receive(&mut self, message: Message) -> Option<Arrival> {
        self.transactions.receive(message, self.hop)
    }

    /// Lets time pass for one timer.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Arrival> {
        let due = self.timers.iter().position(|(at, ..)| *at <= now)?;
        let (_, id, timer) = self.timers.swap_remove(due);
        self.transactions.fire(&id, timer)
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.iter().map(|(at, ..)| *at).min()
    }

    /// The next message to send.
    pub(super) fn poll_outgoing(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    /// Does what the transactions want done; to be called after each change.
    pub(super) fn settle(&mut self, now: Instant) {
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
