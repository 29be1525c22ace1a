//! The SIP connections there are, by number and by address, and who has to go when there are too many.
//!
//! Those that carry no call and no subscription go first, and of these the one that was quiet the longest, of the network that has
//! the most. A network can displace connections of one that has fewer only once they have been quiet for [`REST`], and calls only
//! of one that has more. So nobody keeps out others who have fewer, however many it opens.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use tokio::task::AbortHandle;

use super::outbound::Outbound;
use crate::shares::network;
use parlor_proto::sip::{SipConnection, Transport};

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Where it leads.
    pub address: (Transport, SocketAddr),
    /// Over TLS, where we have made it: whose certificate was asked for.
    pub peer: Option<ServerName<'static>>,
    /// What waits to be sent on it.
    pub outbound: Outbound,
    /// Who carries it.
    pub task: AbortHandle,
    /// We have made it.
    pub own: bool,
    /// The peer sends nothing more on it: only answers go out.
    pub ended: bool,
    /// When something came on it last.
    heard: Instant,
}

/// All connections.
#[derive(Debug, Default)]
pub struct Table {
    by_number: HashMap<SipConnection, Connection>,
    by_address: HashMap<(Transport, SocketAddr), SipConnection>,
    /// Connections of peers by network, and our own by network.
    shares: [HashMap<IpAddr, usize>; 2],
    counts: [usize; 2],
    /// Who may go, in order, as of when that was looked at.
    expendable: [Vec<Expendable>; 2],
    looked_at: [Option<Instant>; 2],
    last: u64,
}

/// A connection that may be closed for another. Who goes first is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Expendable {
    in_use: bool,
    /// Connections of its network that were heard after it: where there are the most, one goes first.
    behind: Reverse<usize>,
    heard: Instant,
    number: SipConnection,
}

/// How long a connection that carries no call may be quiet before it may go for anybody.
pub const REST: Duration = Duration::from_secs(30);
/// How often it is looked at who may go: that takes time for each call.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

impl Connection {
    /// A connection that is new.
    pub fn new(
        address: (Transport, SocketAddr),
        own: bool,
        outbound: Outbound,
        task: AbortHandle,
        now: Instant,
    ) -> Self {
        Self { address, peer: None, outbound, task, own, ended: false, heard: now }
    }
}

impl Table {
    /// A number for the next connection.
    pub fn number(&mut self) -> SipConnection {
        self.last += 1;
        SipConnection(self.last)
    }

    /// Takes a connection in.
    pub fn insert(&mut self, number: SipConnection, connection: Connection) {
        let own = usize::from(connection.own);
        self.counts[own] += 1;
        *self.shares[own].entry(network(connection.address.1.ip())).or_default() += 1;
        self.by_address.insert(connection.address, number);
        self.by_number.insert(number, connection);
    }

    /// Forgets a connection.
    pub fn remove(&mut self, number: SipConnection) -> Option<Connection> {
        let connection = self.by_number.remove(&number)?;
        self.lead_nowhere(connection.address, number);
        let (own, network) = (usize::from(connection.own), network(connection.address.1.ip()));
        self.counts[own] -= 1;
        if let Some(share) = self.shares[own].get_mut(&network) {
            *share -= 1;
            if *share == 0 {
                self.shares[own].remove(&network);
            }
        }
        Some(connection)
    }

    /// The peer sends nothing more on a connection.
    pub fn end(&mut self, number: SipConnection) {
        let Some(connection) = self.by_number.get_mut(&number) else { return };
        connection.ended = true;
        let address = connection.address;
        self.lead_nowhere(address, number);
    }

    fn lead_nowhere(&mut self, address: (Transport, SocketAddr), number: SipConnection) {
        if self.by_address.get(&address) == Some(&number) {
            self.by_address.remove(&address);
        }
    }

    /// Something has come on a connection.
    pub fn heard(&mut self, number: SipConnection, now: Instant) {
        if let Some(connection) = self.by_number.get_mut(&number) {
            connection.heard = now;
        }
    }

    /// A connection.
    pub fn get(&self, number: SipConnection) -> Option<&Connection> {
        self.by_number.get(&number)
    }

