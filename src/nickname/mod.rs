//! Nicknames (RFC 7701 §7, RFC 8266): what a request asks for, which of them are the same or look alike, and whose each is.
//!
//! A room keeps a [`Registry`] of its own; where nicknames are to be unambiguous in the whole server (RFC 7701 §7 allows that), the
//! focus keeps one for all rooms.

mod registry;
mod skeleton;
mod value;

pub use registry::Registry;
pub use skeleton::{Likeness, likenesses};
pub use value::{Malformed, NicknameError, NicknameKey, Requested, parse_use_nickname};
