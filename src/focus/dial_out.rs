//! Calls that the focus makes: somebody is invited into a room (RFC 4579 §5.2).
//!
//! The shard is asked first whether it takes the session, so that the invited may connect as soon as they have answered. Then it
//! is found out where to call, then the INVITE goes out. What comes back is `dialled.rs`'s.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Focus;
use super::asked::Asked;
use super::calls::{Described, Tag};
use super::face::{Alarm, Output};
use super::join::{SHARD_ANSWER_MAX, our_media};
use super::refresh::Timing;
use super::refusal::Refusal;
use super::subscriptions::SubscriptionId;
use crate::facts::{Command, Member, OpenSession, Terms};
use crate::ids::{RoomId, SessionId, ShardId};
use crate::limits::{DATAGRAM_REQUEST_BYTES_MAX, RINGING_SECONDS_MAX};
use crate::shares::{Claim, Share};
use crate::transaction::TransactionId;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::Setup;
use parlor_proto::sip::{
    HeaderName, Hop, Host, Message, Method, Request, RequestBuilder, Transport, Uri, address_text, aor, escape_user,
    is_sips, multipart_with_history, quoted, route_request, transport_of,
};
use parlor_proto::uri::Aor;

/// Who is to be brought into which room, and who wants it.
#[derive(Debug, Clone)]
pub(super) struct Invitation {
    pub(super) room: RoomId,
    pub(super) target: Uri,
    pub(super) member: Member,
    /// Whoever asked for it, and who is charged with it.
    pub(super) by: Aor,
    pub(super) claim: Claim,
    /// The Referred-By of whoever asked (RFC 3892).
    pub(super) referred_by: Option<String>,
    pub(super) replaces: Option<String>,
    /// Who else was invited, for the invited to see (RFC 5366 §5).
    pub(super) history: Option<String>,
    pub(super) report: Option<SubscriptionId>,
}

/// One call that is being made.
#[derive(Debug)]
pub(super) struct Dialling {
    pub(super) invitation: Invitation,
    pub(super) shard: ShardId,
    pub(super) session: SessionId,
    pub(super) path: Path,
    pub(super) described: Described,
    pub(super) timing: Timing,
    pub(super) contact: String,
    pub(super) sent_by: String,
    call_id: String,
    /// The number of the last INVITE, which is how often one has gone out.
    sequence: u32,
    /// Whether a stream is tried because of the size alone; `None` after it could not be had.
    stream: Option<bool>,
    /// Where to, once that is known.
    way: Option<Way>,
    /// The shard takes the session.
    pub(super) ready: bool,
    pub(super) invite: Option<TransactionId>,
    /// A provisional response has come: it can be cancelled.
    pub(super) ringing: bool,
    /// It is to end; for a 487, or a 200 that crosses it.
    pub(super) given_up: bool,
    /// What it counts for whoever asked for it.
    pub(super) share: Option<Share>,
}

/// Request-URI, Route and hop.
#[derive(Debug, Clone)]
struct Way {
    target: Uri,
    routes: Vec<String>,
    hop: Hop,
}

/// Where a call goes.
enum Direction {
    Known(Box<Way>),
    /// A name that is to be looked up.
    Named {
        name: String,
        port: u16,
        transport: Transport,
    },
}

