//! The transaction layer as a state machine without sockets and clocks.
//!
//! A timer is started by [`TransactionOutput::SetTimer`] and expires through [`Transactions::fire`]. After its final response a server
//! transaction is reduced to its id and the octets of that response, or to its id alone after a 2xx to an INVITE, which the focus
//! retransmits itself (RFC 6026 §7.1). Over reliable transports only accepted INVITEs are kept. The octets that transactions hold are
//! counted by source, so that no source uses up all of them; sources whose addresses may be forged share half.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use sipx_sip::{CSeq, ClientTransaction, Header, HeaderName, Message, Method, Output, Reliability, Request};
use sipx_sip::{Response, ServerTransaction, Timer, Timers, TuEvent};
use smallvec::SmallVec;

use super::answered::AnsweredTransactions;
use super::encoder::Encoder;
use super::entry::{Entry, Machine, bytes_in_progress};
use super::key::{Side, TransactionId, TransactionKeys};
use super::output::{Arrival, TransactionOutput};
use crate::limits::SIP_TRANSACTION_BYTES_MAX;
use crate::shares::{Claim, Holder, Reach, Share, Shares};
use parlor_proto::sip::{Hop, RequestBuilder, TopVia, cseq_number};

/// All transactions of a SIP endpoint. Drain [`Self::poll_output`] after every call that takes `&mut self`.
#[derive(Debug, Default)]
pub struct Transactions {
    keys: TransactionKeys,
    /// Boxed, because a hash table has more slots than entries.
    entries: HashMap<TransactionId, Box<Entry>>,
    answered: AnsweredTransactions,
    shares: Shares,
    outputs: VecDeque<TransactionOutput>,
    /// Server transactions among `entries`.
    servers_in_progress: usize,
    encoder: Encoder,
}

impl Transactions {
    /// No transactions. `keys` must be random and secret: transaction ids are digests under them.
    #[must_use]
    pub fn new(keys: (u64, u64)) -> Self {
        Self { keys: TransactionKeys::new(keys), shares: Shares::new(SIP_TRANSACTION_BYTES_MAX, 2), ..Self::default() }
    }

    /// Sets the maximum of octets in all server transactions; [`SIP_TRANSACTION_BYTES_MAX`] by default.
    pub fn set_max_bytes(&mut self, max: usize) {
        self.shares.set_max(max);
    }

    /// Whether there is room for a transaction of a source. A source may hold as much as is free for others: no more than half of the
    /// maximum, and something is left for a new source.
    #[must_use]
    pub fn has_room(&self, request: &Request, claim: &Claim) -> bool {
        self.shares.has_room(claim, bytes_in_progress(request))
    }

    /// Whether a source has a transaction that proves that it receives what is sent to its address.
    #[must_use]
    pub fn proves(&self, holder: &Holder) -> bool {
        self.shares.proves(holder)
    }

    /// T1, the round-trip estimate (RFC 3261 §17.1.1.1).
    #[must_use]
    pub fn t1() -> Duration {
        Timers::default().t1
    }

    /// T2, the longest retransmission interval (RFC 3261 §17.1.2.2).
    #[must_use]
    pub fn t2() -> Duration {
        Timers::default().t2
    }

    /// Handles a received message. `hop` is where a response to it is sent. `None`: the transaction handles it alone.
    pub fn receive(&mut self, message: Message, hop: Hop) -> Option<Arrival> {
        match message {
            Message::Request(request) => {
                let reach = if hop.transport.is_reliable() { Reach::Proved } else { Reach::Unproved };
                self.receive_request(request, hop, &Claim::at(hop.remote.ip(), reach))
            }
            Message::Response(response) => self.receive_response(response),
        }
    }

