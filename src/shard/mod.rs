//! The shell around a switch: one pinned core with its sockets.

mod flush;
mod glommio;
pub mod mesh;
mod port;
mod ring;
mod settings;
mod slab;
mod socket;
mod start;
mod tls;

#[cfg(test)]
mod tests;

pub use port::{Listeners, TAKEN_PORT_TIMEOUT, bind_until};
pub use ring::probe as probe_loop;
pub use settings::{Io, ShardSettings};
pub use socket::probe_ring;
pub use start::{BoundShard, ShardThread, StartError, bind, start};
