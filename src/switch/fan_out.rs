//! Forwarding of messages: copies to all recipients.

use std::time::Instant;

use super::egress::{Body, ChunkTemplate, Delivery, Egress, Frames, Label};
use super::state::Switch;
use super::stream::{Phase, Stream};
use super::timer::Timer;
use crate::facts::FailureReport;
use crate::ids::SessionKey;
use crate::limits::UNINTERRUPTIBLE_CHUNK_BYTES_MAX;
use crate::room::{Audience, MESSAGE_ID_LEN, Room, RoomMember, wrapped_type};
use crate::session::{Session, is_reporting};
use parlor_proto::cpim::Wrapper;
use parlor_proto::msrp::{ByteRange, Continuation, Status};

impl Switch {
    /// Queues copies of a whole message for its audience.
    ///
    /// # Errors
    /// Returns 413 if a private message has no recipient: the addressee is congested or does not accept messages that large.
    pub(super) fn fan_out(
        &mut self,
        sender: SessionKey,
        audience: &Audience,
        wrapper: &Wrapper<'_>,
        label: Label<'_>,
        body: Body<'_>,
        now: Instant,
    ) -> Result<(), Status> {
        self.egress.counters.messages += 1;
        match audience {
            Audience::Room => self.deliver_to_room(sender, wrapper, label, body, now),
            Audience::Private(_) => {
                let recipients = self.recipients(sender, audience, wrapper, body.len() as u64);
                if self.deliver_whole(sender, &recipients, label, body, now) == 0 {
                    return Err(Status::STOP_SENDING);
                }
            }
        }
        Ok(())
    }

    /// The hot path. Messages that all attached members accept are appended to the room log; detached members are checked one by one.
    fn deliver_to_room(
        &mut self,
        sender: SessionKey,
        wrapper: &Wrapper<'_>,
        label: Label<'_>,
        body: Body<'_>,
        now: Instant,
    ) {
        let Some(entry) = self.sessions.get(sender) else { return };
        let (room_key, from) = (entry.room, entry.session.connection());
        let Some(room) = self.rooms.get(room_key) else { return };
        let failure_report = room.policy.failure_report;
        let matches = room.roster.match_type(wrapped_type(wrapper));
        let reports = label.reports;
        let len = body.len() as u64;
        let bypasses_congestion = room.policy.bypasses_congestion(len);
        let template = whole(label, failure_report, body);
        let appended = from.filter(|_| matches.all()).and_then(|from| self.egress.append(room_key, from, &template));
        let mut frames = self.egress.frames(template, bypasses_congestion, now);
        let (egress, sessions) = (&mut self.egress, &mut self.sessions);
        let mut deliver = |egress: &mut Egress, member: &RoomMember| {
            if member.session != sender
                && (member.receives || reports)
                && member.max_size >= len
                && matches.accepts(member)
                && egress.deliver(member.connection, &member.paths, &mut frames) == Delivery::Discarded
                && let Some(entry) = sessions.get_mut(member.session)
            {
                entry.missed += 1;
            }
        };
        if appended.is_none() {
            room.roster.members().iter().for_each(|member| deliver(egress, member));
        } else {
            // Nobody is attached or detached by getting a copy here.
            let mut at = 0;
            while let Some(session) = egress.detached(room_key, at) {
                if let Some(member) = room.roster.member(session) {
                    deliver(egress, member);
                }
                at += 1;
            }
        }
        self.forwarded(failure_report, frames.transactions().chain(appended), None, now);
    }

    /// Puts copies of a whole message on the outboxes of certain sessions. Returns how many could take it.
    pub(super) fn deliver_whole(
        &mut self,
        sender: SessionKey,
        recipients: &[SessionKey],
        label: Label<'_>,
        body: Body<'_>,
        now: Instant,
    ) -> usize {
        let (failure_report, len) = (self.failure_report_of(sender), body.len() as u64);
        let bypasses_congestion = self.room_of(sender).is_some_and(|room| room.policy.bypasses_congestion(len));
        let mut frames = self.egress.frames(whole(label, failure_report, body), bypasses_congestion, now);
        let mut delivered = 0;
        for key in recipients {
            let Some(session) = self.sessions.get(*key).map(|entry| &entry.session) else { continue };
            // Its size was not known for sure when its recipients were chosen.
            let Some(connection) = session.connection().filter(|_| takes(session, len, label.reports)) else {
                continue;
            };
            match self.egress.deliver(connection, session.paths(), &mut frames) {
                Delivery::Queued => delivered += 1,
                Delivery::Discarded => self.count_missed(*key),
            }
        }
        self.forwarded(failure_report, frames.transactions(), None, now);
        delivered
    }

