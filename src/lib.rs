//! Parlor is a chat-room server for the Message Session Relay Protocol: a SIP conference focus and an MSRP switch in one process (RFC
//! 7701).
//!
//! Imports point down, and no two files import each other (`tests/architecture.rs`):
//!
//! | floor | modules | holds |
//! |---|---|---|
//! | 0 words | [`ids`], [`limits`], [`shares`], [`log_throttle`], [`timers`] | identifiers, every maximum, fair shares of limited resources, deadlines |
//! | 1 grammar | the crate [`parlor_proto`] | octets to values and back; no time, no policy, no I/O |
//! | 2 machines | [`facts`], [`nickname`], [`session`], [`room`], [`switch`], [`transaction`], [`call`], [`focus`] | state machines without I/O; times and randomness are arguments |
//! | 3 shell | [`tls`], [`shard`], [`control`] | sockets, clocks, threads |
//! | 4 assembly | [`cli`], [`config`], `main.rs` | commands and the config file |
//!
//! The [`focus`] handles calls and session descriptions, the [`switch`] sessions and rooms. Neither knows the other; they exchange the
//! plain data of [`facts`]. `docs/architecture.md` follows an INVITE, a SEND, a roster change and a connection through the files, and
//! `docs/lexicon.md` has the words.

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
