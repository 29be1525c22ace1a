//! The state of a switch.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use slotmap::SlotMap;

use super::awaited::Awaited;
use super::egress::Egress;
use super::incoming::MessageId;
use super::nickname_request::PendingNickname;
use super::output::PendingEvent;
use super::senders::Senders;
use super::settings::Settings;
use super::stream::Stream;
use super::timer::SwitchTimers;
use super::unbound::Unbound;
use crate::ids::{ConnectionId, RoomId, RoomKey, SessionId, SessionKey};
use crate::limits::CONNECTIONS_PER_SHARD_MAX;
use crate::room::Room;
use crate::session::Session;
use parlor_proto::msrp::Status;

/// One shard's machine.
#[derive(Debug)]
pub struct Switch {
    pub(super) settings: Settings,
    pub(super) egress: Egress,
    pub(super) sessions: SlotMap<SessionKey, SessionEntry>,
    pub(super) by_id: HashMap<SessionId, SessionKey>,
    /// Sessions that are over and keep their connections, for as long as the focus says.
    pub(super) suspended: HashMap<SessionId, (ConnectionId, SessionKey)>,
    pub(super) rooms: SlotMap<RoomKey, Room>,
    pub(super) by_room_id: HashMap<RoomId, RoomKey>,
    pub(super) awaited: Awaited,
    pub(super) timers: SwitchTimers,
    pub(super) unbound: Unbound,
    pub(super) events: VecDeque<PendingEvent>,
    pub(super) held_bytes: usize,
    /// Sessions whose peers are to be connected to.
    pub(super) dials: VecDeque<SessionKey>,
    /// Connections that the driver is making.
    pub(super) dials_under_way: usize,
    /// How many sessions there may be.
    pub(super) sessions_max: usize,
    /// Sessions with a message that goes out as it comes, of which something came in this turn. Empty between turns.
    pub(super) flowing: Vec<SessionKey>,
    /// Who sends the messages that go out as they come.
    pub(super) senders: Senders,
    pub(super) reported_load: Load,
    pub(super) draining: bool,
    pub(super) rng: ChaCha8Rng,
}

/// A session, its room, and the messages that it is sending.
#[derive(Debug)]
pub struct SessionEntry {
    pub session: Session,
    pub room: RoomKey,
    pub streams: Vec<Stream>,
    pub held_bytes: usize,
    /// Messages that were refused and of which more may come, with the status; oldest first.
    pub refused: Vec<(MessageId, Status)>,
    pub streams_timer: bool,
    pub nickname: Option<Arc<str>>,
    pub nickname_pending: bool,
    /// A nickname that the focus decides about.
    pub pending_nickname: Option<Box<PendingNickname>>,
    /// Messages that it did not get since its connection became congested.
    pub missed: u64,
    pub bind_by: Option<Instant>,
    /// A connection to its peer is to be made, or is being made.
    pub dialling: bool,
}

/// The load that was reported last.
#[derive(Debug, Default)]
pub struct Load {
    pub deliveries: u64,
    pub timer: bool,
}

impl Switch {
    /// A shard without rooms. `seed` are 256 random bits: ids that nobody must guess are drawn from them.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha8Rng::from_seed(seed);
        let ids = ChaCha8Rng::from_rng(&mut rng);
        Self {
            settings,
            egress: Egress::new(settings.outbox_max, ids),
            sessions: SlotMap::with_key(),
            by_id: HashMap::new(),
            suspended: HashMap::new(),
            rooms: SlotMap::with_key(),
            by_room_id: HashMap::new(),
            awaited: Awaited::default(),
            timers: SwitchTimers::default(),
            unbound: Unbound::default(),
            events: VecDeque::new(),
            held_bytes: 0,
            dials: VecDeque::new(),
            dials_under_way: 0,
            sessions_max: CONNECTIONS_PER_SHARD_MAX,
            flowing: Vec::new(),
            senders: Senders::default(),
            reported_load: Load::default(),
            draining: false,
            rng,
        }
    }
}
