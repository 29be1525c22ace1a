//! Ports that a server which has just ended may still have.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

/// How long a port that is taken is waited for.
pub const TAKEN_PORT_TIMEOUT: Duration = Duration::from_secs(1);
/// How soon it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// Binds, again and again until then while the address is taken.
///
/// # Errors
/// Returns what `bind` returns.
pub fn bind_until<T>(until: Instant, mut bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match bind() {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => thread::sleep(RETRY_AFTER),
            outcome => return outcome,
        }
    }
}
