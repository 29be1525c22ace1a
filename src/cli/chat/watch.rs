//! Watching the room: a subscription to its roster, from the subscriber's side (RFC 6665 §4.1, RFC 4575 §4.6). No sockets, and
//! the transactions are the call's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand_core::Rng;

use super::call::Parties;
use crate::call::Dialog;
use crate::transaction::TransactionId;
use parlor_proto::conference_info::{ConferenceInfo, MEDIA_TYPE, State, UserUpdate};
use parlor_proto::sip::{HeaderName, Hop, Method, Request, RequestBuilder, Response, Uri, cseq_number, tag, text};
use parlor_proto::uri::Aor;

/// How long a subscription is asked for.
const SECONDS: u64 = 600;
/// How long the first document is waited for before lines are taken.
const FIRST_DOCUMENT_WAIT: Duration = Duration::from_secs(2);
/// People who are kept at most.
const PEOPLE_MAX: usize = 100_000;

/// Somebody in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    pub(super) uri: String,
    pub(super) nickname: Option<String>,
    pub(super) display_name: Option<String>,
}

impl Present {
    /// What others call it.
    pub(super) fn name(&self) -> &str {
        self.nickname.as_deref().or(self.display_name.as_deref()).unwrap_or(&self.uri)
    }

    /// It in a sentence.
    pub(super) fn mention(&self) -> String {
        if self.name() == self.uri { self.uri.clone() } else { format!("{} <{}>", self.name(), self.uri) }
    }

    /// It on a line of its own: nickname, display name and URI.
    pub(super) fn line(&self, own: bool) -> String {
        let mark = if own { " (you)" } else { "" };
        match (&self.nickname, &self.display_name) {
            (Some(nickname), Some(name)) => format!("{nickname} ({name}) <{}>{mark}", self.uri),
            _ => format!("{}{mark}", self.mention()),
        }
    }
}

/// What has changed in the room since we came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RosterNews {
    /// Somebody has come.
    Joined(Present),
    /// Somebody has left.
    Left(Present),
    /// Somebody has another nickname: by what it was known before, and who it is now.
    Renamed(String, Present),
}

/// The subscription, and what it has told so far.
pub(super) struct Watch {
    room: Uri,
    own: Option<Aor>,
    from: String,
    to: String,
    own_tag: String,
    call_id: String,
    contact: String,
    /// The number of the last SUBSCRIBE outside of a dialog.
    sequence: u32,
    anonymous: bool,
    dialog: Option<Dialog>,
    /// The SUBSCRIBE that waits for its answer.
    asked: Option<(TransactionId, Request)>,
    refresh_at: Option<Instant>,
    /// Lines wait for a first document until then.
    waits_until: Option<Instant>,
    version: Option<u32>,
    /// Everybody is known who was there when we came: changes are news.
    complete: bool,
    people: BTreeMap<Aor, Present>,
    news: Vec<RosterNews>,
    over: bool,
}

