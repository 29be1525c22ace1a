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
//! A switch reads the two header blocks and passes every octet on as it came (RFC 3862 §2.2, RFC 7701 §6.1). [`Scanner`] finds
//! where they end while chunks arrive, cut anywhere; [`parse`] reads them once they are there; neither allocates for a message as clients write it.
//! [`Header`] gives clients the details, and [`Envelope`] writes the two blocks.
//!
//! Framing and values are taken as real clients write them: bare LF for CRLF, addresses without angle brackets, content
//! without MIME headers. Header names are not: one that a lenient receiver might read as `From` and a strict one might
//! not would let a sender look like somebody else, so what is no header name fails the message. Names are resolved through the
//! namespaces that the message declares (§3.4) before anything is decided, and the MIME headers are read by [`crate::mime`].

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
pub use wrapper::{Wrapper, parse, parse_complete};
