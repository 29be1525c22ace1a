//! Octets in: requests and responses are read and dispatched.

use std::time::Instant;

use bytes::Bytes;

use super::content::lines_of;
use super::incoming::{Incoming, MessageId, Task};
use super::state::Switch;
use super::timer::Timer;
use crate::facts::{EndReason, Event};
use crate::ids::{ConnectionId, SessionId, SessionKey};
use crate::limits::SESSIONS_PER_CONNECTION_MAX;
use crate::session::{ChunkAction, classify};
use parlor_proto::mime::Value;
use parlor_proto::msrp::{
    ByteRange, Continuation, Event as Chunk, Head, MsrpUri, ParseError, Status, TransactionId, path_uris,
};

impl Switch {
    /// Bytes have come on a connection. Body octets that have to be kept are kept as slices of `bytes`.
    ///
    /// # Errors
    /// Returns an error if the octets are no MSRP. The connection is on the list of those to be closed, and its sessions have failed.
    pub fn handle_bytes(&mut self, id: ConnectionId, bytes: &Bytes, now: Instant) -> Result<(), ParseError> {
        let Some(connection) = self.egress.connections.get_mut(id) else { return Ok(()) };
        if connection.closing {
            return Ok(());
        }
        self.egress.counters.received_bytes += bytes.len() as u64;
        let mut parser = std::mem::take(&mut connection.parser);
        let mut incoming = connection.incoming.take().map(|incoming| *incoming);
        let mut input = &bytes[..];
        let outcome = loop {
            match parser.next(&mut input) {
                Ok(Some(Chunk::Head(head))) => incoming = Some(self.handle_head(id, &head, now)),
                Ok(Some(Chunk::Bodiless(continuation))) => {
                    if let Some(incoming) = incoming.take() {
                        self.handle_bodiless(id, &incoming, continuation, now);
                    }
                }
                Ok(Some(Chunk::Body { piece, end })) => {
                    if let Some(chunk) = &mut incoming {
                        match end {
                            Some(continuation) if piece.is_empty() && chunk.task.has_no_body() => {
                                self.handle_bodiless(id, chunk, continuation, now);
                            }
                            _ => self.handle_body(id, chunk, piece, end, bytes, now),
                        }
                    }
                    if end.is_some() {
                        incoming = None;
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.end_turn(now);
        if let Some(connection) = self.egress.connections.get_mut(id) {
            connection.parser = parser;
            connection.incoming = incoming.map(Box::new);
        }
        if outcome.is_err() {
            self.fail_connection(id, now);
        }
        outcome
    }

    fn fail_connection(&mut self, id: ConnectionId, now: Instant) {
        self.egress.counters.unreadable += 1;
        let Some(connection) = self.egress.connections.get_mut(id) else { return };
        for key in std::mem::take(&mut connection.sessions) {
            self.end_session(key, Some(EndReason::ProtocolError), now);
        }
        self.close_when_sent(id, now);
    }

    fn handle_head(&mut self, id: ConnectionId, head: &Head<'_>, now: Instant) -> Incoming {
        let mut incoming = Incoming {
            tid: TransactionId::new(head.tid),
            failure_report: head.failure_report,
            success_report: head.success_report,
            from_path: None,
            task: Task::Drop,
        };
        if let ChunkAction::Response(status) = classify(head) {
            self.handle_response(id, head, status, now);
            return incoming;
        }
        match self.admit(id, head, now) {
            Err(status) => self.refuse(id, head, status),
            Ok(key) => incoming.task = self.handle_request(id, key, head, now).unwrap_or(Task::Drop),
        }
        if matches!(incoming.task, Task::Message { .. }) {
            incoming.from_path = self.unusual_path(&incoming.task, head);
        }
        incoming
    }

    /// Finds the session that a request belongs to, and binds it to the connection with its first request.
    fn admit(&mut self, id: ConnectionId, head: &Head<'_>, now: Instant) -> Result<SessionKey, Status> {
        let key = self.find_session(id, head.to_path).ok_or(Status::NO_SESSION)?;
        let connection = self.egress.connections.get(id).ok_or(Status::NO_SESSION)?;
        let entry = self.sessions.get_mut(key).ok_or(Status::NO_SESSION)?;
        let full = self.draining || connection.sessions.len() >= SESSIONS_PER_CONNECTION_MAX;
        if connection.closing || (full && entry.session.connection().is_none()) {
            return Err(Status::NO_SESSION);
        }
        if entry.session.connection().is_none() && connection.secure && entry.session.is_from_peer(head.from_path) {
            // One that we have made was looked at when it was made.
            let fits = connection.dialled.is_some() || entry.session.trusts(connection.certificate.as_deref(), false);
            if !fits {
                self.reject_certificate(id, key, now);
                return Err(Status::NO_SESSION);
            }
        }
        if entry.session.admit(id, connection.secure, head)? {
            self.on_bound(key, id, now);
        }
        Ok(key)
    }

    /// The session-id of the To-Path decides; RFC 4975 §7.3 has exactly one URI there.
    pub(super) fn find_session(&self, id: ConnectionId, to_path: &[u8]) -> Option<SessionKey> {
        // Nearly always it is the connection's only session, written as we wrote it.
        let usual = self.egress.connections.get(id).and_then(|connection| connection.sessions.first());
        if let Some(key) = usual
            && self.sessions.get(*key).is_some_and(|e| e.session.terms.local.as_str().as_bytes() == to_path)
        {
            return Some(*key);
        }
        let uri = MsrpUri::parse(path_uris(to_path).next_back()?).ok()?;
        let key = *self.by_id.get(&SessionId::from_text(uri.session_id?)?)?;
        let local = MsrpUri::parse(self.sessions.get(key)?.session.terms.local.last().as_bytes()).ok()?;
        (local.secure == uri.secure).then_some(key)
    }

    /// Carries out what a head asks for. `None`: it is answered, and a body is dropped.
    fn handle_request(&mut self, id: ConnectionId, key: SessionKey, head: &Head<'_>, now: Instant) -> Option<Task> {
        match classify(head) {
            ChunkAction::Send(message_id) => Some(self.handle_send(id, key, message_id.into(), head, now)),
            ChunkAction::Nickname(value) => {
                self.handle_nickname(id, key, value, head, now);
                None
            }
            ChunkAction::Report => {
                self.handle_report(key, head);
                None
            }
            ChunkAction::Refuse(status) => {
                self.refuse(id, head, status);
                None
            }
            ChunkAction::Response(_) => None,
        }
    }

    fn handle_send(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        message_id: MessageId,
        head: &Head<'_>,
        now: Instant,
    ) -> Task {
        let cpim = head.content_type.is_some_and(is_cpim);
        let content = if cpim { lines_of(head) } else { Ok(None) };
        let Ok(content) = content else {
            self.refuse(id, head, Status::STOP_SENDING);
            self.refuse_message(key, &message_id, Status::STOP_SENDING, None, now);
            return Task::Refused { session: key, message_id };
        };
        let range = head.byte_range.unwrap_or(ByteRange::DEFAULT);
        Task::Message { session: key, message_id, range, seen: 0, cpim, typed: head.content_type.is_some(), content }
    }

    /// A SEND without a body binds the session and keeps the connection alive; it is answered, and reported where that is
    /// wished. Where it has the Message-ID of a message that is under way, it is the end of that one.
    fn handle_bodiless(&mut self, id: ConnectionId, incoming: &Incoming, continuation: Continuation, now: Instant) {
        let Task::Message { session, message_id, .. } = &incoming.task else { return };
        let outcome = match continuation {
            Continuation::More => Ok(None),
            Continuation::Complete | Continuation::Abort => {
                let refused = self.refusal(*session, message_id).is_some();
                self.forget_refusal(*session, message_id);
                let report_wanted = incoming.success_report && !refused;
                self.end_chunk(*session, message_id, None, report_wanted, continuation, now)
            }
        };
        match outcome {
            Ok(receipt) => self.acknowledge(id, incoming, *session, receipt.as_ref()),
            Err(status) => self.answer(id, incoming, *session, status),
        }
    }

    /// A connection carries a session now: its user takes part, once its terms are known.
    pub(super) fn on_bound(&mut self, key: SessionKey, id: ConnectionId, now: Instant) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        entry.bind_by = None;
        self.unbound.remove(id);
        let answered = entry.session.terms.are_answered();
        if let Some(connection) = self.egress.connections.get_mut(id) {
            connection.sessions.push(key);
            connection.deadline = None;
        }
        if answered {
            self.on_joined(key, now);
        }
    }

    /// A session is bound and its terms are known: its user takes part.
    pub(super) fn on_joined(&mut self, key: SessionKey, now: Instant) {
        let Some(session) = self.sessions.get(key).map(|entry| entry.session.id) else { return };
        self.add_member(key);
        self.start_load_timer(now);
        self.push_event(Event::SessionBound { session });
        self.notify_anonymous(key, now);
        self.notify_unaware(key, now);
    }

    pub(super) fn check_unbound_session(&mut self, key: SessionKey, now: Instant) {
        let Some(entry) = self.sessions.get(key) else { return };
        match entry.bind_by {
            Some(at) if at > now => self.timers.set_earliest(Timer::Session(key), at),
            Some(_) => self.end_session(key, Some(EndReason::BindTimeout), now),
            None => {}
        }
    }
}

fn is_cpim(content_type: &[u8]) -> bool {
    Value::media_type(content_type).is_some_and(|kind| kind.is("message/cpim"))
}
