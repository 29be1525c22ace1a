//! Fair shares of a limited resource by holder.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The smallest maximum of which a part is reserved for others.
const DIVIDED_MIN: usize = 8;

/// The network of an address: an IPv4 address, or the first 64 bits of an IPv6 address.
#[must_use]
pub fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// A holder of shares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// All sources in a network.
    Network(IpAddr),
    /// An authenticated user.
    User(Arc<str>),
}

impl Holder {
    /// The network of a source address.
    #[must_use]
    pub fn of(source: IpAddr) -> Self {
        Self::Network(network(source))
    }
}

/// What is known of the source address of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It may be forged.
    Unproved,
    /// It receives what is sent to it: it uses a stream, or has returned a value that only its receiver knows.
    Proved,
    /// It is a trusted peer of the config, which sends for many users.
    Trusted,
}

/// A request for a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The holder.
    pub holder: Holder,
    /// What is known of its address.
    pub reach: Reach,
}

impl Claim {
    /// The claim of a source address.
    #[must_use]
    pub fn at(source: IpAddr, reach: Reach) -> Self {
        Self { holder: Holder::of(source), reach }
    }
}

/// A share in use. Give it back to the [`Shares`] that it was taken from.
#[must_use]
#[derive(Debug)]
pub struct Share {
    /// The claim.
    pub claim: Claim,
    /// The amount.
    pub amount: usize,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    proved: usize,
}

/// A resource, in octets or items, shared by holders. A single holder may take all but a reserved part; of that part each may hold as
/// much as is still free, so that something is left for a new one. All unproved holders together get at most half. A trusted holder
/// may take everything.
#[derive(Debug, Default)]
pub struct Shares {
    max: usize,
    /// One of so many parts is reserved for others.
    parts: usize,
    held: usize,
    unproved: usize,
    by_holder: HashMap<Holder, Held>,
}

impl Shares {
    /// A resource of `max`, of which one of `parts` parts is reserved for others.
    #[must_use]
    pub fn new(max: usize, parts: usize) -> Self {
        Self { max, parts, ..Self::default() }
    }

    /// Sets the maximum.
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// The amount in use.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The amount that a holder has.
    #[must_use]
    pub fn of(&self, holder: &Holder) -> usize {
        self.by_holder.get(holder).map_or(0, |held| held.all)
    }

    /// Whether a holder has a share that proves its address.
    #[must_use]
    pub fn proves(&self, holder: &Holder) -> bool {
        self.by_holder.get(holder).is_some_and(|held| held.proved > 0)
    }

    /// Whether a claim for so much more would be granted.
    #[must_use]
    pub fn has_room(&self, claim: &Claim, amount: usize) -> bool {
        let own = self.of(&claim.holder);
        let free = self.max.saturating_sub(self.held);
        amount <= free
            && match claim.reach {
                Reach::Unproved => self.fits(own, amount, self.unproved_max(), self.unproved),
                Reach::Proved => self.fits(own, amount, self.max, self.held),
                Reach::Trusted => true,
            }
    }

    fn fits(&self, own: usize, amount: usize, max: usize, held: usize) -> bool {
        let free = max.saturating_sub(held);
        let kept = if max < DIVIDED_MIN { 0 } else { max / self.parts.max(1) };
        held.saturating_add(amount) <= max - kept || own.saturating_add(amount) <= free
    }

    fn unproved_max(&self) -> usize {
        if self.max < DIVIDED_MIN { self.max } else { self.max - self.max / 2 }
    }

    /// Takes a share, even if there is no room.
    pub fn take(&mut self, claim: &Claim, amount: usize) -> Share {
        let held = self.by_holder.entry(claim.holder.clone()).or_default();
        self.held += amount;
        held.all += amount;
        if claim.reach == Reach::Unproved {
            self.unproved += amount;
        } else {
            held.proved += amount;
        }
        Share { claim: claim.clone(), amount }
    }

