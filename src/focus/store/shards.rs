//! Which shard a room goes to.

use crate::focus::settings::ShardAddress;
use crate::ids::ShardId;

/// The shards with what they carry.
#[derive(Debug)]
pub struct Shards(Vec<Shard>);

#[derive(Debug)]
struct Shard {
    address: ShardAddress,
    sessions: usize,
    deliveries_per_second: u64,
    rooms: usize,
}

impl Shards {
    pub fn new(addresses: &[ShardAddress]) -> Self {
        let idle = |&address| Shard { address, sessions: 0, deliveries_per_second: 0, rooms: 0 };
        Self(addresses.iter().map(idle).collect())
    }

    /// The one with the fewest sessions, then the least to deliver, then the fewest rooms; `None` where there is none.
    pub fn least_loaded(&self) -> Option<ShardId> {
        let load = |shard: &&Shard| (shard.sessions, shard.deliveries_per_second, shard.rooms, shard.address.id);
        self.0.iter().min_by_key(load).map(|shard| shard.address.id)
    }

    pub fn port(&self, id: ShardId) -> Option<u16> {
        self.0.iter().find(|shard| shard.address.id == id).map(|shard| shard.address.port)
    }

    /// The port for TLS.
    pub fn tls_port(&self, id: ShardId) -> Option<u16> {
        self.0.iter().find(|shard| shard.address.id == id).and_then(|shard| shard.address.tls_port)
    }

    /// Whether all of them take TLS: a room may go to any.
    pub fn have_tls(&self) -> bool {
        self.0.iter().all(|shard| shard.address.tls_port.is_some())
    }

    pub fn set_load(&mut self, id: ShardId, deliveries_per_second: u64) {
        self.change(id, |shard| shard.deliveries_per_second = deliveries_per_second);
    }

    pub fn session_opened(&mut self, id: ShardId) {
        self.change(id, |shard| shard.sessions += 1);
    }

    pub fn session_closed(&mut self, id: ShardId) {
        self.change(id, |shard| shard.sessions = shard.sessions.saturating_sub(1));
    }

    pub fn room_opened(&mut self, id: ShardId) {
        self.change(id, |shard| shard.rooms += 1);
    }

    pub fn room_closed(&mut self, id: ShardId) {
        self.change(id, |shard| shard.rooms = shard.rooms.saturating_sub(1));
    }

    fn change(&mut self, id: ShardId, how: impl FnOnce(&mut Shard)) {
        if let Some(shard) = self.0.iter_mut().find(|shard| shard.address.id == id) {
            how(shard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_go_where_there_is_least() {
        let id = |n| ShardId(n);
        let mut shards = Shards::new(&[0, 1, 2].map(|n| ShardAddress { id: id(n), port: 2855 + n, tls_port: None }));
        assert_eq!(shards.least_loaded(), Some(id(0)));
        shards.room_opened(id(0));
        assert_eq!(shards.least_loaded(), Some(id(1)));
        shards.set_load(id(1), 10);
        shards.session_opened(id(2));
        assert_eq!(shards.least_loaded(), Some(id(0)));
        shards.session_opened(id(0));
        shards.session_opened(id(0));
        shards.session_opened(id(1));
        assert_eq!(shards.least_loaded(), Some(id(2)));
        shards.session_closed(id(1));
        assert_eq!(shards.least_loaded(), Some(id(1)));
        assert_eq!((shards.port(id(2)), shards.port(id(9))), (Some(2857), None));
        assert_eq!(Shards::new(&[]).least_loaded(), None);
    }
}
