//! Transactions (RFC 3261 §17, RFC 6026): which message belongs to which, and what is sent again.
//!
//! No clock: timers leave as [`TransactionOutput::SetTimer`] and come back through [`Transactions::fire`]. On a reliable
//! transport nothing is ever sent twice, so a server transaction is let go with its final response instead of being held
//! for the 32 s of Timer H or L.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use siphasher::sip128::{Hash128, Hasher128, SipHasher13};
use sipx_sip::{CSeq, ClientTransaction, Header, HeaderName, Headers, Message, Method, Output, Reliability, Request};
use sipx_sip::{Response, ServerTransaction, Timer, Timers, TransactionKey, TuEvent};
use smallvec::SmallVec;

use super::{Ask, Hop, TopVia, sequence};

/// One transaction: a digest of 128 bits, under keys of ours, of what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransactionId(u64, u64);

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
}

#[derive(Debug)]
enum Machine {
    Server(ServerTransaction),
    Client(ClientTransaction),
}

/// Octets of a body that may be copied once more to save room.
const BODY_COPIED_MAX: usize = 4096;
/// Octets that the start line and the headers of a message are expected to have.
const HEAD_BYTES_EXPECTED: usize = 1024;

/// Every transaction in flight.
#[derive(Debug, Default)]
pub struct Transactions {
    /// What [`TransactionId`]s are made under.
    keys: (u64, u64),
    /// Boxed, because a table has more places than transactions.
    entries: HashMap<TransactionId, Box<Entry>>,
    outputs: VecDeque<TransactionOutput>,
    servers: usize,
    /// What messages are written in, so that each takes one allocation of its own size.
    scratch: Vec<u8>,
}

