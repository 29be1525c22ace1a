//! Session descriptions (RFC 8866) as far as MSRP needs them (RFC 4975 §8, RFC 7701 §8, RFC 6135, RFC 6714, RFC 8122).
//!
//! [`Description`] reads what came; [`Description::offered`] and [`Description::answered`] find the message media in it that
//! can be used. [`LocalMedia`] writes what goes out: an offer, or the answer to one; [`LocalTerms`] what there is to be negotiated.

mod accept_types;
mod charset;
mod description;
mod fingerprint;
mod media;
mod write;

pub use accept_types::AcceptTypes;
pub use description::{Capabilities, Description, MediaError, MessageMedia, SdpError};
pub use fingerprint::{Fingerprint, HashFunction};
pub use media::{ChatroomTokens, Direction, Setup};
pub use write::{LocalMedia, LocalTerms, Origin};
