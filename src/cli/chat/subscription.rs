//! The subscription to the roster, on the subscriber's side (RFC 6665 §4.1, RFC 4575). No sockets; its transactions are the call's.

use std::time::{Duration, Instant};

use rand_core::Rng;

use super::parties::Parties;
use super::roster::{Applied, Roster};
use crate::call::Dialog;
use crate::transaction::TransactionId;
use parlor_proto::conference_info::{ConferenceInfo, MEDIA_TYPE};
use parlor_proto::sip::{HeaderName, Hop, Method, Request, RequestBuilder, Response, Uri, cseq_number, tag, text};

/// The requested duration of the subscription, in seconds.
const EXPIRES_SECONDS: u64 = 600;
/// How long input waits for the first roster.
const ROSTER_TIMEOUT: Duration = Duration::from_secs(2);

/// One subscription.
pub struct Subscription {
    room: Uri,
    from: String,
    to: String,
    from_tag: String,
    call_id: String,
    contact: String,
    /// The CSeq number of the last SUBSCRIBE outside of a dialog.
    sequence: u32,
    anonymous: bool,
    dialog: Option<Dialog>,
    /// The SUBSCRIBE without response.
    pending: Option<(TransactionId, Request)>,
    refresh_at: Option<Instant>,
    /// Until when the first roster is expected.
    roster_deadline: Option<Instant>,
    roster: Roster,
    ended: bool,
}

