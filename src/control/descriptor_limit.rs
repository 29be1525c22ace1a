//! The limit of open file descriptors: each connection takes one.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for MSRP connections of answered calls, for SIP connections and for files.
const RESERVED: u64 = 32;
/// How long a count is used if the kernel keeps it: fewer than `RESERVED` calls arrive in that time.
const COUNT_INTERVAL: Duration = Duration::from_millis(2);
/// How long a count is used if it was made by listing the folder.
const SLOW_COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// Raises the soft limit of open file descriptors to the hard limit.
///
/// # Errors
/// Returns an error if the kernel does not allow it.
pub fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(())
}

/// Tells whether there are file descriptors left for another call.
#[derive(Debug, Default)]
pub struct DescriptorMonitor {
    count_again_at: Option<Instant>,
    short: bool,
}

impl DescriptorMonitor {
    /// Whether too few are left.
    pub fn is_short(&mut self, now: Instant) -> bool {
        if self.count_again_at.is_some_and(|at| now < at) {
            return self.short;
        }
        let (open, interval) = open();
        self.short = getrlimit(Resource::Nofile).current.is_some_and(|limit| is_exhausted(open, limit));
        self.count_again_at = Some(now + interval);
        self.short
    }
}

fn is_exhausted(open: u64, limit: u64) -> bool {
    open.saturating_add(RESERVED.min(limit / 4)) > limit
}

/// The open descriptors of this process, and how long the count is used.
fn open() -> (u64, Duration) {
    // Since Linux 6.2 the folder's size is the number of its entries; before, it is 0.
    match fs::metadata("/proc/self/fd").map(|folder| folder.len()) {
        Ok(count) if count > 0 => (count, COUNT_INTERVAL),
        Ok(_) => (count_each(), SLOW_COUNT_INTERVAL),
        // Without /proc there is no count.
        Err(_) => (0, SLOW_COUNT_INTERVAL),
    }
}

/// If the folder cannot be opened, no descriptor is left.
fn count_each() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(u64::MAX, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_descriptors_are_counted_either_way() {
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        for count in [open().0, count_each()] {
            assert!((files.len() as u64..100_000).contains(&count), "{count}");
        }
    }

    #[test]
    fn some_descriptors_are_reserved() {
        assert!(!is_exhausted(968, 1000) && is_exhausted(969, 1000));
        assert!(!is_exhausted(30, 40) && is_exhausted(31, 40), "a quarter of a low limit");
        assert!(is_exhausted(u64::MAX, 1000));
    }
}
