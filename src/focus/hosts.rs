//! Which hosts are ours.

use std::collections::HashSet;
use std::net::SocketAddr;

use crate::focus::settings::Settings;
use parlor_proto::uri::Aor;

/// Every host whose users are rooms here: the domains and our own addresses, without a port and with those we listen on.
#[derive(Debug)]
pub struct Hosts(HashSet<String>);

impl Hosts {
    pub fn new(settings: &Settings) -> Self {
        let mut hosts = HashSet::new();
        for name in settings.domains.iter().chain([&settings.contact_host]) {
            hosts.extend(normal(name));
            hosts.extend(settings.listen.iter().filter_map(|(_, at)| normal(&format!("{name}:{}", at.port()))));
        }
        for (_, at) in settings.listen.iter().filter(|(_, at)| !at.ip().is_unspecified()) {
            let (with_port, host) = (at.to_string(), SocketAddr::new(at.ip(), 5060).to_string());
            hosts.extend([with_port, host].iter().filter_map(|host| normal(host)));
        }
        Self(hosts)
    }

    /// Whether an address is at one of them.
    pub fn own(&self, address: &Aor) -> bool {
        address.host().is_some_and(|host| self.0.contains(host))
    }

    /// Every address that a room of a name has.
    pub fn names(&self, room: &str) -> Vec<Aor> {
        let mut names: Vec<Aor> = self.0.iter().filter_map(|host| Aor::new(room, host).ok()).collect();
        names.sort();
        names
    }
}

fn normal(host: &str) -> Option<String> {
    Aor::new("", host).ok().map(|aor| aor.as_str().to_owned())
}
