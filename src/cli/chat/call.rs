//! The call that joins a room: an INVITE, its ACK, and a BYE, from the caller's side (RFC 3261 §13, §15). No sockets.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use rand_core::Rng;

use super::login::{Login, Password};
use super::watch::Watch;
use crate::sip::{
    Address, Arrival, Ask, Header, HeaderName, Headers, Hop, Message, Method, Reply, Request, Response, TransactionId,
    TransactionOutput, TransactionTimer, Transactions, Uri, addresses, phrase, text, uri,
};

/// Who calls whom.
#[derive(Debug, Clone)]
pub(super) struct Parties {
    /// The caller's URI, without parameters.
    pub caller: String,
    /// The room's URI, as it was given.
    pub room: Uri,
    /// The caller does not want to be known, and its URI is an anonymous one (RFC 3323 §4.1).
    pub anonymous: bool,
    /// What challenges are answered with.
    pub password: Option<Password>,
}

/// What happened to the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallNews {
    /// The room takes the call; its session description.
    Answered(Bytes),
    /// It does not: status and reason.
    Refused(u16, String),
    /// Nobody answered.
    Unanswered,
    /// The room has ended the call, with a reason if it gave one.
    Ended(Option<String>),
    /// Our BYE was answered, or nobody cares.
    Over,
}

/// One outgoing call.
pub(super) struct Call {
    transactions: Transactions,
    hop: Hop,
    timers: Vec<(Instant, TransactionId, TransactionTimer)>,
    outgoing: VecDeque<Bytes>,
    /// What every request of the call has: From, To, Call-ID.
    from: String,
    to: String,
    call_id: String,
    contact: String,
    sequence: u32,
    branches: Branches,
    room: Uri,
    anonymous: bool,
    login: Login,
    offer: String,
    /// What the last INVITE had: its ACK has it too (RFC 3261 §22.1).
    credentials: Option<(HeaderName, String)>,
    invite: Option<TransactionId>,
    bye: Option<TransactionId>,
    /// Where requests within the call go, and through whom; there once it was answered.
    target: Option<Target>,
    /// The subscription to the roster, once it was asked for.
    watch: Option<Watch>,
    /// What we are leaving, should the BYE have to be sent again.
    left: Option<Target>,
}

struct Target {
    uri: Uri,
    route: Vec<String>,
    ack_sequence: u32,
}

/// Via branches: one random prefix, and a count.
struct Branches {
    prefix: String,
    drawn: u32,
}

const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY";

