//! What leaves: the connections of a shard, what waits on them, and who holds whom back.
//!
//! Plain data: [`piece_sink`], [`frame`], [`outbox`], [`room_log`], [`congestion_state`], [`connection`]; all of it is in
//! [`Egress`] ([`state`]). What is done with it: [`log_readers`], [`congestion`], [`delivery`], [`sending`].

mod congestion;
mod congestion_state;
mod connection;
mod delivery;
mod frame;
mod log_readers;
mod outbox;
mod piece_sink;
mod room_log;
mod sending;
mod state;

pub use congestion_state::Hold;
pub use delivery::{Delivery, Frames};
pub use frame::{Body, ChunkTemplate, Label};
pub use piece_sink::{Mark, PieceSink};
pub use room_log::Log;
pub use state::Egress;
