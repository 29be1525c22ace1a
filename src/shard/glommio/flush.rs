//! The flusher of a shard: everything that waits, in as few sends as possible.
//!
//! It is woken by the first connection that has something to send, and therefore runs after every reader of that turn. The
//! deeper the load, the larger the batches; idle, nothing waits for a timer.

use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_lite::future::poll_fn;
use glommio::timer::Timer;

use super::shell::{Peer, Shell};
use crate::facts::EndReason;
use crate::ids::ConnectionId;
use crate::shard::flush::{FlushOutcome, flush_some};

/// Octets that are tried at once on a connection that was full.
const SPILL_BYTES_MAX: usize = 64 * 1024;

impl Shell {
    /// Flushes whenever something waits.
    pub(super) async fn run_flusher(self: Rc<Self>) {
        loop {
            self.flush.wait().await;
            self.flush_now();
            self.settle();
            // Gives way, without staying runnable: the executor must look at its sockets in between.
            if self.switch.borrow().is_dirty() {
                Timer::new(Duration::ZERO).await;
            }
        }
    }

    /// Sends what waits on the connections that are on the list now, each once.
    pub(super) fn flush_now(self: &Rc<Self>) {
        let mut dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        self.switch.borrow_mut().take_dirty(&mut dirty);
        let mut rest = &dirty[..];
        while !rest.is_empty() {
            let n = self.flush_some(rest);
            rest = &rest[n..];
        }
        dirty.clear();
        *self.dirty.borrow_mut() = dirty;
    }

    /// Makes one submission for as many of the connections as fit. Answers how many.
    fn flush_some(self: &Rc<Self>, ids: &[ConnectionId]) -> usize {
        let mut outcome = FlushOutcome::default();
        let taken = {
            let (switch, batch) = (&mut *self.switch.borrow_mut(), &mut *self.batch.borrow_mut());
            let peers = self.peers.borrow();
            let target = |id| peers.get(id).map(|peer: &Rc<Peer>| peer.target());
            flush_some(switch, batch, ids, target, |batch| batch.submit(), &mut outcome)
        };
        for id in outcome.would_block {
            self.wait_for_room(id);
        }
        for id in outcome.failed {
            self.close(id, EndReason::ConnectionLost);
        }
        taken
    }

    /// The kernel takes no more for a connection: what waits is offered again when there is room. The task runs at once, so
    /// nothing may be borrowed here.
    pub(super) fn wait_for_room(self: &Rc<Self>, id: ConnectionId) {
        let Some(peer) = self.peers.borrow().get(id).cloned() else { return };
        let shell = self.clone();
        glommio::spawn_local(async move { shell.send_when_possible(id, &peer).await }).detach();
    }

    async fn send_when_possible(self: Rc<Self>, id: ConnectionId, peer: &Peer) {
        let outcome = poll_fn(|cx| {
            if peer.closed.get() {
                return Poll::Ready(Ok(()));
            }
            if let Some(link) = &peer.link {
                return self.push_link(id, peer, &mut link.borrow_mut(), cx);
            }
            let mut switch = self.switch.borrow_mut();
            let mut spill = self.spill.borrow_mut();
            // Gathered anew at every try: a response may have overtaken what waited last time.
            spill.clear();
            if switch.gather(id, &mut *spill, SPILL_BYTES_MAX) == 0 {
                switch.sent(id, 0, Instant::now());
                return Poll::Ready(Ok(()));
            }
            peer.stream.poll_write(cx, &spill).map_ok(|n| switch.sent(id, n, Instant::now()))
        })
        .await;
        if outcome.is_err() {
            self.close(id, EndReason::ConnectionLost);
        }
        self.settle();
    }
}