    /// A connection that requests may take to an address.
    pub fn to(&self, address: (Transport, SocketAddr)) -> Option<SipConnection> {
        self.by_address.get(&address).copied()
    }

    /// Connections that peers have made, or that we have.
    pub fn count(&self, own: bool) -> usize {
        self.counts[usize::from(own)]
    }

    /// Those that peers have made, or that we have, from or to the network of an address.
    pub fn share(&self, own: bool, address: IpAddr) -> usize {
        self.shares[usize::from(own)].get(&network(address)).copied().unwrap_or_default()
    }

    /// The connection on which the most octets wait.
    pub fn fullest(&self) -> Option<SipConnection> {
        self.by_number.iter().max_by_key(|(_, connection)| connection.outbound.octets()).map(|(number, _)| *number)
    }

    /// The connection to close for one from or to `newcomer`, if it may displace any. `in_use` tells on which there are calls.
    pub fn choose(
        &mut self,
        own: bool,
        newcomer: IpAddr,
        now: Instant,
        in_use: impl FnOnce() -> HashSet<SipConnection>,
    ) -> Option<SipConnection> {
        // A list that is old does not know who has come since.
        let is_fresh = self.looked_at[usize::from(own)].is_some_and(|at| now < at + LOOK_INTERVAL);
        if is_fresh {
            return self.next(own, newcomer, now);
        }
        self.looked_at[usize::from(own)] = Some(now);
        self.expendable[usize::from(own)] = self.look(own, &in_use());
        self.next(own, newcomer, now)
    }

    fn next(&mut self, own: bool, newcomer: IpAddr, now: Instant) -> Option<SipConnection> {
        let mut all = std::mem::take(&mut self.expendable[usize::from(own)]);
        all.retain(|one| self.by_number.get(&one.number).is_some_and(|connection| connection.heard == one.heard));
        let at = all.iter().position(|one| self.may_go(one, own, newcomer, now));
        let chosen = at.map(|at| all.remove(at).number);
        self.expendable[usize::from(own)] = all;
        chosen
    }

    fn may_go(&self, one: &Expendable, own: bool, newcomer: IpAddr, now: Instant) -> bool {
        let Some(connection) = self.by_number.get(&one.number) else { return false };
        let host = connection.address.1.ip();
        let (theirs, others) = (self.share(own, host), self.share(own, newcomer));
        if one.in_use {
            // A call is not ended for one who would have as much then.
            return theirs > others + 1;
        }
        network(host) == network(newcomer) || theirs > others || now >= one.heard + REST
    }

    fn look(&self, own: bool, in_use: &HashSet<SipConnection>) -> Vec<Expendable> {
        let mut by_network: HashMap<IpAddr, Vec<(Instant, SipConnection)>> = HashMap::new();
        for (number, connection) in self.by_number.iter().filter(|(_, connection)| connection.own == own) {
            by_network.entry(network(connection.address.1.ip())).or_default().push((connection.heard, *number));
        }
        let mut all = Vec::with_capacity(self.count(own));
        for mut connections in by_network.into_values() {
            connections.sort_unstable_by_key(|one| Reverse(*one));
            all.extend(connections.into_iter().enumerate().map(|(behind, (heard, number))| Expendable {
                in_use: in_use.contains(&number),
                behind: Reverse(behind),
                heard,
                number,
            }));
        }
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::outbound::queue;
    use super::*;

    struct World {
        table: Table,
        now: Instant,
        ports: u16,
        runtime: tokio::runtime::Runtime,
    }

    impl World {
        fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            Self { table: Table::default(), now: Instant::now(), ports: 1024, runtime }
        }

        fn connect(&mut self, host: &str) -> SipConnection {
            self.ports += 1;
            self.now += Duration::from_millis(1);
            let task = self.runtime.spawn(async {}).abort_handle();
            let number = self.table.number();
            let address = (Transport::Tcp, SocketAddr::new(host.parse().unwrap(), self.ports));
            let connection = Connection::new(address, false, queue(&Rc::default()).0, task, self.now);
            self.table.insert(number, connection);
            number
        }

        fn connect_many(&mut self, host: &str, count: usize) -> Vec<SipConnection> {
            (0..count).map(|_| self.connect(host)).collect()
        }

        fn choose(&mut self, newcomer: &str, in_use: &[SipConnection]) -> Option<SipConnection> {
            let in_use = || in_use.iter().copied().collect();
            let chosen = self.table.choose(false, newcomer.parse().unwrap(), self.now, in_use);
            chosen.inspect(|number| drop(self.table.remove(*number)))
        }
    }

