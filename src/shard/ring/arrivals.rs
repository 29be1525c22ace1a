//! What arrives in a turn: connections, octets, room in sockets, the control thread's bell.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use socket2::SockRef;
use tracing::{debug, warn};

use super::shell::{Peer, Shell};
use crate::facts::EndReason;
use crate::ids::ConnectionId;
use crate::limits::CONNECTIONS_PER_SHARD_MAX;
use crate::shard::settings::ACCEPT_AGAIN_AFTER;
use crate::shard::socket::{Arrival, Received};
use crate::shard::tls::TlsLink;

impl Shell {
    /// Handles what is there now. What arrives meanwhile has its turn later.
    pub(super) fn handle_arrivals(&mut self, now: Instant) {
        for _ in 0..self.ring.arrived() {
            match self.ring.poll() {
                Some(Arrival::Received(id, received)) => self.handle_received(id, received, now),
                Some(Arrival::Accepted(which, accepted)) => self.handle_accepted(which, accepted, now),
                Some(Arrival::Connected(number)) => self.handle_connected(number, now),
                Some(Arrival::Writable(id)) => self.writable.push(id),
                Some(Arrival::Woken) => self.hear(),
                None => break,
            }
        }
    }

    fn handle_accepted(&mut self, which: usize, accepted: io::Result<OwnedFd>, now: Instant) {
        match accepted {
            Ok(_) if self.peers.len() >= CONNECTIONS_PER_SHARD_MAX => {
                warn!(shard = %self.id, "an MSRP connection too many was closed");
            }
            Ok(socket) => self.accept(which, socket, now),
            Err(error) => {
                if let Some(times) = self.accept_failures.add(now) {
                    warn!(shard = %self.id, %error, times, "cannot accept an MSRP connection");
                }
                self.accept_at[which] = Some(now + ACCEPT_AGAIN_AFTER);
            }
        }
    }

    fn accept(&mut self, which: usize, socket: OwnedFd, now: Instant) {
        let link = match (which, &self.tls) {
            (0, _) => None,
            (_, Some(tls)) => TlsLink::accept(tls).ok(),
            _ => return,
        };
        // Whoever has gone again has no address.
        let Ok(Some(address)) = SockRef::from(&socket).peer_addr().map(|address| address.as_socket()) else { return };
        let id = self.switch.adopt(address, link.is_some(), now);
        self.take_in(id, Rc::new(socket), link);
    }

    /// Takes in a connection that the switch knows, whoever opened it. It must not be a non-blocking one: the ring waits for it.
    pub(super) fn take_in(&mut self, id: ConnectionId, socket: Rc<OwnedFd>, link: Option<TlsLink>) {
        self.peers.insert(id, Peer { socket, receiving: false, link: link.map(|link| Box::new(link.into())) });
        self.receive(id, true);
    }

    fn handle_received(&mut self, id: ConnectionId, received: Received, now: Instant) {
        let is_here = self.peers.get_mut(id).map(|peer| peer.receiving = false).is_some();
        match received {
            Received::Bytes { bytes, buffer, more } => {
                if is_here {
                    self.handle_bytes(id, &bytes, now);
                }
                drop(bytes);
                self.ring.give_back(buffer);
                self.receive(id, more);
            }
            Received::Over => {
                self.close(id, EndReason::ConnectionLost, now);
                self.settle(now);
            }
        }
    }

    fn handle_bytes(&mut self, id: ConnectionId, bytes: &Bytes, now: Instant) {
        if self.switch.is_paused(id) {
            // The receive was under way when that was said. A copy, or it would keep a whole buffer.
            self.held.push((id, Bytes::copy_from_slice(bytes)));
            return;
        }
        if self.peers.get(id).is_some_and(|peer| peer.link.is_some()) {
            return self.handle_ciphertext(id, bytes, now);
        }
        if let Err(error) = self.switch.handle_bytes(id, bytes, now) {
            let peer = self.switch.peer(id);
            debug!(shard = %self.id, connection = %id, peer = peer.map(tracing::field::display), %error, "closing an MSRP connection");
        }
        self.settle(now);
    }

    /// A connection may be read again: first what was held, in the next turn, or else from its socket.
    pub(super) fn resume(&mut self, id: ConnectionId) {
        match self.held.iter().position(|(other, _)| *other == id) {
            Some(at) => self.released.push(self.held.swap_remove(at)),
            None => self.receive(id, true),
        }
    }

    /// Handles what was held.
    pub(super) fn handle_released(&mut self, now: Instant) {
        for (id, bytes) in std::mem::take(&mut self.released) {
            self.handle_bytes(id, &bytes, now);
            self.receive(id, true);
        }
    }

    /// Receives on a connection, unless it is paused or that is under way.
    fn receive(&mut self, id: ConnectionId, more: bool) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if !peer.receiving && !self.switch.is_paused(id) {
            peer.receiving = true;
            self.ring.receive(id, &peer.socket, more);
        }
    }
}
