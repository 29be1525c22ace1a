//! What the arguments of `parlor chat` ask for, checked and with defaults filled in.

use super::arguments::{ChatArguments, Via};
use super::digest_client::Password;
use super::target::parse_participant;
use super::tls::TlsOptions;
use parlor_proto::sip::{Uri, address_text, escape_user};

/// The settings of one chat.
pub struct ChatOptions {
    /// The room's URI.
    pub room: Uri,
    /// The user's URI; `None` for a guest.
    pub identity: Option<String>,
    /// The password for challenges.
    pub password: Option<Password>,
    /// Whether the user is anonymous.
    pub anonymous: bool,
    /// The nickname to request.
    pub nick: Option<String>,
    /// The first SIP hop.
    pub via: Via,
    /// Whether MSRP over TLS is required.
    pub msrps: bool,
    /// Which certificates are trusted.
    pub tls: TlsOptions,
}

impl ChatOptions {
    /// Checks the arguments, and reads the password.
    ///
    /// # Errors
    /// Returns a text for the user if a URI is invalid or the password cannot be read.
    pub fn new(arguments: &ChatArguments) -> Result<Self, String> {
        let room = parse_participant(&arguments.room).map_err(|help| format!("ROOM-URI: {help}"))?;
        let identity = arguments.identity.as_deref().map(parse_participant).transpose();
        let identity = identity.map_err(|help| format!("--as: {help}"))?.map(|uri| address_text(&uri));
        let at_room_host = |user: &String| {
            let host = room.host().map(ToString::to_string).unwrap_or_default();
            format!("sip:{}@{host}", escape_user(user))
        };
        Ok(Self {
            identity: identity.or_else(|| arguments.user.as_ref().map(at_room_host)),
            password: password(arguments)?,
            anonymous: arguments.anonymous,
            nick: arguments.nick.clone(),
            via: arguments.via.clone().unwrap_or_else(|| Via::of_room(&room)),
            msrps: arguments.msrps,
            tls: TlsOptions { ca: arguments.ca.clone(), insecure: arguments.insecure },
            room,
        })
    }
}

/// Reads the password from a file or the environment: arguments are visible in the process list.
fn password(arguments: &ChatArguments) -> Result<Option<Password>, String> {
    let Some(username) = arguments.user.clone() else { return Ok(None) };
    let password = match &arguments.password_file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("the password file {} cannot be read: {error}", path.display()))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        None => std::env::var("PARLOR_PASSWORD")
            .map_err(|_| "--user needs a password: give --password-file, or set PARLOR_PASSWORD".to_owned())?,
    };
    Ok(Some(Password { username, password }))
}
