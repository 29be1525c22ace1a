//! Connections that the switch asks for, because the peer only listens (RFC 4975 §5.4, RFC 6135), and the certificates of both kinds
//! of TLS connections.
//!
//! ```text
//!   to dial ──Connect──► dialling ──connected──► (TLS: handshake_done) ──binding SEND──► asked ──200──► bound
//!                                │                             │                            │
//!                                └───────connect_failed────────┴──certificate does not fit──┴──any other──► session ended
//! ```
//!
//! Whatever does not come to an end within `bind_timeout` of the ACK ends with the session.

use std::time::Instant;

use rand_core::Rng;

use super::dial::{Dial, Dialled};
use super::state::Switch;
use super::timer::Timer;
use crate::facts::{Certificate, EndReason};
use crate::ids::{ConnectionId, SessionKey};
use crate::limits::DIALS_PER_SHARD_MAX;
use parlor_proto::msrp::encode::{self, random_id};
use parlor_proto::msrp::{ByteRange, Continuation, FailureReport, Status};

impl Switch {
    /// The next connection that the driver has to make. One for a session at a time, and [`DIALS_PER_SHARD_MAX`] in all; the others
    /// wait until one is given back.
    pub(super) fn next_dial(&mut self) -> Option<Dial> {
        while self.dials_under_way < DIALS_PER_SHARD_MAX {
            let session = self.dials.pop_front()?;
            let Some(entry) = self.sessions.get_mut(session) else { continue };
            match &entry.session.terms.connect_to {
                Some(to) if entry.session.connection().is_none() => {
                    let tls = entry.session.is_secure().then(|| to.name.clone());
                    let fingerprints = entry.session.wanted_fingerprints().to_vec();
                    self.dials_under_way += 1;
                    return Some(Dial { session, address: to.address, tls, fingerprints });
                }
                _ => entry.dialling = false,
            }
        }
        None
    }

    /// A connection was made. `None`: it is not wanted any more, and is to be closed. Over TLS [`Switch::handshake_done`] follows.
    pub fn connected(&mut self, dial: &Dial, now: Instant) -> Option<ConnectionId> {
        self.dials_under_way = self.dials_under_way.saturating_sub(1);
        let entry = self.sessions.get_mut(dial.session)?;
        entry.dialling = false;
        let wanted = entry.session.terms.connect_to.as_ref().is_some_and(|to| to.address == dial.address);
        if entry.session.connection().is_some() || self.draining {
            return None;
        }
        let same =
            entry.session.is_secure() == dial.tls.is_some() && entry.session.wanted_fingerprints() == dial.fingerprints;
        if !wanted || !same {
            // Another path was negotiated meanwhile, or another certificate.
            self.dial(dial.session);
            return None;
        }
        let id = self.add_connection(dial.address, dial.tls.is_some(), now);
        let connection = self.egress.connections.get_mut(id)?;
        connection.dialled = Some(Box::new(Dialled { session: dial.session, tid: None }));
        if dial.tls.is_none() {
            self.send_binding_request(id);
        }
        Some(id)
    }

    /// A connection could not be made.
    pub fn connect_failed(&mut self, dial: &Dial, now: Instant) {
        self.dials_under_way = self.dials_under_way.saturating_sub(1);
        let Some(entry) = self.sessions.get_mut(dial.session) else { return };
        entry.dialling = false;
        let moved = entry.session.terms.connect_to.as_ref().is_none_or(|to| to.address != dial.address);
        match entry.session.connection() {
            Some(_) => {}
            None if moved => self.dial(dial.session),
            None => self.end_session(dial.session, Some(EndReason::Unreachable), now),
        }
    }