impl Focus {
    /// Makes a call. The caller has seen that whoever asks may.
    pub(super) fn dial(&mut self, invitation: Invitation, now: Instant) -> Result<Tag, Refusal> {
        self.check_invitation(&invitation)?;
        let direction = self.direction(&invitation.target)?;
        let tag = self.new_tag();
        let room = self.rooms.get_mut(invitation.room).ok_or(Refusal::new(404))?;
        let shard = room.shard;
        let session = self.new_session(shard);
        let name = self.rooms.get(invitation.room).map(|room| room.name.clone()).unwrap_or_default();
        let path = self.path(shard, session, self.offers_tls(&name, direction.transport()))?;
        let described = Described::new(self.random());
        let call_id = format!("{:016x}{:016x}@{}", self.random(), self.random(), self.settings.contact_host);
        tracing::info!(call = %tag, user = %invitation.member.user, by = %invitation.by, session = session.short(), "calling into a room");
        let (room, member, terms) = (invitation.room, invitation.member.clone(), Terms::unanswered(path.clone()));
        self.shards.session_opened(shard);
        self.command(
            shard,
            Command::OpenSession(Box::new(OpenSession { session, room, member, terms, formerly: None })),
        );
        let dialling = Dialling {
            invitation,
            shard,
            session,
            path,
            described,
            timing: Timing::of_caller(),
            contact: String::new(),
            sent_by: String::new(),
            call_id,
            sequence: 0,
            stream: Some(false),
            way: None,
            ready: false,
            invite: None,
            ringing: false,
            given_up: false,
            share: None,
        };
        self.dialling.insert(tag, dialling);
        self.alarms.set(Alarm::Dialling(tag), now + SHARD_ANSWER_MAX);
        match direction {
            Direction::Known(way) => self.set_way(tag, *way, now),
            Direction::Named { name, port, transport } => self.look_up(tag, name, port, transport),
        }
        Ok(tag)
    }

    fn check_invitation(&self, invitation: &Invitation) -> Result<(), Refusal> {
        if self.draining {
            return Err(Refusal::later(60).because("Server Is Ending"));
        }
        let claim = &invitation.claim;
        if !self.dialling.shares.has_room(claim, 1) || !self.calls.shares.has_room(claim, 1) {
            return Err(Refusal::later(10));
        }
        let name = self.rooms.get(invitation.room).map(|room| room.name.clone()).ok_or(Refusal::new(404))?;
        let (member, user) = (&invitation.member, &invitation.member.user);
        let called = |(_, other): (Tag, &Dialling)| {
            other.invitation.room == invitation.room && other.invitation.member.user == *user
        };
        if self.dialling.iter().any(called) {
            return Err(Refusal::new(486).because("Already Being Called"));
        }
        self.check_room(&name, member, Some(user), Some(claim))
    }

    /// Where a call to somebody goes: to the proxy that the operator has named; to where they are, if they are in a call
    /// with us; to the host of their URI. Of RFC 3263 only the addresses of a name are looked up.
    fn direction(&self, target: &Uri) -> Result<Direction, Refusal> {
        if let Some(proxy) = &self.settings.outbound_proxy {
            return self.toward(proxy, target);
        }
        let user = aor(target).map_err(|_| Refusal::new(416))?;
        let known = self.calls.of_user(&user).map(|call| call.dialog.way_to_peer());
        // Whoever is to be called over TLS is not called where they are without.
        if let Some((at, routes, hop)) = known.filter(|(.., hop)| !is_sips(target) || hop.transport == Transport::Tls) {
            return Ok(Direction::Known(Box::new(Way { target: at, routes, hop })));
        }
        // Users of our own hosts are rooms.
        if self.hosts.own(&user) {
            return Err(Refusal::new(404).because("Nobody Here By That Name"));
        }
        self.toward(target, target)
    }

    fn toward(&self, next: &Uri, target: &Uri) -> Result<Direction, Refusal> {
        // Numbers are for a proxy to know.
        if !next.scheme().is_sip() {
            return Err(Refusal::new(416));
        }
        let transport = transport_of(next).ok_or(Refusal::new(480).because("Transport Not Available"))?;
        let port = next.port().unwrap_or(transport.default_port());
        match next.host() {
            Some(Host::Ip(ip)) => {
                let hop = self.hop_to(SocketAddr::new(*ip, port), transport)?;
                Ok(Direction::Known(Box::new(self.way_over(target, hop))))
            }
            Some(Host::Name(name)) => {
                let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
                Ok(Direction::Named { name, port, transport })
            }
            None => Err(Refusal::new(416)),
        }
    }

    /// The way to somebody outside of our calls: through the proxy, if there is one.
    fn way_over(&self, target: &Uri, hop: Hop) -> Way {
        let (target, routes) = route_request(target, self.settings.outbound_proxy.as_slice());
        Way { target, routes, hop }
    }

