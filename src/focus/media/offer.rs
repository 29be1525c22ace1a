//! An offer that a peer has made.

use crate::facts::Outward;
use parlor_proto::sdp::{Description, MessageMedia};

/// An offer, and what we take of it.
#[derive(Debug)]
pub struct Offer {
    pub description: Description,
    /// The media that we take.
    pub media: MessageMedia,
    /// Whom we connect to, where it is we who do.
    pub connect_to: Option<Outward>,
}
