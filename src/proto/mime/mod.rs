//! MIME headers (RFC 2045, RFC 5322): the one reader for what decides about a body, in CPIM as in the bodies of SIP.
//!
//! Two readers who read the same headers differently are a way around every rule about types. So what may be written in more
//! than one way is read as the RFCs have it (folded lines, comments, quoted strings), and what has no one meaning is an error: a
//! header that decides and stands twice, a line that is no header.
//!
//! [`fields`] cuts a block into its fields, [`ContentHeaders`] collects those that decide, [`Value`] reads one of them, and
//! [`parts`] cuts a multipart body. Nothing is copied unless it was written in pieces.

mod content;
mod error;
mod field;
mod multipart;
mod value;

pub use content::ContentHeaders;
pub use error::MimeError;
pub use field::{Field, fields, split_head, unfold};
pub use multipart::parts;
pub use value::Value;
