//! Messages in: pieces of a body become a message for somebody (RFC 4975 §7.3.1, RFC 7701 §6).

use std::time::Instant;

use bytes::Bytes;

use super::Switch;
use super::connection::{Incoming, MessageId, Task};
use super::frame::{Body, Label};
use super::reports::{Receipt, report_cpim};
use super::stream::{Flow, Phase, Stream};
use crate::ids::{ConnectionId, SessionKey};
use crate::limits::{COPIED_BODY_BYTES_MAX, FRAME_SLICES_MAX, HELD_BYTES_PER_SESSION_MAX, HELD_BYTES_PER_SHARD_MAX};
use crate::room::{Audience, wrapped_type};
use crate::session::{Session, is_reporting};
use parlor_proto::cpim;
use parlor_proto::msrp::{Continuation, Status};

/// A piece of the body of a chunk.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    octets: &'a [u8],
    /// Its position in the message, counted from 0.
    position: u64,
    /// Whether it is the first of its chunk.
    first: bool,
    /// What ends the chunk, where this is its last piece.
    end: Option<Continuation>,
    /// The chunk says that it is message/cpim.
    cpim: bool,
    /// The chunk asks for a success report.
    success_report: bool,
    /// What else the chunk says about its body.
    content: Option<&'a [u8]>,
    /// Octets of the whole message, as the chunk has it.
    declared: Option<u64>,
    /// What the octets were received in.
    bytes: &'a Bytes,
}

impl Piece<'_> {
    fn end_position(&self) -> u64 {
        self.position + self.octets.len() as u64
    }
}

impl Switch {
    /// A piece of a chunk's body has come, and perhaps its end.
    pub(super) fn handle_body(
        &mut self,
        id: ConnectionId,
        incoming: &mut Incoming,
        octets: &[u8],
        end: Option<Continuation>,
        bytes: &Bytes,
        now: Instant,
    ) {
        let Task::Message { session, message_id, range, seen, cpim, content, .. } = &mut incoming.task else {
            return self.pass_over(incoming, end);
        };
        let piece = Piece {
            octets,
            position: range.start - 1 + *seen,
            first: *seen == 0,
            end,
            cpim: *cpim,
            content: content.as_deref(),
            success_report: incoming.success_report,
            declared: range.total,
            bytes,
        };
        *seen += octets.len() as u64;
        let (session, message_id) = (*session, &*message_id);
        if !self.carries(id, session) {
            // The session has ended, or was given another connection, while the chunk was under way.
            incoming.task = Task::Drop;
            return;
        }
        match self.take_piece(session, message_id, &piece, now) {
            Ok(receipt) if end.is_some() => self.acknowledge(id, incoming, session, receipt.as_ref()),
            Ok(_) => {}
            Err(status) => {
                // Answered at once; what is left of the chunk is read and dropped.
                let message_id = message_id.clone();
                self.answer(id, incoming, session, status);
                self.refuse_message(session, &message_id, status, end, now);
                incoming.task = Task::Refused { session, message_id };
            }
        }
    }

    fn carries(&self, id: ConnectionId, session: SessionKey) -> bool {
        self.sessions.get(session).is_some_and(|entry| entry.session.connection() == Some(id))
    }

    /// The end of a chunk that was refused may be the end of its message, and then nothing of it has to be remembered.
    fn pass_over(&mut self, incoming: &Incoming, end: Option<Continuation>) {
        if let Task::Refused { session, message_id } = &incoming.task
            && matches!(end, Some(Continuation::Complete | Continuation::Abort))
        {
            self.forget_refusal(*session, message_id);
        }
    }

    fn take_piece(
        &mut self,
        key: SessionKey,
        message_id: &MessageId,
        piece: &Piece<'_>,
        now: Instant,
    ) -> Result<Option<Receipt>, Status> {
        let mut stream = match self.take_stream(key, message_id) {
            Some(stream) => stream,
            None => {
                self.check_first_piece(key, message_id, piece)?;
                match piece.end {
                    Some(Continuation::Complete) if piece.first && piece.position == 0 => {
                        return self.forward_whole(key, message_id, piece, now);
                    }
                    Some(Continuation::Abort) => return Ok(None),
                    _ => self.new_stream(key, message_id.clone(), now)?,
                }
            }
        };
        stream.success_report |= piece.success_report;
        if stream.content.is_none() {
            stream.content = piece.content.map(Into::into);
        }
        stream.declared = piece.declared.or(stream.declared);
        let outcome = self.feed(key, &mut stream, piece, now);
        self.store(key, stream);
        outcome?;
        match piece.end {
            Some(continuation) => {
                let end = Some(piece.end_position());
                self.end_chunk(key, message_id, end, piece.success_report, continuation, now)
            }
            None => Ok(None),
        }
    }

    /// A piece of a message of which nothing is known: it may be a part of one that was refused, and it has to be wrapped.
    fn check_first_piece(&mut self, key: SessionKey, message_id: &[u8], piece: &Piece<'_>) -> Result<(), Status> {
        if piece.position == 0 {
            self.forget_refusal(key, message_id);
        } else if let Some(status) = self.refusal(key, message_id) {
            return Err(status);
        }
        // RFC 7701 §6.3.
        if piece.cpim { Ok(()) } else { Err(Status::UNSUPPORTED_MEDIA) }
    }

