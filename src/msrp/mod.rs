//! The Message Session Relay Protocol (RFC 4975) on the wire.

mod path;

pub use path::{MsrpUri, Path, PathError};
