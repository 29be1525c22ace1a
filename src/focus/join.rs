//! An INVITE to a room, until it is answered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::admit::Admitted;
use super::calls::{Call, Described, Opening, Phase, Tag, Unacknowledged};
use super::face::Alarm;
use super::refresh::Timing;
use super::refusal::Refusal;
use super::{Focus, Settings};
use crate::call::Caller;
use crate::facts::{ChatroomTokens, Command, OpenRoom, OpenSession, Refusal as ShardRefusal, RoomPolicy, Terms};
use crate::ids::{RoomId, SessionId, ShardId};
use crate::shares::Claim;
use crate::transaction::{TransactionId, Transactions};
use parlor_proto::msrp::Path;
use parlor_proto::sdp::{Description, Direction, LocalMedia, LocalTerms, MessageMedia, Origin, Setup};
use parlor_proto::sip::{HeaderName, Hop, Request, cseq_number, response_hop};
use parlor_proto::uri::Aor;

/// How long a shard may take to say whether a session can be bound.
pub(super) const SHARD_ANSWER_MAX: Duration = Duration::from_secs(5);

impl Focus {
    pub(super) fn handle_join(&mut self, id: TransactionId, request: Request, caller: &Caller, hop: Hop, now: Instant) {
        let opened =
            self.admit(&request, caller, hop, now).and_then(|admitted| self.make_call(admitted, &request, hop));
        let (tag, mut call, offer) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return self.refuse(&id, &request, &refusal),
        };
        self.begin_merging(&request, tag, hop, now);
        match offer {
            Some((offer, taken)) => {
                let to = self.outward(&taken, taken.setup == Some(Setup::Passive), hop).ok().flatten();
                let terms = call.terms_for(&taken, to);
                call.described.cema = taken.accepts_cema();
                call.phase = Phase::Opening(Box::new(Opening { invite: id, request, offer, taken }));
                self.calls.insert(tag, call);
                self.open_session(tag, terms, now);
            }
            None => {
                self.calls.insert(tag, call);
                self.send_offer(&id, &request, tag, now);
            }
        }
    }

    /// Puts the call into its room, which is made where it has to be.
    #[allow(clippy::type_complexity)]
    fn make_call(
        &mut self,
        admitted: Admitted,
        request: &Request,
        hop: Hop,
    ) -> Result<(Tag, Call, Option<(Description, MessageMedia)>), Refusal> {
        let (room, shard) = self.enter_room(&admitted)?;
        let formerly = self.mask_of(room, &admitted).map(Box::new);
        let session = self.new_session(shard);
        let offered = admitted.offer.as_ref().map(|(_, taken)| taken.secure);
        let secure = offered.unwrap_or_else(|| self.offers_tls(&admitted.room, hop.transport));
        let path = self.path(shard, session, secure)?;
        let call = Call {
            contact: admitted.contact,
            sent_by: self.sent_by(hop),
            described: Described::new(self.random()),
            timing: Timing::default(),
            dialog: admitted.dialog,
            room,
            shard,
            session,
            member: admitted.member,
            account: admitted.account,
            formerly,
            vouched: admitted.vouched,
            aware: admitted.aware,
            path,
            phase: Phase::Confirmed,
            terms: None,
            ready: false,
            expected: false,
            present: true,
            goodbye: None,
            suspended: false,
            listed: admitted.listed,
            brought_by: None,
            referred: false,
            share: Some(self.calls.shares.take(&admitted.claim, 1)),
        };
        // A Call-ID may have the name of the caller's machine in it.
        let call_id = Some(call.dialog.call_id()).filter(|_| !call.member.anonymous);
        tracing::info!(call = %admitted.tag, room = %admitted.room, user = %call.member.user, session = session.short(), call_id,
            method = %request.method, "a call for a room");
        Ok((admitted.tag, call, admitted.offer))
    }

    pub(super) fn new_session(&mut self, shard: ShardId) -> SessionId {
        let random = u128::from(self.random()) << 64 | u128::from(self.random());
        SessionId { shard, random }
    }

    /// As whom somebody was here last who hides, if we know who it is.
    fn mask_of(&mut self, room: RoomId, admitted: &Admitted) -> Option<Aor> {
        let account = admitted.account.as_ref().filter(|_| admitted.member.anonymous)?;
        self.rooms.get_mut(room)?.take_mask(account)
    }

    fn enter_room(&mut self, admitted: &Admitted) -> Result<(RoomId, ShardId), Refusal> {
        let (id, shard) = self.room_named(&admitted.room, &admitted.claim)?;
        self.shards.session_opened(shard);
        if let Some(room) = self.rooms.get_mut(id) {
            room.enter(&admitted.member.user);
            admitted.account.iter().for_each(|account| room.enter_account(account));
            self.nicknames.enter(&admitted.member.user);
        }
        Ok((id, shard))
    }

    /// The room of a name, which is made or opened, at the expense of `maker`, where it has to be.
    pub(super) fn room_named(&mut self, name: &str, maker: &Claim) -> Result<(RoomId, ShardId), Refusal> {
        let known = self.rooms.find(name).map(|room| (room.id, room.shard, room.open));
        let (id, shard, open) = match known {
            Some(known) => known,
            None => {
                if !self.rooms.shares.has_room(maker, 1) {
                    return Err(Refusal::later(60));
                }
                let shard = self.shards.least_loaded().ok_or(Refusal::later(60))?;
                let policy = self.settings.rooms.policy(name).ok_or(Refusal::new(404))?.clone();
                self.shards.room_opened(shard);
                let room = self.rooms.make(name, shard, policy, maker);
                (room.id, shard, false)
            }
        };
        if !open {
            self.rooms.made_again(id, maker);
            self.open_room(id);
        }
        Ok((id, shard))
    }

    /// Tells a room's shard that it exists, under the policy of today.
    pub(super) fn open_room(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        room.open = true;
        if let Some(policy) = self.settings.rooms.policy(&room.name) {
            room.policy = policy.clone();
        }
        let (name, shard, policy) = (room.name.clone(), room.shard, room.policy.clone());
        let uri = self.room_uri(&name).into();
        let names = self.hosts.names(&name);
        self.command(shard, Command::OpenRoom(Box::new(OpenRoom { room: id, uri, names, policy })));
    }

    /// Asks the call's shard to take its session.
    pub(super) fn open_session(&mut self, tag: Tag, terms: Terms, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        call.terms = Some(terms.clone());
        let (session, room, member, shard) = (call.session, call.room, call.member.clone(), call.shard);
        let formerly = call.formerly.take().map(|before| *before);
        if let Some(before) = &formerly {
            self.nicknames.inherit(before, &member.user);
        }
        self.command(shard, Command::OpenSession(Box::new(OpenSession { session, room, member, terms, formerly })));
        self.alarms.set(Alarm::Silence(tag), now + SHARD_ANSWER_MAX);
    }

    /// The session can be bound: the INVITE is answered, or, where the answer came with the ACK, it may be bound.
    pub(super) fn session_ready(&mut self, session: SessionId, now: Instant) {
        let Some(tag) = self.calls.of_session(session) else {
            return self.dialling.of_session(session).into_iter().for_each(|tag| self.dialling_ready(tag, now));
        };
        self.alarms.clear(&Alarm::Silence(tag));
        let Some(call) = self.calls.get_mut(tag) else { return };
        call.ready = true;
        self.roster_joined(tag, now);
        let Some(call) = self.calls.get_mut(tag) else { return };
        match call.phase {
            Phase::Opening(_) => self.answer_opening(tag, now),
            Phase::Confirmed => self.expect_binding(tag),
            Phase::Answered(_) => {}
        }
        self.call_the_listed(tag, now);
    }

    fn answer_opening(&mut self, tag: Tag, now: Instant) {
        let Some(Phase::Opening(opening)) = self.calls.set_phase(tag, Phase::Confirmed) else { return };
        let Opening { invite, request, offer, taken } = *opening;
        let setup = self.answered_setup(tag);
        let Some(body) = self.describe(tag, setup, |ours, origin| ours.answer(origin, &offer, &taken)) else { return };
        self.answer(&invite, &request, tag, body, false, now);
    }

    /// The shard does not take the session.
    pub(super) fn session_refused(&mut self, session: SessionId, why: ShardRefusal, now: Instant) {
        let Some(tag) = self.calls.of_session(session) else { return self.dialling_refused(session, why, now) };
        self.alarms.clear(&Alarm::Silence(tag));
        let refusal = match why {
            ShardRefusal::NoSuchRoom => Refusal::new(500),
            ShardRefusal::Full => Refusal::later(5),
            ShardRefusal::Draining => Refusal::later(60),
        };
        self.unopened(tag, &refusal);
    }

    /// The shard does not answer.
    pub(super) fn shard_is_silent(&mut self, tag: Tag) {
        tracing::warn!(call = %tag, "a shard has not answered");
        self.unopened(tag, &Refusal::later(10));
    }

    /// Our offer, in the 200 to an INVITE without one (RFC 3261 §13.3.1.4): the answer comes with the ACK.
    pub(super) fn send_offer(&mut self, id: &TransactionId, request: &Request, tag: Tag, now: Instant) {
        let Some(body) = self.describe_offer(tag, Direction::default()) else { return };
        self.answer(id, request, tag, body, true, now);
    }

    /// Writes the call's next offer, in which the peer may do what `direction` says.
    pub(super) fn describe_offer(&mut self, tag: Tag, direction: Direction) -> Option<String> {
        let described = &self.calls.get(tag)?.described;
        let (before, cema) = (described.last(), described.cema);
        self.describe(tag, Setup::ActPass, |ours, origin| match &before {
            Some(before) => ours.next_offer(origin, before, direction, cema),
            None => ours.offer(origin),
        })
    }

    /// Writes the call's next description.
    pub(super) fn describe(
        &mut self,
        tag: Tag,
        setup: Setup,
        write: impl Fn(&LocalMedia<'_>, Origin) -> String,
    ) -> Option<String> {
        let call = self.calls.get_mut(tag)?;
        let policy = self.rooms.get_mut(call.room)?.policy.clone();
        let peer = call.dialog.hop().remote.ip();
        let ours = our_media(&self.settings, &policy, &call.path, setup, peer)?;
        Some(call.described.next(|origin| write(&ours, origin)))
    }

    /// Sends a 200 with a description, and again until its ACK comes (RFC 3261 §13.3.1.4).
    pub(super) fn answer(
        &mut self,
        id: &TransactionId,
        request: &Request,
        tag: Tag,
        body: String,
        awaits_answer: bool,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        let (contact, arrival) = (call.contact.clone(), call.dialog.hop());
        let reply = self.welcome(request, &tag.to_string(), contact);
        let response = self
            .keep_time(tag, request, reply, now)
            .echo(request, &HeaderName::RecordRoute)
            .body("application/sdp", body);
        let unacknowledged = Unacknowledged {
            response: self.transactions.respond(id, response),
            hop: response_hop(&request.headers, arrival),
            sequence: cseq_number(&request.headers).unwrap_or_default(),
            interval: Transactions::t1(),
            awaits_answer,
        };
        self.calls.set_phase(tag, Phase::Answered(Box::new(unacknowledged)));
        self.alarms.set(Alarm::Resend(tag), now + Transactions::t1());
        self.alarms.set(Alarm::GiveUp(tag), now + 64 * Transactions::t1());
    }

    /// Sends the 200 again, at intervals that double up to T2.
    pub(super) fn resend(&mut self, tag: Tag, now: Instant) {
        let Some(Phase::Answered(waiting)) = self.calls.get_mut(tag).map(|call| &mut call.phase) else { return };
        waiting.interval = (waiting.interval * 2).min(Transactions::t2());
        let (hop, response, next) = (waiting.hop, waiting.response.clone(), now + waiting.interval);
        self.alarms.set(Alarm::Resend(tag), next);
        self.send(hop, response);
    }
}

/// Our side of the media of a room, for a peer at an address.
pub(super) fn our_media<'a>(
    settings: &'a Settings,
    policy: &'a RoomPolicy,
    path: &'a Path,
    setup: Setup,
    peer: IpAddr,
) -> Option<LocalMedia<'a>> {
    let port = path.first_uri()?.host_and_port().1?;
    Some(LocalMedia {
        terms: our_terms(settings, policy, peer),
        port,
        path,
        setup,
        fingerprints: &settings.fingerprints,
    })
}

/// What a room takes, as a peer at an address is to be told.
pub(super) fn our_terms<'a>(settings: &'a Settings, policy: &'a RoomPolicy, peer: IpAddr) -> LocalTerms<'a> {
    LocalTerms {
        host: &settings.msrp_host,
        ipv6: peer.to_canonical().is_ipv6(),
        accept_wrapped_types: &policy.wrapped_types,
        chatroom: ChatroomTokens { nickname: policy.nicknames, private_messages: policy.private_messages },
        max_size: policy.max_message_size,
        subject: policy.subject.as_deref(),
    }
}
