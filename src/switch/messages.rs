//! Messages in: pieces of a body become a message for somebody (RFC 4975 §7.3.1, RFC 7701 §6).

use std::time::Instant;

use bytes::Bytes;

use super::Switch;
use super::connection::{Incoming, Task};
use super::frame::Body;
use super::stream::{Flow, Phase, Stream};
use super::timers::Alarm;
use crate::cpim;
use crate::ids::{ConnectionId, SessionKey};
use crate::limits::{
    COPIED_BODY_BYTES_MAX, FRAME_SLICES_MAX, HELD_BYTES_PER_SESSION_MAX, HELD_BYTES_PER_SHARD_MAX,
    STREAMS_PER_SESSION_MAX,
};
use crate::msrp::{Continuation, Status};
use crate::room::Audience;

impl Switch {
    /// A piece of a chunk's body has come, and perhaps its end.
    pub(super) fn handle_body(
        &mut self,
        id: ConnectionId,
        incoming: &mut Incoming,
        piece: &[u8],
        end: Option<Continuation>,
        bytes: &Bytes,
        now: Instant,
    ) {
        let Task::Message { session, .. } = incoming.task else { return };
        match self.take_piece(incoming, piece, end, bytes, now) {
            Ok(()) if end.is_some() => self.answer(id, incoming, session, Status::OK),
            Ok(()) => {}
            Err(status) => {
                // Answered at once; what is left of the chunk is read and dropped.
                self.answer(id, incoming, session, status);
                if let Task::Message { message_id, .. } = &incoming.task {
                    self.abort_stream(session, message_id, now);
                }
                incoming.task = Task::Drop;
            }
        }
    }

    fn take_piece(
        &mut self,
        incoming: &mut Incoming,
        piece: &[u8],
        end: Option<Continuation>,
        bytes: &Bytes,
        now: Instant,
    ) -> Result<(), Status> {
        let success_report = incoming.success_report;
        let Task::Message { session: key, message_id, range, seen, cpim } = &mut incoming.task else { return Ok(()) };
        let (key, first) = (*key, *seen == 0);
        let position = range.start - 1 + *seen;
        *seen += piece.len() as u64;
        let entry = self.sessions.get_mut(key).ok_or(Status::NO_SESSION)?;
        let at = entry.streams.iter().position(|stream| stream.message_id == *message_id);
        if at.is_none() && !*cpim {
            return Err(Status::UNSUPPORTED_MEDIA);
        }
        if at.is_none() && first && position == 0 && end == Some(Continuation::Complete) {
            return self.forward_whole(key, &message_id.clone(), success_report, piece, bytes, now);
        }
        let mut stream = match at {
            Some(at) => entry.streams.swap_remove(at),
            None if end == Some(Continuation::Abort) => return Ok(()),
            None => self.new_stream(key, message_id.clone(), now)?,
        };
        stream.success_report |= success_report;
        stream.declared = range.total.or(stream.declared);
        let outcome = self.feed(key, &mut stream, position, piece, bytes, now);
        self.store(key, stream);
        outcome?;
        match end {
            Some(continuation) => {
                self.end_chunk(key, &message_id.clone(), position + piece.len() as u64, continuation, now)
            }
            None => Ok(()),
        }
    }

    /// The usual case: a message that is all there. No state is made for it.
    fn forward_whole(
        &mut self,
        key: SessionKey,
        message_id: &[u8],
        success_report: bool,
        message: &[u8],
        bytes: &Bytes,
        now: Instant,
    ) -> Result<(), Status> {
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?;
        check_size(room.policy.max_message_size, message.len() as u64)?;
        let wrapper = cpim::parse_whole(message).map_err(|_| Status::BAD_REQUEST)?;
        let audience = room.audience(&wrapper, |uri| entry.session.is_known_as(uri))?;
        let out_id = room.message_id(&entry.session.member.user, message_id);
        let shared;
        let body = if message.len() <= COPIED_BODY_BYTES_MAX {
            Body::Copied(message)
        } else {
            shared = [share(bytes, message)];
            Body::Shared(&[], &shared)
        };
        let report = success_report.then(|| report_cpim(&audience, &wrapper));
        self.fan_out(key, &audience, &wrapper, &out_id, body, now)?;
        if let Some(cpim) = report {
            self.report_success(key, message_id, message.len() as u64, cpim.as_deref());
        }
        Ok(())
    }

