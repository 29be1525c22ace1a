//! Conference information documents (RFC 4575), with the nickname of RFC 6501 (RFC 7701 §7.4).
//!
//! A document is written in pieces, in the order of the schema: [`write_head`], [`write_description`],
//! [`write_conference_state`], [`write_users`], [`write_tail`]. Only the head has the version, so the rest can be shared by
//! subscribers whose versions differ. [`ConferenceInfo::parse`] reads such documents, and those of other servers.
//!
//! ```
//! use parlor_proto::conference_info::{self as info, ConferenceInfo, State};
//!
//! let (mut users, mut document) = (String::new(), String::new());
//! let user = info::User {
//!     entity: "sip:bob@example.com",
//!     nickname: Some("Dopey"),
//!     display_text: None,
//!     roles: &["participant"],
//!     endpoints: Vec::new(),
//! };
//! info::write_user(&mut users, &user);
//! info::write_head(&mut document, "sip:lobby@example.com", State::Full, 1);
//! info::write_conference_state(&mut document, 1, true);
//! info::write_users(&mut document, State::Full, &users);
//! info::write_tail(&mut document);
//!
//! let read = ConferenceInfo::parse(document.as_bytes())?;
//! assert_eq!(read.users[0].nickname.as_deref(), Some("Dopey"));
//! # Ok::<(), info::ConferenceInfoError>(())
//! ```

mod escape;
mod names;
mod read;
mod write;

pub use names::{MEDIA_TYPE, NAMESPACE, XCON_NAMESPACE};
pub use read::{ConferenceInfo, ConferenceInfoError, UserUpdate};
pub use write::{
    Description, Endpoint, JoiningMethod, MediaStatus, State, User, write_conference_state, write_deleted_user,
    write_description, write_head, write_tail, write_user, write_users,
};
