//! Messages in: pieces of a body become a message for somebody (RFC 4975 §7.3.1, RFC 7701 §6).

use std::time::Instant;

use bytes::Bytes;

use super::egress::{Body, Label};
use super::incoming::{Incoming, MessageId, Task};
use super::piece::{Piece, check_direction, check_size, slice_of};
use super::reports::{Receipt, report_cpim};
use super::state::Switch;
use super::stream::{Phase, Stream};
use crate::ids::{ConnectionId, SessionKey};
use crate::limits::COPIED_BODY_BYTES_MAX;
use crate::room::wrapped_type;
use crate::session::is_reporting;
use parlor_proto::cpim;
use parlor_proto::msrp::{Continuation, Status};

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
            return self.skip_refused(incoming, end);
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
    fn skip_refused(&mut self, incoming: &Incoming, end: Option<Continuation>) {
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
            shared = [slice_of(piece.bytes, message)];
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

    /// A chunk of a message has ended at `position`; `None` where it had no body. Its flag may end the message, and what it
    /// carried may have been the last that was missing. `report_wanted`: it asks for a success report.
    pub(super) fn end_chunk(
        &mut self,
        key: SessionKey,
        message_id: &[u8],
        position: Option<u64>,
        report_wanted: bool,
        continuation: Continuation,
        now: Instant,
    ) -> Result<Option<Receipt>, Status> {
        if continuation == Continuation::Abort {
            self.abort_stream(key, message_id, now);
            return Ok(None);
        }
        let Some(mut stream) = self.take_stream(key, message_id) else {
            // A message of no octets, which have all arrived (RFC 4975 §7.1.3).
            return Ok(report_wanted.then(|| Receipt { message_id: message_id.into(), len: 0, cpim: None }));
        };
        stream.success_report |= report_wanted;
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
        self.egress.counters.messages += 1;
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