    /// Handles a received request. `hop` is where its response is sent; `claim` is charged for its transaction.
    pub fn receive_request(&mut self, request: Request, hop: Hop, claim: &Claim) -> Option<Arrival> {
        let id = self.keys.of_request(&request)?;
        if let Some(Machine::Server(server)) = self.machine(&id) {
            let outputs = server.on_request(&request);
            return self.apply(&id, outputs);
        }
        if request.method == Method::Ack {
            let absorbed = self.answered.acknowledge(&id, &mut self.shares, &mut self.outputs);
            return (!absorbed).then(|| Arrival::Ack(Box::new(request)));
        }
        if let Some(response) = self.answered.response(&id) {
            if let Some(message) = response.cloned() {
                self.outputs.push_back(TransactionOutput::Send { hop, message });
            }
            return None;
        }
        let timestamp = request.headers.get(&HeaderName::Timestamp).cloned();
        let (server, outputs) = ServerTransaction::new(request, reliability(hop), Timers::default());
        let share = self.shares.take(claim, bytes_in_progress(server.request()));
        self.insert(&id, hop, Machine::Server(server), timestamp, Some(share));
        self.apply(&id, outputs)
    }

    fn receive_response(&mut self, response: Response) -> Option<Arrival> {
        // With several Vias it is for another element (RFC 3261 §8.1.3.3).
        if TopVia::of(&response.headers).is_none_or(|via| !via.is_only) {
            return None;
        }
        let method = response.headers.typed::<CSeq>()?.ok()?.method;
        let id = self.keys.of(Side::Client, &response.headers, &method)?;
        let Some(Machine::Client(client)) = self.machine(&id) else { return None };
        let outputs = client.on_response(response);
        self.apply(&id, outputs)
    }

    /// Sends a response to a request. Returns its octets.
    pub fn respond(&mut self, id: &TransactionId, response: Response) -> Bytes {
        let bytes = self.encoder.encode(response.body(), |out| response.write_to(out));
        let Some(entry) = self.entries.get_mut(id) else { return bytes };
        let Machine::Server(server) = &mut entry.machine else { return bytes };
        let accepts_invite = server.request().method == Method::Invite && response.status.is_success();
        let refuses_invite = server.request().method == Method::Invite && !response.status.is_success();
        let (hop, message) = (entry.hop, bytes.clone());
        if !response.status.is_final() {
            let outputs = server.on_tu_response(response);
            self.apply(id, outputs);
            return bytes;
        }
        let claim = entry.share.as_ref().map(|share| share.claim.clone());
        self.outputs.push_back(TransactionOutput::Send { hop, message });
        self.remove(id);
        match claim {
            Some(claim) if accepts_invite => {
                self.answered.insert_accepted(id, &claim, &mut self.shares, &mut self.outputs);
            }
            Some(claim) if !hop.transport.is_reliable() => {
                let refused_over = refuses_invite.then_some(hop);
                let response = bytes.clone();
                self.answered.insert_response(id, &claim, response, refused_over, &mut self.shares, &mut self.outputs);
            }
            _ => {}
        }
        bytes
    }

    /// Sends a final response and forgets the transaction: a retransmission is a new request with the same response (RFC 3261 §8.2.7).
    /// After a provisional response, which stops retransmissions, it is the same as [`Self::respond`].
    pub fn respond_without_state(&mut self, id: &TransactionId, response: Response) {
        let Some(entry) = self.entries.get(id).filter(|entry| !entry.provisional) else {
            self.respond(id, response);
            return;
        };
        let hop = entry.hop;
        let message = self.encoder.encode(response.body(), |out| response.write_to(out));
        self.outputs.push_back(TransactionOutput::Send { hop, message });
        self.remove(id);
    }

    /// Sends a request in a new client transaction; `None` if its Via or CSeq is missing.
    pub fn request(&mut self, request: Request, hop: Hop) -> Option<TransactionId> {
        let id = self.keys.of_ours(&request)?;
        let (client, outputs) = ClientTransaction::new(request, reliability(hop), Timers::default());
        self.insert(&id, hop, Machine::Client(client), None, None);
        self.apply(&id, outputs);
        Some(id)
    }

