//! MIME headers and multipart bodies (RFC 2045, RFC 2046, RFC 5322), in CPIM messages as in SIP bodies.
//!
//! Two readers who read the same header differently are a way around every rule about media types. So what has several spellings is
//! read as the RFCs define it (folded lines, comments, quoted strings), and what is ambiguous is an error: a header that decides and
//! is there twice, a line that is not a header.
//!
//! [`fields`] splits a block into its fields, [`ContentHeaders`] collects those that describe the body, [`Value`] reads one of them,
//! and [`parts`] splits a multipart body. Nothing is copied unless it was written in pieces.
//!
//! ```
//! use parlor_proto::mime::{ContentHeaders, parts, split_head};
//!
//! let body = b"--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b1\r\n\r\nplain text\r\n--b1--\r\n";
//! let parts = parts(body, b"b1")?;
//! let (head, content) = split_head(parts[0]);
//! let headers = ContentHeaders::parse(head)?;
//! assert!(headers.media_type()?.is_some_and(|media_type| media_type.is("application/sdp")));
//! assert_eq!(content, b"v=0");
//! # Ok::<(), parlor_proto::mime::MimeError>(())
//! ```

mod content;
mod error;
mod field;
mod multipart;
mod value;

pub use content::ContentHeaders;
pub use error::MimeError;
pub use field::{Field, fields, split_head, unfold};
pub use multipart::{parts, parts_with};
pub use value::Value;
