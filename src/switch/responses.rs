//! Responses: those to requests, and those from recipients (RFC 4975 §7.2, §7.3).

use std::time::Instant;

use super::awaited;
use super::incoming::{Incoming, Task};
use super::reports::Receipt;
use super::state::Switch;
use super::timer::Timer;
use crate::ids::{ConnectionId, SessionKey};
use crate::session::wants_response;
use parlor_proto::msrp::{Head, Method, Status, encode, path_uris};

impl Switch {
    pub(super) fn check_responses(&mut self, now: Instant) {
        let (missing, next) = self.awaited.expire(now);
        self.egress.counters.recipient_timeouts += missing;
        if let Some(at) = next {
            self.timers.set_earliest(Timer::Responses, at);
        }
    }

    /// The From-Path of a SEND, which is where its response goes, and the REPORT about it (RFC 4975 §7.1.3, §7.2). Mostly it is
    /// the path from SDP, and nothing has to be kept.
    pub(super) fn unusual_path(&self, task: &Task, head: &Head<'_>) -> Option<Box<[u8]>> {
        let Task::Message { session, .. } = task else { return None };
        let usual = self.sessions.get(*session)?.session.terms.remote.as_str();
        (head.from_path != usual.as_bytes() && is_path(head.from_path)).then(|| head.from_path.into())
    }

    /// A chunk was taken: the response, and behind it the success report.
    pub(super) fn acknowledge(
        &mut self,
        id: ConnectionId,
        incoming: &Incoming,
        key: SessionKey,
        receipt: Option<&Receipt>,
    ) {
        self.answer(id, incoming, key, Status::OK);
        if let Some(receipt) = receipt {
            self.report_success(key, receipt, incoming.from_path.as_deref());
        }
    }

    /// Answers a chunk of a message, if its Failure-Report wants it.
    pub(super) fn answer(&mut self, id: ConnectionId, incoming: &Incoming, key: SessionKey, status: Status) {
        if !status.is_success() {
            self.egress.counters.refused += 1;
            let session = self.sessions.get(key).map(|entry| entry.session.id);
            tracing::debug!(session = session.map(|id| id.short()), status = status.0, "message refused");
        }
        if !wants_response(incoming.failure_report, status) {
            return;
        }
        let Some(entry) = self.sessions.get(key) else { return };
        let terms = &entry.session.terms;
        // To the first URI (RFC 4975 §7.2).
        let to = match &incoming.from_path {
            Some(path) => path_uris(path).next().unwrap_or_default(),
            None => terms.remote.first().as_bytes(),
        };
        let from = terms.local.as_str().as_bytes();
        self.egress.write_control(id, |out| encode::response(out, incoming.tid.get(), status, to, from));
    }

    /// Refuses a request of which only the head is known, and perhaps no session.
    pub(super) fn refuse(&mut self, id: ConnectionId, head: &Head<'_>, status: Status) {
        self.egress.counters.refused += 1;
        tracing::debug!(connection = %id, status = status.0, "MSRP request refused");
        let wanted = match head.method() {
            // A REPORT is never answered (RFC 4975 §7.1.2).
            Some(Method::Report) => false,
            // It has no Failure-Report (RFC 7701 §7.1), and one that it has all the same means nothing.
            Some(Method::Nickname) => true,
            _ => wants_response(head.failure_report, status),
        };
        if wanted {
            self.answer_head(id, head, status);
        }
    }

    /// Answers a request out of its head: a SEND to the first URI of its From-Path, others to the whole of it.
    pub(super) fn answer_head(&mut self, id: ConnectionId, head: &Head<'_>, status: Status) {
        let to = match head.method() {
            Some(Method::Send) => path_uris(head.from_path).next().unwrap_or_default(),
            _ => head.from_path,
        };
        let from = path_uris(head.to_path).next().unwrap_or_default();
        if !is_path(to) || !is_path(from) {
            // Without paths there is nobody to respond to, and octets that are no path are not sent back.
            return;
        }
        self.egress.write_control(id, |out| encode::response(out, head.tid, status, to, from));
    }

    /// A recipient has answered a copy, or the peer of a session that we have connected for has agreed.
    pub(super) fn handle_response(&mut self, id: ConnectionId, head: &Head<'_>, status: Status, now: Instant) {
        if self.binding_answered(id, head.tid, status, now) {
            return;
        }
        let Some(wait) = awaited::drawn(head.tid).and_then(|tid| self.awaited.take(tid)) else {
            self.egress.counters.stray_responses += 1;
            return;
        };
        if status.is_success() {
            return;
        }
        self.count_failure(status);
        if status == Status::STOP_SENDING
            && let Some((sender, out_id)) = wait.stream
            && let Some(recipient) = self.answering(id, head)
        {
            self.stop_stream_for(recipient, sender, &out_id);
        }
    }

    /// A recipient did not get a copy. A 408 is as good as no answer (RFC 4975 §10.4).
    pub(super) fn count_failure(&mut self, status: Status) {
        let counters = &mut self.egress.counters;
        let counter = match status {
            Status::TIMED_OUT => &mut counters.recipient_timeouts,
            _ => &mut counters.recipient_errors,
        };
        *counter += 1;
    }

    /// The session that a response is from. Where the connection carries only one, the paths do not matter.
    fn answering(&self, id: ConnectionId, head: &Head<'_>) -> Option<SessionKey> {
        let sessions = &self.egress.connections.get(id)?.sessions;
        match sessions.as_slice() {
            [only] => Some(*only),
            _ => self.find_session(id, head.to_path).filter(|key| sessions.contains(key)),
        }
    }
}

fn is_path(path: &[u8]) -> bool {
    !path.is_empty() && path.iter().all(|b| b.is_ascii_graphic() || *b == b' ')
}
