//! Transactions (RFC 3261 §17, RFC 6026): which message belongs to which, and what is sent again.
//!
//! No clock: timers leave as [`TransactionOutput::SetTimer`] and come back through [`Transactions::fire`]. On a reliable
//! transport nothing is ever sent twice, so a server transaction is let go with its final response instead of being held
//! for the 32 s of Timer H or L.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sipx_sip::transaction::Dispatch;
use sipx_sip::{Header, HeaderName, Message, Method, Output, Reliability, Request, Response};
use sipx_sip::{Timer, Timers, TransactionKey, TransactionLayer, TuEvent, Via};

use super::{Ask, Hop, sequence};

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransactionId(Arc<TransactionKey>);

/// What a transaction wants done.
#[derive(Debug)]
pub enum TransactionOutput {
    /// Send this there.
    Send {
        /// Where to.
        hop: Hop,
        /// What.
        message: Box<Message>,
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
    server: bool,
    timers: Vec<Timer>,
    /// The request's Timestamp, which goes into its 100 (RFC 3261 §8.2.6.1).
    timestamp: Option<Box<Header>>,
}

/// Every transaction in flight.
#[derive(Debug)]
pub struct Transactions {
    layer: TransactionLayer,
    entries: HashMap<TransactionId, Entry>,
    outputs: VecDeque<TransactionOutput>,
    servers: usize,
}

impl Default for Transactions {
    fn default() -> Self {
        let layer = TransactionLayer::new(Timers::default());
        Self { layer, entries: HashMap::new(), outputs: VecDeque::new(), servers: 0 }
    }
}

impl Transactions {
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
        let timestamp = match &message {
            // With several Vias it is for somebody else (RFC 3261 §8.1.3.3).
            Message::Response(response) if response.headers.typed_all::<Via>().count() > 1 => return None,
            Message::Request(request) => request.headers.get(&HeaderName::Timestamp).cloned(),
            Message::Response(_) => None,
        };
        match self.layer.receive(message, reliability(hop)) {
            Dispatch::Created { key, outputs } => {
                let id = self.enter(key, hop, true);
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.timestamp = timestamp.map(Box::new);
                }
                self.apply(&id, outputs)
            }
            Dispatch::Matched { key, outputs } => self.apply(&TransactionId(Arc::new(key)), outputs),
            Dispatch::Unmatched(message) => match *message {
                Message::Request(request) if request.method == Method::Ack => Some(Arrival::Ack(Box::new(request))),
                _ => None,
            },
        }
    }

    /// Answers a request.
    pub fn respond(&mut self, id: &TransactionId, response: Response) {
        let last = response.status.is_final();
        let outputs = self.layer.send_response(&id.0, response);
        self.apply(id, outputs);
        let reliable = self.entries.get(id).is_some_and(|entry| entry.hop.transport.is_reliable());
        if last && reliable {
            self.layer.abandon(&id.0);
            self.leave(id);
        }
    }

    /// Sends a request of ours; `None` where its Via or CSeq is missing.
    pub fn request(&mut self, request: Request, hop: Hop) -> Option<TransactionId> {
        let (key, outputs) = self.layer.send_request(request, reliability(hop))?;
        let id = self.enter(key, hop, false);
        self.apply(&id, outputs);
        Some(id)
    }

    /// A timer has run out.
    pub fn fire(&mut self, id: &TransactionId, timer: Timer) -> Option<Arrival> {
        self.entries.get_mut(id)?.timers.retain(|&set| set != timer);
        let outputs = self.layer.on_timer(&id.0, timer);
        self.apply(id, outputs)
    }

    /// A request of ours could not be sent (RFC 3261 §17.1.4): its transaction is over.
    pub fn unsent(&mut self, request: &Request) -> Option<Arrival> {
        let id = TransactionId(Arc::new(TransactionKey::from_sent_request(request)?));
        self.fail(&id)
    }

    /// The same by its id.
    pub fn fail(&mut self, id: &TransactionId) -> Option<Arrival> {
        if self.entries.get(id)?.server {
            return None;
        }
        let outputs = self.layer.on_transport_error(&id.0);
        self.apply(id, outputs)
    }

    /// A request of ours was answered finally, and an answer that comes again may be dropped: nothing of it is kept.
    pub fn forget(&mut self, id: &TransactionId) {
        let outputs = self.layer.on_timer(&id.0, Timer::K);
        self.apply(id, outputs);
    }

    /// The hop of a transaction in flight.
    #[must_use]
    pub fn hop(&self, id: &TransactionId) -> Option<Hop> {
        self.entries.get(id).map(|entry| entry.hop)
    }

    /// A request of ours that is in flight, and its hop.
    #[must_use]
    pub fn sent(&self, id: &TransactionId) -> Option<(&Request, Hop)> {
        Some((self.layer.client_request(&id.0)?, self.entries.get(id)?.hop))
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
        let id = TransactionId(Arc::new(TransactionKey::for_cancelled_invite(cancel)?));
        self.entries.contains_key(&id).then_some(id)
    }

    /// Whether a CANCEL is about another request than an INVITE, whose transaction is still known: it is answered, and changes
    /// nothing (RFC 3261 §9.2).
    #[must_use]
    pub fn cancels_in_vain(&self, cancel: &Request) -> bool {
        let Some(TransactionKey::Rfc3261 { branch, sent_by, .. }) = TransactionKey::from_request(cancel) else {
            return false;
        };
        [Method::Subscribe, Method::Refer, Method::Bye, Method::Options, Method::Update].iter().any(|method| {
            let (branch, sent_by, method) = (branch.clone(), sent_by.clone(), method.as_bytes().to_vec());
            self.layer.server_state(&TransactionKey::Rfc3261 { branch, sent_by, method }).is_some()
        })
    }

    /// Whether a message belongs to a transaction that is in flight.
    #[must_use]
    pub fn knows(&self, request: &Request) -> bool {
        TransactionKey::from_request(request).is_some_and(|key| self.layer.server_state(&key).is_some())
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

    fn enter(&mut self, key: TransactionKey, hop: Hop, server: bool) -> TransactionId {
        let id = TransactionId(Arc::new(key));
        self.servers += usize::from(server);
        self.entries.insert(id.clone(), Entry { hop, server, timers: Vec::new(), timestamp: None });
        id
    }

    fn leave(&mut self, id: &TransactionId) {
        let Some(entry) = self.entries.remove(id) else { return };
        self.servers -= usize::from(entry.server);
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
                response.headers.push(Header::clone(timestamp));
            }
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
            entry.timers.retain(|&set| set != timer);
            self.outputs.push_back(TransactionOutput::ClearTimer { id: id.clone(), timer });
        }
    }
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
                    sent.push(String::from_utf8_lossy(&message.to_bytes()).lines().next().unwrap().to_owned());
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
                TransactionOutput::Send { message, .. } => {
                    Some(String::from_utf8(message.to_bytes().to_vec()).unwrap())
                }
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
