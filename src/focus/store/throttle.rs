//! How many calls a second are taken.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::shares::{Claim, Holder, Reach};

/// How long the calls of a holder are remembered.
const WINDOW: Duration = Duration::from_secs(1);

/// A token bucket that holds one second's worth. Whoever has had less than its part lately may take a token before its time, at most
/// one second's worth of them, so that one source alone never takes all; over time no more are taken for that.
#[derive(Debug)]
pub struct Throttle {
    per_second: u32,
    /// Below zero: taken before their time.
    tokens: f64,
    filled: Option<Instant>,
    /// The calls of each holder in this second and in the one before.
    windows: [Window; 2],
    began: Option<Instant>,
}

#[derive(Debug, Default)]
struct Window {
    calls: HashMap<Holder, u32>,
    /// Holders whose address is not forged.
    proved: usize,
}

impl Throttle {
    /// 0 is no limit.
    pub fn new(per_second: u32) -> Self {
        let windows = Default::default();
        Self { per_second, tokens: f64::from(per_second), filled: None, windows, began: None }
    }

    /// Takes one; `false` where there is none.
    pub fn take(&mut self, claim: &Claim, now: Instant) -> bool {
        if self.per_second == 0 {
            return true;
        }
        self.fill(now);
        if self.tokens < 1.0 && !self.may_borrow(claim) {
            return false;
        }
        self.tokens -= 1.0;
        let window = &mut self.windows[0];
        let calls = window.calls.entry(claim.holder.clone()).or_default();
        window.proved += usize::from(*calls == 0 && claim.reach != Reach::Unproved);
        *calls += 1;
        true
    }

    fn fill(&mut self, now: Instant) {
        let rate = f64::from(self.per_second);
        let since = self.filled.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.tokens = (self.tokens + since * rate).min(rate);
        self.filled = Some(now);
        let began = *self.began.get_or_insert(now);
        let age = now.saturating_duration_since(began);
        if age >= WINDOW {
            let last = std::mem::take(&mut self.windows[0]);
            self.windows[1] = if age < 2 * WINDOW { last } else { Window::default() };
            self.began = Some(now);
        }
    }

    /// Whether one has had less than its part of what others have had too. Forged addresses do not make the part of others smaller, and
    /// leave them half of what may be taken before its time.
    fn may_borrow(&self, claim: &Claim) -> bool {
        let rate = f64::from(self.per_second);
        let own: u32 = self.windows.iter().filter_map(|window| window.calls.get(&claim.holder)).sum();
        let all = |window: &Window| if claim.reach == Reach::Unproved { window.calls.len() } else { window.proved };
        let holders = self.windows.iter().map(all).max().unwrap_or_default() + usize::from(own == 0);
        let others = self.windows.iter().any(|window| window.calls.keys().any(|holder| *holder != claim.holder));
        #[allow(clippy::cast_precision_loss)]
        let part = (2.0 * rate / holders.max(1) as f64).max(1.0);
        let least = if claim.reach == Reach::Unproved { rate / 2.0 } else { rate };
        others && f64::from(own) < part && self.tokens - 1.0 >= -least.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(n: u32, reach: Reach) -> Claim {
        Claim::at(std::net::IpAddr::from((0xc000_0200 + n).to_be_bytes()), reach)
    }

    #[test]
    fn a_second_holds_as_many_as_it_may() {
        let start = Instant::now();
        let mut throttle = Throttle::new(10);
        let mut taken = |at: u64| {
            let now = start + Duration::from_millis(at);
            (0..100).filter(|_| throttle.take(&claim(1, Reach::Unproved), now)).count()
        };
        assert_eq!((taken(0), taken(0), taken(500), taken(900), taken(1100), taken(9000)), (10, 0, 5, 4, 2, 10));
        let mut free = Throttle::new(0);
        assert!((0..1000).all(|_| free.take(&claim(1, Reach::Unproved), start)));
    }

    #[test]
    fn whoever_takes_all_it_can_leaves_others_their_part_and_the_rate_holds() {
        let start = Instant::now();
        let mut throttle = Throttle::new(10);
        let (mut hog, mut others) = (0, [0; 3]);
        for at in 0..30_000u64 {
            let now = start + Duration::from_millis(at);
            hog += u32::from(throttle.take(&claim(0, Reach::Unproved), now));
            for (n, count) in (1..).zip(&mut others) {
                // Each of them calls once a second.
                *count += u32::from(at % 1000 == 500 && throttle.take(&claim(n, Reach::Unproved), now));
            }
        }
        assert_eq!(others, [30; 3]);
        assert!(hog + 90 <= 310 && hog > 150, "{hog}");
    }

    #[test]
    fn forged_addresses_do_not_shut_out_whoever_can_be_reached() {
        let (mut throttle, now) = (Throttle::new(10), Instant::now());
        let forged = (0..1000).filter(|n| throttle.take(&claim(*n, Reach::Unproved), now)).count();
        assert_eq!(forged, 15);
        let known = (0..1000).filter(|_| throttle.take(&claim(5000, Reach::Proved), now)).count();
        assert_eq!(known, 5);
        let mut one = Throttle::new(1);
        assert!(one.take(&claim(1, Reach::Unproved), now) && !one.take(&claim(1, Reach::Unproved), now));
        assert!(one.take(&claim(2, Reach::Unproved), now), "of one a second, too");
    }
}