    /// The usual case: a message that is all there. No state is made for it.
    fn forward_whole(
        &mut self,
        key: SessionKey,
        message_id: &MessageId,
        piece: &Piece<'_>,
        now: Instant,
    ) -> Result<Option<Receipt>, Status> {
        let message = piece.octets;
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?;
        check_size(room.policy.max_message_size, message.len() as u64)?;
        let wrapper = cpim::parse_complete(message).map_err(|_| Status::BAD_REQUEST)?;
        check_direction(&entry.session, &wrapper)?;
        let audience = room.audience(&wrapper, |uri| entry.session.is_known_as(uri))?;
        let out_id = self.draw_message_id();
        let shared;
        let body = if message.len() <= COPIED_BODY_BYTES_MAX {
            Body::Copied(message)
        } else {
            shared = [share(piece.bytes, message)];
            Body::Shared(&[], &shared)
        };
        let reports = is_reporting(wrapped_type(&wrapper));
        let label = Label { message_id: &out_id, content: piece.content, reports };
        self.fan_out(key, &audience, &wrapper, label, body, now)?;
        Ok(piece.success_report.then(|| Receipt {
            message_id: message_id.clone(),
            len: message.len() as u64,
            cpim: report_cpim(&audience, &wrapper),
        }))
    }

    /// Takes a piece at its position, and what it frees behind it.
    fn feed(&mut self, key: SessionKey, stream: &mut Stream, piece: &Piece<'_>, now: Instant) -> Result<(), Status> {
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let policy = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?.policy.clone();
        check_size(policy.max_message_size, stream.declared.unwrap_or(0).max(piece.end_position()))?;
        stream.deadline = now + policy.chunk_reception_timeout;
        self.find_room(key, stream, piece)?;
        stream.rewrite(piece.position, stream.assembly.again(piece.position, piece.octets));
        let fresh = stream.assembly.take(piece.position, piece.octets, policy.forward_whole_up_to);
        let fresh = fresh.map_err(|_| Status::STOP_SENDING)?;
        self.absorb(key, stream, fresh, piece.bytes, now)?;
        while let Some(held) = stream.assembly.next_held() {
            let held = Bytes::from(held);
            self.absorb(key, stream, &held, &held, now)?;
        }
        // In the middle of what comes again, old octets and new ones do not belong together.
        if stream.rewritten && (piece.end.is_some() || !fresh.is_empty()) {
            self.check_rewritten(key, stream)?;
        }
        let abandoned = matches!(&stream.phase, Phase::Flowing(flow) if flow.recipients.is_empty());
        if stream.private && abandoned { Err(Status::STOP_SENDING) } else { Ok(()) }
    }

