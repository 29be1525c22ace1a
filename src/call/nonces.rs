//! Nonces: with an HMAC, so that they are verified without a table, and with counts, so that no request is accepted twice.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::limits::NONCES_MAX;
use crate::shares::network;
use parlor_proto::sip::hex;

/// How long a nonce is valid. A client with an older one is challenged again with `stale=true`.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Counts below the highest one that may still come, each once: requests overtake one another.
const WINDOW: u32 = 64;
/// Octets of the HMAC in a nonce, which is truncated.
const STAMP_BYTES: usize = 16;
/// Octets of the mark of the source that it was sent to.
const MARK_BYTES: usize = 8;

/// When a nonce was made, in milliseconds since the first one, and its number: no two are alike, and later ones are higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Serial {
    made: u64,
    number: u64,
}

/// Which counts of a nonce were used, the highest and those below it as bits, and the digest of the user who used the first.
#[derive(Debug, Clone, Copy)]
struct Used {
    highest: u32,
    window: u64,
    user: u64,
}

/// All nonces of this process. Those that nobody used with a right password cost nothing.
pub struct Nonces {
    key: [u8; 32],
    /// When the first one was drawn: times are counted from there.
    born: Option<Instant>,
    drawn: u64,
    used: BTreeMap<Serial, Used>,
    /// Up to here the counts were forgotten to make room: none of these nonces is good any more.
    forgotten: Option<Serial>,
    max: usize,
}

impl Nonces {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, born: None, drawn: 0, used: BTreeMap::new(), forgotten: None, max: NONCES_MAX }
    }

    /// A new nonce for a source: time and number, their HMAC, and a mark of the source.
    pub fn draw(&mut self, source: IpAddr, now: Instant) -> String {
        self.drawn += 1;
        self.born.get_or_insert(now);
        let serial = Serial { made: self.millis(now), number: self.drawn };
        let plain = format!("{:016x}{:016x}", serial.made, serial.number);
        let stamp = self.stamp(&plain).finalize().into_bytes();
        let mark = hex(&self.mark(&plain, source));
        plain + &hex(&stamp[..STAMP_BYTES]) + &mark
    }

    /// Whether a nonce is ours and was sent to this source, so that its sender can receive there (RFC 7616 §5.4 allows a nonce
    /// to be bound to a client's address).
    pub fn was_sent_to(&self, nonce: &str, source: IpAddr) -> bool {
        let at = 2 * (16 + STAMP_BYTES);
        self.own(nonce).is_some() && nonce[at..] == hex(&self.mark(&nonce[..32], source))
    }

    fn mark(&self, plain: &str, source: IpAddr) -> [u8; MARK_BYTES] {
        let mark = self.stamp(plain).chain_update(network(source).to_string()).finalize().into_bytes();
        std::array::from_fn(|i| mark[i])
    }

    /// Whether a nonce is ours, for any source and of any age.
    pub fn is_own(&self, nonce: &str) -> bool {
        self.own(nonce).is_some()
    }

    /// Whether a nonce is still good, and the first who used it with a right password was this user.
    pub fn is_proved(&self, nonce: &str, user: u64, now: Instant) -> bool {
        let fresh = self.own(nonce).filter(|serial| self.is_fresh(*serial, now));
        fresh.and_then(|serial| self.used.get(&serial)).is_some_and(|used| used.user == user)
    }

    /// Takes a nonce for a user under a count, or, for clients of RFC 2069 that do not count, once. `false`: it is not ours, too old,
    /// or was used like this already. To be asked only about credentials that are right otherwise, or strangers fill the table.
    pub fn take(&mut self, nonce: &str, user: u64, count: Option<u32>, now: Instant) -> bool {
        self.forget_old(now);
        let Some(serial) = self.own(nonce).filter(|serial| self.is_fresh(*serial, now)) else { return false };
        let used = self.used.entry(serial).or_insert(Used { highest: 0, window: 0, user });
        let fresh = used.take(count);
        self.make_room();
        fresh
    }

    /// The serial of a nonce with a valid HMAC, compared in constant time.
    fn own(&self, nonce: &str) -> Option<Serial> {
        if nonce.len() != 2 * (16 + STAMP_BYTES + MARK_BYTES) || !nonce.is_ascii() {
            return None;
        }
        let (plain, stamp) = nonce.split_at(32);
        let octets: Option<Vec<u8>> =
            (0..STAMP_BYTES).map(|i| u8::from_str_radix(&stamp[2 * i..2 * i + 2], 16).ok()).collect();
        self.stamp(plain).verify_truncated_left(&octets?).ok()?;
        let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
        Some(Serial { made: number(&plain[..16])?, number: number(&plain[16..])? })
    }

    fn stamp(&self, plain: &str) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.key).expect("an HMAC key may have any length").chain_update(plain)
    }

    fn is_fresh(&self, serial: Serial, now: Instant) -> bool {
        let age = self.millis(now).saturating_sub(serial.made);
        u128::from(age) < NONCE_LIFETIME.as_millis() && self.forgotten.is_none_or(|last| serial > last)
    }

    fn millis(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.born.unwrap_or(now));
        u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
    }

    fn forget_old(&mut self, now: Instant) {
        let lifetime = u64::try_from(NONCE_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let Some(oldest) = self.millis(now).checked_sub(lifetime) else { return };
        while self.used.first_key_value().is_some_and(|(serial, _)| serial.made <= oldest) {
            self.used.pop_first();
        }
    }

    fn make_room(&mut self) {
        while self.used.len() > self.max {
            self.forgotten = self.used.pop_first().map(|(serial, _)| serial).max(self.forgotten);
        }
    }
}