impl Subscription {
    /// A subscription without a SUBSCRIBE yet.
    pub fn new(parties: &Parties, contact: String, rng: &mut impl Rng, now: Instant) -> Self {
        let room = String::from_utf8_lossy(&parties.room.to_bytes()).into_owned();
        let from_tag = format!("{:016x}", rng.next_u64());
        Self {
            room: parties.room.clone(),
            from: format!("<{}>;tag={from_tag}", parties.caller),
            to: format!("<{room}>"),
            from_tag,
            call_id: format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()),
            contact,
            sequence: 0,
            anonymous: parties.anonymous,
            dialog: None,
            pending: None,
            refresh_at: None,
            roster_deadline: Some(now + ROSTER_TIMEOUT),
            roster: Roster::new(&parties.caller),
            ended: false,
        }
    }

    /// The next SUBSCRIBE: the first one outside of a dialog (RFC 4579 §3.4), the others within its dialog.
    pub fn request(&mut self, hop: Hop, branch: &str) -> Request {
        self.refresh_at = None;
        let sent_by = hop.local.to_string();
        let request = match &mut self.dialog {
            Some(dialog) => dialog.request(Method::Subscribe, &sent_by, branch).0,
            None => self
                .out_of_dialog(RequestBuilder::new(Method::Subscribe, self.room.clone()))
                .header(HeaderName::Via, format!("SIP/2.0/{} {sent_by};rport;branch={branch}", hop.transport.name()))
                .header(HeaderName::From, self.from.clone())
                .header(HeaderName::To, self.to.clone())
                .header(HeaderName::CallId, self.call_id.clone()),
        };
        request
            .header(HeaderName::Contact, self.contact.clone())
            .header(HeaderName::Event, "conference")
            .header(HeaderName::Accept, MEDIA_TYPE)
            .header(HeaderName::Expires, EXPIRES_SECONDS.to_string())
            .header(HeaderName::UserAgent, concat!("parlor-chat/", env!("CARGO_PKG_VERSION")))
            .empty()
    }

    /// Adds the headers of a request outside of a dialog.
    fn out_of_dialog(&mut self, request: RequestBuilder) -> RequestBuilder {
        self.sequence += 1;
        let request = request.header(HeaderName::CSeq, format!("{} SUBSCRIBE", self.sequence));
        if self.anonymous { request.header(HeaderName::Privacy, "id") } else { request }
    }

    /// Records the transaction of a SUBSCRIBE; `None`: it could not be sent.
    pub fn sent(&mut self, transaction: Option<TransactionId>, request: Request) {
        self.pending = transaction.map(|transaction| (transaction, request));
        self.ended |= self.pending.is_none();
    }

    /// Whether a transaction is that of the pending SUBSCRIBE.
    pub fn is_pending(&self, transaction: &TransactionId) -> bool {
        self.pending.as_ref().is_some_and(|(pending, _)| pending == transaction)
    }

    /// Handles a response to the SUBSCRIBE. After a refusal there is no other attempt: some servers have no rosters.
    pub fn handle_response(&mut self, response: &Response, hop: Hop, now: Instant) {
        if !response.status.is_final() {
            return;
        }
        let Some((_, request)) = self.pending.take() else { return };
        if !response.status.is_success() {
            return self.end();
        }
        if self.dialog.is_none() {
            self.dialog = Dialog::calling(&request, response, hop).ok();
        }
        self.ended |= self.dialog.is_none();
        let granted = text(&response.headers, &HeaderName::Expires).and_then(|value| value.trim().parse().ok());
        let granted = Duration::from_secs(granted.unwrap_or(EXPIRES_SECONDS).min(EXPIRES_SECONDS));
        self.refresh_at = (!self.ended).then(|| now + granted * 3 / 4);
    }

    /// Handles the timeout of the SUBSCRIBE.
    pub fn handle_request_timeout(&mut self) {
        self.pending = None;
        self.end();
    }

    fn end(&mut self) {
        (self.ended, self.refresh_at, self.roster_deadline) = (true, None, None);
    }

    /// Whether a NOTIFY belongs to this subscription. It may arrive before the response to the SUBSCRIBE (RFC 6665 §4.4.1).
    pub fn matches(&self, request: &Request) -> bool {
        text(&request.headers, &HeaderName::CallId).as_deref() == Some(&self.call_id)
            && tag(&request.headers, &HeaderName::To).as_deref() == Some(&self.from_tag)
    }

    /// Handles a NOTIFY. Returns the status of the response.
    pub fn handle_notify(&mut self, notify: &Request, now: Instant) -> u16 {
        let event = text(&notify.headers, &HeaderName::Event).unwrap_or_default();
        if event.split(';').next().map(str::trim) != Some("conference") {
            return 489;
        }
        let number = cseq_number(&notify.headers).unwrap_or_default();
        if self.dialog.as_mut().is_some_and(|dialog| !dialog.advance(number)) {
            return 500;
        }
        let state = text(&notify.headers, &HeaderName::SubscriptionState).unwrap_or_default();
        match ConferenceInfo::parse(notify.body()) {
            Ok(info) => self.apply(info, now),
            Err(_) if notify.body().is_empty() => {}
            Err(_) => return 400,
        }
        if state.trim_start().to_ascii_lowercase().starts_with("terminated") {
            self.end();
        }
        200
    }

    fn apply(&mut self, info: ConferenceInfo, now: Instant) {
        if self.roster.apply(info) == Applied::Gap {
            // A refresh is answered with the full roster.
            self.refresh_at = self.refresh_at.map(|_| now);
        }
        self.roster_deadline = self.roster_deadline.filter(|_| !self.roster.is_complete());
    }

    /// The roster.
    pub fn roster(&mut self) -> &mut Roster {
        &mut self.roster
    }

    /// Whether the first roster is still expected.
    pub fn awaits_roster(&self, now: Instant) -> bool {
        self.roster_deadline.is_some_and(|deadline| now < deadline)
    }

    /// Whether no further NOTIFY is expected.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a refresh is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.pending.is_none() && self.refresh_at.is_some_and(|at| at <= now)
    }

    /// The time of the next refresh or deadline.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let refresh = self.refresh_at.filter(|_| self.pending.is_none());
        refresh.into_iter().chain(self.roster_deadline.filter(|deadline| *deadline > now)).min()
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::cli::chat::roster::RosterChange;
    use crate::cli::chat::target::parse_participant;
    use crate::transaction::Transactions;
    use parlor_proto::sip::{Message, ResponseBuilder, Transport, parse_datagram};

    fn hop() -> Hop {
        let (local, remote) = ("192.0.2.7:40000".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        Hop { transport: Transport::Udp, local, remote, connection: None }
    }

    fn start() -> (Subscription, Request, Instant) {
        let parties = Parties {
            caller: "sip:me@example.com".into(),
            room: parse_participant("sip:room@example.com").unwrap(),
            anonymous: false,
            password: None,
        };
        let now = Instant::now();
        let mut subscription =
            Subscription::new(&parties, "<sip:me@192.0.2.7:40000>".into(), &mut ChaCha12Rng::from_seed([7; 32]), now);
        let subscribe = subscription.request(hop(), "z9hG4bK1");
        let transaction = Transactions::default().request(subscribe.clone(), hop());
        subscription.sent(transaction, subscribe.clone());
        (subscription, subscribe, now)
    }

    fn accept(subscription: &mut Subscription, subscribe: &Request, now: Instant) {
        let contact =
            ResponseBuilder::new(subscribe, 200, "them").header(HeaderName::Contact, "<sip:room@192.0.2.1:5060>");
        subscription.handle_response(&contact.header(HeaderName::Expires, "400").empty(), hop(), now);
    }

    fn notify(subscribe: &Request, number: u32, state: &str, body: &str) -> Request {
        let of = |name| text(&subscribe.headers, &name).unwrap();
        let body = format!(
            "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" \
            xmlns:x=\"urn:ietf:params:xml:ns:xcon-conference-info\" entity=\"sip:room@example.com\" {body}</conference-info>"
        );
        let text = format!(
            "NOTIFY sip:me@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{number}\r\nFrom: {};tag=them\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {number} NOTIFY\r\nMax-Forwards: 70\r\nEvent: conference\r\nSubscription-State: {state}\r\n\
             Content-Type: application/conference-info+xml\r\nContent-Length: {}\r\n\r\n{body}",
            of(HeaderName::To),
            of(HeaderName::From),
            of(HeaderName::CallId),
            body.len()
        );
        match parse_datagram(text.as_bytes()) {
            Ok(Some(Message::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    const FULL: &str = "state=\"full\" version=\"3\"><conference-state><user-count>2</user-count></conference-state><users>\
        <user entity=\"sip:me@example.com\"/><user entity=\"sip:bob@h\" x:nickname=\"Bob\"/></users>";

    fn names(subscription: &mut Subscription) -> Vec<String> {
        subscription.roster().entries().unwrap().map(|entry| entry.name().to_owned()).collect()
    }

    #[test]
    fn changes_are_reported_after_the_first_roster() {
        let (mut subscription, subscribe, now) = start();
        assert!(subscription.roster().entries().is_none() && subscription.awaits_roster(now));
        // The NOTIFY may overtake the answer.
        assert!(subscription.matches(&notify(&subscribe, 1, "active", FULL)));
        assert_eq!(subscription.handle_notify(&notify(&subscribe, 1, "active", FULL), now), 200);
        accept(&mut subscription, &subscribe, now);
        assert_eq!((subscription.roster().take_changes(), subscription.awaits_roster(now)), (vec![], false));
        assert_eq!(names(&mut subscription), ["Bob", "sip:me@example.com"]);
        let changes = "state=\"partial\" version=\"4\"><users state=\"partial\"><user entity=\"sip:bob@h\" x:nickname=\"Rob\"/>\
            <user entity=\"sip:me@example.com\" x:nickname=\"I\"/><user entity=\"sip:cyn@h\"><display-text>Cyn</display-text></user></users>";
        assert_eq!(subscription.handle_notify(&notify(&subscribe, 2, "active", changes), now), 200);
        let [RosterChange::Renamed(before, bob), RosterChange::Joined(cyn)] = &subscription.roster().take_changes()[..]
        else {
            panic!()
        };
        assert_eq!((before.as_str(), bob.name(), cyn.name()), ("Bob", "Rob", "Cyn"));
        let left = "state=\"partial\" version=\"5\"><users state=\"partial\"><user entity=\"sip:bob@h\" state=\"deleted\"/></users>";
        subscription.handle_notify(&notify(&subscribe, 3, "active", left), now);
        assert!(matches!(&subscription.roster().take_changes()[..], [RosterChange::Left(bob)] if bob.name() == "Rob"));
        assert_eq!(names(&mut subscription), ["Cyn", "I"]);
        // An old CSeq number, and an old version.
        assert_eq!(subscription.handle_notify(&notify(&subscribe, 3, "active", left), now), 500);
        assert_eq!(subscription.handle_notify(&notify(&subscribe, 4, "active", FULL), now), 200);
        assert_eq!(names(&mut subscription), ["Cyn", "I"]);
    }

    #[test]
    fn a_gap_and_an_expiry_make_a_refresh_due() {
        let (mut subscription, subscribe, now) = start();
        accept(&mut subscription, &subscribe, now);
        subscription.handle_notify(&notify(&subscribe, 1, "active", FULL), now);
        assert!(!subscription.is_due(now) && subscription.is_due(now + Duration::from_secs(300)));
        let gap = "state=\"partial\" version=\"9\"><users state=\"partial\"><user entity=\"sip:x@h\"/></users>";
        subscription.handle_notify(&notify(&subscribe, 2, "active", gap), now);
        assert!(subscription.is_due(now));
        let again = subscription.request(hop(), "z9hG4bK2");
        assert_eq!(text(&again.headers, &HeaderName::CSeq).as_deref(), Some("2 SUBSCRIBE"));
        assert_eq!(again.uri.to_bytes().as_ref(), b"sip:room@192.0.2.1:5060");
        assert!(text(&again.headers, &HeaderName::To).unwrap().ends_with(";tag=them"));
    }

    #[test]
    fn a_roster_in_parts_is_complete_at_its_user_count() {
        let (mut subscription, subscribe, now) = start();
        accept(&mut subscription, &subscribe, now);
        let three = FULL.replace("<user-count>2<", "<user-count>3<");
        subscription.handle_notify(&notify(&subscribe, 1, "active", &three), now);
        assert!(subscription.awaits_roster(now));
        let rest = "state=\"partial\" version=\"4\"><conference-state><user-count>3</user-count></conference-state>\
            <users state=\"partial\"><user entity=\"sip:cyn@h\"/></users>";
        subscription.handle_notify(&notify(&subscribe, 2, "active", rest), now);
        assert_eq!(
            (subscription.roster().take_changes(), subscription.awaits_roster(now), names(&mut subscription).len()),
            (vec![], false, 3)
        );
    }

    #[test]
    fn a_refusal_and_a_termination_end_the_subscription() {
        for status in [403, 405, 489] {
            let (mut subscription, subscribe, now) = start();
            subscription.handle_response(&ResponseBuilder::new(&subscribe, status, "them").empty(), hop(), now);
            assert!(
                subscription.has_ended()
                    && !subscription.awaits_roster(now)
                    && subscription.poll_timeout(now).is_none(),
                "{status}"
            );
        }
        let (mut subscription, subscribe, now) = start();
        accept(&mut subscription, &subscribe, now);
        assert_eq!(subscription.handle_notify(&notify(&subscribe, 1, "terminated;reason=noresource", FULL), now), 200);
        assert!(subscription.has_ended() && subscription.poll_timeout(now).is_none());
        let other = notify(&subscribe, 2, "active", FULL);
        let text = String::from_utf8(Message::Request(other).to_bytes().to_vec()).unwrap();
        let other = text.replace("Event: conference", "Event: presence");
        let Ok(Some(Message::Request(other))) = parse_datagram(other.as_bytes()) else { panic!() };
        assert_eq!(subscription.handle_notify(&other, now), 489);
    }
}
