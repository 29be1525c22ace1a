//! The participants of one chat room and the messages between them (RFC 7701).
pub mod nickname;
