//! Nicknames (RFC 7701 §7, RFC 8266): what a request contains, which nicknames are the same or look alike, and who has each.
//!
//! A room keeps a [`Registry`] of its own; where nicknames are to be unambiguous in the whole server (RFC 7701 §7 allows that), the
//! focus keeps one for all rooms.

mod registry;
mod skeleton;
mod value;

pub use registry::Registry;
pub use skeleton::{Skeleton, skeletons};
pub use value::{Malformed, NicknameError, NicknameKey, Requested, parse_use_nickname};
