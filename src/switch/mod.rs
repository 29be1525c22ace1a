//! One shard's machine: its rooms, sessions and connections, and what waits to be sent.
//!
//! It knows no socket and no clock. A driver (the shard, a test, a bench) calls it between awaits, in four kinds of calls:
//!
//! - **inputs**: [`Switch::adopt`], [`Switch::handle_bytes`], [`Switch::closed`] for connections, [`Switch::handle_control`] for
//!   what the focus decides, [`Switch::handle_timeout`] when [`Switch::poll_timeout`] has come;
//! - **bytes out**: [`Switch::take_dirty`] lists the connections with something to send; for each of them [`Switch::gather`],
//!   then either [`Switch::sent`] with what the kernel took or [`Switch::blocked`];
//! - **what else is to be done**: [`Switch::poll_output`]: connections to be closed, to be made and to be read again, and
//!   events for the focus. After [`Output::Connect`] it calls [`Switch::connected`] or [`Switch::unconnected`], and over TLS
//!   [`Switch::handshaken`] before it hands over the first octets;
//! - **questions**: [`Switch::is_paused`] (do not read this connection), [`Switch::poll_timeout`].
//!
//! After each input the driver polls until there is no output left. Nothing is lost if it does not, but somebody waits.

mod alarm;
mod awaited;
mod commands;
mod congestion;
mod connection;
mod content;
mod dialling;
mod fan_out;
mod frame;
mod log;
mod messages;
mod nicknames;
mod notices;
mod outbox;
mod outlets;
mod output;
mod patience;
mod piece_sink;
mod reports;
mod requests;
mod responses;
mod settings;
mod stream;
mod streams;
mod unbound;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use slotmap::SlotMap;

use self::alarm::{Alarm, Alarms};
use self::awaited::Awaited;
use self::connection::MessageId;
use self::outlets::Outlets;
use self::output::PendingEvent;
use self::stream::Stream;
use self::streams::Senders;
use self::unbound::Unbound;
use crate::facts::{EndReason, Event};
use crate::ids::{ConnectionId, RoomId, RoomKey, SessionId, SessionKey};
use crate::limits::CONNECTIONS_PER_SHARD_MAX;
use crate::room::Room;
use crate::session::Session;
use parlor_proto::msrp::Status;

pub use dialling::Dial;
pub use output::Output;
pub use piece_sink::{Mark, PieceSink};
pub use settings::{Counters, Settings};

/// One shard's machine.
#[derive(Debug)]
pub struct Switch {
    settings: Settings,
    outlets: Outlets,
    sessions: SlotMap<SessionKey, Entry>,
    by_id: HashMap<SessionId, SessionKey>,
    /// Sessions that are over and keep their connections, for as long as the focus says.
    suspended: HashMap<SessionId, (ConnectionId, SessionKey)>,
    rooms: SlotMap<RoomKey, Room>,
    by_room_id: HashMap<RoomId, RoomKey>,
    awaited: Awaited,
    timers: Alarms,
    unbound: Unbound,
    events: VecDeque<PendingEvent>,
    held_bytes: usize,
    /// Sessions whose peers are to be connected to.
    dials: VecDeque<SessionKey>,
    /// Connections that the driver is making.
    dials_under_way: usize,
    /// Sessions that there may be.
    sessions_max: usize,
    /// Sessions with a message that goes out as it comes, of which something came in this turn. Empty between turns.
    flowing: Vec<SessionKey>,
    /// Who sends the messages that go out as they come.
    senders: Senders,
    told_load: Load,
    draining: bool,
    rng: ChaCha8Rng,
}

/// A session, its room, and the messages that it is sending.
#[derive(Debug)]
struct Entry {
    session: Session,
    room: RoomKey,
    streams: Vec<Stream>,
    held_bytes: usize,
    /// Messages of which more may come that is refused too, and with what; oldest first.
    refused: Vec<(MessageId, Status)>,
    streams_alarm: bool,
    nickname: Option<std::sync::Arc<str>>,
    nickname_pending: bool,
    /// A nickname that the focus decides about.
    asked: Option<Box<nicknames::Asked>>,
    /// Messages that it did not get since its connection became congested.
    missed: u64,
    bind_by: Option<Instant>,
    /// Its peer is on the list of those to be connected to, or is being connected to.
    dialling: bool,
}

#[derive(Debug, Default)]
struct Load {
    deliveries: u64,
    alarm: bool,
}

/// How often the focus is told the load at most.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

