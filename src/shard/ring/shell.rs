//! One shard's state, and its turn.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use slotmap::SecondaryMap;
use socket2::SockRef;
use tracing::debug;

use super::secure::Dials;
use crate::facts::{Command, EndReason};
use crate::ids::{ConnectionId, ShardId};
use crate::log_throttle::LogThrottle;
use crate::shard::flush::Target;
use crate::shard::mesh::{ShardPort, TELL_AGAIN_AFTER, Upward, Wake};
use crate::shard::settings::COMMANDS_PER_TURN_MAX;
use crate::shard::slab::Slab;
use crate::shard::socket::{Batch, LISTENERS, Ring};
use crate::shard::tls::TlsLink;
use crate::switch::{Output, Switch};
use crate::tls::TlsSetup;

/// One shard.
pub struct Shell {
    pub(super) id: ShardId,
    pub(super) switch: Switch,
    pub(super) ring: Ring,
    pub(super) batch: Batch,
    pub(super) peers: SecondaryMap<ConnectionId, Peer>,
    /// Without TLS, and with it.
    listeners: [Option<Rc<OwnedFd>>; LISTENERS],
    /// When to listen there again after a connection could not be accepted.
    pub(super) accept_at: [Option<Instant>; LISTENERS],
    pub(super) accept_failures: LogThrottle,
    pub(super) tls: Option<TlsSetup>,
    /// For plaintext.
    pub(super) slab: Slab,
    pub(super) dials: Dials,
    /// Connections whose sockets were full and have room again.
    pub(super) writable: Vec<ConnectionId>,
    /// What had come on connections that were paused before it was handled.
    pub(super) held: Vec<(ConnectionId, Bytes)>,
    /// What was held and may be handled now.
    pub(super) released: Vec<(ConnectionId, Bytes)>,
    /// Kept for its memory.
    pub(super) flushing: Vec<ConnectionId>,
    commands: async_channel::Receiver<Command>,
    wake: Arc<Wake>,
    /// What that writes to.
    bell: Rc<OwnedFd>,
    /// There may be commands that nobody was woken for.
    woken: bool,
    /// The control thread is gone, and with it every call.
    orphaned: bool,
    upward: Upward,
    /// When to tell again what there was no room for.
    tell_at: Option<Instant>,
}

/// One connection's socket.
pub struct Peer {
    pub(super) socket: Rc<OwnedFd>,
    /// A receive is in the ring, or about to be.
    pub(super) receiving: bool,
    /// What stands between the socket and the switch.
    pub(super) link: Option<Box<RefCell<TlsLink>>>,
}

impl Peer {
    /// Where its octets go.
    pub(super) fn target(&self) -> Target<'_> {
        Target { socket: self.socket.as_fd(), link: self.link.as_deref() }
    }

    /// Ends both directions: what the ring has under way for it completes, and the peer learns of it. Closing the descriptor would
    /// not do, which the ring holds too.
    pub(super) fn shut_down(&self) {
        let _ = SockRef::from(&*self.socket).shutdown(Shutdown::Both);
    }
}

impl Shell {
    pub(super) fn new(
        switch: Switch,
        ring: Ring,
        batch: Batch,
        listeners: [Option<Rc<OwnedFd>>; LISTENERS],
        tls: Option<TlsSetup>,
        port: ShardPort,
        wake: Arc<Wake>,
    ) -> io::Result<Self> {
        Ok(Self {
            id: port.id,
            bell: Rc::new(wake.descriptor()?),
            switch,
            ring,
            batch,
            peers: SecondaryMap::new(),
            listeners,
            accept_at: [None; LISTENERS],
            accept_failures: LogThrottle::default(),
            tls,
            slab: Slab::default(),
            dials: Dials::default(),
            writable: Vec::new(),
            held: Vec::new(),
            released: Vec::new(),
            flushing: Vec::new(),
            commands: port.commands,
            wake,
            woken: false,
            orphaned: false,
            upward: Upward::new(port.id, port.events),
            tell_at: None,
        })
    }

    /// Turns until nobody is left and nobody comes any more.
    pub(super) fn run(mut self) {
        debug!(shard = %self.id, "shard is up");
        (0..LISTENERS).for_each(|which| self.listen(which));
        self.ring.watch_eventfd(&self.bell);
        while !self.switch.is_drained() && !self.orphaned {
            self.wait();
            self.turn();
        }
        self.peers.values().for_each(Peer::shut_down);
    }

    fn wait(&mut self) {
        if self.woken || self.switch.is_dirty() || !self.released.is_empty() {
            self.ring.poll_nowait();
        } else {
            let times = [self.switch.poll_timeout(), self.tell_at, self.dials.next_timeout()];
            let next = times.into_iter().chain(self.accept_at).flatten().min();
            self.ring.wait(next.map(|at| at.saturating_duration_since(Instant::now())));
        }
    }

    fn turn(&mut self) {
        let now = Instant::now();
        self.handle_released(now);
        self.handle_arrivals(now);
        self.handle_commands(now);
        self.handle_time(now);
        self.settle(now);
        self.flush();
        self.ring.replace_lent();
    }

    /// Does what the machine asks for after an input. Sending is left to the flush, so that it comes after every receive of this
    /// turn; unless an outbox is so full that it cannot wait.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.switch.must_flush_now() {
            self.flush();
        }
        while let Some(output) = self.switch.poll_output() {
            match output {
                Output::Close(id) => self.hang_up(id, now),
                Output::Connect(dial) => self.dial(dial, now),
                Output::Resume(id) => self.resume(id),
                Output::Event(event) => self.upward.send(event),
            }
        }
        self.tell_at = if self.upward.flush() { None } else { Some(now + TELL_AGAIN_AFTER) };
    }

    /// A connection is over, on whatever side.
    pub(super) fn close(&mut self, id: ConnectionId, why: EndReason, now: Instant) {
        let Some(peer) = self.peers.remove(id) else { return };
        peer.shut_down();
        self.held.retain(|(other, _)| *other != id);
        self.switch.closed(id, why, now);
    }

    /// The control thread has rung.
    pub(super) fn hear(&mut self) {
        self.wake.hear();
        self.woken = true;
    }

    fn handle_commands(&mut self, now: Instant) {
        if !std::mem::take(&mut self.woken) {
            return;
        }
        for _ in 0..COMMANDS_PER_TURN_MAX {
            match self.commands.try_recv() {
                Ok(command) => self.switch.handle_control(command, now),
                Err(error) => {
                    self.orphaned = error.is_closed();
                    return;
                }
            }
        }
        self.woken = true;
    }

    /// Tells the machine when its time has come, and does again what had to be put off.
    fn handle_time(&mut self, now: Instant) {
        if self.switch.poll_timeout().is_some_and(|at| at <= now) {
            self.switch.handle_timeout(now);
        }
        self.give_up_dials(now);
        for which in 0..LISTENERS {
            if self.accept_at[which].take_if(|at| *at <= now).is_some() {
                self.listen(which);
            }
        }
    }

    fn listen(&mut self, which: usize) {
        if let Some(listener) = &self.listeners[which] {
            self.ring.accept(which, listener);
        }
    }
}
