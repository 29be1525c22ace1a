//! Conference information documents (RFC 4575), with the nickname of RFC 6501 (RFC 7701 §7.4).
//!
//! A document is written in pieces, in the order of the schema: [`write_head`], [`write_description`],
//! [`write_conference_state`], [`write_users`], [`write_tail`]. The version stands in the head only, so what follows can be shared by
//! subscribers whose versions differ. [`ConferenceInfo::parse`] reads the same, and what others write.

mod escape;
mod read;
mod write;

pub use read::{ConferenceInfo, ConferenceInfoError, UserUpdate};
pub use write::{
    Description, Endpoint, JoiningMethod, MediaStatus, State, User, write_conference_state, write_deleted_user,
    write_description, write_head, write_tail, write_user, write_users,
};

/// The media type of a document (RFC 4575 §9.2).
pub const MEDIA_TYPE: &str = "application/conference-info+xml";
/// The namespace of its elements (§4.2).
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";
/// The namespace of the nickname (RFC 6501 §4.1).
pub const XCON_NAMESPACE: &str = "urn:ietf:params:xml:ns:xcon-conference-info";
