//! The participants of one chat room and the messages between them (RFC 7701).
pub mod nickname;

mod audience;
mod nicknames;
mod room_state;
mod roster;

pub use audience::{Audience, wrapped_type};
pub use nicknames::Nicknames;
pub use room_state::{MESSAGE_ID_LEN, Room};
pub use roster::{Roster, Seat, Seating, Verdicts};