    fn new_stream(
        &mut self,
        key: SessionKey,
        message_id: super::connection::MessageId,
        now: Instant,
    ) -> Result<Stream, Status> {
        let entry = self.sessions.get_mut(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?;
        if entry.streams.len() >= STREAMS_PER_SESSION_MAX {
            return Err(Status::STOP_SENDING);
        }
        let out_id = room.message_id(&entry.session.member.user, &message_id);
        let deadline = now + room.policy.chunk_reception_timeout;
        if !std::mem::replace(&mut entry.streams_alarm, true) {
            self.timers.set(deadline, Alarm::Streams(key));
        }
        Ok(Stream::new(message_id, out_id, deadline))
    }

    /// Puts a stream back with its session, and books what it holds.
    fn store(&mut self, key: SessionKey, stream: Stream) {
        if let Some(entry) = self.sessions.get_mut(key) {
            entry.streams.push(stream);
        }
        self.book_held(key);
    }

    fn book_held(&mut self, key: SessionKey) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        let held = entry.streams.iter().map(Stream::held_bytes).sum();
        self.held_bytes = self.held_bytes - std::mem::replace(&mut entry.held_bytes, held) + held;
    }

    /// Takes a piece at its position, and what it frees behind it.
    fn feed(
        &mut self,
        key: SessionKey,
        stream: &mut Stream,
        position: u64,
        piece: &[u8],
        bytes: &Bytes,
        now: Instant,
    ) -> Result<(), Status> {
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let policy = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?.policy.clone();
        check_size(policy.max_message_size, stream.declared.unwrap_or(0).max(position + piece.len() as u64))?;
        let held = entry.held_bytes + piece.len();
        if held > HELD_BYTES_PER_SESSION_MAX || self.held_bytes + piece.len() > HELD_BYTES_PER_SHARD_MAX {
            return Err(Status::STOP_SENDING);
        }
        stream.deadline = now + policy.chunk_reception_timeout;
        let fresh = stream.assembly.take(position, piece, policy.forward_whole_up_to);
        let fresh = fresh.map_err(|_| Status::STOP_SENDING)?;
        self.absorb(key, stream, fresh, bytes, now)?;
        while let Some(held) = stream.assembly.next_held() {
            let held = Bytes::from(held);
            self.absorb(key, stream, &held, &held, now)?;
        }
        Ok(())
    }

    /// Takes the next octets of a message in order.
    fn absorb(
        &mut self,
        key: SessionKey,
        stream: &mut Stream,
        fresh: &[u8],
        bytes: &Bytes,
        now: Instant,
    ) -> Result<(), Status> {
        if fresh.is_empty() {
            return Ok(());
        }
        match &mut stream.phase {
            Phase::Wrapper { scanner, octets } => {
                octets.extend_from_slice(fresh);
                if scanner.feed(fresh).map_err(|_| Status::BAD_REQUEST)?.is_some() {
                    self.address(key, stream)?;
                }
            }
            Phase::Held { octets, .. } => octets.extend_from_slice(fresh),
            Phase::Flowing(flow) => {
                flow.pending.push(share(bytes, fresh));
                if flow.pending.len() >= FRAME_SLICES_MAX {
                    self.emit(key, stream, false, now);
                }
            }
        }
        self.flow_if_large(key, stream);
        Ok(())
    }

    /// The CPIM headers are there: decides who gets the message. Later joiners get nothing of it.
    fn address(&mut self, key: SessionKey, stream: &mut Stream) -> Result<(), Status> {
        let Phase::Wrapper { octets, .. } = &mut stream.phase else { return Ok(()) };
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?;
        let wrapper = cpim::parse_whole(octets).map_err(|_| Status::BAD_REQUEST)?;
        let audience = room.audience(&wrapper, |uri| entry.session.is_known_as(uri))?;
        stream.report_cpim = report_cpim(&audience, &wrapper).map(Into::into);
        let recipients = self.recipients(key, &audience, &wrapper, stream.declared.unwrap_or(0));
        let octets = std::mem::take(octets);
        stream.phase = Phase::Held { recipients, octets };
        Ok(())
    }

    /// A message that is, or says it is, larger than what is held goes out as it comes.
    fn flow_if_large(&self, key: SessionKey, stream: &mut Stream) {
        let Phase::Held { recipients, octets } = &mut stream.phase else { return };
        let room = self.sessions.get(key).and_then(|entry| self.rooms.get(entry.room));
        let limit = room.map_or(0, |room| room.policy.forward_whole_up_to);
        if octets.len() <= limit && stream.declared.is_none_or(|total| total <= limit as u64) {
            return;
        }
        let mut flow = Flow { recipients: std::mem::take(recipients), ..Flow::default() };
        flow.pending.push(Bytes::from(std::mem::take(octets)));
        stream.phase = Phase::Flowing(flow);
    }

    fn end_chunk(
        &mut self,
        key: SessionKey,
        message_id: &[u8],
        position: u64,
        continuation: Continuation,
        now: Instant,
    ) -> Result<(), Status> {
        if continuation == Continuation::Abort {
            self.abort_stream(key, message_id, now);
            return Ok(());
        }
        let Some(mut stream) = self.take_stream(key, message_id) else { return Ok(()) };
        if continuation == Continuation::Complete {
            stream.assembly.end_at(position);
        }
        // The chunk that fills the last gap need not be the one that ends the message.
        if !stream.assembly.is_complete() {
            self.store(key, stream);
            return Ok(());
        }
        let outcome = self.finish(key, &mut stream, now);
        self.book_held(key);
        outcome
    }

