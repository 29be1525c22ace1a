//! The Message Session Relay Protocol on the wire: RFC 4975, and the method and header of RFC 7701 §7.
//!
//! [`ChunkParser`] turns what a connection delivers into heads and body pieces without copying; [`encode`] writes what goes
//! out. Nothing here knows a session, a room or a socket.

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