    /// Who gets a message, as far as is known when it begins.
    pub(super) fn recipients(
        &self,
        sender: SessionKey,
        audience: &Audience,
        wrapper: &Wrapper<'_>,
        len: u64,
    ) -> Vec<SessionKey> {
        let Some(room) = self.sessions.get(sender).and_then(|entry| self.rooms.get(entry.room)) else {
            return Vec::new();
        };
        let kind = wrapped_type(wrapper);
        let reports = is_reporting(kind);
        let fits = |member: &&RoomMember| (member.receives || reports) && member.max_size >= len;
        match audience {
            Audience::Room => {
                let matches = room.roster.match_type(kind);
                let others = room.roster.members().iter().filter(|member| member.session != sender);
                others.filter(fits).filter(|member| matches.accepts(member)).map(|member| member.session).collect()
            }
            Audience::Private(sessions) => sessions
                .iter()
                .filter_map(|key| room.roster.member(*key))
                .filter(fits)
                .map(|member| member.session)
                .collect(),
        }
    }

    /// Forwards what has come of a stream, to those who can still take it. Returns how many those are.
    pub(super) fn emit(&mut self, sender: SessionKey, stream: &mut Stream, ends: bool, now: Instant) -> usize {
        let Phase::Flowing(flow) = &mut stream.phase else { return 0 };
        let received = flow.sent + flow.waiting();
        let (first, slices) = flow.take(ends);
        let body = Body::Shared(&first, &slices);
        let len = body.len() as u64;
        if len == 0 {
            return flow.recipients.len();
        }
        let total = match ends {
            true => Some(received),
            // Some clients count characters instead of octets: what has come decides.
            false => stream.declared.filter(|total| *total > received),
        };
        let range = byte_range(flow.sent + 1, len, total);
        let continuation = if ends { Continuation::Complete } else { Continuation::More };
        let failure_report = self.failure_report_of(sender);
        let content = stream.content.as_deref();
        let label = Label { message_id: &stream.out_id, content, reports: stream.reports };
        let template = ChunkTemplate { label, range, failure_report, body, continuation };
        let mut emission =
            Emission { sender, frames: self.egress.frames(template, false, now), end: flow.sent + len, ends, now };
        flow.recipients.retain(|key| self.emit_to(*key, &mut emission));
        flow.sent += len;
        self.forwarded(failure_report, emission.frames.transactions(), Some((sender, stream.out_id)), now);
        flow.recipients.len()
    }

    /// Gives one recipient its copy of a piece. `false`: it gets nothing more of the message.
    fn emit_to(&mut self, key: SessionKey, emission: &mut Emission<'_>) -> bool {
        let Some(session) = self.sessions.get(key).map(|entry| &entry.session) else { return false };
        let Some(connection) = session.connection() else { return false };
        let takes = takes(session, emission.end, emission.frames.template().label.reports);
        let delivered =
            takes && self.egress.deliver(connection, session.paths(), &mut emission.frames) == Delivery::Queued;
        let template = emission.frames.template();
        if !delivered && template.range.start > 1 {
            self.egress.deliver_end(
                connection,
                session.paths(),
                &abort(template.label.message_id, template.failure_report),
            );
        } else if delivered && !emission.ends {
            self.hold_back(connection, emission.sender, emission.now);
        }
        if takes && !delivered {
            self.count_missed(key);
        }
        delivered
    }

