//! Ports that a server which has just ended may still have.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::BoundShard;

/// How long a port that is taken is waited for.
pub const TAKEN_PORT_TIMEOUT: Duration = Duration::from_secs(1);
/// How soon it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// Binds, again and again until then while the address is taken.
///
/// # Errors
/// As `bind` does.
pub fn bind_until<T>(until: Instant, mut bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match bind() {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => thread::sleep(RETRY_AFTER),
            outcome => return outcome,
        }
    }
}

/// The listeners of all shards. They listen no more when this ends, also where a ring still holds them: the kernel takes a ring
/// apart after the process is gone, and until then whoever starts next would find the ports taken.
#[derive(Debug, Default)]
pub struct Listeners(Vec<Socket>);

impl Listeners {
    /// Those of these shards.
    ///
    /// # Errors
    /// Where the system has no descriptors left.
    pub fn of(shards: &[BoundShard]) -> io::Result<Self> {
        let all = shards.iter().flat_map(|shard| [Some(&shard.listener), shard.tls_listener.as_ref()]);
        all.flatten().map(Socket::try_clone).collect::<io::Result<_>>().map(Self)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for listener in &self.0 {
            // It fails only where it does not listen any more.
            let _ = listener.shutdown(Shutdown::Read);
        }
    }
}
