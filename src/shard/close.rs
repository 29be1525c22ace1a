//! Connections that end.

use std::os::fd::AsFd;
use std::time::Instant;

use super::backend::Backend;
use super::settings::CLOSE_TIMEOUT;
use super::shell::{Shell, Timeout};
use super::socket::Direct;
use crate::facts::EndReason;
use crate::ids::ConnectionId;

impl<B: Backend> Shell<B> {
    /// Closes a connection because the switch wants it. Over TLS it ends when the last of its ciphertext has left, after
    /// [`CLOSE_TIMEOUT`] at the latest, or when the switch asks again.
    pub fn close_gracefully(&mut self, id: ConnectionId, now: Instant) {
        if let Some(peer) = self.peers.get(id)
            && peer.link.as_ref().is_some_and(|link| !link.borrow_mut().close(&mut Direct(peer.socket.as_fd())))
        {
            self.timers.set(Timeout::Close(id), now + CLOSE_TIMEOUT);
            self.wait_writable(id);
            return;
        }
        self.close(id, EndReason::ConnectionLost, now);
    }

    /// Closes a connection at once, whichever side has ended it.
    pub fn close(&mut self, id: ConnectionId, why: EndReason, now: Instant) {
        let Some(peer) = self.peers.remove(id) else { return };
        peer.shut_down();
        self.timers.clear(&Timeout::Close(id));
        self.backend.closed(id);
        self.held.remove(&id);
        self.switch.closed(id, why, now);
    }
}