    /// Aborts a message (`#`) for all recipients that have a part of it.
    pub(super) fn abort_for_all(&mut self, sender: SessionKey, stream: &mut Stream, now: Instant) {
        let Phase::Flowing(flow) = &mut stream.phase else { return };
        let recipients = std::mem::take(&mut flow.recipients);
        if flow.sent == 0 {
            return;
        }
        let template = abort(&stream.out_id, self.failure_report_of(sender));
        for session in recipients.iter().filter_map(|key| self.sessions.get(*key)).map(|entry| &entry.session) {
            if let Some(connection) = session.connection() {
                self.egress.deliver_end(connection, session.paths(), &template);
            }
        }
        self.start_load_timer(now);
    }

    /// A recipient wants nothing more of a message (413).
    pub(super) fn stop_stream_for(&mut self, recipient: SessionKey, sender: SessionKey, out_id: &[u8; MESSAGE_ID_LEN]) {
        let failure_report = self.failure_report_of(sender);
        let Some(entry) = self.sessions.get_mut(sender) else { return };
        let Some(stream) = entry.streams.iter_mut().find(|stream| stream.out_id == *out_id) else { return };
        let Phase::Flowing(flow) = &mut stream.phase else { return };
        let Some(at) = flow.recipients.iter().position(|key| *key == recipient) else { return };
        flow.recipients.remove(at);
        let Some(session) = self.sessions.get(recipient).map(|entry| &entry.session) else { return };
        if let Some(connection) = session.connection() {
            self.egress.deliver_end(connection, session.paths(), &abort(out_id, failure_report));
        }
    }

    /// A message, or a piece of one, was forwarded: awaits the responses to it, where the room wants any.
    fn forwarded(
        &mut self,
        failure_report: FailureReport,
        transactions: impl Iterator<Item = (u64, u32)>,
        stream: Option<(SessionKey, [u8; MESSAGE_ID_LEN])>,
        now: Instant,
    ) {
        self.start_load_timer(now);
        self.start_congestion_timers(now);
        if failure_report == FailureReport::No {
            return;
        }
        for (tid, copies) in transactions {
            let left = if failure_report == FailureReport::Yes { copies } else { 0 };
            if let Some(at) = self.awaited.add(tid, left, stream, now) {
                self.timers.set_earliest(Timer::Responses, at);
            }
        }
    }

    fn failure_report_of(&self, sender: SessionKey) -> FailureReport {
        self.room_of(sender).map_or(FailureReport::No, |room| room.policy.failure_report)
    }

    fn room_of(&self, session: SessionKey) -> Option<&Room> {
        self.rooms.get(self.sessions.get(session)?.room)
    }
}

/// A piece of a stream on its way to the recipients.
struct Emission<'a> {
    sender: SessionKey,
    frames: Frames<'a>,
    /// The position of its last octet, counted from 1.
    end: u64,
    /// It is the last.
    ends: bool,
    now: Instant,
}

/// Whether a session can receive at the moment, and something that large.
fn takes(session: &Session, len: u64, reports: bool) -> bool {
    (session.terms.direction.receives || reports) && session.terms.max_size.is_none_or(|max| len <= max)
}

fn whole<'a>(label: Label<'a>, failure_report: FailureReport, body: Body<'a>) -> ChunkTemplate<'a> {
    let len = body.len() as u64;
    let range = byte_range(1, len, Some(len));
    ChunkTemplate { label, range, failure_report, body, continuation: Continuation::Complete }
}

/// What ends a message of which no more comes. It carries nothing, and then its range starts at 1 (RFC 4975 §7.1.1).
fn abort(message_id: &[u8], failure_report: FailureReport) -> ChunkTemplate<'_> {
    let range = ByteRange { start: 1, end: Some(0), total: None };
    let label = Label::of(message_id);
    ChunkTemplate { label, range, failure_report, body: Body::None, continuation: Continuation::Abort }
}

/// A chunk that is larger than may go uninterrupted has no range-end (RFC 4975 §7.1.1).
fn byte_range(start: u64, len: u64, total: Option<u64>) -> ByteRange {
    let fixed = len <= UNINTERRUPTIBLE_CHUNK_BYTES_MAX as u64;
    ByteRange { start, end: fixed.then_some(start + len - 1), total }
}
