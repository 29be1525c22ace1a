//! Messages out: copies on the outboxes of everybody a message is for.

use std::time::Instant;

use rand_core::Rng;

use super::Switch;
use super::congestion::Hold;
use super::frame::{Body, Seed};
use super::outlets::{Delivery, Frames};
use super::stream::{Phase, Stream};
use super::timers::Alarm;
use crate::cpim::Wrapper;
use crate::facts::FailureReport;
use crate::ids::{ConnectionId, SessionKey};
use crate::limits::UNINTERRUPTIBLE_CHUNK_BYTES_MAX;
use crate::msrp::encode::{Report, drawn_id, report};
use crate::msrp::{ByteRange, Continuation, Status};
use crate::room::{Audience, MESSAGE_ID_LEN, wrapped_type};

impl Switch {
    /// Puts copies of a whole message on the outboxes of its audience.
    ///
    /// # Errors
    /// 413 where a private message reaches nobody because the addressee is congested or takes nothing that large.
    pub(super) fn fan_out(
        &mut self,
        sender: SessionKey,
        audience: &Audience,
        wrapper: &Wrapper<'_>,
        out_id: &[u8; MESSAGE_ID_LEN],
        body: Body<'_>,
        now: Instant,
    ) -> Result<(), Status> {
        let recipients = match audience {
            Audience::Private(_) => self.recipients(sender, audience, wrapper, body.len() as u64),
            Audience::Room => {
                self.deliver_to_room(sender, wrapper, out_id, body, now);
                return Ok(());
            }
        };
        match self.deliver_whole(sender, &recipients, out_id, body, now) {
            0 => Err(Status::STOP_SENDING),
            _ => Ok(()),
        }
    }

    /// The hot path: one walk over the seats of a room.
    fn deliver_to_room(
        &mut self,
        sender: SessionKey,
        wrapper: &Wrapper<'_>,
        out_id: &[u8; MESSAGE_ID_LEN],
        body: Body<'_>,
        now: Instant,
    ) {
        let Some(room) = self.sessions.get(sender).and_then(|entry| self.rooms.get(entry.room)) else { return };
        let verdicts = room.roster.verdicts(wrapped_type(wrapper));
        let len = body.len() as u64;
        let mut frames = self.outlets.frames(whole(out_id, room.policy.failure_report, body));
        for seat in room.roster.seats() {
            if seat.session != sender && seat.receives && seat.max_size >= len && verdicts.accepts(seat) {
                self.outlets.deliver(seat.connection, &seat.paths, &mut frames);
            }
        }
        let failure_report = room.policy.failure_report;
        self.forwarded(failure_report, &frames, None, now);
    }

    /// Puts copies of a whole message on the outboxes of certain sessions. Answers how many could take it.
    pub(super) fn deliver_whole(
        &mut self,
        sender: SessionKey,
        recipients: &[SessionKey],
        out_id: &[u8; MESSAGE_ID_LEN],
        body: Body<'_>,
        now: Instant,
    ) -> usize {
        let failure_report = self.failure_report_of(sender);
        let mut frames = self.outlets.frames(whole(out_id, failure_report, body));
        let mut delivered = 0;
        for session in recipients.iter().filter_map(|key| self.sessions.get(*key)).map(|entry| &entry.session) {
            if let Some(connection) = session.connection() {
                let delivery = self.outlets.deliver(connection, session.paths(), &mut frames);
                delivered += usize::from(delivery == Delivery::Queued);
            }
        }
        self.forwarded(failure_report, &frames, None, now);
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
        let verdicts = room.roster.verdicts(wrapped_type(wrapper));
        let seats = room.roster.seats().iter();
        match audience {
            Audience::Room => seats
                .filter(|seat| {
                    seat.session != sender && seat.receives && seat.max_size >= len && verdicts.accepts(seat)
                })
                .map(|seat| seat.session)
                .collect(),
            Audience::Private(sessions) => sessions
                .iter()
                .filter_map(|key| room.roster.seat(*key))
                .filter(|seat| seat.receives && seat.max_size >= len)
                .map(|seat| seat.session)
                .collect(),
        }
    }

