//! The flush of a turn: everything that waits, in as few submissions as possible.
//!
//! It comes after all receives of the turn. The deeper the load, the larger the batches; idle, nothing waits for a timer.

use std::time::Instant;

use super::backend::Backend;
use super::peer::Peer;
use super::shell::Shell;
use super::submit::{FlushOutcome, flush_some};
use crate::facts::EndReason;
use crate::ids::ConnectionId;

impl<B: Backend> Shell<B> {
    /// Sends what waits on the connections that are listed now, each once.
    pub fn flush(&mut self) {
        let mut ids = std::mem::take(&mut self.flushing);
        // Those that were blocked are on no list of the switch.
        ids.append(&mut self.writable);
        self.switch.take_dirty(&mut ids);
        if ids.is_empty() {
            self.flushing = ids;
            return;
        }
        let mut outcome = FlushOutcome::default();
        let mut rest = &ids[..];
        while !rest.is_empty() {
            let target = |id| self.peers.get(id).map(Peer::target);
            let (switch, batch, backend) = (&mut self.switch, &mut self.batch, &mut self.backend);
            let n = flush_some(switch, batch, rest, target, |sends| backend.send(sends), &mut outcome);
            rest = &rest[n..];
        }
        ids.clear();
        self.flushing = ids;
        for id in outcome.would_block {
            self.wait_writable(id);
        }
        let now = Instant::now();
        for id in outcome.failed {
            self.close(id, EndReason::ConnectionLost, now);
        }
        self.drive(now);
    }

    /// Flushes a connection again when its socket has room. The back end is asked once, until it has answered.
    pub fn wait_writable(&mut self, id: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(id)
            && !std::mem::replace(&mut peer.awaits_room, true)
        {
            self.backend.wait_writable(id, &peer.socket);
        }
    }

    /// A connection's socket has room again.
    pub fn handle_writable(&mut self, id: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.awaits_room = false;
            self.writable.push(id);
        }
    }
}
