//! Lines of the log for what may come in floods: told once, and then counted.

use std::time::{Duration, Instant};

/// How often the log says that it goes on.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// How often one thing has happened.
#[derive(Debug, Default)]
pub struct LogThrottle {
    untold: u64,
    told_at: Option<Instant>,
}

impl LogThrottle {
    /// Once more. Answers how many there were since the last time that it was told, if it is to be told now.
    pub fn add(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told_at.is_some_and(|at| now < at + TELL_INTERVAL) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_then_their_number_each_minute() {
        let start = Instant::now();
        let mut throttle = LogThrottle::default();
        let told: Vec<_> = (0..1500u64)
            .filter_map(|n| throttle.add(start + Duration::from_millis(100 * n)).map(|count| (n, count)))
            .collect();
        assert_eq!(told, [(0, 1), (600, 600), (1200, 600)]);
    }
}
