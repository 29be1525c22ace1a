//! Which SIP connection is closed for a new one when [`SIP_CONNECTIONS_MAX`](crate::limits::SIP_CONNECTIONS_MAX) is reached.
//!
//! Connections without a call or subscription go first; of these the one of the network with the most connections that has received
//! nothing for the longest time. A newcomer may evict an idle connection of its own network, of a network with more connections than
//! its own, or one that was idle for [`IDLE_MIN`]; and a connection in use only of a network with more connections. So no network keeps
//! others out, however many connections it opens.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::table::{ConnectionTable, Side};
use crate::shares::network;
use parlor_proto::sip::SipConnection;

/// How long an idle connection is protected from newcomers of other networks.
const IDLE_MIN: Duration = Duration::from_secs(30);
/// The shortest time between two rankings: each takes time in proportion to the calls.
const RANKING_INTERVAL: Duration = Duration::from_millis(100);

/// The eviction policy for the connections of one side.
#[derive(Debug)]
pub struct Eviction {
    side: Side,
    /// The connections in the order in which they go, as of `ranked_at`.
    candidates: Vec<Candidate>,
    ranked_at: Option<Instant>,
}

/// A connection that may be evicted. The least one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    in_use: bool,
    /// Connections of its network with a later receipt.
    later: Reverse<usize>,
    last_receipt: Instant,
    number: SipConnection,
}

impl Eviction {
    /// A policy without a ranking yet.
    pub fn new(side: Side) -> Self {
        Self { side, candidates: Vec::new(), ranked_at: None }
    }

    /// The connection to close for one with `newcomer`; `None` if it may evict none. `in_use` returns the connections that carry
    /// calls or subscriptions; it is called at most once in [`RANKING_INTERVAL`].
    pub fn choose(
        &mut self,
        table: &ConnectionTable,
        newcomer: IpAddr,
        now: Instant,
        in_use: impl FnOnce() -> HashSet<SipConnection>,
    ) -> Option<SipConnection> {
        if self.ranked_at.is_none_or(|at| now >= at + RANKING_INTERVAL) {
            self.ranked_at = Some(now);
            self.candidates = rank(table, self.side, &in_use());
        }
        let receipt = |one: &Candidate| table.get(one.number).map(|connection| connection.last_receipt);
        self.candidates.retain(|one| receipt(one) == Some(one.last_receipt));
        let side = self.side;
        let at = self.candidates.iter().position(|one| may_evict(table, side, one, newcomer, now))?;
        Some(self.candidates.remove(at).number)
    }
}

fn may_evict(table: &ConnectionTable, side: Side, one: &Candidate, newcomer: IpAddr, now: Instant) -> bool {
    let Some(connection) = table.get(one.number) else { return false };
    let host = connection.address.1.ip();
    let (theirs, newcomers) = (table.count_of_network(side, host), table.count_of_network(side, newcomer));
    if one.in_use {
        // Not for a newcomer that would then have as many.
        return theirs > newcomers + 1;
    }
    network(host) == network(newcomer) || theirs > newcomers || now >= one.last_receipt + IDLE_MIN
}

