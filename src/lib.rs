//! Parlor is a chat-room server for the Message Session Relay Protocol: a SIP conference focus and an MSRP switch in one
//! process (RFC 7701).
//!
//! The code stands in floors, and imports point downward only (`tests/architecture.rs` checks it):
//!
//! | floor | modules | holds |
//! |---|---|---|
//! | 0 words | [`ids`], [`limits`], [`shares`], [`log_throttle`], [`timers`] | identifiers, every named maximum, how much of it each source holds, how often the log tells of floods, and what is due when |
//! | 1 grammar | the crate [`parlor_proto`] | bytes to values and back; no time, no policy, no I/O |
//! | 2 machines | [`facts`], [`nickname`], [`session`], [`room`], [`switch`], [`transaction`], [`call`], [`focus`] | sans-IO state machines; `now` and randomness are arguments |
//! | 3 shell | [`tls`], [`shard`], [`control`] | sockets, clocks, executors |
//! | 4 assembly | [`cli`], [`config`], `main.rs` | what the operator touches |
//!
//! The [`switch`] joins sessions and rooms, the [`focus`] joins calls and session descriptions; neither knows the other.
//! What they tell one another is in [`facts`].

pub mod ids;
pub mod limits;
pub mod log_throttle;
pub mod shares;
pub mod timers;

pub mod call;
pub mod facts;
pub mod focus;
pub mod nickname;
pub mod room;
pub mod session;
pub mod switch;
pub mod transaction;

pub mod control;
pub mod shard;
pub mod tls;

pub mod cli;
pub mod config;
