//! The conference focus (RFC 4353, RFC 7701 §5): who may join which room, on what terms, and on which shard.
//!
//! [`Focus`] reads no clock and knows no socket. A driver calls, in any order:
//!
//! | kind | methods |
//! |---|---|
//! | inputs | [`Focus::handle_message`], [`Focus::handle_malformed`], [`Focus::handle_event`], [`Focus::handle_full`], [`Focus::handle_looked_up`], [`Focus::handle_unsent`], [`Focus::handle_closed`] |
//! | time | [`Focus::handle_timeout`] when [`Focus::poll_timeout`] says so |
//! | operator | [`Focus::drain`], [`Focus::replace_rooms`], [`Focus::replace_users`] |
//! | outputs | [`Focus::poll_output`], until it gives nothing |
//!
//! The one rule: after every call of the first three kinds, drain [`Focus::poll_output`], then ask for the next timeout.
//!
//! # Parts
//!
//! | part | holds |
//! |---|---|
//! | `endpoint` | [`Focus`] itself: its methods are above |
//! | `dispatch` | which procedure an input, a timer or a change is for |
//! | `uas` | requests that the focus receives, one file for each method |
//! | `uac` | requests that the focus sends, and their responses |
//! | `lifecycle` | rooms, sessions and calls: how they begin, change and end, whoever has asked for it |
//! | `roster` | the conference event package: who is in a room, its documents, and when they are sent |
//! | `media` | session descriptions |
//! | `responses`, `headers`, `access`, `dialogs` | what procedures have in common |
//! | `context` | what a procedure works on: the core, the stores and the time |
//! | `store` | calls, rooms, subscriptions, and what else there is |
//! | `core` | transactions, timers, outputs, settings, randomness |
//!
//! A procedure is a function that takes the `Context`. It calls procedures that stand below it. What leads upwards (a room that closes
//! ends calls, a call that ends ends subscriptions) it puts into the core's queue as a `Change`. `dispatch::finish` carries the changes
//! out after the input, then takes the outputs of the transactions, and `outputs` holds back what must wait for a shard.
//!
//! # The journey of an INVITE
//!
//! | step | where | result |
//! |---|---|---|
//! | it arrives | `uas::request` | a transaction, or a refusal without one |
//! | it is authenticated | `uas::authenticate` | the caller |
//! | it is admitted | `uas::invite`, with `uas::admit`, `media::negotiation`, `access` | its room, offer and session timer, each read once |
//! | it enters the room | `uas::invite`, with `lifecycle::room` | a call in the state `Opening` |
//! | its session is opened | `lifecycle::session` | a command to the shard; without an offer the 200 goes out first |
//! | the shard is ready | `uas::invite`, with `uas::accept` | the 200, and the state `Answered` |
//! | the ACK comes | `uas::ack` | the state `Established`; the shard may expect the connection |
//! | CANCEL, or a refusal by the shard | `uas::cancel`, `uas::invite` | no call |
//!
//! The states of a call and of its session stand with their transitions in `store::call_state` and `store::session_state`. A BYE of
//! ours waits for the ACK of our 200 or for its time to run out (RFC 3261 §15).
//!
//! # The life of a subscription
//!
//! In a dialog of its own or in a call's (RFC 6665 §4.2):
//!
//! | state | it waits for | then |
//! |---|---|---|
//! | notifying | the answer to its NOTIFY | idle, or notifying of what has changed meanwhile; removed without an answer |
//! | idle | a change of its room, sent once in `notify_interval`; a SUBSCRIBE | notifying |
//! | ending | the answer to its last NOTIFY | removed |
//!
//! It ends by its subscriber, by time, with its room, and, where only participants may subscribe, with its user's last session.

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
