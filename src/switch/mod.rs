//! One shard's machine.
mod frame;
mod outbox;
pub use frame::PieceSink;
