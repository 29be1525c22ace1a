//! One shard's state, and its turn.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slotmap::SecondaryMap;
use tracing::debug;

use super::backend::{Backend, BlockingBackend, LISTENERS};
use super::dials::Dials;
use super::mesh::{RETRY_EVENTS_AFTER, ShardPort, Upward};
use super::peer::Peer;
use super::settings::{COMMANDS_PER_TURN_MAX, ShardSettings};
use super::slab::Slab;
use super::socket::Batch;
use crate::facts::{Command, EndReason};
use crate::ids::{ConnectionId, ShardId};
use crate::log_throttle::LogThrottle;
use crate::switch::{Output, Settings, Switch};
use crate::timers::Timers;
use crate::tls::TlsSetup;

/// One shard: its switch, and the sockets that a back end waits for.
pub struct Shell<B: Backend> {
    pub id: ShardId,
    pub switch: Switch,
    pub backend: B,
    pub batch: Batch,
    pub peers: SecondaryMap<ConnectionId, Peer<B::Socket>>,
    pub tls: Option<TlsSetup>,
    /// Where plaintext goes.
    pub slab: Slab,
    pub dials: Dials<B::Socket>,
    /// What the shell itself waits for; the times of the switch are the switch's.
    pub timers: Timers<Timeout>,
    pub accept_failures: LogThrottle,
    pub connection_limit_hits: LogThrottle,
    /// Connections to be flushed that are not on the dirty list of the switch: their sockets were full and have room again, or their
    /// links have ciphertext.
    pub writable: Vec<ConnectionId>,
    /// What had arrived on a connection when it was paused. Nothing is received on it until that was handled.
    pub held: HashMap<ConnectionId, Bytes>,
    /// Connections that were resumed, and have something held or had.
    pub released: Vec<ConnectionId>,
    /// The list of a flush, kept for its memory.
    pub flushing: Vec<ConnectionId>,
    commands: async_channel::Receiver<Command>,
    /// There may be commands.
    woken: bool,
    /// The control thread is gone, and with it every call.
    orphaned: bool,
    upward: Upward,
}

/// What is to be done when a time of the shell has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timeout {
    /// A connection that is being made is given up.
    Dial(u32),
    /// A listener that has failed accepts again.
    Accept(usize),
    /// A connection whose last ciphertext has not left is closed without it.
    Close(ConnectionId),
    /// Events that the channel had no room for are sent again.
    Events,
}

impl<B: Backend> Shell<B> {
    /// A shard without rooms. `with_ring`: sends go through a ring of the batch's own.
    pub fn new(backend: B, settings: &ShardSettings, port: ShardPort, seed: [u8; 32], with_ring: bool) -> Self {
        let of_switch = Settings { bind_timeout: settings.bind_timeout, outbox_max: settings.outbox_max };
        Self {
            id: port.id,
            switch: Switch::new(of_switch, seed),
            backend,
            batch: Batch::new(settings.send_batch, settings.copy_below, with_ring),
            peers: SecondaryMap::new(),
            tls: settings.tls.clone(),
            slab: Slab::default(),
            dials: Dials::default(),
            timers: Timers::default(),
            accept_failures: LogThrottle::default(),
            connection_limit_hits: LogThrottle::default(),
            writable: Vec::new(),
            held: HashMap::new(),
            released: Vec::new(),
            flushing: Vec::new(),
            commands: port.commands,
            woken: false,
            orphaned: false,
            upward: Upward::new(port.id, port.events),
        }
    }

    /// Begins to accept.
    pub fn start(&mut self) {
        debug!(shard = %self.id, "shard is up");
        (0..LISTENERS).for_each(|listener| self.backend.accept(listener));
    }

    /// Whether nobody is left and nobody comes any more.
    pub fn is_done(&self) -> bool {
        self.switch.is_drained() || self.orphaned
    }

    /// How long to wait at the most before the next turn; zero where there is something to do already.
    pub fn time_to_wait(&self) -> Option<Duration> {
        if self.woken || self.switch.is_dirty() || !self.released.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [self.switch.poll_timeout(), self.timers.next()].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Handles what has arrived, tells the switch, and sends what waits.
    pub fn turn(&mut self) {
        let now = Instant::now();
        self.handle_commands(now);
        self.handle_released(now);
        self.handle_arrivals(now);
        self.handle_timeouts(now);
        self.drive(now);
        self.flush();
        self.backend.end_turn();
    }

    /// Carries out what the switch wants after an input. Sending is left to the flush, so that it comes after every receive of
    /// the turn; unless an outbox is so full that it cannot wait.
    pub fn drive(&mut self, now: Instant) {
        if self.switch.must_flush_now() {
            self.flush();
        }
        while let Some(output) = self.switch.poll_output() {
            match output {
                Output::Close(id) => self.close_gracefully(id, now),
                Output::Connect(dial) => self.dial(dial, now),
                Output::Resume(id) => self.resume(id),
                Output::Event(event) => self.upward.send(event),
            }
        }
        if !self.upward.flush() {
            self.timers.set_earliest(Timeout::Events, now + RETRY_EVENTS_AFTER);
        }
    }

    /// There may be commands: the next turn looks for them.
    pub fn wake(&mut self) {
        self.woken = true;
    }

    /// Carries out commands, if there may be any. They come before what arrives after them: a peer that was told of a command must
    /// find it carried out.
    pub fn handle_commands(&mut self, now: Instant) {
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

    /// Does what is due at `now`.
    pub fn handle_timeouts(&mut self, now: Instant) {
        if self.switch.poll_timeout().is_some_and(|at| at <= now) {
            self.switch.handle_timeout(now);
        }
        while let Some(timeout) = self.timers.pop_due(now) {
            match timeout {
                Timeout::Dial(number) => self.give_up(number, now),
                Timeout::Accept(listener) => self.backend.accept(listener),
                Timeout::Close(id) => self.close(id, EndReason::ConnectionLost, now),
                // The turn ends with it.
                Timeout::Events => {}
            }
        }
    }

    /// Shuts every connection down.
    pub fn end(&self) {
        self.peers.values().for_each(Peer::shut_down);
    }
}

impl<B: BlockingBackend> Shell<B> {
    /// Turns until nobody is left and nobody comes any more.
    pub fn run(mut self) {
        self.start();
        while !self.is_done() {
            self.backend.wait(self.time_to_wait());
            self.turn();
        }
        self.end();
    }
}
