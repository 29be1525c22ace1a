//! An MSRP session: which requests belong to it, what they are answered, and its octets put in order (RFC 4975 §5.4, §7).

mod assembly;
mod inbound;
mod state;

pub use assembly::{Assembly, TooScattered};
pub use inbound::{ChunkAction, classify, wants_response};
pub use state::{Binding, Session, is_reporting};
