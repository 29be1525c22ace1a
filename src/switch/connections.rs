//! Connections are added, and closed.

use std::net::SocketAddr;
use std::time::Instant;

use super::state::Switch;
use super::timer::Timer;
use crate::facts::EndReason;
use crate::ids::ConnectionId;

impl Switch {
    /// Adds a connection that a peer has made; `secure` if it has TLS. It is closed if no session is bound to it within `bind_timeout`,
    /// or sooner where there are too many such connections and its network has the most of them.
    pub fn adopt(&mut self, peer: SocketAddr, secure: bool, now: Instant) -> ConnectionId {
        let id = self.add_connection(peer, secure, now);
        if !self.draining
            && let Some(other) = self.unbound.add(id, peer.ip())
        {
            // It has bound nothing, so nothing waits on it that somebody needs.
            self.egress.close_now(other);
        }
        id
    }

    pub(super) fn add_connection(&mut self, peer: SocketAddr, secure: bool, now: Instant) -> ConnectionId {
        let bind_by = now + self.settings.bind_timeout;
        let id = self.egress.adopt(peer, secure, Some(bind_by));
        if self.draining {
            self.close_when_sent(id, now);
        } else {
            self.timers.set_earliest(Timer::Connection(id), bind_by);
        }
        id
    }

    /// A connection was closed, for the reason `why`: its sessions have failed (RFC 4975 §5.4).
    pub fn closed(&mut self, id: ConnectionId, why: EndReason, now: Instant) {
        self.unbound.remove(id);
        self.egress.forget_holds(id);
        self.egress.detach(id);
        let Some(connection) = self.egress.connections.remove(id) else { return };
        self.dialled_lost(connection.dialled.as_deref(), now);
        self.egress.resumed.retain(|other| *other != id);
        for key in connection.sessions {
            self.end_session(key, Some(why), now);
        }
    }

    pub(super) fn check_connection(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.egress.connections.get(id) else { return };
        match connection.deadline {
            Some(at) if at > now => self.timers.set_earliest(Timer::Connection(id), at),
            Some(_) if connection.closing => self.egress.closing.push(id),
            Some(_) => self.close_when_sent(id, now),
            None => {}
        }
    }

    /// Reads nothing more from a connection, and closes it once what waits on it has left. A peer that takes nothing may delay
    /// that by `bind_timeout`.
    pub(super) fn close_when_sent(&mut self, id: ConnectionId, now: Instant) {
        let deadline = now + self.settings.bind_timeout;
        if self.egress.close_when_sent(id, deadline) {
            self.timers.set_earliest(Timer::Connection(id), deadline);
        }
    }
}
