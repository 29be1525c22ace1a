//! The participants of one chat room and the messages between them (RFC 7701).
mod audience;
mod room_state;
mod roster;

pub use audience::{Audience, wrapped_type};
pub use room_state::{MESSAGE_ID_LEN, Room, message_id_of};
pub use roster::{Roster, Seat, Seating, Verdicts};

#[cfg(test)]
mod tests;
