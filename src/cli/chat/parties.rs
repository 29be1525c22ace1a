//! The two ends of the call.

use super::digest_client::Password;
use parlor_proto::sip::Uri;

/// The caller and the room.
#[derive(Debug, Clone)]
pub struct Parties {
    /// The caller's URI, without parameters.
    pub caller: String,
    /// The room's URI, as given on the command line.
    pub room: Uri,
    /// The caller is anonymous, and so is `caller` (RFC 3323 §4.1).
    pub anonymous: bool,
    /// The password for challenges.
    pub password: Option<Password>,
}