impl Watch {
    /// A subscription to a room, not asked for yet.
    pub(super) fn new(parties: &Parties, contact: String, rng: &mut impl Rng, now: Instant) -> Self {
        let room = String::from_utf8_lossy(&parties.room.to_bytes()).into_owned();
        let own_tag = format!("{:016x}", rng.next_u64());
        Self {
            room: parties.room.clone(),
            own: Aor::parse(parties.caller.as_bytes()).ok(),
            from: format!("<{}>;tag={own_tag}", parties.caller),
            to: format!("<{room}>"),
            own_tag,
            call_id: format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()),
            contact,
            sequence: 0,
            anonymous: parties.anonymous,
            dialog: None,
            asked: None,
            refresh_at: None,
            waits_until: Some(now + FIRST_DOCUMENT_WAIT),
            version: None,
            complete: false,
            people: BTreeMap::new(),
            news: Vec::new(),
            over: false,
        }
    }

    /// A SUBSCRIBE: the first one outside of any dialog (RFC 4579 §3.4), the others within that of the first.
    pub(super) fn subscribe(&mut self, hop: Hop, branch: &str) -> Request {
        self.refresh_at = None;
        let sent_by = hop.local.to_string();
        let ask = match &mut self.dialog {
            Some(dialog) => dialog.request(Method::Subscribe, &sent_by, branch).0,
            None => self
                .outside(RequestBuilder::new(Method::Subscribe, self.room.clone()))
                .header(HeaderName::Via, format!("SIP/2.0/{} {sent_by};rport;branch={branch}", hop.transport.name()))
                .header(HeaderName::From, self.from.clone())
                .header(HeaderName::To, self.to.clone())
                .header(HeaderName::CallId, self.call_id.clone()),
        };
        ask.header(HeaderName::Contact, self.contact.clone())
            .header(HeaderName::Event, "conference")
            .header(HeaderName::Accept, MEDIA_TYPE)
            .header(HeaderName::Expires, SECONDS.to_string())
            .header(HeaderName::UserAgent, concat!("parlor-chat/", env!("CARGO_PKG_VERSION")))
            .empty()
    }

    /// What only a request outside of a dialog has.
    fn outside(&mut self, ask: RequestBuilder) -> RequestBuilder {
        self.sequence += 1;
        let ask = ask.header(HeaderName::CSeq, format!("{} SUBSCRIBE", self.sequence));
        if self.anonymous { ask.header(HeaderName::Privacy, "id") } else { ask }
    }

    /// A SUBSCRIBE is on its way.
    pub(super) fn sent(&mut self, transaction: Option<TransactionId>, request: Request) {
        self.asked = transaction.map(|transaction| (transaction, request));
        self.over |= self.asked.is_none();
    }

    /// Whether an answer, or a lack of one, is to a SUBSCRIBE of this one.
    pub(super) fn has_asked(&self, transaction: &TransactionId) -> bool {
        self.asked.as_ref().is_some_and(|(asked, _)| asked == transaction)
    }

    /// The SUBSCRIBE was answered. Whoever refuses it, whyever, is not asked again: there are rooms without a roster.
    pub(super) fn answered(&mut self, response: &Response, hop: Hop, now: Instant) {
        if !response.status.is_final() {
            return;
        }
        let Some((_, request)) = self.asked.take() else { return };
        if !response.status.is_success() {
            return self.end();
        }
        if self.dialog.is_none() {
            self.dialog = Dialog::calling(&request, response, hop).ok();
        }
        self.over |= self.dialog.is_none();
        let granted = text(&response.headers, &HeaderName::Expires).and_then(|value| value.trim().parse().ok());
        let granted = Duration::from_secs(granted.unwrap_or(SECONDS).min(SECONDS));
        self.refresh_at = (!self.over).then(|| now + granted * 3 / 4);
    }

    /// Nobody has answered.
    pub(super) fn unanswered(&mut self) {
        self.asked = None;
        self.end();
    }

    fn end(&mut self) {
        (self.over, self.refresh_at, self.waits_until) = (true, None, None);
    }

    /// Whether a request is about this subscription. It may come before the answer to the SUBSCRIBE (RFC 6665 §4.4.1).
    pub(super) fn owns(&self, request: &Request) -> bool {
        text(&request.headers, &HeaderName::CallId).as_deref() == Some(&self.call_id)
            && tag(&request.headers, &HeaderName::To).as_deref() == Some(&self.own_tag)
    }

    /// A NOTIFY: gives the status to answer with.
    pub(super) fn notified(&mut self, notify: &Request, now: Instant) -> u16 {
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

    /// Takes a document in (RFC 4575 §4.6).
    fn apply(&mut self, info: ConferenceInfo, now: Instant) {
        let before = self.version;
        if before.is_some() && info.version <= before {
            return;
        }
        if info.state == State::Partial && (before.is_none() || info.version != before.map(|version| version + 1)) {
            // Something is missing: everything is asked for.
            self.refresh_at = self.refresh_at.map(|_| now);
            return;
        }
        self.version = info.version;
        if info.state == State::Deleted {
            return;
        }
        let full = info.state == State::Full || info.users_state == State::Full && !info.users.is_empty();
        let mut gone = if full { std::mem::take(&mut self.people) } else { BTreeMap::new() };
        for user in info.users {
            self.update(user, &mut gone);
        }
        let complete = info.user_count.is_none_or(|count| self.people.len() >= count as usize);
        // What is missing in a document that is everything, has left; in one that is only its beginning, it may follow.
        if complete {
            gone.into_values().for_each(|left| self.tell(RosterNews::Left(left)));
        } else {
            self.people.extend(gone);
        }
        self.complete |= complete;
        self.waits_until = self.waits_until.filter(|_| !self.complete);
    }

    fn update(&mut self, user: UserUpdate, gone: &mut BTreeMap<Aor, Present>) {
        let Ok(aor) = Aor::parse(user.entity.as_bytes()) else { return };
        let known = gone.remove(&aor).or_else(|| self.people.remove(&aor));
        if user.state == State::Deleted {
            if let Some(left) = known {
                self.tell(RosterNews::Left(left));
            }
            return;
        }
        let partial = user.state == State::Partial;
        let kept = |new: Option<String>, old: Option<String>| if partial { new.or(old) } else { new };
        let (nickname, display_name) = known.clone().map_or((None, None), |known| (known.nickname, known.display_name));
        let present = Present {
            uri: user.entity,
            nickname: kept(user.nickname, nickname),
            display_name: kept(user.display_text, display_name),
        };
        match known {
            None => self.tell(RosterNews::Joined(present.clone())),
            Some(known) if known.nickname != present.nickname => {
                self.tell(RosterNews::Renamed(known.name().to_owned(), present.clone()));
            }
            Some(_) => {}
        }
        if self.people.len() < PEOPLE_MAX {
            self.people.insert(aor, present);
        }
    }

    /// Makes news, unless it is about ourselves or from before we came.
    fn tell(&mut self, news: RosterNews) {
        let (RosterNews::Joined(who) | RosterNews::Left(who) | RosterNews::Renamed(_, who)) = &news;
        if self.complete && !self.is_own(who) {
            self.news.push(news);
        }
    }

    /// Whether somebody is ourselves.
    pub(super) fn is_own(&self, who: &Present) -> bool {
        Aor::parse(who.uri.as_bytes()).ok() == self.own
    }

    /// What has changed since the last call.
    pub(super) fn take_news(&mut self) -> Vec<RosterNews> {
        std::mem::take(&mut self.news)
    }

    /// Who is in the room; `None` where that is not known.
    pub(super) fn people(&self) -> Option<impl Iterator<Item = &Present>> {
        self.version.map(|_| self.people.values())
    }

    /// Whether the first document is still to come.
    pub(super) fn is_awaited(&self, now: Instant) -> bool {
        self.waits_until.is_some_and(|until| now < until)
    }

    /// Whether a NOTIFY may still come.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether it is time to subscribe again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.asked.is_none() && self.refresh_at.is_some_and(|at| at <= now)
    }

    /// When something is to be done.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let refresh = self.refresh_at.filter(|_| self.asked.is_none());
        refresh.into_iter().chain(self.waits_until.filter(|until| *until > now)).min()
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha12Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::cli::chat::target::participant;
    use crate::transaction::Transactions;
    use parlor_proto::sip::{Message, ResponseBuilder, Transport, parse_datagram};

    fn hop() -> Hop {
        let (local, remote) = ("192.0.2.7:40000".parse().unwrap(), "192.0.2.1:5060".parse().unwrap());
        Hop { transport: Transport::Udp, local, remote, connection: None }
    }

    fn start() -> (Watch, Request, Instant) {
        let parties = Parties {
            caller: "sip:me@example.com".into(),
            room: participant("sip:room@example.com").unwrap(),
            anonymous: false,
            password: None,
        };
        let now = Instant::now();
        let mut watch =
            Watch::new(&parties, "<sip:me@192.0.2.7:40000>".into(), &mut ChaCha12Rng::from_seed([7; 32]), now);
        let subscribe = watch.subscribe(hop(), "z9hG4bK1");
        let transaction = Transactions::default().request(subscribe.clone(), hop());
        watch.sent(transaction, subscribe.clone());
        (watch, subscribe, now)
    }

    fn accept(watch: &mut Watch, subscribe: &Request, now: Instant) {
        let contact =
            ResponseBuilder::new(subscribe, 200, "them").header(HeaderName::Contact, "<sip:room@192.0.2.1:5060>");
        watch.answered(&contact.header(HeaderName::Expires, "400").empty(), hop(), now);
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

    fn names(watch: &Watch) -> Vec<String> {
        watch.people().unwrap().map(|present| present.name().to_owned()).collect()
    }

    #[test]
    fn changes_are_news_and_what_was_there_before_is_none() {
        let (mut watch, subscribe, now) = start();
        assert!(watch.people().is_none() && watch.is_awaited(now));
        // The NOTIFY may overtake the answer.
        assert!(watch.owns(&notify(&subscribe, 1, "active", FULL)));
        assert_eq!(watch.notified(&notify(&subscribe, 1, "active", FULL), now), 200);
        accept(&mut watch, &subscribe, now);
        assert_eq!((watch.take_news(), watch.is_awaited(now)), (vec![], false));
        assert_eq!(names(&watch), ["Bob", "sip:me@example.com"]);
        let changes = "state=\"partial\" version=\"4\"><users state=\"partial\"><user entity=\"sip:bob@h\" x:nickname=\"Rob\"/>\
            <user entity=\"sip:me@example.com\" x:nickname=\"I\"/><user entity=\"sip:cyn@h\"><display-text>Cyn</display-text></user></users>";
        assert_eq!(watch.notified(&notify(&subscribe, 2, "active", changes), now), 200);
        let [RosterNews::Renamed(before, bob), RosterNews::Joined(cyn)] = &watch.take_news()[..] else { panic!() };
        assert_eq!((before.as_str(), bob.name(), cyn.name()), ("Bob", "Rob", "Cyn"));
        let left = "state=\"partial\" version=\"5\"><users state=\"partial\"><user entity=\"sip:bob@h\" state=\"deleted\"/></users>";
        watch.notified(&notify(&subscribe, 3, "active", left), now);
        assert!(matches!(&watch.take_news()[..], [RosterNews::Left(bob)] if bob.name() == "Rob"));
        assert_eq!(names(&watch), ["Cyn", "I"]);
        // The same again, by its number and by its version.
        assert_eq!(watch.notified(&notify(&subscribe, 3, "active", left), now), 500);
        assert_eq!(watch.notified(&notify(&subscribe, 4, "active", FULL), now), 200);
        assert_eq!(names(&watch), ["Cyn", "I"]);
    }

    #[test]
    fn a_gap_asks_for_everything_and_time_for_a_refresh() {
        let (mut watch, subscribe, now) = start();
        accept(&mut watch, &subscribe, now);
        watch.notified(&notify(&subscribe, 1, "active", FULL), now);
        assert!(!watch.is_due(now) && watch.is_due(now + Duration::from_secs(300)));
        let gap = "state=\"partial\" version=\"9\"><users state=\"partial\"><user entity=\"sip:x@h\"/></users>";
        watch.notified(&notify(&subscribe, 2, "active", gap), now);
        assert!(watch.is_due(now));
        let again = watch.subscribe(hop(), "z9hG4bK2");
        assert_eq!(text(&again.headers, &HeaderName::CSeq).as_deref(), Some("2 SUBSCRIBE"));
        assert_eq!(again.uri.to_bytes().as_ref(), b"sip:room@192.0.2.1:5060");
        assert!(text(&again.headers, &HeaderName::To).unwrap().ends_with(";tag=them"));
    }

    #[test]
    fn a_roster_in_parts_is_complete_when_it_is_as_long_as_it_says() {
        let (mut watch, subscribe, now) = start();
        accept(&mut watch, &subscribe, now);
        let three = FULL.replace("<user-count>2<", "<user-count>3<");
        watch.notified(&notify(&subscribe, 1, "active", &three), now);
        assert!(watch.is_awaited(now));
        let rest = "state=\"partial\" version=\"4\"><conference-state><user-count>3</user-count></conference-state>\
            <users state=\"partial\"><user entity=\"sip:cyn@h\"/></users>";
        watch.notified(&notify(&subscribe, 2, "active", rest), now);
        assert_eq!((watch.take_news(), watch.is_awaited(now), names(&watch).len()), (vec![], false, 3));
    }

    #[test]
    fn a_refusal_and_an_end_are_quiet() {
        for status in [403, 405, 489] {
            let (mut watch, subscribe, now) = start();
            watch.answered(&ResponseBuilder::new(&subscribe, status, "them").empty(), hop(), now);
            assert!(watch.is_over() && !watch.is_awaited(now) && watch.poll_timeout(now).is_none(), "{status}");
        }
        let (mut watch, subscribe, now) = start();
        accept(&mut watch, &subscribe, now);
        assert_eq!(watch.notified(&notify(&subscribe, 1, "terminated;reason=noresource", FULL), now), 200);
        assert!(watch.is_over() && watch.poll_timeout(now).is_none());
        let other = notify(&subscribe, 2, "active", FULL);
        let text = String::from_utf8(Message::Request(other).to_bytes().to_vec()).unwrap();
        let other = text.replace("Event: conference", "Event: presence");
        let Ok(Some(Message::Request(other))) = parse_datagram(other.as_bytes()) else { panic!() };
        assert_eq!(watch.notified(&other, now), 489);
    }
}