    /// Sends on what has come of a stream, to those who can still take it.
    pub(super) fn emit(&mut self, sender: SessionKey, stream: &mut Stream, ends: bool, now: Instant) {
        let Phase::Flowing(flow) = &mut stream.phase else { return };
        let waiting = flow.waiting();
        let (first, slices) = flow.take(ends);
        let len = waiting - flow.waiting();
        if len == 0 {
            return;
        }
        let received = flow.sent + waiting;
        let start = flow.sent + 1;
        let total = match ends {
            true => Some(received),
            // Some count characters where octets are meant: what has come decides.
            false => stream.declared.filter(|total| *total > received),
        };
        let body = Body::Shared(&first, &slices);
        let continuation = if ends { Continuation::Complete } else { Continuation::More };
        let failure_report = self.failure_report_of(sender);
        let range = byte_range(start, len, total);
        let mut frames =
            self.outlets.frames(Seed { message_id: &stream.out_id, range, failure_report, body, continuation });
        let mut recipients = std::mem::take(&mut flow.recipients);
        recipients.retain(|key| self.emit_to(*key, sender, &mut frames, start, stream.declared, ends, now));
        flow.recipients = recipients;
        flow.sent += len;
        self.forwarded(failure_report, &frames, Some((sender, stream.out_id)), now);
    }

    /// Gives one recipient its copy of a piece. `false`: it gets nothing more of the message.
    #[allow(clippy::too_many_arguments, reason = "one recipient's share of `emit`, split off for its length")]
    fn emit_to(
        &mut self,
        key: SessionKey,
        sender: SessionKey,
        frames: &mut Frames<'_>,
        start: u64,
        declared: Option<u64>,
        ends: bool,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.sessions.get(key) else { return false };
        let Some(connection) = entry.session.connection() else { return false };
        let too_large = entry.session.terms.max_size.is_some_and(|max| start + frames.body_len() - 1 > max);
        let paths = entry.session.paths().clone();
        let delivered = !too_large && self.outlets.deliver(connection, &paths, frames) == Delivery::Queued;
        if !delivered {
            if start > 1 {
                let seed = frames.abort(start, declared);
                self.outlets.deliver_end(connection, &paths, &seed);
            }
            return false;
        }
        if !ends {
            self.hold_back(connection, sender, now);
        }
        true
    }

    /// A recipient of a stream that cannot keep up holds its sender back for a while.
    fn hold_back(&mut self, recipient: ConnectionId, sender: SessionKey, now: Instant) {
        let Some(from) = self.sessions.get(sender).and_then(|entry| entry.session.connection()) else { return };
        let Some(patience) = self.patience_of(recipient) else { return };
        match self.outlets.hold(recipient, from, now, patience) {
            Hold::NotNeeded => {}
            Hold::Until(at) => self.timers.set(at, Alarm::Patience(recipient)),
            Hold::Congested => self.outlets.congest(recipient),
        }
    }

    /// Tells everybody who has a part of a message that no more of it comes.
    pub(super) fn end_for_everybody(&mut self, sender: SessionKey, stream: &mut Stream, now: Instant) {
        let Phase::Flowing(flow) = &mut stream.phase else { return };
        let recipients = std::mem::take(&mut flow.recipients);
        if flow.sent == 0 {
            return;
        }
        let seed = abort(&stream.out_id, self.failure_report_of(sender), flow.sent + 1, stream.declared);
        for session in recipients.iter().filter_map(|key| self.sessions.get(*key)).map(|entry| &entry.session) {
            if let Some(connection) = session.connection() {
                self.outlets.deliver_end(connection, session.paths(), &seed);
            }
        }
        self.set_load_alarm(now);
    }