    /// Our end of a hop: where we listen with its transport, else with another, so that there is an address to name. Over TLS there
    /// has to be one where whoever is called can reach us as well.
    fn hop_to(&self, remote: SocketAddr, transport: Transport) -> Result<Hop, Refusal> {
        let family = |(_, local): &&(Transport, SocketAddr)| local.is_ipv4() == remote.is_ipv4();
        let same = self.settings.listen.iter().filter(family).find(|(own, _)| *own == transport);
        let any = self.settings.listen.iter().find(family).filter(|_| transport == Transport::Tcp);
        let (_, local) = same.or(any).ok_or(Refusal::new(480).because("Transport Not Available"))?;
        Ok(Hop { transport, local: *local, remote, connection: None })
    }

    fn look_up(&mut self, tag: Tag, name: String, port: u16, transport: Transport) {
        self.lookups.insert(tag, (port, transport));
        self.output(Output::LookUp { query: tag.0, name });
    }

    /// The addresses of a name were looked up; none where there are none.
    pub fn handle_looked_up(&mut self, query: u64, addresses: &[IpAddr], now: Instant) {
        let tag = Tag(query);
        let Some((port, transport)) = self.lookups.remove(&tag) else { return };
        let Some(dialling) = self.dialling.get(tag) else { return };
        let target = dialling.invitation.target.clone();
        let hop = addresses.iter().find_map(|ip| self.hop_to(SocketAddr::new(*ip, port), transport).ok());
        match hop {
            Some(hop) => self.set_way(tag, self.way_over(&target, hop), now),
            None => self.dial_failed(tag, 404, "Host Not Found", now),
        }
        self.pump(now);
    }

    fn set_way(&mut self, tag: Tag, way: Way, now: Instant) {
        let sent_by = self.sent_by(way.hop);
        let Some(dialling) = self.dialling.get(tag) else { return };
        let room = self.rooms.get(dialling.invitation.room).map(|room| room.name.clone());
        // RFC 3261 §8.1.1.8.
        let by_route =
            way.routes.first().is_some_and(|route| route.get(..6).is_some_and(|s| s.eq_ignore_ascii_case("<sips:")));
        let secure = by_route || is_sips(&way.target) || is_sips(&dialling.invitation.target);
        let Ok(contact) = self.contact(room.as_deref(), secure, way.hop) else {
            return self.dial_failed(tag, 480, "SIPS Not Available", now);
        };
        let Some(dialling) = self.dialling.get_mut(tag) else { return };
        (dialling.way, dialling.contact, dialling.sent_by) = (Some(way), contact, sent_by);
        self.call_if_ready(tag, now);
    }

    /// The shard takes the session of a call that is being made.
    pub(super) fn dialling_ready(&mut self, tag: Tag, now: Instant) {
        if let Some(dialling) = self.dialling.get_mut(tag) {
            dialling.ready = true;
            self.call_if_ready(tag, now);
        }
    }

    fn call_if_ready(&mut self, tag: Tag, now: Instant) {
        let Some(dialling) = self.dialling.get(tag) else { return };
        if dialling.ready && dialling.way.is_some() && dialling.invite.is_none() {
            self.alarms.set(Alarm::Dialling(tag), now + Duration::from_secs(RINGING_SECONDS_MAX));
            self.send_invite(tag);
        }
    }

    /// The INVITE, with everything it may carry. A large one goes over a stream, where there is one to be had.
    pub(super) fn send_invite(&mut self, tag: Tag) {
        let Some(dialling) = self.dialling.get_mut(tag) else { return };
        dialling.sequence += 1;
        let (Some(mut hop), streams) = (dialling.way.as_ref().map(|way| way.hop), dialling.stream.is_some()) else {
            return;
        };
        let Some(mut request) = self.invite_over(tag, hop) else { return };
        let large = Message::Request(request.clone()).to_bytes().len() > DATAGRAM_REQUEST_BYTES_MAX;
        let by_size = large && streams && hop.transport == Transport::Udp;
        if by_size && let Ok(stream) = self.hop_to(hop.remote, Transport::Tcp) {
            hop = stream;
            request = self.invite_over(tag, hop).unwrap_or(request);
        }
        let invite = self.ask(request, hop, Asked::Invite(tag));
        if let Some(dialling) = self.dialling.get_mut(tag) {
            dialling.invite = invite;
            dialling.stream = dialling.stream.map(|_| by_size);
        }
    }

