//! A subscriber that keeps the roster as RFC 4575 §4.6 has it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use parlor_proto::conference_info::{ConferenceInfo, State};
use parlor_proto::sip::{HeaderName, Hop, Message, Method, Request, ResponseBuilder, text};

use crate::schema;
use crate::world::{Peer, World};

/// A subscriber with what it knows.
pub struct Watcher {
    pub peer: Peer,
    pub version: Option<u32>,
    /// Nickname, or display text, by URI.
    pub roster: BTreeMap<String, Option<String>>,
    pub user_count: Option<u32>,
    /// Subscription-State of the last NOTIFY.
    pub state: String,
    /// Documents it got, by their state.
    pub documents: Vec<State>,
}

impl Watcher {
    /// Somebody who asks for ten minutes, out of any call.
    pub fn new(name: &str, room: &str) -> Self {
        // Each is another call, with branches of its own.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut peer = Peer::new(&format!("{name}-watching-{count}"), room);
        peer.from = format!("<sip:{name}@home.example>;tag=watch-{name}");
        peer.extra = "Event: conference\r\nExpires: 600\r\nAccept: application/conference-info+xml\r\n".into();
        Self { peer, version: None, roster: BTreeMap::new(), user_count: None, state: String::new(), documents: vec![] }
    }

    pub fn subscribe(&mut self, world: &mut World) -> u16 {
        self.peer.send(world, "SUBSCRIBE", "");
        let status = world.last_status();
        if status == 200 && self.peer.to_tag.is_none() {
            let to = text(&world.last_response().headers, &HeaderName::To).unwrap();
            self.peer.to_tag = to.split_once(";tag=").map(|(_, tag)| tag.to_owned());
        }
        status
    }

    /// Subscribes, and takes the first NOTIFY.
    pub fn watch(&mut self, world: &mut World) {
        assert_eq!(self.subscribe(world), 200);
        self.take(world);
    }

    /// One that watches.
    pub fn watching(name: &str, room: &str, world: &mut World) -> Self {
        let mut watcher = Self::new(name, room);
        watcher.watch(world);
        watcher
    }

    pub fn asks(&mut self, seconds: u32) {
        self.peer.extra = format!("Event: conference\r\nExpires: {seconds}\r\n");
    }

    /// The NOTIFYs that it has been sent and has not answered.
    pub fn waiting(&self, world: &World) -> Vec<(Hop, Request)> {
        let mine = |request: &Request| {
            request.method == Method::Notify
                && text(&request.headers, &HeaderName::CallId) == Some(format!("call-of-{}", self.peer.name))
        };
        world.requests().into_iter().filter(|(_, request)| mine(request)).collect()
    }

    /// Takes and answers every NOTIFY that it is sent, until there is none.
    pub fn take(&mut self, world: &mut World) -> usize {
        let mut taken = 0;
        while let Some((hop, notify)) = self.waiting(world).into_iter().next() {
            self.read(&notify);
            self.answer(world, hop, &notify, 200);
            taken += 1;
        }
        taken
    }

    /// Answers the first NOTIFY that waits, unread.
    pub fn refuse(&mut self, world: &mut World, status: u16) {
        let (hop, notify) = self.waiting(world).into_iter().next().expect("a NOTIFY");
        self.answer(world, hop, &notify, status);
    }

    fn answer(&self, world: &mut World, hop: Hop, notify: &Request, status: u16) {
        let sequence = text(&notify.headers, &HeaderName::CSeq);
        let call = text(&notify.headers, &HeaderName::CallId);
        world.sent.retain(|(_, message)| {
            message.as_request().is_none()
                || text(message.headers(), &HeaderName::CSeq) != sequence
                || text(message.headers(), &HeaderName::CallId) != call
        });
        let response = ResponseBuilder::new(notify, status, "watcher").empty();
        world.focus.handle_message(Message::Response(response), hop, world.now);
        world.settle();
    }

    /// Applies a document (RFC 4575 §4.6).
    pub fn read(&mut self, notify: &Request) {
        self.state = text(&notify.headers, &HeaderName::SubscriptionState).unwrap();
        if notify.body().is_empty() {
            return;
        }
        let kind = text(&notify.headers, &HeaderName::ContentType);
        assert_eq!(kind.as_deref(), Some("application/conference-info+xml"));
        schema::check(std::str::from_utf8(notify.body()).unwrap());
        let info = ConferenceInfo::parse(notify.body()).unwrap();
        let version = info.version.unwrap();
        match info.state {
            State::Partial => assert_eq!(Some(version), self.version.map(|version| version + 1), "no gap"),
            _ => assert!(self.version.is_none_or(|before| version > before), "{version} after {:?}", self.version),
        }
        self.version = Some(version);
        self.documents.push(info.state);
        if info.state != State::Partial {
            self.roster.clear();
        }
        self.user_count = info.user_count.or(self.user_count);
        for user in info.users {
            match user.state {
                State::Deleted => drop(self.roster.remove(&user.entity)),
                _ => drop(self.roster.insert(user.entity, user.nickname.or(user.display_text))),
            }
        }
    }

    /// Who is there, by name.
    pub fn names(&self) -> Vec<&str> {
        self.roster.values().map(|name| name.as_deref().unwrap_or("?")).collect()
    }
}