impl Transactions {
    /// None yet. Who knows the keys can make a request of its own be taken for another's.
    #[must_use]
    pub fn new(keys: (u64, u64)) -> Self {
        Self { keys, ..Self::default() }
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
            Message::Request(request) => self.receive_request(request, hop),
            Message::Response(response) => self.receive_response(response),
        }
    }

    fn receive_request(&mut self, request: Request, hop: Hop) -> Option<Arrival> {
        let id = self.id_of(&request)?;
        if let Some(Machine::Server(server)) = self.machine(&id) {
            let outputs = server.on_request(&request);
            return self.apply(&id, outputs);
        }
        if request.method == Method::Ack {
            return Some(Arrival::Ack(Box::new(request)));
        }
        let timestamp = request.headers.get(&HeaderName::Timestamp).cloned();
        let (server, outputs) = ServerTransaction::new(request, reliability(hop), Timers::default());
        self.enter(&id, hop, Machine::Server(server), timestamp);
        self.apply(&id, outputs)
    }

    fn receive_response(&mut self, response: Response) -> Option<Arrival> {
        // With several Vias it is for somebody else (RFC 3261 §8.1.3.3).
        if TopVia::of(&response.headers).is_none_or(|via| !via.is_only) {
            return None;
        }
        let method = response.headers.typed::<CSeq>()?.ok()?.method;
        let id = self.id(Side::Client, &response.headers, &method, || TransactionKey::from_response(&response))?;
        let Some(Machine::Client(client)) = self.machine(&id) else { return None };
        let outputs = client.on_response(response);
        self.apply(&id, outputs)
    }

    /// Answers a request, and gives what goes over the wire.
    pub fn respond(&mut self, id: &TransactionId, response: Response) -> Bytes {
        let last = response.status.is_final();
        let bytes = written(&mut self.scratch, response.body(), |out| response.write_to(out));
        let Some(entry) = self.entries.get_mut(id) else { return bytes };
        let (hop, message) = (entry.hop, bytes.clone());
        match &mut entry.machine {
            Machine::Server(_) if last && hop.transport.is_reliable() => {
                self.outputs.push_back(TransactionOutput::Send { hop, message });
                self.leave(id);
            }
            Machine::Server(server) => {
                let outputs = server.on_tu_response(response);
                self.apply(id, outputs);
            }
            Machine::Client(_) => {}
        }
        bytes
    }

    /// Sends a request of ours; `None` where its Via or CSeq is missing.
    pub fn request(&mut self, request: Request, hop: Hop) -> Option<TransactionId> {
        let id = self.id_of_ours(&request)?;
        let (client, outputs) = ClientTransaction::new(request, reliability(hop), Timers::default());
        self.enter(&id, hop, Machine::Client(client), None);
        self.apply(&id, outputs);
        Some(id)
    }

    /// A timer has run out.
    pub fn fire(&mut self, id: &TransactionId, timer: Timer) -> Option<Arrival> {
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
        let id = self.id_of_ours(request)?;
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
    pub fn cancel_of(&self, id: &TransactionId) -> Option<Ask> {
        let (invite, _) = self.sent(id)?;
        let mut cancel = Ask::new(Method::Cancel, invite.uri.clone());
        let rows =
            |name: HeaderName| invite.headers.get_all(&name).map(|row| row.value().into_owned()).collect::<Vec<_>>();
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::Route] {
            for value in rows(name.clone()) {
                cancel = cancel.header(name.clone(), value);
            }
        }
        Some(cancel.header(HeaderName::CSeq, format!("{} CANCEL", sequence(&invite.headers)?)))
    }

    /// The INVITE that a CANCEL is about (RFC 3261 §9.2), if it is still in flight.
    #[must_use]
    pub fn cancelled(&self, cancel: &Request) -> Option<TransactionId> {
        if cancel.method != Method::Cancel {
            return None;
        }
        let of_2543 = || TransactionKey::for_cancelled_invite(cancel);
        let id = self.id(Side::Server, &cancel.headers, &Method::Invite, of_2543)?;
        self.entries.contains_key(&id).then_some(id)
    }

    /// Whether a CANCEL is about another request than an INVITE, whose transaction is still known: it is answered, and changes
    /// nothing (RFC 3261 §9.2).
    #[must_use]
    pub fn cancels_in_vain(&self, cancel: &Request) -> bool {
        [Method::Subscribe, Method::Refer, Method::Bye, Method::Options, Method::Update].iter().any(|method| {
            let id = self.id(Side::Server, &cancel.headers, method, || None);
            id.is_some_and(|id| self.entries.contains_key(&id))
        })
    }

    /// Whether a message belongs to a transaction that is in flight.
    #[must_use]
    pub fn knows(&self, request: &Request) -> bool {
        self.id_of(request).is_some_and(|id| self.entries.contains_key(&id))
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

    fn id_of(&self, request: &Request) -> Option<TransactionId> {
        self.id(Side::Server, &request.headers, &request.method, || TransactionKey::from_request(request))
    }

    fn id_of_ours(&self, request: &Request) -> Option<TransactionId> {
        self.id(Side::Client, &request.headers, &request.method, || TransactionKey::from_sent_request(request))
    }

    /// By branch, sent-by and method (RFC 3261 §17.1.3, §17.2.3), or else by what RFC 2543 has.
    fn id(
        &self,
        side: Side,
        headers: &Headers,
        method: &Method,
        of_2543: impl FnOnce() -> Option<TransactionKey>,
    ) -> Option<TransactionId> {
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        side.hash(&mut hasher);
        let via = TopVia::of(headers);
        match via.as_ref().and_then(|via| Some((via.branch()?, via.sent_by()))) {
            Some((branch, sent_by)) => {
                // The ACK of a refusal is of the INVITE's transaction.
                let method = if *method == Method::Ack { &Method::Invite } else { method };
                (branch, method.as_bytes()).hash(&mut hasher);
                sent_by.iter().for_each(|octet| hasher.write_u8(octet.to_ascii_lowercase()));
            }
            None => of_2543()?.hash(&mut hasher),
        }
        let Hash128 { h1, h2 } = hasher.finish128();
        Some(TransactionId(h1, h2))
    }

    fn machine(&mut self, id: &TransactionId) -> Option<&mut Machine> {
        self.entries.get_mut(id).map(|entry| &mut entry.machine)
    }

    fn enter(&mut self, id: &TransactionId, hop: Hop, machine: Machine, timestamp: Option<Header>) {
        self.servers += usize::from(matches!(machine, Machine::Server(_)));
        let entry = Entry { hop, machine, timers: SmallVec::new(), timestamp };
        self.entries.insert(id.clone(), Box::new(entry));
    }

    fn leave(&mut self, id: &TransactionId) {
        let Some(entry) = self.entries.remove(id) else { return };
        self.servers -= usize::from(matches!(entry.machine, Machine::Server(_)));
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
        if let Some(entry) = self.entries.get(id) {
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

/// Whose request it is. One that comes back to us is of two transactions.
#[derive(Clone, Copy, Hash)]
enum Side {
    Server,
    Client,
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
mod tests {
    use super::*;
    use crate::sip::{Reply, SipConnection, Transport, parse_datagram};

    fn hop(transport: Transport) -> Hop {
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.7:40000".parse().unwrap());
        Hop { transport, local, remote, connection: transport.is_reliable().then_some(SipConnection(1)) }
    }

    fn message(method: &str) -> Message {
        let text = format!(
            "{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n\
             Call-ID: x\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        parse_datagram(text.as_bytes()).unwrap().unwrap()
    }

    fn outputs(transactions: &mut Transactions) -> (Vec<String>, Vec<Timer>) {
        let (mut sent, mut timers) = (Vec::new(), Vec::new());
        while let Some(output) = transactions.poll_output() {
            match output {
                TransactionOutput::Send { message, .. } => {
                    sent.push(String::from_utf8_lossy(&message).lines().next().unwrap().to_owned());
                }
                TransactionOutput::SetTimer { timer, .. } => timers.push(timer),
                TransactionOutput::ClearTimer { timer, .. } => timers.retain(|&set| set != timer),
            }
        }
        (sent, timers)
    }

    fn request(transactions: &mut Transactions, method: &str, transport: Transport) -> (TransactionId, Request) {
        match transactions.receive(message(method), hop(transport)) {
            Some(Arrival::Request { id, request }) => (id, *request),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_comes_once_and_its_answer_as_often_as_it_is_asked_for() {
        let mut transactions = Transactions::default();
        let (id, bye) = request(&mut transactions, "BYE", Transport::Udp);
        transactions.respond(&id, Reply::new(&bye, 200, "t").empty());
        assert!(transactions.receive(message("BYE"), hop(Transport::Udp)).is_none());
        let (sent, timers) = outputs(&mut transactions);
        assert_eq!(sent, ["SIP/2.0 200 OK", "SIP/2.0 200 OK"]);
        assert_eq!(timers, [Timer::J]);
        transactions.fire(&id, Timer::J);
        assert_eq!(transactions.servers(), 0);
    }

    #[test]
    fn a_refused_invite_is_answered_again_until_it_is_acknowledged() {
        let mut transactions = Transactions::default();
        let (id, invite) = request(&mut transactions, "INVITE", Transport::Udp);
        transactions.respond(&id, Reply::new(&invite, 404, "t").empty());
        transactions.fire(&id, Timer::G);
        assert_eq!(outputs(&mut transactions).0, ["SIP/2.0 404 Not Found", "SIP/2.0 404 Not Found"]);
        assert!(transactions.receive(message("ACK"), hop(Transport::Udp)).is_none());
        assert!(transactions.fire(&id, Timer::G).is_none());
        assert_eq!(outputs(&mut transactions).0, Vec::<String>::new());
    }

    #[test]
    fn a_slow_answer_is_announced() {
        let mut transactions = Transactions::default();
        let (id, _) = request(&mut transactions, "INVITE", Transport::Udp);
        assert_eq!(outputs(&mut transactions).1, [Timer::Trying100]);
        transactions.fire(&id, Timer::Trying100);
        assert_eq!(outputs(&mut transactions).0, ["SIP/2.0 100 Trying"]);
    }

    #[test]
    fn a_100_has_no_tag_and_the_timestamp_of_its_request() {
        for extra in ["", "Timestamp: 54.2\r\n"] {
            let text = String::from_utf8(message("INVITE").to_bytes().to_vec()).unwrap();
            let text = text.replace("Max-Forwards", &format!("{extra}Max-Forwards"));
            let invite = parse_datagram(text.as_bytes()).unwrap().unwrap();
            let mut transactions = Transactions::default();
            let Some(Arrival::Request { id, .. }) = transactions.receive(invite, hop(Transport::Udp)) else { panic!() };
            transactions.fire(&id, Timer::Trying100);
            let sent = std::iter::from_fn(|| transactions.poll_output()).find_map(|output| match output {
                TransactionOutput::Send { message, .. } => Some(String::from_utf8(message.to_vec()).unwrap()),
                _ => None,
            });
            let trying = sent.unwrap();
            assert!(trying.starts_with("SIP/2.0 100 ") && trying.contains("To: <sip:a@b>\r\n"), "{trying}");
            assert_eq!(trying.matches("Timestamp: 54.2\r\n").count(), usize::from(!extra.is_empty()), "{trying}");
        }
    }

    #[test]
    fn a_response_with_several_vias_or_anothers_address_is_nobodys() {
        let mut transactions = Transactions::default();
        let Message::Request(bye) = message("BYE") else { unreachable!() };
        transactions.request(bye.clone(), hop(Transport::Udp)).unwrap();
        let answer = Message::Response(Reply::new(&bye, 200, "t").empty()).to_bytes();
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        for (old, new, ours) in [
            ("From:", "Via: SIP/2.0/UDP far;branch=z9hG4bK2\r\nFrom:", false),
            ("UDP h;", "UDP elsewhere;", false),
            ("UDP h;", "UDP h;", true),
        ] {
            let changed = parse_datagram(answer.replacen(old, new, 1).as_bytes()).unwrap().unwrap();
            assert_eq!(transactions.receive(changed, hop(Transport::Udp)).is_some(), ours, "{new}");
        }
    }

    #[test]
    fn on_a_stream_nothing_is_held_behind_the_answer() {
        let mut transactions = Transactions::default();
        for (method, status) in [("INVITE", 200), ("INVITE", 404), ("OPTIONS", 200)] {
            let (id, asked) = request(&mut transactions, method, Transport::Tcp);
            transactions.respond(&id, Reply::new(&asked, status, "t").empty());
            assert_eq!((transactions.servers(), outputs(&mut transactions).1), (0, vec![]), "{method} {status}");
        }
        assert!(matches!(transactions.receive(message("ACK"), hop(Transport::Tcp)), Some(Arrival::Ack(_))));
    }

    #[test]
    fn a_cancel_finds_its_invite() {
        let mut transactions = Transactions::default();
        let (id, _) = request(&mut transactions, "INVITE", Transport::Udp);
        let (own, cancel) = request(&mut transactions, "CANCEL", Transport::Udp);
        assert_ne!(own, id);
        assert_eq!(transactions.cancelled(&cancel), Some(id));
        assert!(!transactions.cancels_in_vain(&cancel));
        for method in ["SUBSCRIBE", "REFER", "BYE", "OPTIONS", "UPDATE"] {
            let mut transactions = Transactions::default();
            request(&mut transactions, method, Transport::Udp);
            let (_, cancel) = request(&mut transactions, "CANCEL", Transport::Udp);
            assert!(transactions.cancelled(&cancel).is_none() && transactions.cancels_in_vain(&cancel), "{method}");
        }
    }

    #[test]
    fn our_request_is_sent_again_until_it_is_answered_or_given_up() {
        let mut transactions = Transactions::default();
        let Message::Request(bye) = message("BYE") else { unreachable!() };
        let id = transactions.request(bye.clone(), hop(Transport::Udp)).unwrap();
        transactions.fire(&id, Timer::E);
        assert_eq!(outputs(&mut transactions).0.len(), 2);
        let answer = Message::Response(Reply::new(&bye, 200, "t").empty());
        assert!(matches!(transactions.receive(answer, hop(Transport::Udp)), Some(Arrival::Response { .. })));
        assert!(transactions.fire(&id, Timer::F).is_none());
        transactions.forget(&id);
        assert!(transactions.entries.is_empty(), "an answered request need not be kept for answers that come again");

        let id = transactions.request(bye, hop(Transport::Udp)).unwrap();
        assert!(matches!(transactions.fire(&id, Timer::F), Some(Arrival::TimedOut(_))));
        assert!(transactions.entries.is_empty());
    }
}