    #[test]
    fn who_has_the_most_loses_the_one_that_was_quiet_the_longest() {
        let mut world = World::new();
        let alone = world.connect("192.0.2.1");
        let many = world.connect_many("192.0.2.2", 5);
        world.table.heard(many[0], world.now + Duration::from_millis(1));
        for expected in [many[1], many[2], many[3], many[4]] {
            assert_eq!(world.choose("192.0.2.3", &[]), Some(expected));
        }
        assert_eq!(world.choose("192.0.2.3", &[]), Some(alone), "of equal ones the one that was quiet the longest");
        assert_eq!(world.table.count(false), 1);
    }

    #[test]
    fn one_customer_of_an_ipv6_network_is_one_source() {
        let mut world = World::new();
        let alone = world.connect("2001:db8:1::1");
        let first = world.connect("2001:db8:2::1");
        world.connect("2001:db8:2::2");
        world.connect("2001:db8:2:0:ffff::3");
        assert_eq!(world.table.share(false, "2001:db8:2::9".parse().unwrap()), 3);
        assert_eq!(world.choose("2001:db8:3::1", &[]), Some(first));
        assert!(world.table.get(alone).is_some());
        world.connect("192.0.2.1");
        assert_eq!(world.table.share(false, "::ffff:192.0.2.1".parse().unwrap()), 1);
    }

    #[test]
    fn a_connection_without_a_call_goes_before_one_with_a_call() {
        let mut world = World::new();
        let many = world.connect_many("192.0.2.2", 4);
        assert_eq!(world.choose("192.0.2.3", &many[..3]), Some(many[3]));
        assert_eq!(world.choose("192.0.2.3", &[]), Some(many[0]), "it was told that this one carries a call");
    }

    #[test]
    fn calls_go_only_for_who_has_fewer() {
        let mut world = World::new();
        let many = world.connect_many("192.0.2.2", 3);
        let other = world.connect("192.0.2.3");
        let all: Vec<_> = many.iter().chain([&other]).copied().collect();
        assert_eq!(world.choose("192.0.2.2", &all), None, "its own calls are no reason to end calls of its own");
        world.now += LOOK_INTERVAL;
        assert_eq!(world.choose("192.0.2.3", &all), Some(many[0]));
        world.now += LOOK_INTERVAL;
        assert_eq!(world.choose("192.0.2.3", &all), None, "it would have as many then");
    }

    #[test]
    fn who_holds_everything_with_calls_does_not_displace_one_that_has_just_come() {
        let mut world = World::new();
        let many = world.connect_many("192.0.2.2", 50);
        let newcomer = world.connect("192.0.2.3");
        assert_eq!(world.choose("192.0.2.2", &many), None);
        world.now += REST;
        assert_eq!(world.choose("192.0.2.2", &many), Some(newcomer), "it has rested too long");
    }

    #[test]
    fn it_is_not_looked_at_every_call_for_every_connection_that_is_refused() {
        let mut world = World::new();
        let many = world.connect_many("192.0.2.2", 3);
        assert_eq!(world.choose("192.0.2.2", &many), None);
        let looked = std::cell::Cell::new(0);
        let mut ask = |now| {
            world.table.choose(false, "192.0.2.2".parse().unwrap(), now, || {
                looked.set(looked.get() + 1);
                many.iter().copied().collect()
            })
        };
        let now = Instant::now();
        assert_eq!((ask(now), ask(now), looked.get()), (None, None, 0));
        assert_eq!((ask(now + Duration::from_secs(9)), looked.get()), (None, 1));
    }
}