    /// Handles the expiry of a timer.
    pub fn fire(&mut self, id: &TransactionId, timer: Timer) -> Option<Arrival> {
        if timer == Timer::G {
            self.answered.retransmit_refusal(id, &mut self.outputs);
            return None;
        }
        if self.answered.remove(id, &mut self.shares, &mut self.outputs) {
            return None;
        }
        self.entries.get_mut(id)?.timers.retain(|set| *set != timer);
        self.fired(id, timer)
    }

    fn fired(&mut self, id: &TransactionId, timer: Timer) -> Option<Arrival> {
        let outputs = match self.machine(id)? {
            Machine::Server(server) => server.on_timer(timer),
            Machine::Client(client) => client.on_timer(timer),
        };
        self.apply(id, outputs)
    }

    /// Ends the client transaction of a request that could not be sent (RFC 3261 §17.1.4).
    pub fn unsent(&mut self, request: &Request) -> Option<Arrival> {
        let id = self.keys.of_ours(request)?;
        self.fail(&id)
    }

    /// Ends a client transaction after a transport error (RFC 3261 §17.1.4).
    pub fn fail(&mut self, id: &TransactionId) -> Option<Arrival> {
        let Machine::Client(client) = self.machine(id)? else { return None };
        let outputs = client.on_transport_error();
        self.apply(id, outputs)
    }

    /// Removes a client transaction that has its final response. Retransmissions of that response are dropped.
    pub fn forget(&mut self, id: &TransactionId) {
        self.fired(id, Timer::K);
    }

    /// The hop of a transaction in flight.
    #[must_use]
    pub fn hop(&self, id: &TransactionId) -> Option<Hop> {
        self.entries.get(id).map(|entry| entry.hop)
    }

    /// The request of a client transaction, and its hop.
    #[must_use]
    pub fn sent(&self, id: &TransactionId) -> Option<(&Request, Hop)> {
        let entry = self.entries.get(id)?;
        let Machine::Client(client) = &entry.machine else { return None };
        Some((client.request(), entry.hop))
    }

