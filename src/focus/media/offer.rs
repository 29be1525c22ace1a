//! An offer that a peer has made.

use crate::facts::Outward;
use parlor_proto::sdp::{Description, MessageMedia};

/// An offer, and what we take of it.
#[derive(Debug)]
pub struct Offer {
    pub description: Description,
    /// The media that we take.
    pub media: MessageMedia,
    /// Where we connect to, if we are the active side.
    pub connect_to: Option<Outward>,
}