    /// A recipient wants nothing more of a message (413).
    pub(super) fn stop_stream_for(
        &mut self,
        connection: ConnectionId,
        sender: SessionKey,
        out_id: &[u8; MESSAGE_ID_LEN],
        _now: Instant,
    ) {
        let failure_report = self.failure_report_of(sender);
        let Some(entry) = self.sessions.get_mut(sender) else { return };
        let Some(stream) = entry.streams.iter_mut().find(|stream| stream.out_id == *out_id) else { return };
        let (declared, out_id) = (stream.declared, stream.out_id);
        let Phase::Flowing(flow) = &mut stream.phase else { return };
        let (sent, mut recipients) = (flow.sent, std::mem::take(&mut flow.recipients));
        let is_its = |key: &SessionKey| {
            self.sessions.get(*key).is_some_and(|entry| entry.session.connection() == Some(connection))
        };
        let stopped = recipients.iter().position(is_its).map(|at| recipients.swap_remove(at));
        if let Some(session) = stopped.and_then(|key| self.sessions.get(key)).map(|entry| &entry.session) {
            let seed = abort(&out_id, failure_report, sent + 1, declared);
            self.outlets.deliver_end(connection, session.paths(), &seed);
        }
        if let Some(Phase::Flowing(flow)) = self
            .sessions
            .get_mut(sender)
            .and_then(|entry| entry.streams.iter_mut().find(|stream| stream.out_id == out_id))
            .map(|stream| &mut stream.phase)
        {
            flow.recipients = recipients;
        }
    }

    /// Books a message or a piece of one that is on its way.
    fn forwarded(
        &mut self,
        failure_report: FailureReport,
        frames: &Frames<'_>,
        stream: Option<(SessionKey, [u8; MESSAGE_ID_LEN])>,
        now: Instant,
    ) {
        self.outlets.counters.messages += 1;
        self.set_load_alarm(now);
        if failure_report == FailureReport::No {
            return;
        }
        for (tid, copies) in frames.transactions() {
            let left = if failure_report == FailureReport::Yes { copies } else { 0 };
            if let Some(at) = self.awaited.add(tid, left, stream, now) {
                self.timers.set(at, Alarm::Responses);
            }
        }
    }

    fn failure_report_of(&self, sender: SessionKey) -> FailureReport {
        let room = self.sessions.get(sender).and_then(|entry| self.rooms.get(entry.room));
        room.map_or(FailureReport::No, |room| room.policy.failure_report)
    }

    /// Tells the sender that its message has arrived whole (RFC 4975 §7.1.2).
    pub(super) fn report_success(&mut self, key: SessionKey, message_id: &[u8], len: u64, cpim: Option<&[u8]>) {
        let tid = drawn_id(self.rng.next_u64());
        let Some(entry) = self.sessions.get(key) else { return };
        let Some(connection) = entry.session.connection() else { return };
        let terms = &entry.session.terms;
        let success = Report {
            tid: &tid,
            to_path: terms.remote.as_str().as_bytes(),
            from_path: terms.local.as_str().as_bytes(),
            message_id,
            byte_range: ByteRange { start: 1, end: Some(len), total: Some(len) },
            status: Status::OK,
            cpim,
        };
        self.outlets.control(connection, |out| report(out, &success));
    }
}

impl Frames<'_> {
    fn body_len(&self) -> u64 {
        self.seed().body.len() as u64
    }

    fn abort(&self, start: u64, declared: Option<u64>) -> Seed<'_> {
        abort(self.seed().message_id, self.seed().failure_report, start, declared)
    }
}

fn whole<'a>(message_id: &'a [u8], failure_report: FailureReport, body: Body<'a>) -> Seed<'a> {
    let len = body.len() as u64;
    let range = byte_range(1, len, Some(len));
    Seed { message_id, range, failure_report, body, continuation: Continuation::Complete }
}

fn abort(message_id: &[u8], failure_report: FailureReport, start: u64, declared: Option<u64>) -> Seed<'_> {
    let total = declared.filter(|total| *total >= start);
    let range = ByteRange { start, end: None, total };
    Seed { message_id, range, failure_report, body: Body::None, continuation: Continuation::Abort }
}

/// A chunk that is larger than may go uninterrupted has no range-end (RFC 4975 §7.1.1).
fn byte_range(start: u64, len: u64, total: Option<u64>) -> ByteRange {
    let fixed = len <= UNINTERRUPTIBLE_CHUNK_BYTES_MAX as u64;
    ByteRange { start, end: fixed.then_some(start + len - 1), total }
}