impl Used {
    fn take(&mut self, count: Option<u32>) -> bool {
        let Some(count) = count else {
            let fresh = self.highest == 0;
            // Nothing may follow it: the nonce is used up.
            *self = Self { highest: u32::MAX, window: u64::MAX, ..*self };
            return fresh;
        };
        if count == 0 {
            return false;
        }
        if count > self.highest {
            let by = count - self.highest;
            self.window = if by < WINDOW { self.window << by | 1 } else { 1 };
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let bit = 1u64.checked_shl(behind).unwrap_or(0);
        let fresh = bit != 0 && self.window & bit == 0;
        self.window |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    const ALICE: u64 = 7;

    fn nonces() -> (Nonces, Instant) {
        let now = Instant::now();
        (Nonces::new([7; 32]), now)
    }

    #[test]
    fn a_nonce_is_known_by_its_stamp_alone() {
        let (mut nonces, now) = nonces();
        let nonce = nonces.draw(SOURCE, now);
        assert_ne!(nonce, nonces.draw(SOURCE, now));
        assert!(nonces.used.is_empty());
        assert!(nonces.take(&nonce, ALICE, Some(1), now));
        for at in 0..2 * (16 + STAMP_BYTES) {
            let other = if nonce.as_bytes()[at] == b'0' { "1" } else { "0" };
            let forged = format!("{}{other}{}", &nonce[..at], &nonce[at + 1..]);
            assert!(!nonces.take(&forged, ALICE, Some(2), now), "{forged}");
            assert!(!nonces.take(&nonce[..at], ALICE, Some(2), now));
        }
        assert!(!nonces.take(&"\u{fc}".repeat(32), ALICE, Some(2), now));
        let mut others = Nonces::new([8; 32]);
        assert!(!nonces.take(&others.draw(SOURCE, now), ALICE, Some(1), now), "a nonce of another process");
    }

    #[test]
    fn a_nonce_says_to_whom_it_was_sent() {
        let (mut nonces, now) = nonces();
        let nonce = nonces.draw(SOURCE, now);
        assert!(nonces.was_sent_to(&nonce, SOURCE));
        assert!(!nonces.was_sent_to(&nonce, IpAddr::from([192, 0, 2, 8])));
        assert!(!nonces.was_sent_to(&nonce[1..], SOURCE) && !nonces.was_sent_to("", SOURCE));
        let v6 = nonces.draw("2001:db8::1".parse().unwrap(), now);
        assert!(nonces.was_sent_to(&v6, "2001:db8::2".parse().unwrap()), "the same network");
    }

    #[test]
    fn a_nonce_is_proved_for_whoever_used_it_first_and_only_while_it_is_good() {
        let (mut nonces, now) = nonces();
        let nonce = nonces.draw(SOURCE, now);
        assert!(nonces.is_own(&nonce) && !nonces.is_own(&nonce[1..]) && !nonces.is_proved(&nonce, ALICE, now));
        assert!(nonces.take(&nonce, ALICE, Some(1), now) && nonces.is_proved(&nonce, ALICE, now));
        let bob = ALICE + 1;
        assert!(!nonces.is_proved(&nonce, bob, now));
        assert!(nonces.take(&nonce, bob, Some(2), now) && !nonces.is_proved(&nonce, bob, now));
        assert!(nonces.is_proved(&nonce, ALICE, now) && !nonces.is_proved(&nonce, ALICE, now + NONCE_LIFETIME));
        let other = nonces.draw(SOURCE, now);
        assert!(nonces.take(&other, ALICE, None, now) && nonces.is_proved(&other, ALICE, now));
    }

    #[test]
    fn each_count_is_taken_once_in_any_order() {
        let (mut nonces, now) = nonces();
        let nonce = nonces.draw(SOURCE, now);
        let mut take = |count| nonces.take(&nonce, ALICE, Some(count), now);
        assert!(take(1) && !take(1) && take(3) && take(2) && !take(2) && !take(3));
        assert!(!take(0));
        assert!(
            take(100) && take(99) && !take(99) && take(37) && !take(36),
            "what is too far behind is not told apart"
        );
        assert!(take(u32::MAX) && !take(u32::MAX) && !take(100));
    }

    #[test]
    fn without_counts_a_nonce_is_good_once() {
        let (mut nonces, now) = nonces();
        let (one, other) = (nonces.draw(SOURCE, now), nonces.draw(SOURCE, now));
        assert!(
            nonces.take(&one, ALICE, None, now)
                && !nonces.take(&one, ALICE, None, now)
                && !nonces.take(&one, ALICE, Some(5), now)
        );
        assert!(nonces.take(&other, ALICE, Some(1), now) && !nonces.take(&other, ALICE, None, now));
    }

    #[test]
    fn old_nonces_are_refused_and_forgotten() {
        let (mut nonces, now) = nonces();
        let nonce = nonces.draw(SOURCE, now);
        assert!(nonces.take(&nonce, ALICE, Some(1), now + NONCE_LIFETIME - Duration::from_millis(1)));
        assert!(!nonces.take(&nonce, ALICE, Some(2), now + NONCE_LIFETIME));
        assert!(nonces.used.is_empty());
    }

    #[test]
    fn what_was_forgotten_to_make_room_is_not_taken_again() {
        let (mut nonces, now) = nonces();
        assert_eq!(std::mem::replace(&mut nonces.max, 2), NONCES_MAX);
        let drawn: Vec<_> = (0..4).map(|_| nonces.draw(SOURCE, now)).collect();
        for nonce in &drawn[1..] {
            assert!(nonces.take(nonce, ALICE, Some(1), now));
        }
        assert_eq!(nonces.used.len(), 2);
        assert!(!nonces.take(&drawn[1], ALICE, Some(1), now), "used, and forgotten since");
        assert!(!nonces.take(&drawn[1], ALICE, Some(2), now) && !nonces.take(&drawn[0], ALICE, Some(1), now));
        assert!(nonces.take(&drawn[2], ALICE, Some(2), now) && !nonces.take(&drawn[2], ALICE, Some(1), now));
    }
}
