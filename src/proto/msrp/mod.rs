//! The Message Session Relay Protocol on the wire: RFC 4975, and the NICKNAME method of RFC 7701 §7.
//!
//! # Receive
//!
//! One [`ChunkParser`] reads one direction of one connection. Call [`ChunkParser::next`] until it returns `None` after every read; it
//! returns the [`Head`] of a chunk, then its body in pieces, borrowed from what was read. A chunk is a request (SEND, REPORT,
//! NICKNAME) or a response.
//!
//! ```
//! use parlor_proto::msrp::{ChunkParser, Event};
//!
//! let received = b"MSRP a786hjs2 SEND\r\n\
//!     To-Path: msrp://biloxi.example.com:12763/kjhd37s2s20w2a;tcp\r\n\
//!     From-Path: msrp://atlanta.example.com:7654/jshA7weztas;tcp\r\n\
//!     Message-ID: 87652491\r\n\
//!     Byte-Range: 1-25/25\r\n\
//!     Content-Type: text/plain\r\n\
//!     \r\n\
//!     Hey Bob, are you there?\r\n\
//!     -------a786hjs2$\r\n";
//!
//! let (mut parser, mut text) = (ChunkParser::new(), Vec::new());
//! // What arrives may be cut anywhere.
//! for read in received.chunks(50) {
//!     let mut input = read;
//!     while let Some(event) = parser.next(&mut input)? {
//!         match event {
//!             Event::Head(head) => assert_eq!(head.message_id, Some(&b"87652491"[..])),
//!             Event::Body { piece, .. } => text.extend_from_slice(piece),
//!             Event::Bodiless(_) => {}
//!         }
//!     }
//! }
//! assert_eq!(text, b"Hey Bob, are you there?");
//! # Ok::<(), parlor_proto::msrp::ParseError>(())
//! ```
//!
//! # Send
//!
//! [`encode`] appends chunks to a buffer:
//!
//! ```
//! use parlor_proto::msrp::{Status, encode};
//!
//! let mut out = Vec::new();
//! encode::response(&mut out, b"a786hjs2", Status::OK, b"msrp://a.example:7654/x;tcp", b"msrp://b.example:12763/y;tcp");
//! assert!(out.starts_with(b"MSRP a786hjs2 200 OK\r\nTo-Path: msrp://a.example:7654/x;tcp\r\n"));
//! ```
//!
//! # Errors
//!
//! Input that cannot be framed is a [`ParseError`]: close the connection. A chunk that can be framed but has a bad header value is no
//! error of the parser; [`Head::malformed`] names the header, and the request gets a 400.

mod byte_range;
mod chunk;
pub mod encode;
mod end_line;
mod error;
mod head;
mod path;
mod status;
mod transaction_id;

pub use byte_range::ByteRange;
pub use chunk::{ChunkParser, Event};
pub use end_line::{Continuation, contains_end_line};
pub use error::ParseError;
pub use head::{FailureReport, Head, Method, Start};
pub use path::{MsrpUri, Path, PathError, path_uris};
pub use status::Status;
pub use transaction_id::TransactionId;

#[cfg(test)]
mod tests;
