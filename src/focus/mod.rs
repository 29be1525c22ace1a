//! The conference focus (RFC 4353, RFC 7701 §5): who may join which room, on what terms, and on which shard.
//!
//! [`Focus`] reads no clock and knows no socket. A driver calls, in any order:
//!
//! | kind | methods |
//! |---|---|
//! | what arrived | [`Focus::handle_message`], [`Focus::handle_event`], [`Focus::handle_full`], [`Focus::handle_unsent`], [`Focus::handle_closed`] |
//! | time | [`Focus::handle_timeout`] when [`Focus::poll_timeout`] says so |
//! | what is wanted | [`Focus::drain`], [`Focus::replace_rooms`] |
//! | what to do | [`Focus::poll_output`], until it gives nothing |
//!
//! The one rule: after every call of the first three kinds, drain [`Focus::poll_output`], then ask for the next timeout.
//!
//! The life of a call:
//!
//! | phase | it waits for | then |
//! |---|---|---|
//! | opening | the shard's word that the session can be bound | 200, answered; or 503 and gone |
//! | answered | the ACK, sending the 200 again meanwhile | confirmed; after 64*T1 BYE and gone |
//! | confirmed | BYE, a re-INVITE (answered again), the end of its session | gone |
//!
//! The life of a subscription, in a dialog of its own or in a call's (RFC 6665 §4.2):
//!
//! | phase | it waits for | then |
//! |---|---|---|
//! | telling | the answer to its NOTIFY | idle, or telling what has changed meanwhile; gone without one |
//! | idle | a change of its room, told once in `notify_interval`; a SUBSCRIBE | telling |
//! | ending | the answer to its last NOTIFY | gone |
//!
//! It ends by its subscriber, by time, with its room, and, where only participants may watch, with its user's last session.
//!
//! A BYE of ours waits for the ACK of our 200 or for its time to run out (RFC 3261 §15).

mod access;
mod awareness;
mod change;
mod context;
mod core;
mod dialogs;
mod dispatch;
mod endpoint;
mod headers;
mod hosts;
mod lifecycle;
mod media;
mod output;
mod outputs;
mod refusal;
mod responses;
mod roster;
mod settings;
mod store;
mod tag;
mod timer;
mod uac;
mod uas;

pub use endpoint::Focus;
pub use output::{Awaited, Counts, Output};
pub use settings::{ConnectOut, Network, RoomSettings, Settings, ShardAddress};

#[cfg(test)]
mod tests;