    /// Whether a piece may be held, where it has to be. Where too much is held already, a message whose recipients are known
    /// goes out from here on as it comes.
    fn find_room(&mut self, key: SessionKey, stream: &mut Stream, piece: &Piece<'_>) -> Result<(), Status> {
        let len = piece.octets.len();
        let of_session = self.sessions.get(key).map_or(0, |entry| entry.held_bytes);
        if of_session + len <= HELD_BYTES_PER_SESSION_MAX && self.held_bytes + len <= HELD_BYTES_PER_SHARD_MAX {
            return Ok(());
        }
        if piece.position > stream.assembly.received() {
            return Err(Status::STOP_SENDING);
        }
        match &stream.phase {
            Phase::Flowing(_) => Ok(()),
            Phase::Held { .. } => {
                self.start_flow(key, stream);
                Ok(())
            }
            Phase::Wrapper { .. } => Err(Status::STOP_SENDING),
        }
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
                if !stream.rewritten && scanner.feed(fresh).map_err(|_| Status::BAD_REQUEST)?.is_some() {
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

    fn flow_if_large(&mut self, key: SessionKey, stream: &mut Stream) {
        if matches!(stream.phase, Phase::Held { .. }) && self.is_large(key, stream) {
            self.start_flow(key, stream);
        }
        if matches!(stream.phase, Phase::Flowing(_)) && self.flowing.last() != Some(&key) {
            self.flowing.push(key);
        }
    }

    /// A message of which octets came again and otherwise is addressed anew: once it is whole, as is one that was not addressed
    /// yet, or here, where more of it has come than is held.
    fn check_rewritten(&mut self, key: SessionKey, stream: &mut Stream) -> Result<(), Status> {
        if !self.is_large(key, stream) {
            return Ok(());
        }
        stream.rewritten = false;
        let Phase::Wrapper { scanner, octets } = &mut stream.phase else { return Ok(()) };
        if scanner.feed(octets).map_err(|_| Status::BAD_REQUEST)?.is_some() {
            self.address(key, stream)?;
            self.flow_if_large(key, stream);
        }
        Ok(())
    }

    /// The CPIM headers are there: decides who gets the message. Later joiners get nothing of it.
    fn address(&mut self, key: SessionKey, stream: &mut Stream) -> Result<(), Status> {
        let Phase::Wrapper { octets, .. } = &mut stream.phase else { return Ok(()) };
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get(entry.room).ok_or(Status::NO_SESSION)?;
        let wrapper = cpim::parse_complete(octets).map_err(|_| Status::BAD_REQUEST)?;
        check_direction(&entry.session, &wrapper)?;
        let audience = room.audience(&wrapper, |uri| entry.session.is_known_as(uri))?;
        let recipients = self.recipients(key, &audience, &wrapper, stream.declared.unwrap_or(0));
        stream.private = audience != Audience::Room;
        stream.reports = is_reporting(wrapped_type(&wrapper));
        if stream.private && recipients.is_empty() {
            return Err(Status::STOP_SENDING);
        }
        stream.report_cpim = report_cpim(&audience, &wrapper);
        stream.phase = Phase::Held { recipients, octets: std::mem::take(octets) };
        Ok(())
    }

    /// Whether a message is, or says it is, larger than what is held until it is complete.
    fn is_large(&self, key: SessionKey, stream: &Stream) -> bool {
        let (Phase::Wrapper { octets, .. } | Phase::Held { octets, .. }) = &stream.phase else { return false };
        let room = self.sessions.get(key).and_then(|entry| self.rooms.get(entry.room));
        let limit = room.map_or(0, |room| room.policy.forward_whole_up_to);
        octets.len() > limit || stream.declared.is_some_and(|total| total > limit as u64)
    }

    fn start_flow(&mut self, key: SessionKey, stream: &mut Stream) {
        if let Phase::Held { recipients, octets } = &mut stream.phase {
            self.senders.begin(stream.out_id, key);
            stream.phase = Phase::Flowing(Flow::of(std::mem::take(recipients), std::mem::take(octets)));
        }
    }

    /// A chunk of a message has ended at `position`; `None` where it had no body. Its flag may end the message, and what it
    /// carried may have been the last that was missing. `wish`: it asks for a success report.
    pub(super) fn end_chunk(
        &mut self,
        key: SessionKey,
        message_id: &[u8],
        position: Option<u64>,
        wish: bool,
        continuation: Continuation,
        now: Instant,
    ) -> Result<Option<Receipt>, Status> {
        if continuation == Continuation::Abort {
            self.abort_stream(key, message_id, now);
            return Ok(None);
        }
        let Some(mut stream) = self.take_stream(key, message_id) else {
            // A message of no octets, which have all arrived (RFC 4975 §7.1.3).
            return Ok(wish.then(|| Receipt { message_id: message_id.into(), len: 0, cpim: None }));
        };
        stream.success_report |= wish;
        if continuation == Continuation::Complete {
            stream.assembly.end_at(position.unwrap_or_else(|| stream.assembly.furthest()));
        }
        if !stream.assembly.is_complete() {
            self.store(key, stream);
            return Ok(None);
        }
        let outcome = self.finish(key, &mut stream, now);
        self.senders.end(&stream.out_id);
        self.book_held(key);
        outcome
    }

    /// All octets of a message are there.
    fn finish(&mut self, key: SessionKey, stream: &mut Stream, now: Instant) -> Result<Option<Receipt>, Status> {
        self.address(key, stream)?;
        let delivered = match &mut stream.phase {
            Phase::Wrapper { .. } => return Err(Status::BAD_REQUEST),
            Phase::Held { recipients, octets } => {
                let (recipients, octets) = (std::mem::take(recipients), [Bytes::from(std::mem::take(octets))]);
                let content = stream.content.as_deref();
                let label = Label { message_id: &stream.out_id, content, reports: stream.reports };
                self.deliver_whole(key, &recipients, label, Body::Shared(&[], &octets), now)
            }
            Phase::Flowing(_) => self.emit(key, stream, true, now),
        };
        self.outlets.counters.messages += 1;
        if stream.private && delivered == 0 {
            return Err(Status::STOP_SENDING);
        }
        Ok(stream.success_report.then(|| Receipt {
            message_id: stream.message_id.clone(),
            len: stream.assembly.received(),
            cpim: stream.report_cpim.take(),
        }))
    }
}

/// Who is on hold sends no messages (RFC 4975 §8.9).
fn check_direction(session: &Session, wrapper: &cpim::Wrapper<'_>) -> Result<(), Status> {
    if session.may_send(wrapped_type(wrapper)) { Ok(()) } else { Err(Status::FORBIDDEN) }
}

fn check_size(max: u64, len: u64) -> Result<(), Status> {
    if max > 0 && len > max { Err(Status::STOP_SENDING) } else { Ok(()) }
}

/// A slice of what was received, or a copy where the octets are the parser's own.
fn share(bytes: &Bytes, piece: &[u8]) -> Bytes {
    let range = bytes.as_ptr_range();
    if range.contains(&piece.as_ptr()) { bytes.slice_ref(piece) } else { Bytes::copy_from_slice(piece) }
}