impl Switch {
    /// A shard without rooms. `seed` are 256 random bits: ids that nobody must guess are drawn from them.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha8Rng::from_seed(seed);
        let ids = ChaCha8Rng::from_rng(&mut rng);
        Self {
            settings,
            outlets: Outlets::new(settings.outbox_max, ids),
            sessions: SlotMap::with_key(),
            by_id: HashMap::new(),
            suspended: HashMap::new(),
            rooms: SlotMap::with_key(),
            by_room_id: HashMap::new(),
            awaited: Awaited::default(),
            timers: Alarms::default(),
            unbound: Unbound::default(),
            events: VecDeque::new(),
            held_bytes: 0,
            dials: VecDeque::new(),
            dials_under_way: 0,
            sessions_max: CONNECTIONS_PER_SHARD_MAX,
            flowing: Vec::new(),
            senders: Senders::default(),
            told_load: Load::default(),
            draining: false,
            rng,
        }
    }

    /// A connection is there that a peer has made. It is closed if no session is bound to it within `bind_timeout`, or sooner where its
    /// network has the most of too many such connections.
    pub fn adopt(&mut self, peer: SocketAddr, secure: bool, now: Instant) -> ConnectionId {
        let id = self.take_in(peer, secure, now);
        if !self.draining
            && let Some(other) = self.unbound.add(id, peer.ip())
        {
            // Nothing is owed to one that binds nothing.
            self.outlets.close_now(other);
        }
        id
    }

    fn take_in(&mut self, peer: SocketAddr, secure: bool, now: Instant) -> ConnectionId {
        let bind_by = now + self.settings.bind_timeout;
        let id = self.outlets.adopt(peer, secure, Some(bind_by));
        if self.draining {
            self.close_when_sent(id, now);
        } else {
            self.timers.set_earliest(Alarm::Connection(id), bind_by);
        }
        id
    }

    /// A connection is gone, for whatever reason: its sessions have failed (RFC 4975 §5.4).
    pub fn closed(&mut self, id: ConnectionId, why: EndReason, now: Instant) {
        self.unbound.remove(id);
        self.outlets.forget_holds(id);
        self.outlets.part(id);
        let Some(connection) = self.outlets.connections.remove(id) else { return };
        self.dialled_lost(connection.dialled.as_deref(), now);
        self.outlets.resumed.retain(|other| *other != id);
        for key in connection.sessions {
            self.end_session(key, Some(why), now);
        }
    }

    /// Who is at the other end of a connection, for logs.
    #[must_use]
    pub fn peer(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.outlets.connections.get(id).map(|connection| connection.peer)
    }

    /// Moves the list of connections with something to send to the end of `into`. Each of them is to be gathered.
    pub fn take_dirty(&mut self, into: &mut Vec<ConnectionId>) {
        self.outlets.pressing = false;
        self.outlets.mark_followers();
        into.append(&mut self.outlets.dirty);
    }

    /// Whether something waits to be sent.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.outlets.dirty.is_empty() || !self.outlets.fresh.is_empty()
    }

    /// Whether an outbox is so full that the driver should send before it reads on.
    #[must_use]
    pub fn is_pressing(&self) -> bool {
        self.outlets.pressing
    }

    /// Hands what waits for a connection to a sink, `max` octets at most, and no more than it has room for. Answers how many. They
    /// stay where they are for as long as the switch is borrowed, and wait until [`Switch::sent`] says what became of them.
    pub fn gather(&self, id: ConnectionId, sink: &mut impl PieceSink, max: usize) -> usize {
        self.outlets.gather(id, sink, max)
    }

    /// The kernel took `n` octets of what was gathered for a connection, which can be sent to again.
    pub fn sent(&mut self, id: ConnectionId, n: usize, now: Instant) {
        self.outlets.sent(id, n, now);
        self.tell_recovered(now);
    }

    /// The kernel takes nothing for a connection at the moment. It is not on the dirty list until [`Switch::sent`] says that
    /// something has left.
    pub fn blocked(&mut self, id: ConnectionId, now: Instant) {
        self.outlets.blocked(id);
        self.press(id, now);
        self.watch_congested(now);
    }

    /// Whether a connection must not be read at the moment: somebody cannot keep up with what it sends.
    #[must_use]
    pub fn is_paused(&self, id: ConnectionId) -> bool {
        self.outlets.connections.get(id).is_some_and(|connection| connection.congestion.is_paused())
    }

    /// When [`Switch::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(alarm) = self.timers.pop_due(now) {
            match alarm {
                Alarm::Connection(id) => self.check_connection(id, now),
                Alarm::Session(key) => self.check_unbound_session(key, now),
                Alarm::Streams(key) => self.check_streams(key, now),
                Alarm::Patience(id) => self.check_patience(id, now),
                Alarm::Congestion(id) => self.check_congestion(id, now),
                Alarm::Room(key) => self.ring_room(key, now),
                Alarm::Responses => self.check_responses(now),
                Alarm::Load => self.tell_load(now),
            }
        }
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.outlets.counters
    }

    /// Connections, sessions and rooms at the moment.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.outlets.connections.len(), self.sessions.len(), self.rooms.len())
    }

    /// Octets of incomplete messages in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether the server is ending and nobody is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining && self.outlets.connections.is_empty()
    }

    fn check_connection(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.outlets.connections.get(id) else { return };
        match connection.deadline {
            Some(at) if at > now => self.timers.set_earliest(Alarm::Connection(id), at),
            Some(_) if connection.closing => self.outlets.closing.push(id),
            Some(_) => self.close_when_sent(id, now),
            None => {}
        }
    }

    /// Reads nothing more from a connection, and closes it once what waits on it has left. A peer that takes nothing may delay
    /// that for as long as it might have delayed binding a session.
    fn close_when_sent(&mut self, id: ConnectionId, now: Instant) {
        let deadline = now + self.settings.bind_timeout;
        if self.outlets.close_when_sent(id, deadline) {
            self.timers.set_earliest(Alarm::Connection(id), deadline);
        }
    }

    fn check_responses(&mut self, now: Instant) {
        let (missing, next) = self.awaited.expire(now);
        self.outlets.counters.recipient_timeouts += missing;
        if let Some(at) = next {
            self.timers.set_earliest(Alarm::Responses, at);
        }
    }

    /// The focus is told the load once a second while something is delivered, and once more when that has ended.
    fn tell_load(&mut self, now: Instant) {
        self.told_load.alarm = false;
        let deliveries = self.outlets.counters.deliveries;
        let since = deliveries - std::mem::replace(&mut self.told_load.deliveries, deliveries);
        self.push_event(Event::Load { deliveries_per_second: since });
        if since > 0 {
            self.set_load_alarm(now);
        }
    }

    fn set_load_alarm(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.told_load.alarm, true) {
            self.timers.set_earliest(Alarm::Load, now + LOAD_INTERVAL);
        }
    }
}
