//! What an operator decides about the focus.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::facts::RoomPolicy;
use crate::ids::ShardId;

/// Everything the focus is told when it is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Hosts whose users are rooms here; the first one stands in the rooms' own URIs. Must not be empty.
    pub domains: Vec<String>,
    /// The addresses that SIP comes in on.
    pub listen: Vec<SocketAddr>,
    /// The host that stands in Contact and Via where a socket listens on every address.
    pub contact_host: String,
    /// The host that stands in `a=path`.
    pub msrp_host: String,
    /// The shards, at least one.
    pub shards: Vec<ShardAddress>,
    /// INVITEs a second above which they are refused; 0 is no limit.
    pub max_calls_per_second: u32,
    /// SIP server transactions above which requests are refused without keeping anything of them.
    pub transactions_max: usize,
    /// What stands in Server and User-Agent.
    pub software: String,
    /// The rooms.
    pub rooms: RoomSettings,
}

/// Which rooms there are and by what policy; can be replaced while the focus runs.
#[derive(Debug, Clone, Default)]
pub struct RoomSettings {
    /// Whether a room comes into being by being joined.
    pub on_demand: bool,
    /// Rooms at a time; 0 is no limit.
    pub max_rooms: usize,
    /// Rooms by name, the user part of their URI.
    pub named: HashMap<String, Arc<RoomPolicy>>,
    /// The policy of all others.
    pub defaults: Arc<RoomPolicy>,
}

impl RoomSettings {
    /// The policy of a room; `None` where there is to be no such room.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Arc<RoomPolicy>> {
        self.named.get(name).or_else(|| self.on_demand.then_some(&self.defaults))
    }
}

/// Where a shard is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardAddress {
    /// Which shard.
    pub id: ShardId,
    /// The port of its MSRP listener.
    pub port: u16,
}