    fn invite_over(&mut self, tag: Tag, hop: Hop) -> Option<Request> {
        let branch = self.branch();
        let body = self.offer_for(tag)?;
        let dialling = self.dialling.get(tag)?;
        let (target, way) = (&dialling.invitation.target, dialling.way.as_ref()?);
        let to = match &dialling.invitation.member.display_name {
            Some(name) => format!("{} <{}>", quoted(name), address_text(target)),
            None => format!("<{}>", address_text(target)),
        };
        let mut ask = RequestBuilder::new(Method::Invite, way.target.clone())
            .header(
                HeaderName::Via,
                format!("SIP/2.0/{} {};branch={branch};rport", hop.transport.name(), dialling.sent_by),
            )
            .header(HeaderName::To, to)
            .header(HeaderName::CallId, dialling.call_id.clone())
            .header(HeaderName::CSeq, format!("{} INVITE", dialling.sequence))
            .header(HeaderName::Expires, RINGING_SECONDS_MAX.to_string());
        for route in &way.routes {
            ask = ask.header(HeaderName::Route, route.clone());
        }
        if let Some(by) = &dialling.invitation.referred_by {
            ask = ask.header(HeaderName::ReferredBy, by.clone());
        }
        if let Some(replaces) = &dialling.invitation.replaces {
            ask = ask.header(HeaderName::Replaces, replaces.clone()).header(HeaderName::Require, "replaces");
        }
        let (room, contact) = (dialling.invitation.room, dialling.contact.clone());
        let history = dialling.invitation.history.clone();
        let ask = ask.header(HeaderName::From, self.room_address(room, tag)?);
        let dialling = self.dialling.get(tag)?;
        let ask = self.ask_for_time(self.introduce(ask, contact), &dialling.timing);
        Some(match history {
            Some(history) => {
                let (media_type, body) = multipart_with_history(&body, &history);
                ask.body(&media_type, body)
            }
            None => ask.body("application/sdp", body),
        })
    }

    /// From of our INVITE: the room.
    fn room_address(&self, room: RoomId, tag: Tag) -> Option<String> {
        let room = self.rooms.get(room)?;
        let domain = self.settings.domains.first().map_or("localhost", String::as_str);
        let name = room.policy.display_text.as_deref().map(|name| format!("{} ", quoted(name))).unwrap_or_default();
        Some(format!("{name}<sip:{}@{domain}>;tag={tag}", escape_user(&room.name)))
    }

    fn offer_for(&mut self, tag: Tag) -> Option<String> {
        let dialling = self.dialling.get_mut(tag)?;
        let policy = self.rooms.get(dialling.invitation.room)?.policy.clone();
        let peer = dialling.way.as_ref()?.hop.remote.ip();
        let ours = our_media(&self.settings, &policy, &dialling.path, Setup::ActPass, peer)?;
        Some(dialling.described.next(|origin| ours.offer(origin)))
    }
}

impl Direction {
    fn transport(&self) -> Transport {
        match self {
            Self::Known(way) => way.hop.transport,
            Self::Named { transport, .. } => *transport,
        }
    }
}

impl Dialling {
    /// It is to go out once more, under the next number.
    pub(super) fn again(&mut self) {
        self.invite = None;
        self.ringing = false;
    }

    /// The stream that was tried because of the size could not be had: a datagram then (RFC 3261 §18.1.1).
    pub(super) fn falls_back(&mut self) -> bool {
        let tried = self.stream == Some(true);
        if tried {
            self.stream = None;
            // Nobody has had it: it is the same request still.
            self.sequence -= 1;
            self.again();
        }
        tried
    }

    /// The Call-ID of its INVITEs.
    pub(super) fn call_id(&self) -> &str {
        &self.call_id
    }

    /// How often it has gone out.
    pub(super) fn tries(&self) -> u32 {
        self.sequence
    }
}