    /// The CANCEL for the INVITE of a client transaction (RFC 3261 §9.1). Send it only after a provisional response.
    #[must_use]
    pub fn cancel_of(&self, id: &TransactionId) -> Option<RequestBuilder> {
        let (invite, _) = self.sent(id)?;
        let mut cancel = RequestBuilder::new(Method::Cancel, invite.uri.clone());
        let rows =
            |name: HeaderName| invite.headers.get_all(&name).map(|row| row.value().into_owned()).collect::<Vec<_>>();
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::Route] {
            for value in rows(name.clone()) {
                cancel = cancel.header(name.clone(), value);
            }
        }
        Some(cancel.header(HeaderName::CSeq, format!("{} CANCEL", cseq_number(&invite.headers)?)))
    }

    /// The transaction of the INVITE that a CANCEL matches (RFC 3261 §9.2), if it is known.
    #[must_use]
    pub fn cancelled(&self, cancel: &Request) -> Option<TransactionId> {
        if cancel.method != Method::Cancel {
            return None;
        }
        let id = self.keys.of_request_as(cancel, &Method::Invite)?;
        self.is_in_flight(&id).then_some(id)
    }

    /// Whether a CANCEL matches a request other than an INVITE. It is answered and has no effect (RFC 3261 §9.2).
    #[must_use]
    pub fn cancels_other_request(&self, cancel: &Request) -> bool {
        [Method::Subscribe, Method::Refer, Method::Bye, Method::Options, Method::Update].iter().any(|method| {
            let id = self.keys.of_request_as(cancel, method);
            id.is_some_and(|id| self.is_in_flight(&id))
        })
    }

    /// Whether a request belongs to a known transaction.
    #[must_use]
    pub fn contains(&self, request: &Request) -> bool {
        self.keys.of_request(request).is_some_and(|id| self.is_in_flight(&id))
    }

    fn is_in_flight(&self, id: &TransactionId) -> bool {
        self.entries.contains_key(id) || self.answered.contains(id)
    }

    /// Octets in the server transactions of a source.
    #[cfg(test)]
    fn bytes_of(&self, source: std::net::IpAddr) -> usize {
        self.shares.of(&Holder::of(source))
    }

    /// The number of server transactions.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.servers_in_progress + self.answered.len()
    }

    /// The next action for the caller.
    pub fn poll_output(&mut self) -> Option<TransactionOutput> {
        self.outputs.pop_front()
    }

    fn machine(&mut self, id: &TransactionId) -> Option<&mut Machine> {
        self.entries.get_mut(id).map(|entry| &mut entry.machine)
    }

    fn insert(
        &mut self,
        id: &TransactionId,
        hop: Hop,
        machine: Machine,
        timestamp: Option<Header>,
        share: Option<Share>,
    ) {
        self.servers_in_progress += usize::from(share.is_some());
        let entry = Entry { hop, machine, timers: SmallVec::new(), timestamp, provisional: false, share };
        self.entries.insert(id.clone(), Box::new(entry));
    }

    fn remove(&mut self, id: &TransactionId) {
        let Some(entry) = self.entries.remove(id) else { return };
        if let Some(share) = entry.share {
            self.servers_in_progress -= 1;
            self.shares.give_back(share);
        }
        let clear = |timer| TransactionOutput::ClearTimer { id: id.clone(), timer };
        self.outputs.extend(entry.timers.into_iter().map(clear));
    }

    fn apply(&mut self, id: &TransactionId, outputs: Vec<Output>) -> Option<Arrival> {
        let mut arrival = None;
        for output in outputs {
            match output {
                Output::Send(message) => self.send(id, message),
                Output::SetTimer { timer, after } => self.set(id, timer, after),
                Output::ClearTimer(timer) => self.clear(id, timer),
                Output::ToTu(event) => arrival = arrival.or(arrival_of(id, *event)),
                Output::Terminated(_) => self.remove(id),
                _ => {}
            }
        }
        arrival
    }

    fn send(&mut self, id: &TransactionId, mut message: Box<Message>) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.provisional |= matches!(&*message, Message::Response(response) if !response.status.is_final());
            if let (Message::Response(response), Some(timestamp)) = (&mut *message, &entry.timestamp)
                && response.status.code() == 100
                && response.headers.get(&HeaderName::Timestamp).is_none()
            {
                response.headers.push(timestamp.clone());
            }
            let message = self.encoder.encode(message.body(), |out| message.write_to(out));
            self.outputs.push_back(TransactionOutput::Send { hop: entry.hop, message });
        }
    }

    fn set(&mut self, id: &TransactionId, timer: Timer, after: Duration) {
        if let Some(entry) = self.entries.get_mut(id) {
            if !entry.timers.contains(&timer) {
                entry.timers.push(timer);
            }
            self.outputs.push_back(TransactionOutput::SetTimer { id: id.clone(), timer, after });
        }
    }

    fn clear(&mut self, id: &TransactionId, timer: Timer) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.timers.contains(&timer) {
            entry.timers.retain(|set| *set != timer);
            self.outputs.push_back(TransactionOutput::ClearTimer { id: id.clone(), timer });
        }
    }
}

fn reliability(hop: Hop) -> Reliability {
    if hop.transport.is_reliable() { Reliability::Reliable } else { Reliability::Unreliable }
}

fn arrival_of(id: &TransactionId, event: TuEvent) -> Option<Arrival> {
    Some(match event {
        TuEvent::Request(request) => Arrival::Request { id: id.clone(), request },
        TuEvent::Response(response) => Arrival::Response { id: id.clone(), response },
        TuEvent::Ack(request) => Arrival::Ack(request),
        TuEvent::Timeout | TuEvent::TransportError => Arrival::TimedOut(id.clone()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
