//! How many calls a second are taken.

use std::time::Instant;

/// A token bucket that holds one second's worth.
#[derive(Debug)]
pub(super) struct Throttle {
    per_second: u32,
    tokens: f64,
    filled: Option<Instant>,
}

impl Throttle {
    /// 0 is no limit.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, tokens: f64::from(per_second), filled: None }
    }

    /// Takes one; `false` where there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let rate = f64::from(self.per_second);
        let since = self.filled.map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.tokens = (self.tokens + since * rate).min(rate);
        self.filled = Some(now);
        let some = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(some));
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_second_holds_as_many_as_it_may() {
        let start = Instant::now();
        let mut throttle = Throttle::new(10);
        let mut taken = |at: u64| (0..100).filter(|_| throttle.take(start + Duration::from_millis(at))).count();
        assert_eq!((taken(0), taken(0), taken(500), taken(9000)), (10, 0, 5, 10));
        let mut free = Throttle::new(0);
        assert!((0..1000).all(|_| free.take(start)));
    }
}
