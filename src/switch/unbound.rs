//! Connections that peers have made and to which no session is bound yet, by the network that they come from. A network
//! with very many loses its oldest ones, so that there are descriptors left for others.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use slotmap::SecondaryMap;

use crate::ids::ConnectionId;
use crate::limits::UNBOUND_CONNECTIONS_MAX;
use crate::shares::network;

/// All of them.
#[derive(Debug, Default)]
pub struct Unbound {
    networks: SecondaryMap<ConnectionId, IpAddr>,
    by_network: HashMap<IpAddr, OfNetwork>,
}

/// Those of one network.
#[derive(Debug, Default)]
struct OfNetwork {
    count: usize,
    /// Oldest first. Those that are bound or gone since are still among them.
    ids: VecDeque<ConnectionId>,
}

impl Unbound {
    /// A peer has made a connection. Returns one that is to be closed for it: the oldest of the network that has the most, where
    /// there are more than [`UNBOUND_CONNECTIONS_MAX`] and that network has more than one; or the new one itself, where there are twice as many.
    pub fn add(&mut self, id: ConnectionId, peer: IpAddr) -> Option<ConnectionId> {
        let network = network(peer);
        self.networks.insert(id, network);
        let own = self.by_network.entry(network).or_default();
        own.count += 1;
        own.ids.push_back(id);
        if self.networks.len() <= UNBOUND_CONNECTIONS_MAX {
            return None;
        }
        if self.networks.len() > 2 * UNBOUND_CONNECTIONS_MAX {
            // So many networks with one connection each are one attacker, or more than can be served.
            self.remove(id);
            return Some(id);
        }
        let fullest = self.by_network.values_mut().max_by_key(|own| own.count).filter(|own| own.count > 1)?;
        let networks = &self.networks;
        let oldest = std::iter::from_fn(|| fullest.ids.pop_front()).find(|id| networks.contains_key(*id))?;
        self.remove(oldest);
        Some(oldest)
    }

    /// A connection carries a session, or is gone.
    pub fn remove(&mut self, id: ConnectionId) {
        let Some(network) = self.networks.remove(id) else { return };
        let Some(own) = self.by_network.get_mut(&network) else { return };
        own.count -= 1;
        if own.count == 0 {
            self.by_network.remove(&network);
        } else if own.ids.len() > 2 * own.count + 16 {
            own.ids.retain(|id| self.networks.contains_key(*id));
        }
    }
}
