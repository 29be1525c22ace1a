//! Message/CPIM (RFC 3862): the wrapper that says who sends a message to whom.
//!
//! A wrapped message is a block of CPIM headers, an empty line, a block of MIME headers, an empty line, and the content:
//!
//! ```text
//! From: <sip:alice@example.com>
//! To: <sip:lobby@example.com>
//!
//! Content-Type: text/plain
//!
//! Hello
//! ```
//!
//! A switch reads the two header blocks and forwards every octet as received (RFC 3862 §2.2, RFC 7701 §6.1). [`Scanner`] finds where
//! the blocks end while chunks arrive; [`parse`] and [`parse_complete`] read them; [`Envelope`] writes them. Neither reading nor
//! scanning allocates for messages as clients write them. [`Header`] has the details of one CPIM header.
//!
//! ```
//! use parlor_proto::cpim::{self, Envelope};
//!
//! let mut message = Envelope {
//!     from: "sip:alice@example.com",
//!     to: "sip:lobby@example.com",
//!     content_type: "text/plain",
//!     ..Envelope::default()
//! }
//! .encode();
//! message.extend_from_slice(b"Hello");
//!
//! let wrapper = cpim::parse_complete(&message)?;
//! assert_eq!(wrapper.from(), Ok(&b"sip:alice@example.com"[..]));
//! assert_eq!(wrapper.media_type(), Some("text/plain"));
//! assert_eq!(&message[wrapper.content_offset..], b"Hello");
//! # Ok::<(), parlor_proto::cpim::CpimError>(())
//! ```
//!
//! # What is accepted
//!
//! Framing and values are read as real clients write them: bare LF for CRLF, addresses without angle brackets, content without MIME
//! headers. Header names are read strictly: a name that a lenient receiver reads as `From` and a strict one does not would allow a
//! sender to impersonate somebody, so an invalid header name is an error. Names are resolved through the namespaces that the message
//! declares (RFC 3862 §3.4), and the MIME headers are read by [`crate::mime`].

mod encode;
mod error;
mod header;
mod namespaces;
mod scanner;
mod wrapper;

pub use encode::{Envelope, encode};
pub use error::{AddressError, CpimError};
pub use header::{Header, NameAddress};
pub use scanner::Scanner;
pub use wrapper::{Wrapper, parse, parse_complete, parse_complete_with, parse_with};
