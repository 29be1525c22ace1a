//! How rooms, sessions and calls begin, change and go, whoever has asked for it.

pub mod leave;
pub mod nickname;
pub mod room;
pub mod session;
pub mod session_timer;
