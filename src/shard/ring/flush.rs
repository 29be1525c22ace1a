//! The flush of a turn: everything that waits, in as few submissions as possible.
//!
//! It comes after all receives of the turn. The deeper the load, the larger the batches; idle, nothing waits for a timer.

use std::time::Instant;

use super::shell::{Peer, Shell};
use crate::facts::EndReason;
use crate::shard::flush::{FlushOutcome, flush_some};

impl Shell {
    /// Sends what waits on the connections that are on the list now, each once.
    pub(super) fn flush(&mut self) {
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
            let ring = &mut self.ring;
            let n = flush_some(
                &mut self.switch,
                &mut self.batch,
                rest,
                target,
                |batch| batch.submit_to(ring),
                &mut outcome,
            );
            rest = &rest[n..];
        }
        ids.clear();
        self.flushing = ids;
        for id in outcome.would_block {
            if let Some(peer) = self.peers.get(id) {
                self.ring.writable(id, &peer.socket);
            }
        }
        let now = Instant::now();
        for id in outcome.failed {
            self.close(id, EndReason::ConnectionLost, now);
        }
        self.settle(now);
    }
}