    /// Gives a share back.
    pub fn give_back(&mut self, share: Share) {
        let Share { claim, amount } = share;
        self.held -= amount;
        if claim.reach == Reach::Unproved {
            self.unproved -= amount;
        }
        let Some(held) = self.by_holder.get_mut(&claim.holder) else { return };
        held.all -= amount;
        if claim.reach != Reach::Unproved {
            held.proved -= amount;
        }
        if held.all == 0 {
            self.by_holder.remove(&claim.holder);
            if self.by_holder.capacity() > 4096 && self.by_holder.len() < self.by_holder.capacity() / 8 {
                self.by_holder.shrink_to(2 * self.by_holder.len());
            }
        }
    }

    /// Records that the holder of a share has proved its address.
    pub fn prove(&mut self, share: &mut Share) {
        if share.claim.reach == Reach::Unproved {
            self.unproved -= share.amount;
            share.claim.reach = Reach::Proved;
            if let Some(held) = self.by_holder.get_mut(&share.claim.holder) {
                held.proved += share.amount;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(n: u32, reach: Reach) -> Claim {
        Claim::at(IpAddr::from((0xc000_0200 + n).to_be_bytes()), reach)
    }

    fn take_all(shares: &mut Shares, claim: &Claim) -> usize {
        while shares.has_room(claim, 1) {
            let _ = shares.take(claim, 1);
        }
        shares.of(&claim.holder)
    }

    #[test]
    fn a_part_is_reserved_for_new_holders() {
        let mut shares = Shares::new(100, 2);
        let [one, two, three] = [1, 2, 3].map(|n| claim(n, Reach::Proved));
        assert_eq!((take_all(&mut shares, &one), take_all(&mut shares, &two)), (50, 25));
        assert!(!shares.has_room(&one, 1) && shares.has_room(&three, 12));
        shares.give_back(Share { claim: one.clone(), amount: 50 });
        assert_eq!((take_all(&mut shares, &two), shares.by_holder.len()), (50, 1));
        let mut shares = Shares::new(80, 8);
        assert_eq!((take_all(&mut shares, &one), take_all(&mut shares, &two)), (70, 5));
        assert_eq!(take_all(&mut Shares::new(7, 8), &one), 7, "few are not divided");
    }

    #[test]
    fn unproved_addresses_get_half_together() {
        let mut shares = Shares::new(1000, 2);
        for n in 0..5000 {
            take_all(&mut shares, &claim(n, Reach::Unproved));
        }
        assert_eq!(shares.held(), 500);
        assert_eq!(take_all(&mut shares, &claim(9000, Reach::Proved)), 250);
        assert_eq!(take_all(&mut shares, &claim(9001, Reach::Trusted)), 250, "all there is");
        assert!(!shares.has_room(&claim(9002, Reach::Trusted), 1));
    }

    #[test]
    fn a_proved_share_makes_room_for_unproved_ones() {
        let mut shares = Shares::new(100, 2);
        let one = claim(1, Reach::Unproved);
        let mut share = shares.take(&one, 50);
        assert!(!shares.proves(&one.holder) && !shares.has_room(&claim(2, Reach::Unproved), 1));
        shares.prove(&mut share);
        assert!(shares.proves(&one.holder) && shares.has_room(&claim(2, Reach::Unproved), 1));
        shares.give_back(share);
        assert_eq!((shares.held(), shares.unproved, shares.by_holder.len()), (0, 0, 0));
    }

    #[test]
    fn an_ipv6_prefix_of_64_bits_is_one_holder() {
        let holder = |address: &str| Holder::of(address.parse().unwrap());
        assert_eq!(holder("2001:db8::1"), holder("2001:db8::2"));
        assert_ne!(holder("2001:db8::1"), holder("2001:db8:0:1::1"));
        assert_eq!(holder("::ffff:192.0.2.1"), holder("192.0.2.1"));
        assert_ne!(holder("192.0.2.1"), holder("192.0.2.2"));
    }
}