    /// All octets of a message are there.
    fn finish(&mut self, key: SessionKey, stream: &mut Stream, now: Instant) -> Result<(), Status> {
        let total = stream.assembly.received();
        if matches!(stream.phase, Phase::Wrapper { .. }) {
            self.address(key, stream)?;
        }
        match &mut stream.phase {
            Phase::Wrapper { .. } => return Err(Status::BAD_REQUEST),
            Phase::Flowing(_) => self.emit(key, stream, true, now),
            Phase::Held { recipients, octets } => {
                let (recipients, octets) = (std::mem::take(recipients), Bytes::from(std::mem::take(octets)));
                self.deliver_whole(key, &recipients, &stream.out_id, Body::Shared(&[], &[octets]), now);
            }
        }
        if stream.success_report {
            self.report_success(key, &stream.message_id, total, stream.report_cpim.as_deref());
        }
        Ok(())
    }

    fn take_stream(&mut self, key: SessionKey, message_id: &[u8]) -> Option<Stream> {
        let streams = &mut self.sessions.get_mut(key)?.streams;
        let at = streams.iter().position(|stream| stream.message_id[..] == *message_id)?;
        Some(streams.swap_remove(at))
    }

    /// A message is given up, by its sender or because it was refused: who has a part of it is told.
    pub(super) fn abort_stream(&mut self, key: SessionKey, message_id: &[u8], now: Instant) {
        if let Some(mut stream) = self.take_stream(key, message_id) {
            self.outlets.counters.aborted += 1;
            self.end_for_everybody(key, &mut stream, now);
            self.book_held(key);
        }
    }

    /// The sender is gone, and with it the rest of what it was sending.
    pub(super) fn drop_streams(&mut self, key: SessionKey, now: Instant) {
        while let Some(mut stream) = self.sessions.get_mut(key).and_then(|entry| entry.streams.pop()) {
            self.outlets.counters.aborted += 1;
            self.end_for_everybody(key, &mut stream, now);
        }
        self.book_held(key);
    }

    /// The chunk reception timer (RFC 7701 §6.1).
    pub(super) fn check_streams(&mut self, key: SessionKey, now: Instant) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        entry.streams_alarm = false;
        let late: Vec<_> = entry
            .streams
            .iter()
            .filter(|stream| stream.deadline <= now)
            .map(|stream| stream.message_id.clone())
            .collect();
        if let Some(next) = entry.streams.iter().map(|stream| stream.deadline).filter(|at| *at > now).min() {
            entry.streams_alarm = true;
            self.timers.set(next, Alarm::Streams(key));
        }
        for message_id in late {
            self.abort_stream(key, &message_id, now);
        }
    }

    /// The turn is over: what came of streams goes out.
    pub(super) fn end_turn(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.outlets.connections.get(id) else { return };
        for key in connection.sessions.clone() {
            let flowing = |stream: &Stream| matches!(&stream.phase, Phase::Flowing(flow) if !flow.pending.is_empty());
            let count = self.sessions.get(key).map_or(0, |entry| entry.streams.len());
            for at in 0..count {
                let Some(entry) = self.sessions.get_mut(key) else { break };
                if !flowing(&entry.streams[at]) {
                    continue;
                }
                let mut stream = entry.streams.swap_remove(at);
                self.emit(key, &mut stream, false, now);
                if let Some(entry) = self.sessions.get_mut(key) {
                    entry.streams.push(stream);
                    let last = entry.streams.len() - 1;
                    entry.streams.swap(at, last);
                }
            }
        }
    }
}

fn check_size(max: u64, len: u64) -> Result<(), Status> {
    if max > 0 && len > max { Err(Status::STOP_SENDING) } else { Ok(()) }
}

/// A slice of what was received, or a copy where the octets are the parser's own.
fn share(bytes: &Bytes, piece: &[u8]) -> Bytes {
    let range = bytes.as_ptr_range();
    if range.contains(&piece.as_ptr()) { bytes.slice_ref(piece) } else { Bytes::copy_from_slice(piece) }
}

/// The From and To of a private message, for the REPORT about it (RFC 7701 §6.2).
fn report_cpim(audience: &Audience, wrapper: &cpim::Wrapper<'_>) -> Option<Vec<u8>> {
    if *audience == Audience::Room {
        return None;
    }
    let mut out = Vec::new();
    for header in wrapper.headers().filter(|header| matches!(header.name, "From" | "To")) {
        out.extend_from_slice(header.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(header.value);
        out.extend_from_slice(b"\r\n");
    }
    Some(out)
}
