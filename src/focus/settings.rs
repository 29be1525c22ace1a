//! What an operator decides about the focus.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::call::Users;
use crate::facts::{Fingerprint, RoomPolicy};
use crate::ids::ShardId;
use parlor_proto::sip::{Transport, Uri};

/// The settings of a focus.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Hosts whose users are rooms here; the first one stands in the rooms' own URIs. Must not be empty.
    pub domains: Vec<String>,
    /// What SIP comes in on, and where.
    pub listen: Vec<(Transport, SocketAddr)>,
    /// Where calls of ours go; without it to the host of who is called.
    pub outbound_proxy: Option<Uri>,
    /// The host that stands in Contact and Via where a socket listens on every address.
    pub contact_host: String,
    /// The host that stands in `a=path`.
    pub msrp_host: String,
    /// Whom the shards may connect to for clients that only listen.
    pub connect_out: ConnectOut,
    /// Of the certificate that the shards show (RFC 8122 §5.1).
    pub fingerprints: Vec<Fingerprint>,
    /// The shards, at least one.
    pub shards: Vec<ShardAddress>,
    /// The users with their passwords; `None`: no authentication.
    pub users: Option<Arc<Users>>,
    /// The peers whose P-Asserted-Identity is trusted (RFC 3325).
    pub trusted_peers: Vec<Network>,
    /// INVITEs a second above which they are refused; 0 is no limit.
    pub max_calls_per_second: u32,
    /// How long a session may last without a refresh (RFC 4028); zero: sessions do not expire.
    pub session_expires: Duration,
    /// Octets that SIP server transactions may hold; above a source's share its requests are refused without keeping anything of them.
    pub transaction_bytes_max: usize,
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
    /// The policy of a room; `None` where no such room is allowed.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Arc<RoomPolicy>> {
        self.named.get(name).or_else(|| self.on_demand.then_some(&self.defaults))
    }
}

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The network of an address of which only the first `bits` count; `None` where it has no so many.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether an address is in it. An IPv4 address that is written as IPv6 is the same.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                (ours.to_bits() ^ other.to_bits()).checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                (ours.to_bits() ^ other.to_bits()).checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The ports of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardAddress {
    /// Which shard.
    pub id: ShardId,
    /// The port of its MSRP listener.
    pub port: u16,
    /// The port of its listener for MSRP over TLS, if it has one.
    pub tls_port: Option<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        let has = |network: &str, bits: u8, address: &str| {
            Network::new(network.parse().unwrap(), bits).unwrap().contains(address.parse().unwrap())
        };
        assert!(has("10.0.0.0", 8, "10.255.0.1") && !has("10.0.0.0", 8, "11.0.0.1"));
        assert!(has("192.0.2.7", 32, "192.0.2.7") && !has("192.0.2.7", 32, "192.0.2.6"));
        assert!(has("0.0.0.0", 0, "203.0.113.1") && !has("0.0.0.0", 0, "::1"));
        assert!(has("2001:db8::", 32, "2001:db8:1::1") && !has("2001:db8::", 32, "2001:db9::1") && has("::", 0, "::1"));
        assert!(has("192.0.2.0", 24, "::ffff:192.0.2.9"));
        assert!(
            Network::new("::1".parse().unwrap(), 129).is_none()
                && Network::new("10.0.0.0".parse().unwrap(), 33).is_none()
        );
    }
}

/// Whom the server connects to where a client only listens. A stranger must not be able to point it at others (RFC 4975
/// §14.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ConnectOut {
    /// No address.
    Never,
    /// The address that the call came from.
    #[default]
    Source,
    /// All addresses.
    Any,
    /// Addresses in these networks: for clients behind a SIP proxy.
    Networks(Vec<Network>),
}

impl ConnectOut {
    pub(super) fn allows(&self, target: IpAddr, source: IpAddr) -> bool {
        match self {
            Self::Never => false,
            Self::Source => target.to_canonical() == source.to_canonical(),
            Self::Any => true,
            Self::Networks(networks) => networks.iter().any(|network| network.contains(target)),
        }
    }
}
