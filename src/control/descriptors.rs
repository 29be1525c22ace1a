//! File descriptors: each connection takes one.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are kept for connections of calls that have been answered and have not come yet, for SIP, and for files.
const SPARE: u64 = 32;
/// For how long the answer holds where the kernel counts for us: fewer calls than `SPARE` come meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// And where each one has to be counted.
const SLOW_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Lets this process have as many descriptors as it may: raises its soft limit to the hard one.
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

/// Whether there are descriptors left for another call.
#[derive(Debug, Default)]
pub struct Descriptors {
    look_again_at: Option<Instant>,
    short: bool,
}

impl Descriptors {
    /// Whether there are too few.
    pub fn are_short(&mut self, now: Instant) -> bool {
        if self.look_again_at.is_some_and(|at| now < at) {
            return self.short;
        }
        let (open, interval) = open();
        self.short = getrlimit(Resource::Nofile).current.is_some_and(|limit| are_too_many(open, limit));
        self.look_again_at = Some(now + interval);
        self.short
    }
}

fn are_too_many(open: u64, limit: u64) -> bool {
    open.saturating_add(SPARE.min(limit / 4)) > limit
}

/// Open descriptors of this process, and how long the number holds.
fn open() -> (u64, Duration) {
    // Since Linux 6.2 the folder's size is the number of its entries; before, it is 0.
    match fs::metadata("/proc/self/fd").map(|folder| folder.len()) {
        Ok(count) if count > 0 => (count, LOOK_INTERVAL),
        Ok(_) => (count_each(), SLOW_LOOK_INTERVAL),
        // Without /proc nobody can say.
        Err(_) => (0, SLOW_LOOK_INTERVAL),
    }
}

/// Where the folder cannot be opened there is no descriptor left for it.
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
    fn some_are_kept() {
        assert!(!are_too_many(968, 1000) && are_too_many(969, 1000));
        assert!(!are_too_many(30, 40) && are_too_many(31, 40), "of a few, a quarter");
        assert!(are_too_many(u64::MAX, 1000));
    }
}
