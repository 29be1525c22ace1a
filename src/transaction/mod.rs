//! Transactions (RFC 3261 §17, RFC 6026): which message belongs to which, and what is sent again.
//!
//! No clock: timers leave as [`TransactionOutput::SetTimer`] and come back through [`Transactions::fire`]. A server transaction
//! that has its final response shrinks to its id and the octets of that response, and to the id alone where an INVITE was accepted,
//! because the focus sends a 2xx again itself (RFC 6026 §7.1). On a reliable transport only accepted INVITEs are kept. What they
//! hold is counted in octets for each source, so that one source cannot use up what all share; those whose addresses may be forged
//! get half of it in all.

mod answered;
mod key;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use sipx_sip::{CSeq, ClientTransaction, Header, HeaderName, Message, Method, Output, Reliability, Request};
use sipx_sip::{Response, ServerTransaction, Timer, Timers, TuEvent};
use smallvec::SmallVec;

use answered::Answered;
pub use key::TransactionId;
use key::{Keys, Side};
pub use sipx_sip::Timer as TransactionTimer;

use crate::limits::SIP_TRANSACTION_BYTES_MAX;
use crate::shares::{Claim, Holder, Reach, Share, Shares};
use parlor_proto::sip::{Hop, RequestBuilder, TopVia, cseq_number};

/// What a transaction wants done.
#[derive(Debug)]
pub enum TransactionOutput {
    /// Send this there.
    Send {
        /// Where to.
        hop: Hop,
        /// What.
        message: Bytes,
    },
    /// Call [`Transactions::fire`] after a while.
    SetTimer {
        /// Whose timer.
        id: TransactionId,
        /// Which.
        timer: Timer,
        /// How long from now.
        after: Duration,
    },
    /// Never mind that timer.
    ClearTimer {
        /// Whose timer.
        id: TransactionId,
        /// Which.
        timer: Timer,
    },
}

/// What a message or a timer means to the user of the transactions.
#[derive(Debug)]
pub enum Arrival {
    /// A request not seen before. It wants a response by [`Transactions::respond`].
    Request {
        /// Its transaction.
        id: TransactionId,
        /// The request.
        request: Box<Request>,
    },
    /// An ACK that belongs to no refusal: for a 2xx, or for nothing.
    Ack(Box<Request>),
    /// A response to a request of ours.
    Response {
        /// Our request's transaction.
        id: TransactionId,
        /// The response.
        response: Box<Response>,
    },
    /// Nobody answered a request of ours, or nobody acknowledged a refusal.
    TimedOut(TransactionId),
}

#[derive(Debug)]
struct Entry {
    hop: Hop,
    machine: Machine,
    timers: SmallVec<[Timer; 2]>,
    /// The request's Timestamp, which goes into its 100 (RFC 3261 §8.2.6.1).
    timestamp: Option<Header>,
    /// A provisional response was sent, so that the client does not send its request again.
    provisional: bool,
    /// What it counts for its source; `None` for a request of ours.
    share: Option<Share>,
}

#[derive(Debug)]
enum Machine {
    Server(ServerTransaction),
    Client(ClientTransaction),
}

/// Octets that a transaction in progress takes beside its request: the machine, what its user makes of it, and its timers.
const IN_PROGRESS_BYTES: usize = 2048;

/// Octets that a request in progress takes: its own, and the places of its headers for the machine and for its user.
fn bytes_in_progress(request: &Request) -> usize {
    let own = |header: &Header| header.raw_value().len() + 2 * size_of::<Header>();
    let headers: usize = request.headers.iter().map(own).sum();
    IN_PROGRESS_BYTES + request.uri.to_bytes().len() + headers + request.body().len()
}

/// Octets of a body that may be copied once more to save room.
const BODY_COPIED_MAX: usize = 4096;
/// Octets that the start line and the headers of a message are expected to have.
const HEAD_BYTES_EXPECTED: usize = 1024;

/// Every transaction in flight.
#[derive(Debug, Default)]
pub struct Transactions {
    /// What [`TransactionId`]s are made under.
    keys: Keys,
    /// Boxed, because a table has more places than transactions.
    entries: HashMap<TransactionId, Box<Entry>>,
    answered: HashMap<TransactionId, Answered>,
    shares: Shares,
    outputs: VecDeque<TransactionOutput>,
    servers: usize,
    /// What messages are written in, so that each takes one allocation of its own size.
    scratch: Vec<u8>,
}

impl Transactions {
    /// None yet. Who knows the keys can make a request of its own be taken for another's.
    #[must_use]
    pub fn new(keys: (u64, u64)) -> Self {
        Self { keys: Keys::new(keys), shares: Shares::new(SIP_TRANSACTION_BYTES_MAX, 2), ..Self::default() }
    }

