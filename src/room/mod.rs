//! The participants of one chat room and the messages between them (RFC 7701).
mod audience;
mod lists;
mod room_state;
mod roster;

pub use audience::{Audience, wrapped_type};
pub use lists::TypeMatches;
pub use room_state::{MESSAGE_ID_LEN, Room, message_id_of};
pub use roster::{MemberTerms, RoomMember, Roster};

#[cfg(test)]
mod tests;
