//! The shell around a switch: one pinned core with its sockets.

mod connection;
mod executor;
mod flush;
pub mod mesh;
mod notify;
mod settings;
mod shell;
mod slab;
mod socket;

#[cfg(test)]
mod tests;

pub use executor::{BoundShard, ShardThread, StartError, bind, start};
pub use settings::ShardSettings;
pub use socket::probe_ring;