    /// Sets how many octets all server transactions may hold, in place of [`SIP_TRANSACTION_BYTES_MAX`].
    pub fn set_max_bytes(&mut self, max: usize) {
        self.shares.set_max(max);
    }

    /// Whether a new transaction of a source has room: a source may hold as much as is still free, so that one alone never gets
    /// more than half of it all, and a newcomer gets something.
    #[must_use]
    pub fn has_room(&self, request: &Request, claim: &Claim) -> bool {
        self.shares.has_room(claim, bytes_in_progress(request))
    }

    /// Whether a transaction of a source is one that proved that it can be reached.
    #[must_use]
    pub fn proves(&self, holder: &Holder) -> bool {
        self.shares.proves(holder)
    }

    /// The estimate of a round trip that all timers are made of (RFC 3261 §17.1.1.1).
    #[must_use]
    pub fn t1() -> Duration {
        Timers::default().t1
    }

    /// The longest interval between two sendings.
    #[must_use]
    pub fn t2() -> Duration {
        Timers::default().t2
    }

    /// Takes a message. `hop` is where an answer to it goes. `None`: there is nothing to do but to drain the outputs.
    pub fn receive(&mut self, message: Message, hop: Hop) -> Option<Arrival> {
        match message {
            Message::Request(request) => {
                let reach = if hop.transport.is_reliable() { Reach::Proved } else { Reach::Unproved };
                self.receive_request(request, hop, &Claim::at(hop.remote.ip(), reach))
            }
            Message::Response(response) => self.receive_response(response),
        }
    }

    /// Takes a request. `hop` is where the answer goes, `claim` who is charged with what is kept of it.
    pub fn receive_request(&mut self, request: Request, hop: Hop, claim: &Claim) -> Option<Arrival> {
        let id = self.keys.of_request(&request)?;
        if let Some(Machine::Server(server)) = self.machine(&id) {
            let outputs = server.on_request(&request);
            return self.apply(&id, outputs);
        }
        if request.method == Method::Ack {
            return if self.acknowledge(&id) { None } else { Some(Arrival::Ack(Box::new(request))) };
        }
        if let Some(answered) = self.answered.get(&id) {
            if let Some(message) = answered.response.clone() {
                self.outputs.push_back(TransactionOutput::Send { hop, message });
            }
            return None;
        }
        let timestamp = request.headers.get(&HeaderName::Timestamp).cloned();
        let (server, outputs) = ServerTransaction::new(request, reliability(hop), Timers::default());
        let share = self.shares.take(claim, bytes_in_progress(server.request()));
        self.enter(&id, hop, Machine::Server(server), timestamp, Some(share));
        self.apply(&id, outputs)
    }

    fn receive_response(&mut self, response: Response) -> Option<Arrival> {
        // With several Vias it is for somebody else (RFC 3261 §8.1.3.3).
        if TopVia::of(&response.headers).is_none_or(|via| !via.is_only) {
            return None;
        }
        let method = response.headers.typed::<CSeq>()?.ok()?.method;
        let id = self.keys.of(Side::Client, &response.headers, &method)?;
        let Some(Machine::Client(client)) = self.machine(&id) else { return None };
        let outputs = client.on_response(response);
        self.apply(&id, outputs)
    }

    /// Answers a request, and gives what goes over the wire.
    pub fn respond(&mut self, id: &TransactionId, response: Response) -> Bytes {
        let bytes = written(&mut self.scratch, response.body(), |out| response.write_to(out));
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
        self.leave(id);
        match claim {
            Some(claim) if accepts_invite => self.keep_accepted(id, &claim),
            Some(claim) if !hop.transport.is_reliable() => {
                self.keep_answer(id, &claim, bytes.clone(), refuses_invite.then_some(hop));
            }
            _ => {}
        }
        bytes
    }

    /// Answers a request finally and keeps nothing of it: the same request again is a new one, and gets the same answer (RFC 3261
    /// §8.2.7). Where a provisional response has stopped its client from sending it again, it is answered as by [`Self::respond`].
    pub fn respond_without_state(&mut self, id: &TransactionId, response: Response) {
        let Some(entry) = self.entries.get(id).filter(|entry| !entry.provisional) else {
            self.respond(id, response);
            return;
        };
        let hop = entry.hop;
        let message = written(&mut self.scratch, response.body(), |out| response.write_to(out));
        self.outputs.push_back(TransactionOutput::Send { hop, message });
        self.leave(id);
    }

    /// Sends a request of ours; `None` where its Via or CSeq is missing.
    pub fn request(&mut self, request: Request, hop: Hop) -> Option<TransactionId> {
        let id = self.keys.of_ours(&request)?;
        let (client, outputs) = ClientTransaction::new(request, reliability(hop), Timers::default());
        self.enter(&id, hop, Machine::Client(client), None, None);
        self.apply(&id, outputs);
        Some(id)
    }

