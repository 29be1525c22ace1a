//! How much of what all share each source holds.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// What one customer of a network has: an IPv4 address, or 64 bits of IPv6.
#[must_use]
pub fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Octets, or things, by source. A source may hold as much as is still free: alone it gets half of everything, beside others less, and there is
/// always something left for one that comes new.
#[derive(Debug, Default)]
pub struct Shares {
    max: usize,
    held: usize,
    by_source: HashMap<IpAddr, usize>,
}

impl Shares {
    /// Shares of so much.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// Sets how much there is in all.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// What a source holds.
    #[must_use]
    pub fn of(&self, source: IpAddr) -> usize {
        self.by_source.get(&network(source)).copied().unwrap_or_default()
    }

    /// Whether a source may take so much more.
    #[must_use]
    pub fn has_room(&self, source: IpAddr, bytes: usize) -> bool {
        self.of(source) + bytes <= self.max.saturating_sub(self.held)
    }

    /// A source takes so much, whether or not there is room.
    pub fn take(&mut self, source: IpAddr, bytes: usize) {
        self.held += bytes;
        *self.by_source.entry(network(source)).or_default() += bytes;
    }

    /// A source gives back what it took.
    pub fn give_back(&mut self, source: IpAddr, bytes: usize) {
        let source = network(source);
        self.held -= bytes;
        if let Some(held) = self.by_source.get_mut(&source) {
            *held -= bytes;
            if *held == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn one_source_gets_half_and_a_newcomer_gets_something() {
        let mut shares = Shares::new(100);
        let take_all = |shares: &mut Shares, source| {
            while shares.has_room(source, 1) {
                shares.take(source, 1);
            }
            shares.of(source)
        };
        assert_eq!(take_all(&mut shares, source(1)), 50);
        assert_eq!(take_all(&mut shares, source(2)), 25);
        assert!(!shares.has_room(source(1), 1) && shares.has_room(source(3), 12));
        shares.give_back(source(1), 50);
        assert_eq!((take_all(&mut shares, source(2)), shares.by_source.len()), (50, 1));
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_source() {
        let mut shares = Shares::new(100);
        shares.take("2001:db8::1".parse().unwrap(), 10);
        assert_eq!(shares.of("2001:db8::2".parse().unwrap()), 10);
        assert_eq!(shares.of("2001:db8:0:1::1".parse().unwrap()), 0);
        assert_eq!(shares.of("::ffff:192.0.2.1".parse().unwrap()), 0);
        shares.take(source(1), 5);
        assert_eq!(shares.of("::ffff:192.0.2.1".parse().unwrap()), 5);
    }
}