impl Call {
    /// A call over `hop`, not made yet.
    pub(super) fn new(parties: &Parties, hop: Hop, rng: &mut impl Rng) -> Self {
        let room = String::from_utf8_lossy(&parties.room.to_bytes()).into_owned();
        let transport = match hop.transport {
            crate::sip::Transport::Udp => "",
            crate::sip::Transport::Tcp => ";transport=tcp",
            crate::sip::Transport::Tls => ";transport=tls",
        };
        let user =
            parties.caller.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user);
        let user = if parties.anonymous { "" } else { user };
        let name = if parties.anonymous { "\"Anonymous\" " } else { "" };
        let at = if user.is_empty() { "" } else { "@" };
        Self {
            transactions: Transactions::default(),
            hop,
            timers: Vec::new(),
            outgoing: VecDeque::new(),
            from: format!("{name}<{}>;tag={:016x}", parties.caller, rng.next_u64()),
            to: format!("<{room}>"),
            call_id: format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()),
            contact: format!("<sip:{user}{at}{}{transport}>", hop.local),
            sequence: 0,
            branches: Branches { prefix: format!("z9hG4bK{:016x}", rng.next_u64()), drawn: 0 },
            room: parties.room.clone(),
            anonymous: parties.anonymous,
            login: Login::new(parties.password.clone(), rng.next_u64()),
            offer: String::new(),
            credentials: None,
            invite: None,
            bye: None,
            target: None,
            watch: None,
            left: None,
        }
    }

    /// Subscribes to the roster of the room.
    pub(super) fn watch(&mut self, parties: &Parties, rng: &mut impl Rng, now: Instant) {
        self.watch = Some(Watch::new(parties, self.contact.clone(), rng, now));
        self.subscribe();
        self.settle(now);
    }

    /// Whether it is not worth waiting any longer to hear who is there.
    pub(super) fn is_told_who_is_there(&self, now: Instant) -> bool {
        self.watch.as_ref().is_none_or(|watch| !watch.is_awaited(now))
    }

    /// Whether nothing of the call is left.
    pub(super) fn has_ended(&self) -> bool {
        self.target.is_none() && self.bye.is_none()
    }

    /// What is known of the roster.
    pub(super) fn roster(&mut self) -> Option<&mut Watch> {
        self.watch.as_mut()
    }

    fn subscribe(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        self.branches.drawn += 1;
        let branch = format!("{}{}", self.branches.prefix, self.branches.drawn);
        let mut request = watch.subscribe(self.hop, &branch);
        if let Some((name, value)) = self.login.credentials("SUBSCRIBE", &request.uri.clone())
            && let Ok(header) = Header::build(name, value)
        {
            request.headers.push(header);
        }
        let transaction = self.transactions.request(request.clone(), self.hop);
        self.watch.iter_mut().for_each(|watch| watch.sent(transaction.clone(), request.clone()));
    }

    /// Makes the call with an offer.
    pub(super) fn invite(&mut self, offer: String, now: Instant) {
        self.offer = offer;
        self.send_invite();
        self.settle(now);
    }

    fn send_invite(&mut self) {
        self.sequence += 1;
        let room = self.room.clone();
        self.credentials = self.login.credentials("INVITE", &room);
        let mut ask = self.ask(Method::Invite, room, self.sequence, &[]);
        if self.anonymous {
            ask = ask.header(HeaderName::Privacy, "id");
        }
        if let Some((name, value)) = self.credentials.clone() {
            ask = ask.header(name, value);
        }
        let ask = ask.header(HeaderName::Contact, self.contact.clone()).header(HeaderName::Allow, ALLOW);
        self.invite = self.transactions.request(ask.body("application/sdp", self.offer.clone()), self.hop);
    }

    /// Ends the call, however far it has come.
    pub(super) fn hang_up(&mut self, now: Instant) {
        let Some(target) = self.target.take() else { return };
        self.left = Some(target);
        self.send_bye();
        self.settle(now);
    }

    fn send_bye(&mut self) {
        let Some(target) = self.left.take() else { return };
        self.sequence += 1;
        let credentials = self.login.credentials("BYE", &target.uri);
        let mut ask = self.ask(Method::Bye, target.uri.clone(), self.sequence, &target.route);
        if let Some((name, value)) = credentials {
            ask = ask.header(name, value);
        }
        self.bye = self.transactions.request(ask.empty(), self.hop);
        self.left = Some(target);
    }

    /// Takes a message from the network.
    pub(super) fn handle(&mut self, message: Message, now: Instant) -> Option<CallNews> {
        let arrival = self.transactions.receive(message, self.hop);
        let news = arrival.and_then(|arrival| self.arrived(arrival, now));
        self.settle(now);
        news
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<CallNews> {
        if self.watch.as_ref().is_some_and(|watch| watch.is_due(now)) {
            self.subscribe();
            self.settle(now);
        }
        let due = self.timers.iter().position(|(at, ..)| *at <= now)?;
        let (_, id, timer) = self.timers.swap_remove(due);
        let arrival = self.transactions.fire(&id, timer);
        let news = arrival.and_then(|arrival| self.arrived(arrival, now));
        self.settle(now);
        news
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let watch = self.watch.as_ref().and_then(|watch| watch.poll_timeout(now));
        self.timers.iter().map(|(at, ..)| *at).chain(watch).min()
    }

    /// The next message to send.
    pub(super) fn poll_outgoing(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    fn ask(&mut self, method: Method, target: Uri, sequence: u32, route: &[String]) -> Ask {
        self.branches.drawn += 1;
        let (transport, local) = (self.hop.transport.name(), self.hop.local);
        let branch = format!("{}{}", self.branches.prefix, self.branches.drawn);
        let cseq = format!("{sequence} {}", String::from_utf8_lossy(method.as_bytes()));
        let mut ask = Ask::new(method, target)
            .header(HeaderName::Via, format!("SIP/2.0/{transport} {local};rport;branch={branch}"))
            .header(HeaderName::From, self.from.clone())
            .header(HeaderName::To, self.to.clone())
            .header(HeaderName::CallId, self.call_id.clone())
            .header(HeaderName::CSeq, cseq)
            .header(HeaderName::UserAgent, concat!("parlor-chat/", env!("CARGO_PKG_VERSION")));
        for hop in route {
            ask = ask.header(HeaderName::Route, hop.clone());
        }
        ask
    }

    fn arrived(&mut self, arrival: Arrival, now: Instant) -> Option<CallNews> {
        match arrival {
            Arrival::Response { id, response } if self.watch.as_ref().is_some_and(|watch| watch.has_asked(&id)) => {
                if self.login.take(&response) {
                    self.subscribe();
                    return None;
                }
                let hop = self.hop;
                self.watch.iter_mut().for_each(|watch| watch.answered(&response, hop, now));
                None
            }
            Arrival::TimedOut(id) if self.watch.as_ref().is_some_and(|watch| watch.has_asked(&id)) => {
                self.watch.iter_mut().for_each(Watch::unanswered);
                None
            }
            Arrival::Response { id, response } if Some(&id) == self.invite.as_ref() => self.invite_answered(&response),
            Arrival::Response { id, response } if Some(&id) == self.bye.as_ref() => {
                if self.login.take(&response) {
                    self.send_bye();
                    return None;
                }
                response.status.is_final().then_some(CallNews::Over)
            }
            Arrival::TimedOut(id) if Some(&id) == self.invite.as_ref() => Some(CallNews::Unanswered),
            Arrival::TimedOut(id) if Some(&id) == self.bye.as_ref() => Some(CallNews::Over),
            Arrival::Request { id, request } => self.asked(&id, &request, now),
            _ => None,
        }
    }

    fn invite_answered(&mut self, response: &Response) -> Option<CallNews> {
        if !response.status.is_final() {
            return None;
        }
        if self.login.take(response) {
            self.send_invite();
            return None;
        }
        if !response.status.is_success() {
            let reason = String::from_utf8_lossy(&response.reason).into_owned();
            return Some(CallNews::Refused(response.status.code(), reason));
        }
        // An answer that comes again wants its ACK again (RFC 3261 §13.2.2.4).
        let again = self.target.is_some();
        if !again {
            self.to = text(&response.headers, &HeaderName::To)?;
            self.target = Some(Target::of(&response.headers, self.sequence)?);
        }
        self.acknowledge();
        (!again).then(|| CallNews::Answered(response.body().clone()))
    }

    fn acknowledge(&mut self) {
        let Some(target) = self.target.take() else { return };
        let mut ack = self.ask(Method::Ack, target.uri.clone(), target.ack_sequence, &target.route);
        if let Some((name, value)) = self.credentials.clone() {
            ack = ack.header(name, value);
        }
        self.outgoing.push_back(Message::Request(ack.empty()).to_bytes());
        self.target = Some(target);
    }

    fn asked(&mut self, id: &TransactionId, request: &Request, now: Instant) -> Option<CallNews> {
        let ours = text(&request.headers, &HeaderName::CallId).as_deref() == Some(&self.call_id);
        let status = match request.method {
            Method::Options => 200,
            Method::Notify => match &mut self.watch {
                Some(watch) if watch.owns(request) => watch.notified(request, now),
                _ => 481,
            },
            _ if !ours => 481,
            Method::Bye => 200,
            Method::Cancel => 481,
            // Nothing about the session can change.
            Method::Invite => 488,
            _ => 405,
        };
        let reply = Reply::new(request, status, "parlor").because(phrase(status)).header(HeaderName::Allow, ALLOW);
        self.transactions.respond(id, reply.empty());
        (ours && request.method == Method::Bye).then(|| {
            self.target = None;
            CallNews::Ended(text(&request.headers, &HeaderName::Reason).and_then(|reason| reason_text(&reason)))
        })
    }

    /// Does what the transactions want done.
    fn settle(&mut self, now: Instant) {
        while let Some(output) = self.transactions.poll_output() {
            match output {
                TransactionOutput::Send { message, .. } => self.outgoing.push_back(message.to_bytes()),
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

impl Target {
    /// Contact and Record-Route of an answer (RFC 3261 §12.1.2).
    fn of(headers: &Headers, ack_sequence: u32) -> Option<Self> {
        let contact = addresses(headers, &HeaderName::Contact)?.into_iter().next()?;
        let rows = addresses(headers, &HeaderName::RecordRoute)?;
        let route = rows.iter().rev().map(|hop: &Address| {
            let uri = String::from_utf8_lossy(&hop.uri.to_bytes()).into_owned();
            format!("<{uri}>")
        });
        Some(Self { uri: contact.uri, route: route.collect(), ack_sequence })
    }
}

/// The text of a Reason header (RFC 3326): `SIP;cause=200;text="Room closed"`.
fn reason_text(value: &str) -> Option<String> {
    let text = value.split(';').find_map(|parameter| parameter.trim().strip_prefix("text="))?;
    Some(text.trim_matches('"').to_owned())
}

/// Reads a URI that may name a participant.
pub(super) fn participant(text: &str) -> Result<Uri, String> {
    let uri = uri(text).filter(|uri| uri.scheme().is_sip() && uri.user().is_some() && uri.host().is_some());
    uri.ok_or_else(|| "a SIP URI with a user and a host: sip:lobby@127.0.0.1".into())
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::sip::{SipConnection, Transport, parse_datagram};

    fn start(transport: Transport) -> (Call, Instant) {
        let hop = Hop {
            transport,
            local: "192.0.2.7:40000".parse().unwrap(),
            remote: "192.0.2.1:5060".parse().unwrap(),
            connection: transport.is_reliable().then_some(SipConnection(1)),
        };
        let parties = Parties {
            caller: "sip:alice@example.com".into(),
            room: participant("sip:room@example.com").unwrap(),
            anonymous: false,
            password: Some(Password { username: "alice".into(), password: "wonderland".into() }),
        };
        let mut call = Call::new(&parties, hop, &mut ChaCha12Rng::from_seed([7; 32]));
        let now = Instant::now();
        call.invite("v=0\r\n".into(), now);
        (call, now)
    }

    fn sent(call: &mut Call) -> Request {
        let bytes = call.poll_outgoing().expect("something is to be sent");
        match parse_datagram(&bytes) {
            Ok(Some(Message::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    fn answer(invite: &Request, status: u16) -> Message {
        let contact = Reply::new(invite, status, "them")
            .header(HeaderName::Contact, "<sip:room@192.0.2.1:5060>;isfocus")
            .header(HeaderName::RecordRoute, "<sip:p2;lr>, <sip:p1;lr>");
        Message::Response(contact.body("application/sdp", "v=0\r\nanswer"))
    }

    #[test]
    fn an_answer_is_acknowledged_as_often_as_it_comes() {
        let (mut call, now) = start(Transport::Udp);
        let invite = sent(&mut call);
        assert_eq!(call.handle(answer(&invite, 200), now), Some(CallNews::Answered("v=0\r\nanswer".into())));
        for again in [false, true] {
            if again {
                assert_eq!(call.handle(answer(&invite, 200), now), None);
            }
            let ack = sent(&mut call);
            assert_eq!(ack.method, Method::Ack);
            assert_eq!(ack.uri.to_bytes().as_ref(), b"sip:room@192.0.2.1:5060");
            let route: Vec<_> = addresses(&ack.headers, &HeaderName::Route).unwrap();
            assert_eq!(route[0].uri.to_bytes().as_ref(), b"sip:p1;lr");
            assert!(text(&ack.headers, &HeaderName::To).unwrap().ends_with(";tag=them"));
            assert_eq!(text(&ack.headers, &HeaderName::CSeq).as_deref(), Some("1 ACK"));
        }
        call.hang_up(now);
        let bye = sent(&mut call);
        assert_eq!(
            (bye.method.clone(), text(&bye.headers, &HeaderName::CSeq).unwrap().as_str()),
            (Method::Bye, "2 BYE")
        );
        let over = Message::Response(Reply::new(&bye, 200, "").empty());
        assert_eq!(call.handle(over, now), Some(CallNews::Over));
    }

    fn challenged(request: &Request, status: u16, stale: bool, algorithms: &[&str]) -> Message {
        let name = if status == 401 { HeaderName::WwwAuthenticate } else { HeaderName::ProxyAuthenticate };
        let row = |algorithm: &&str| {
            format!("Digest realm=\"r\", qop=\"auth\", nonce=\"n{stale}\", stale={stale}, algorithm={algorithm}")
        };
        let reply = algorithms
            .iter()
            .fold(Reply::new(request, status, "them"), |reply, algorithm| reply.header(name.clone(), row(algorithm)));
        Message::Response(reply.empty())
    }

    #[test]
    fn a_challenge_is_answered_by_the_first_algorithm_that_is_known() {
        for (status, header) in [(401, HeaderName::Authorization), (407, HeaderName::ProxyAuthorization)] {
            let (mut call, now) = start(Transport::Tcp);
            let invite = sent(&mut call);
            assert_eq!(call.handle(challenged(&invite, status, false, &["SHA-512-256", "SHA-256", "MD5"]), now), None);
            assert_eq!(sent(&mut call).method, Method::Ack);
            let again = sent(&mut call);
            let credentials = crate::sip::Credentials::parse(&text(&again.headers, &header).unwrap()).unwrap();
            let ha1 = crate::sip::Algorithm::Sha256.ha1("alice", "r", "wonderland");
            assert_eq!(credentials.response, credentials.expected(&ha1, "INVITE"));
            assert_eq!(text(&again.headers, &HeaderName::CSeq).as_deref(), Some("2 INVITE"));
            call.handle(answer(&again, 200), now);
            let ack = sent(&mut call);
            assert_eq!(text(&ack.headers, &header), text(&again.headers, &header), "the ACK repeats them");
            call.hang_up(now);
            assert!(text(&sent(&mut call).headers, &header).unwrap().contains("nc=00000002"));
        }
    }

    #[test]
    fn a_stale_nonce_is_replaced_and_a_refused_password_is_not_sent_again() {
        let (mut call, now) = start(Transport::Tcp);
        let invite = sent(&mut call);
        call.handle(challenged(&invite, 401, false, &["MD5"]), now);
        let (_, second) = (sent(&mut call), sent(&mut call));
        assert_eq!(call.handle(challenged(&second, 401, true, &["MD5"]), now), None);
        let (_, third) = (sent(&mut call), sent(&mut call));
        assert!(text(&third.headers, &HeaderName::Authorization).unwrap().contains("nonce=\"ntrue\""));
        let refused = call.handle(challenged(&third, 401, false, &["MD5"]), now);
        assert_eq!(refused, Some(CallNews::Refused(401, "Unauthorized".into())));
    }

    #[test]
    fn a_refusal_says_why() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (mut call, now) = start(transport);
            let invite = sent(&mut call);
            assert_eq!(call.handle(answer(&invite, 404), now), Some(CallNews::Refused(404, "Not Found".into())));
            assert_eq!(sent(&mut call).method, Method::Ack);
        }
    }

    #[test]
    fn an_unanswered_invite_is_sent_again_and_given_up() {
        let (mut call, _) = start(Transport::Udp);
        let mut copies = 0;
        let news = loop {
            while call.poll_outgoing().is_some() {
                copies += 1;
            }
            let next = call.poll_timeout(Instant::now()).expect("a timer is set while nobody has answered");
            if let Some(news) = call.handle_timeout(next) {
                break news;
            }
        };
        assert_eq!((news, copies), (CallNews::Unanswered, 7));
    }

    #[test]
    fn the_room_may_end_the_call() {
        let (mut call, now) = start(Transport::Tcp);
        let invite = sent(&mut call);
        call.handle(answer(&invite, 200), now);
        let call_id = text(&invite.headers, &HeaderName::CallId).unwrap();
        let bye = |call_id: &str| {
            let text = format!(
                "BYE sip:alice@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK{call_id}\r\nFrom: <sip:r@h>;tag=them\r\n\
                 To: <sip:a@h>;tag=x\r\nCall-ID: {call_id}\r\nCSeq: 1 BYE\r\nReason: SIP;cause=200;text=\"Room closed\"\r\n\
                 Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            );
            parse_datagram(text.as_bytes()).unwrap().unwrap()
        };
        assert_eq!(call.handle(bye("other"), now), None);
        assert_eq!(call.handle(bye(&call_id), now), Some(CallNews::Ended(Some("Room closed".into()))));
        call.hang_up(now);
        let statuses: Vec<_> = std::iter::from_fn(|| call.poll_outgoing())
            .filter_map(|bytes| parse_datagram(&bytes).ok()??.as_response().map(|response| response.status.code()))
            .collect();
        assert_eq!(statuses, [481, 200]);
    }

    #[test]
    fn only_participants_are_called() {
        assert!(participant("sip:lobby@[::1]:5070;transport=tcp").is_ok());
        for bad in ["", "lobby", "lobby@host", "sip:host", "tel:+1", "http://a@b/"] {
            assert!(participant(bad).is_err(), "{bad}");
        }
    }
}
