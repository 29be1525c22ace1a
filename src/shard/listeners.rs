//! The end of all listening.

use std::io;
use std::net::Shutdown;

use socket2::Socket;

use super::bind::BoundShard;

/// The listeners of all shards. They listen no more when this ends, also where a ring still holds them: the kernel takes a ring
/// apart after the process is gone, and until then whoever starts next would find the ports taken.
#[derive(Debug, Default)]
pub struct Listeners(Vec<Socket>);

impl Listeners {
    /// Those of these shards.
    ///
    /// # Errors
    /// Returns an error if there are no descriptors left.
    pub fn of(shards: &[BoundShard]) -> io::Result<Self> {
        let all = shards.iter().flat_map(BoundShard::listeners);
        all.map(Socket::try_clone).collect::<io::Result<_>>().map(Self)
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