    /// A timer has run out.
    pub fn fire(&mut self, id: &TransactionId, timer: Timer) -> Option<Arrival> {
        if timer == Timer::G {
            self.refuse_again(id);
            return None;
        }
        if self.forget_answered(id) {
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

    /// A request of ours could not be sent (RFC 3261 §17.1.4): its transaction is over.
    pub fn unsent(&mut self, request: &Request) -> Option<Arrival> {
        let id = self.keys.of_ours(request)?;
        self.fail(&id)
    }

    /// The same by its id.
    pub fn fail(&mut self, id: &TransactionId) -> Option<Arrival> {
        let Machine::Client(client) = self.machine(id)? else { return None };
        let outputs = client.on_transport_error();
        self.apply(id, outputs)
    }

    /// A request of ours was answered finally, and an answer that comes again may be dropped: nothing of it is kept.
    pub fn forget(&mut self, id: &TransactionId) {
        self.fired(id, Timer::K);
    }

    /// The hop of a transaction in flight.
    #[must_use]
    pub fn hop(&self, id: &TransactionId) -> Option<Hop> {
        self.entries.get(id).map(|entry| entry.hop)
    }

    /// A request of ours that is in flight, and its hop.
    #[must_use]
    pub fn sent(&self, id: &TransactionId) -> Option<(&Request, Hop)> {
        let entry = self.entries.get(id)?;
        let Machine::Client(client) = &entry.machine else { return None };
        Some((client.request(), entry.hop))
    }

    /// The CANCEL of an INVITE of ours (RFC 3261 §9.1), which goes where that went. Only after a provisional response.
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

    /// The INVITE that a CANCEL is about (RFC 3261 §9.2), if it is still in flight.
    #[must_use]
    pub fn cancelled(&self, cancel: &Request) -> Option<TransactionId> {
        if cancel.method != Method::Cancel {
            return None;
        }
        let id = self.keys.of_request_as(cancel, &Method::Invite)?;
        self.is_in_flight(&id).then_some(id)
    }

    /// Whether a CANCEL is about another request than an INVITE, whose transaction is still known: it is answered, and changes
    /// nothing (RFC 3261 §9.2).
    #[must_use]
    pub fn cancels_in_vain(&self, cancel: &Request) -> bool {
        [Method::Subscribe, Method::Refer, Method::Bye, Method::Options, Method::Update].iter().any(|method| {
            let id = self.keys.of_request_as(cancel, method);
            id.is_some_and(|id| self.is_in_flight(&id))
        })
    }

    /// Whether a message belongs to a transaction that is in flight.
    #[must_use]
    pub fn knows(&self, request: &Request) -> bool {
        self.keys.of_request(request).is_some_and(|id| self.is_in_flight(&id))
    }

    fn is_in_flight(&self, id: &TransactionId) -> bool {
        self.entries.contains_key(id) || self.answered.contains_key(id)
    }

    /// Octets that a source's server transactions hold.
    #[cfg(test)]
    fn bytes_of(&self, source: std::net::IpAddr) -> usize {
        self.shares.of(&Holder::of(source))
    }

    /// Server transactions in flight.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// What is to be done next; drain it after every call.
    pub fn poll_output(&mut self) -> Option<TransactionOutput> {
        self.outputs.pop_front()
    }

    fn machine(&mut self, id: &TransactionId) -> Option<&mut Machine> {
        self.entries.get_mut(id).map(|entry| &mut entry.machine)
    }

    fn enter(
        &mut self,
        id: &TransactionId,
        hop: Hop,
        machine: Machine,
        timestamp: Option<Header>,
        share: Option<Share>,
    ) {
        self.servers += usize::from(share.is_some());
        let entry = Entry { hop, machine, timers: SmallVec::new(), timestamp, provisional: false, share };
        self.entries.insert(id.clone(), Box::new(entry));
    }

    fn leave(&mut self, id: &TransactionId) {
        let Some(entry) = self.entries.remove(id) else { return };
        if let Some(share) = entry.share {
            self.servers -= 1;
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
                Output::ToTu(event) => arrival = arrival.or(arrived(id, *event)),
                Output::Terminated(_) => self.leave(id),
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
            let message = written(&mut self.scratch, message.body(), |out| message.write_to(out));
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

/// A message in an allocation of its own size, or, where its body is too large to be copied for that, of about its size.
fn written(scratch: &mut Vec<u8>, body: &Bytes, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    if body.len() > BODY_COPIED_MAX {
        let mut out = Vec::with_capacity(body.len() + HEAD_BYTES_EXPECTED);
        write(&mut out);
        return out.into();
    }
    scratch.clear();
    write(scratch);
    Bytes::copy_from_slice(scratch)
}

fn reliability(hop: Hop) -> Reliability {
    if hop.transport.is_reliable() { Reliability::Reliable } else { Reliability::Unreliable }
}

fn arrived(id: &TransactionId, event: TuEvent) -> Option<Arrival> {
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