fn rank(table: &ConnectionTable, side: Side, in_use: &HashSet<SipConnection>) -> Vec<Candidate> {
    let mut by_network: HashMap<IpAddr, Vec<(Instant, SipConnection)>> = HashMap::new();
    for (number, connection) in table.of_side(side) {
        by_network.entry(connection.network()).or_default().push((connection.last_receipt, number));
    }
    let mut all = Vec::with_capacity(table.count(side));
    for mut connections in by_network.into_values() {
        connections.sort_unstable_by_key(|one| Reverse(*one));
        all.extend(connections.into_iter().enumerate().map(|(later, (last_receipt, number))| Candidate {
            in_use: in_use.contains(&number),
            later: Reverse(later),
            last_receipt,
            number,
        }));
    }
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::rc::Rc;

    use super::super::send_queue::send_queue;
    use super::super::table::Connection;
    use super::*;
    use parlor_proto::sip::Transport;

    struct Connections {
        table: ConnectionTable,
        eviction: Eviction,
        now: Instant,
        ports: u16,
        runtime: tokio::runtime::Runtime,
    }

    impl Connections {
        fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (table, eviction) = (ConnectionTable::default(), Eviction::new(Side::Server));
            Self { table, eviction, now: Instant::now(), ports: 1024, runtime }
        }

        fn connect(&mut self, host: &str) -> SipConnection {
            self.ports += 1;
            self.now += Duration::from_millis(1);
            let task = self.runtime.spawn(async {}).abort_handle();
            let number = self.table.next_number();
            let address = (Transport::Tcp, SocketAddr::new(host.parse().unwrap(), self.ports));
            let connection = Connection::new(address, Side::Server, send_queue(&Rc::default()).0, task, self.now);
            self.table.insert(number, connection);
            number
        }

        fn connect_many(&mut self, host: &str, count: usize) -> Vec<SipConnection> {
            (0..count).map(|_| self.connect(host)).collect()
        }

        fn count_of(&self, host: &str) -> usize {
            self.table.count_of_network(Side::Server, host.parse().unwrap())
        }

        fn evict_for(&mut self, newcomer: &str, in_use: &[SipConnection]) -> Option<SipConnection> {
            let in_use = || in_use.iter().copied().collect();
            let chosen = self.eviction.choose(&self.table, newcomer.parse().unwrap(), self.now, in_use);
            chosen.inspect(|number| drop(self.table.remove(*number)))
        }
    }

    #[test]
    fn the_network_with_the_most_loses_its_longest_idle_connection() {
        let mut connections = Connections::new();
        let single = connections.connect("192.0.2.1");
        let many = connections.connect_many("192.0.2.2", 5);
        connections.table.record_receipt(many[0], connections.now + Duration::from_millis(1));
        for expected in [many[1], many[2], many[3], many[4]] {
            assert_eq!(connections.evict_for("192.0.2.3", &[]), Some(expected));
        }
        assert_eq!(connections.evict_for("192.0.2.3", &[]), Some(single), "of equal networks the longest idle");
        assert_eq!(connections.table.count(Side::Server), 1);
    }

    #[test]
    fn an_ipv6_prefix_of_64_bits_is_one_network() {
        let mut connections = Connections::new();
        let single = connections.connect("2001:db8:1::1");
        let first = connections.connect("2001:db8:2::1");
        connections.connect("2001:db8:2::2");
        connections.connect("2001:db8:2:0:ffff::3");
        assert_eq!(connections.count_of("2001:db8:2::9"), 3);
        assert_eq!(connections.evict_for("2001:db8:3::1", &[]), Some(first));
        assert!(connections.table.get(single).is_some());
        connections.connect("192.0.2.1");
        assert_eq!(connections.count_of("::ffff:192.0.2.1"), 1);
    }

    #[test]
    fn a_connection_without_a_call_is_evicted_before_one_with_a_call() {
        let mut connections = Connections::new();
        let many = connections.connect_many("192.0.2.2", 4);
        assert_eq!(connections.evict_for("192.0.2.3", &many[..3]), Some(many[3]));
        assert_eq!(connections.evict_for("192.0.2.3", &[]), Some(many[0]), "the ranking is from before");
    }

    #[test]
    fn a_call_is_evicted_only_for_a_network_with_fewer_connections() {
        let mut connections = Connections::new();
        let many = connections.connect_many("192.0.2.2", 3);
        let other = connections.connect("192.0.2.3");
        let all: Vec<_> = many.iter().chain([&other]).copied().collect();
        assert_eq!(connections.evict_for("192.0.2.2", &all), None, "no call of its own network");
        connections.now += RANKING_INTERVAL;
        assert_eq!(connections.evict_for("192.0.2.3", &all), Some(many[0]));
        connections.now += RANKING_INTERVAL;
        assert_eq!(connections.evict_for("192.0.2.3", &all), None, "it would then have as many");
    }

    #[test]
    fn a_network_full_of_calls_does_not_evict_a_new_connection_of_another() {
        let mut connections = Connections::new();
        let many = connections.connect_many("192.0.2.2", 50);
        let newcomer = connections.connect("192.0.2.3");
        assert_eq!(connections.evict_for("192.0.2.2", &many), None);
        connections.now += IDLE_MIN;
        assert_eq!(connections.evict_for("192.0.2.2", &many), Some(newcomer), "it is idle for too long");
    }

    #[test]
    fn connections_are_ranked_once_in_an_interval() {
        let mut connections = Connections::new();
        let many = connections.connect_many("192.0.2.2", 3);
        assert_eq!(connections.evict_for("192.0.2.2", &many), None);
        let rankings = std::cell::Cell::new(0);
        let start = connections.now;
        let mut choose = |now| {
            connections.eviction.choose(&connections.table, "192.0.2.2".parse().unwrap(), now, || {
                rankings.set(rankings.get() + 1);
                many.iter().copied().collect()
            })
        };
        assert_eq!((choose(start), choose(start), rankings.get()), (None, None, 0));
        assert_eq!((choose(start + Duration::from_secs(9)), rankings.get()), (None, 1));
    }
}
