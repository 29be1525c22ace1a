//! The shell around a switch: one pinned core with its sockets.

mod glommio;
pub mod mesh;
mod settings;
mod slab;
mod socket;
mod start;

#[cfg(test)]
mod tests;

pub use settings::ShardSettings;
pub use socket::probe_ring;
pub use start::{BoundShard, ShardThread, StartError, bind, start};
