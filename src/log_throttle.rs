//! Rate limiting of repeated log lines.

use std::time::{Duration, Instant};

/// The shortest time between two lines.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Counts the occurrences of one event between its log lines.
#[derive(Debug, Default)]
pub struct LogThrottle {
    unlogged: u64,
    logged_at: Option<Instant>,
}

impl LogThrottle {
    /// Counts an occurrence. Returns how many there were since the last line, if one is due now.
    pub fn add(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;
        if self.logged_at.is_some_and(|at| now < at + LOG_INTERVAL) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_and_then_one_count_a_minute() {
        let start = Instant::now();
        let mut throttle = LogThrottle::default();
        let told: Vec<_> = (0..1500u64)
            .filter_map(|n| throttle.add(start + Duration::from_millis(100 * n)).map(|count| (n, count)))
            .collect();
        assert_eq!(told, [(0, 1), (600, 600), (1200, 600)]);
    }
}
