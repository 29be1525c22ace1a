//! What arrives on sockets, and how it comes to the switch.

use std::os::fd::AsFd;
use std::time::Instant;

use bytes::Bytes;
use tracing::debug;

use super::backend::Backend;
use super::shell::Shell;
use super::socket::{Arrival, Direct, Received};
use crate::facts::EndReason;
use crate::ids::ConnectionId;
use crate::tls::reason;

impl<B: Backend> Shell<B> {
    /// Handles what has arrived by now. What arrives meanwhile is left to the next turn.
    pub fn handle_arrivals(&mut self, now: Instant) {
        for _ in 0..self.backend.arrived() {
            match self.backend.poll_arrival() {
                Some(Arrival::Received(id, received)) => self.handle_received(id, received, now),
                Some(Arrival::Accepted(listener, accepted)) => self.handle_accepted(listener, accepted, now),
                Some(Arrival::Connected(number)) => self.handle_connected(number, now),
                Some(Arrival::Writable(id)) => self.handle_writable(id),
                Some(Arrival::Woken) => {
                    self.wake();
                    self.handle_commands(now);
                }
                None => break,
            }
        }
    }

    fn handle_received(&mut self, id: ConnectionId, received: Received, now: Instant) {
        let known = self.peers.get_mut(id).map(|peer| peer.receiving = false).is_some();
        match received {
            Received::Bytes { bytes, buffer, more } => {
                if known {
                    self.handle_bytes(id, &bytes, now);
                }
                drop(bytes);
                self.backend.give_back(buffer);
                self.receive(id, more);
            }
            Received::Over => {
                self.close(id, EndReason::ConnectionLost, now);
                self.drive(now);
            }
        }
    }

    fn handle_bytes(&mut self, id: ConnectionId, bytes: &Bytes, now: Instant) {
        if self.switch.is_paused(id) {
            // It was paused while the back end received. A copy, since the bytes may lie in a buffer of many more.
            self.held.insert(id, Bytes::copy_from_slice(bytes));
            return;
        }
        if self.peers.get(id).is_some_and(|peer| peer.link.is_some()) {
            return self.handle_ciphertext(id, bytes, now);
        }
        if let Err(error) = self.switch.handle_bytes(id, bytes, now) {
            let peer = self.switch.peer(id);
            debug!(shard = %self.id, connection = %id, peer = peer.map(tracing::field::display), %error, "closing an MSRP connection");
        }
        self.drive(now);
    }

    fn handle_ciphertext(&mut self, id: ConnectionId, bytes: &Bytes, now: Instant) {
        let Some(peer) = self.peers.get(id) else { return };
        let Some(link) = &peer.link else { return };
        let mut link = link.borrow_mut();
        let outcome = link.handle_bytes(&mut self.switch, &mut self.slab, id, bytes, now);
        let over = outcome.is_err() || link.peer_has_closed();
        if over {
            // The peer may still read an alert: it is tried once.
            let mut out = Direct(peer.socket.as_fd());
            link.flush(&mut self.switch, id, self.batch.plaintext(), &mut out, now);
        } else if link.wants_write() && !peer.awaits_room {
            self.writable.push(id);
        }
        drop(link);
        if let Err(error) = &outcome {
            let peer = self.switch.peer(id);
            debug!(shard = %self.id, connection = %id, peer = peer.map(tracing::field::display), error = reason(error), "closing an MSRP connection after a TLS error");
        }
        if over {
            self.close(id, EndReason::ConnectionLost, now);
        }
        self.drive(now);
    }

    /// A connection may be read again: in the next turn what was held, or else from its socket.
    pub fn resume(&mut self, id: ConnectionId) {
        if self.held.contains_key(&id) {
            self.released.push(id);
        } else {
            self.receive(id, true);
        }
    }

    /// Handles what was held on connections that were resumed.
    pub fn handle_released(&mut self, now: Instant) {
        for id in std::mem::take(&mut self.released) {
            let Some(bytes) = self.held.remove(&id) else { continue };
            self.handle_bytes(id, &bytes, now);
            self.receive(id, true);
        }
    }

    /// Receives on a connection, unless it is paused, the back end does so already, or something that came before was not handled
    /// yet.
    pub fn receive(&mut self, id: ConnectionId, more: bool) {
        if self.held.contains_key(&id) {
            return;
        }
        let Some(peer) = self.peers.get_mut(id) else { return };
        if !peer.receiving && !self.switch.is_paused(id) {
            peer.receiving = true;
            self.backend.receive(id, &peer.socket, more);
        }
    }
}
