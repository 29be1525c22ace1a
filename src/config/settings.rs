//! The settings of the parts of the server, from the config.

use std::net::SocketAddr;
use std::sync::Arc;

use super::tables::{Config, Cores, SipTransport};
use crate::call::Users;
use crate::focus::{RoomSettings, Settings, ShardAddress};
use crate::limits::SIP_TRANSACTION_BYTES_MAX;
use crate::shard::ShardSettings;
use parlor_proto::sip::{Transport, uri};

impl Config {
    /// The settings of the shards. `allowed`: the cores that the process may run on.
    #[must_use]
    pub fn shard_settings(&self, allowed: &[usize]) -> ShardSettings {
        let cores = match &self.shards.cores {
            Cores::All => allowed.to_vec(),
            Cores::List(cores) => cores.clone(),
        };
        ShardSettings {
            cores,
            io: self.shards.io,
            listen: self.msrp.listen,
            port: self.msrp.port,
            tls_port: self.msrp.tls_port,
            tls: None,
            bind_timeout: self.msrp.bind_timeout,
            outbox_max: self.msrp.outbox_max,
            spin_before_park: self.shards.spin_before_park,
            ring_depth: self.shards.ring_depth,
            send_batch: self.shards.send_batch,
            copy_below: self.shards.copy_below,
        }
    }

    /// The settings of the focus, with the bound SIP addresses and the ports of the shards.
    #[must_use]
    pub fn focus_settings(&self, listen: Vec<(Transport, SocketAddr)>, shards: Vec<ShardAddress>) -> Settings {
        let host = self.msrp.path_host();
        Settings {
            domains: self.sip.domains.clone(),
            listen,
            outbound_proxy: self.sip.outbound_proxy.as_deref().and_then(uri),
            contact_host: host.clone(),
            msrp_host: host,
            connect_out: self.msrp.connect_out.clone(),
            fingerprints: Vec::new(),
            shards,
            users: self.users(),
            trusted_peers: self.sip.trusted_peers.clone(),
            max_calls_per_second: self.sip.max_calls_per_second,
            session_expires: self.sip.session_expires,
            transaction_bytes_max: SIP_TRANSACTION_BYTES_MAX,
            software: concat!("Parlor/", env!("CARGO_PKG_VERSION")).into(),
            rooms: self.room_settings(),
        }
    }

    /// The users for authentication.
    #[must_use]
    pub fn users(&self) -> Option<Arc<Users>> {
        self.sip.auth.as_ref().map(|auth| Arc::new(auth.users()))
    }

    /// The settings of rooms.
    #[must_use]
    pub fn room_settings(&self) -> RoomSettings {
        let named = self.rooms.named.iter().map(|(name, policy)| (name.clone(), Arc::new(policy.clone())));
        RoomSettings {
            on_demand: self.rooms.on_demand,
            max_rooms: self.rooms.max_rooms,
            named: named.collect(),
            defaults: Arc::new(self.rooms.defaults.clone()),
        }
    }
}

impl From<SipTransport> for Transport {
    fn from(transport: SipTransport) -> Self {
        match transport {
            SipTransport::Udp => Self::Udp,
            SipTransport::Tcp => Self::Tcp,
            SipTransport::Tls => Self::Tls,
        }
    }
}