    /// The TLS handshake of a connection is over. `certificate` is that of the other end; `None` where it has shown none, or where we
    /// have connected and it has shown another one than it had to.
    pub fn handshake_done(&mut self, id: ConnectionId, certificate: Option<Certificate>, now: Instant) {
        let Some(connection) = self.egress.connections.get_mut(id) else { return };
        connection.certificate = certificate.map(Box::new);
        let Some(dialled) = connection.dialled.as_deref().copied() else { return };
        let Some(entry) = self.sessions.get(dialled.session) else { return };
        if entry.session.trusts(connection.certificate.as_deref(), true) {
            self.send_binding_request(id);
        } else {
            self.reject_certificate(id, dialled.session, now);
        }
    }

    /// The certificate is not the one that was negotiated: the session ends at once (RFC 4975 §14.4, RFC 8122 §6.2).
    pub(super) fn reject_certificate(&mut self, id: ConnectionId, session: SessionKey, now: Instant) {
        self.end_session(session, Some(EndReason::Certificate), now);
        self.close_when_sent(id, now);
    }

    /// Puts a session on the list of those to connect for, unless it is there.
    pub(super) fn dial(&mut self, key: SessionKey) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        let wanted = entry.session.terms.connect_to.is_some() && entry.session.connection().is_none();
        if wanted && !std::mem::replace(&mut entry.dialling, true) {
            self.dials.push_back(key);
        }
    }

    /// The first request on a connection of ours: a SEND without a body, as clients make it (RFC 4975 §5.4).
    fn send_binding_request(&mut self, id: ConnectionId) {
        let (tid, message_id) = (random_id(self.rng.next_u64()), random_id(self.rng.next_u64()));
        let Some(dialled) = self.egress.connections.get_mut(id).and_then(|one| one.dialled.as_deref_mut()) else {
            return;
        };
        dialled.tid = Some(tid);
        let Some(entry) = self.sessions.get(dialled.session) else { return };
        let terms = &entry.session.terms;
        let send = encode::Send {
            tid: &tid,
            to_path: terms.remote.as_str().as_bytes(),
            from_path: terms.local.as_str().as_bytes(),
            message_id: &message_id,
            byte_range: ByteRange { start: 1, end: Some(0), total: Some(0) },
            success_report: false,
            failure_report: FailureReport::Yes,
            body: None,
            continuation: Continuation::Complete,
        };
        self.egress.write_control(id, |out| encode::send(out, &send));
    }

    /// A response has come on a connection of ours. Returns whether it was the one to the binding SEND.
    pub(super) fn binding_answered(&mut self, id: ConnectionId, tid: &[u8], status: Status, now: Instant) -> bool {
        let Some(connection) = self.egress.connections.get_mut(id) else { return false };
        let dialled = connection.dialled.take_if(|dialled| dialled.tid.as_ref().is_some_and(|own| own[..] == *tid));
        let Some(Dialled { session, .. }) = dialled.as_deref() else { return false };
        let Some(entry) = self.sessions.get_mut(*session) else { return true };
        if entry.session.connection().is_some() {
            // The peer was first with a request of its own.
            return true;
        }
        if status.is_success() {
            entry.session.bind(id);
            self.on_bound(*session, id, now);
        } else {
            self.end_session(*session, Some(EndReason::BindRefused), now);
            self.close_when_sent(id, now);
        }
        true
    }

    /// A connection of ours is gone before it carried its session.
    pub(super) fn dialled_lost(&mut self, dialled: Option<&Dialled>, now: Instant) {
        let Some(Dialled { session, .. }) = dialled else { return };
        if self.sessions.get(*session).is_some_and(|entry| entry.session.connection().is_none()) {
            self.end_session(*session, Some(EndReason::Unreachable), now);
        }
    }

    /// Waits for the peer to bind a session, or connects to it where it only listens.
    pub(super) fn await_binding(&mut self, key: SessionKey, now: Instant) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        if entry.session.connection().is_none() {
            let at = now + self.settings.bind_timeout;
            entry.bind_by = Some(at);
            self.timers.set_earliest(Timer::Session(key), at);
            self.dial(key);
        }
    }
}
