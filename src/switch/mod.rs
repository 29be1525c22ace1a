//! One shard's machine: its rooms, sessions and connections, and what waits to be sent.
//!
//! It knows no socket and no clock. A driver (the shard, a test, a bench) calls it between awaits, in four kinds of calls:
//!
//! - **inputs**: [`Switch::adopt`], [`Switch::handle_bytes`], [`Switch::closed`] for connections, [`Switch::handle_control`] for
//!   what the focus decides, [`Switch::handle_timeout`] when [`Switch::poll_timeout`] has come;
//! - **bytes out**: [`Switch::take_dirty`] lists the connections with something to send; for each of them [`Switch::gather`],
//!   then either [`Switch::sent`] with what the kernel took or [`Switch::blocked`];
//! - **what else is to be done**: [`Switch::poll_output`]: connections to be closed, to be made and to be read again, and
//!   events for the focus. After [`Output::Connect`] it calls [`Switch::connected`] or [`Switch::connect_failed`], and over TLS
//!   [`Switch::handshake_done`] before it hands over the first octets;
//! - **questions**: [`Switch::is_paused`] (do not read this connection), [`Switch::poll_timeout`].
//!
//! After each input the driver polls until there is no output left. Outputs that are not polled are delayed, not lost.

mod awaited;
mod commands;
mod connections;
mod content;
mod dial;
mod dialling;
mod driver;
mod egress;
mod fan_out;
mod incoming;
mod load;
mod messages;
mod nickname_request;
mod nicknames;
mod notices;
mod output;
mod patience;
mod piece;
mod reassembly;
mod reports;
mod requests;
mod responses;
mod senders;
mod settings;
mod state;
mod stream;
mod streams;
mod timer;
mod unbound;

#[cfg(test)]
mod tests;

pub use dial::Dial;
pub use egress::{Mark, PieceSink};
pub use output::Output;
pub use settings::{Counters, Settings};
pub use state::Switch;
