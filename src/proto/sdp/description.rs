//! Parsing a session description and selecting the message media in it.

use std::net::IpAddr;

use sdp_types::{Attribute, Media, Session};

use super::charset::in_utf8;
use super::{AcceptTypes, ChatroomTokens, Direction, Fingerprint, Setup};
use crate::limits::{Limits, compact};
use crate::msrp::Path;

/// The attributes of a line for one file; its refusal repeats them (RFC 5547 §8.3).
pub const FILE_ATTRIBUTES: [&str; 2] = ["file-selector", "file-transfer-id"];

/// The one top-level type of a chat room (RFC 7701 §5.2).
pub const CPIM: &str = "message/cpim";

/// A parsed session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub(super) session: Session,
    limits: MediaLimits,
}

/// The limits of a media line, which is read when it is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MediaLimits {
    path_uris: u32,
    accept_types: u32,
    accept_types_bytes: u32,
}

/// Why octets are not a session description. The sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    /// Malformed: a line does not match the grammar of RFC 8866.
    #[error("not a session description: {0}")]
    Syntax(String),
    /// Beyond a limit: there are more than `sdp_media_lines_max` media lines.
    #[error("too many media lines")]
    TooManyMedia,
}

/// Why a description has no message media that can be used. The description is well formed, but the peer is incompatible: 488.
///
/// Exhaustive, so that an application can choose a response for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// There is no `m=message` line over MSRP, or only refused ones with port 0.
    #[error("no MSRP media")]
    NoMessageMedia,
    /// Every `m=message` line is for one file (RFC 5547).
    #[error("file transfer (a=file-selector) is not available")]
    FileTransfer,
    /// The media is over TLS, which [`Capabilities::tls`] rules out.
    #[error("MSRP over TLS is not available")]
    TlsUnavailable,
    /// The media is not over TLS, which [`Capabilities::plain`] rules out (RFC 7701 §4.1).
    #[error("MSRP has to go over TLS here")]
    TlsRequired,
    /// There is `a=fingerprint`, but none with a usable hash function (RFC 8122 §5).
    #[error("no usable a=fingerprint")]
    Fingerprint,
    /// The c= and m= lines and `a=path` have different addresses, and there is no `a=msrp-cema`: a middlebox has changed one of them
    /// only (RFC 6714 §4.3).
    #[error("a=path and the c= and m= lines lead to different places")]
    PathMismatch,
    /// `a=path` is missing, malformed, or contradicts the media line.
    #[error("no usable a=path")]
    Path,
    /// `a=accept-types` does not accept message/cpim (RFC 7701 §5.2).
    #[error("a=accept-types without message/cpim")]
    CpimNotAccepted,
    /// A list of types is beyond a limit.
    #[error("a=accept-types and a=accept-wrapped-types: at most {types_max} types and {bytes_max} octets each")]
    TooManyTypes {
        /// `accept_types_max` of the limits.
        types_max: usize,
        /// `accept_types_bytes_max` of the limits.
        bytes_max: usize,
    },
    /// Neither end would connect: see [`Setup`].
    #[error("incompatible a=setup")]
    Setup,
}

/// Which connections the local end supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// MSRP without TLS.
    pub plain: bool,
    /// MSRP over TLS.
    pub tls: bool,
    /// Listening for connections.
    pub listen: bool,
    /// Opening connections.
    pub connect: bool,
}

/// One usable `m=message` line of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageMedia {
    /// The index of the line among the media lines, from 0.
    pub index: usize,
    /// Whether it is over TLS.
    pub secure: bool,
    /// `a=path`: next hop first.
    pub path: Path,
    /// `a=accept-types`: accepts message/cpim.
    pub accept_types: AcceptTypes,
    /// `a=accept-wrapped-types`.
    pub accept_wrapped_types: Option<AcceptTypes>,
    /// `a=setup`.
    pub setup: Option<Setup>,
    /// `a=chatroom`.
    pub chatroom: Option<ChatroomTokens>,
    /// `a=max-size`, in octets.
    pub max_size: Option<u64>,
    /// `a=msrp-cema` (RFC 6714).
    pub cema: bool,
    /// The directions in which the peer communicates.
    pub direction: Direction,
    /// The values of `a=fingerprint` with the most preferred hash function; empty if there are none (RFC 8122 §5).
    pub fingerprints: Vec<Fingerprint>,
    /// The address of the c= line.
    pub address: Option<String>,
    /// The port of the m= line.
    pub port: u16,
}

impl Description {
    /// Parses a description. Real clients leave lines out: `t=`, `s=` and `o=` may be missing. The s= and i= lines are in the charset
    /// that `a=charset` names; elsewhere octets that are not UTF-8 become U+FFFD (RFC 8866 §6.10, §9).
    ///
    /// # Errors
    /// Returns [`SdpError::Syntax`] if a line is malformed, and [`SdpError::TooManyMedia`] if there are more than
    /// [`SDP_MEDIA_LINES_MAX`](crate::limits::SDP_MEDIA_LINES_MAX) media lines.
    pub fn parse(text: &[u8]) -> Result<Self, SdpError> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// [`Self::parse`] with other limits: `sdp_media_lines_max` now; `accept_types_max`, `accept_types_bytes_max` and
    /// `msrp_path_uris_max` when media is selected.
    ///
    /// # Errors
    /// Returns an error as [`Self::parse`] does.
    pub fn parse_with(text: &[u8], limits: &Limits) -> Result<Self, SdpError> {
        let session = Session::parse(in_utf8(text).as_bytes()).map_err(|error| SdpError::Syntax(error.to_string()))?;
        if session.medias.len() > limits.sdp_media_lines_max {
            return Err(SdpError::TooManyMedia);
        }
        let limits = MediaLimits {
            path_uris: compact(limits.msrp_path_uris_max),
            accept_types: compact(limits.accept_types_max),
            accept_types_bytes: compact(limits.accept_types_bytes_max),
        };
        Ok(Self { session, limits })
    }

    /// The i= line: what the session is about, for people (RFC 8866 §5.4).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.session.session_description.as_deref()
    }

    /// The first usable message media of an offer, given what the local end supports. Without `a=setup` the offerer connects (RFC 4975
    /// §5.4).
    ///
    /// # Errors
    /// Returns an error if no message media is usable: what is wrong with the first.
    pub fn offered_media(&self, can: Capabilities) -> Result<MessageMedia, MediaError> {
        let connects = |setup| match setup {
            None | Some(Setup::Active) => can.listen,
            Some(Setup::Passive) => can.connect,
            Some(Setup::ActPass) => can.listen || can.connect,
        };
        self.usable(connects, can, MessageMedia::contradicts_itself)
    }

    /// The first usable message media of an answer, given what the local end supports. Without `a=setup` the local end connects, as it
    /// made the offer.
    ///
    /// # Errors
    /// Returns an error as [`Self::offered_media`] does.
    pub fn answered_media(&self, can: Capabilities) -> Result<MessageMedia, MediaError> {
        let connects = |setup| match setup {
            None | Some(Setup::Passive | Setup::ActPass) => can.connect,
            Some(Setup::Active) => can.listen,
        };
        self.usable(connects, can, |_| false)
    }

    fn usable(
        &self,
        connects: impl Fn(Option<Setup>) -> bool,
        can: Capabilities,
        contradicts: impl Fn(&MessageMedia) -> bool,
    ) -> Result<MessageMedia, MediaError> {
        let (mut first_fault, mut files) = (None, false);
        for (index, media) in self.session.medias.iter().enumerate() {
            if !is_msrp(media) {
                continue;
            }
            if is_file(media) {
                files = true;
                continue;
            }
            match self.read(index, media) {
                Ok(found) if found.secure && !can.tls => first_fault = first_fault.or(Some(MediaError::TlsUnavailable)),
                Ok(found) if !found.secure && !can.plain => first_fault = first_fault.or(Some(MediaError::TlsRequired)),
                Ok(found) if !connects(found.setup) => first_fault = first_fault.or(Some(MediaError::Setup)),
                Ok(found) if contradicts(&found) => first_fault = first_fault.or(Some(MediaError::PathMismatch)),
                Ok(found) => return Ok(found),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        Err(first_fault.unwrap_or(if files { MediaError::FileTransfer } else { MediaError::NoMessageMedia }))
    }

    fn read(&self, index: usize, media: &Media) -> Result<MessageMedia, MediaError> {
        let secure = media.proto.eq_ignore_ascii_case("TCP/TLS/MSRP");
        let value = |name: &'static str| first_value(&media.attributes, name);
        let limits = Limits { msrp_path_uris_max: self.limits.path_uris as usize, ..Limits::DEFAULT };
        let path = value("path").and_then(|path| Path::parse_with(path.as_bytes(), &limits).ok());
        let path = path.ok_or(MediaError::Path)?;
        // Without a session-id it identifies a host and not a session (RFC 4975 §6).
        if path.session_id().is_none() {
            return Err(MediaError::Path);
        }
        // The scheme of its own URI says whether it uses TLS (RFC 4975 §8.1); a relay before it may differ.
        if path.iter().next_back().is_some_and(|uri| uri.secure) != secure && path.iter().count() == 1 {
            return Err(MediaError::Path);
        }
        let accept_types = AcceptTypes::parse(value("accept-types").unwrap_or_default());
        if !accept_types.accepts(CPIM) {
            return Err(MediaError::CpimNotAccepted);
        }
        let accept_wrapped_types = value("accept-wrapped-types").map(AcceptTypes::parse);
        let (types_max, bytes_max) = (self.limits.accept_types as usize, self.limits.accept_types_bytes as usize);
        if [Some(&accept_types), accept_wrapped_types.as_ref()]
            .into_iter()
            .flatten()
            .any(|l| l.exceeds(types_max, bytes_max))
        {
            return Err(MediaError::TooManyTypes { types_max, bytes_max });
        }
        Ok(MessageMedia {
            index,
            secure,
            path,
            accept_types,
            accept_wrapped_types,
            setup: value("setup").or_else(|| first_value(&self.session.attributes, "setup")).and_then(Setup::parse),
            chatroom: value("chatroom").map(ChatroomTokens::parse),
            max_size: value("max-size").and_then(|size| size.trim().parse().ok()),
            fingerprints: if secure { self.fingerprints(media)? } else { Vec::new() },
            cema: media.has_attribute("msrp-cema"),
            direction: self.direction(media),
            address: self.address(media),
            port: media.port,
        })
    }

    /// The direction of a media line, or else of the session (RFC 3264 §5.1).
    fn direction(&self, media: &Media) -> Direction {
        let find = |all: &[Attribute]| all.iter().find_map(|a| Direction::parse(&a.attribute));
        find(&media.attributes).or_else(|| find(&self.session.attributes)).unwrap_or_default()
    }

    /// The fingerprints of a media line, or else of the session (RFC 8122 §5).
    fn fingerprints(&self, media: &Media) -> Result<Vec<Fingerprint>, MediaError> {
        let values = |all: &[Attribute]| -> Vec<String> {
            let named = all.iter().filter(|a| a.attribute.eq_ignore_ascii_case("fingerprint"));
            named.map(|a| a.value.clone().unwrap_or_default()).collect()
        };
        let mut found = values(&media.attributes);
        if found.is_empty() {
            found = values(&self.session.attributes);
        }
        let usable: Vec<_> = found.iter().filter_map(|value| Fingerprint::parse(value)).collect();
        if usable.is_empty() && !found.is_empty() {
            return Err(MediaError::Fingerprint);
        }
        Ok(Fingerprint::preferred(usable))
    }

    fn address(&self, media: &Media) -> Option<String> {
        let connection = media.connections.first().or(self.session.connection.as_ref());
        connection.map(|c| c.connection_address.clone())
    }
}

/// The port of an end that connects and does not listen (RFC 4145 §4.1).
const DISCARD: u16 = 9;

impl MessageMedia {
    /// The types that may be sent to the peer in a message/cpim wrapper: those of `a=accept-wrapped-types`, and those of
    /// `a=accept-types`, which need not be listed twice (RFC 4975 §8.6). `None` is every type: a peer that lists message/cpim and no
    /// content type means that.
    #[must_use]
    pub fn wrapped_types(&self) -> Option<AcceptTypes> {
        let wrapped = self.accept_wrapped_types.clone().unwrap_or_default();
        let all = wrapped.union(&self.accept_types);
        (!all.is_only(CPIM)).then_some(all)
    }

    /// Whether c= and m= have another address than the path, and there is no `a=msrp-cema` (RFC 6714 §4.3). Port 9 of an end that connects
    /// is no address (RFC 4145 §4.1), nor is an unspecified one, and behind a relay they may be the client's own (RFC 4976).
    fn contradicts_itself(&self) -> bool {
        let silent = self.port == DISCARD && self.setup != Some(Setup::Passive);
        let is_zero = |host: &&str| host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
        let address = self.address.as_deref().filter(|host| !silent && !is_zero(host));
        let said = address.map(|host| (host, self.port));
        let named = self.path.first_uri().map(|first| first.host_and_port());
        match (said, named) {
            (Some(said), Some((host, Some(port)))) if !self.cema && !self.path.is_relayed() => {
                differ(said, (host, port))
            }
            _ => false,
        }
    }

    /// Whether the answer has `a=msrp-cema`: if it was offered, but not if the peer has a relay and connects through it (RFC 6714 §4.3).
    #[must_use]
    pub fn accepts_cema(&self) -> bool {
        let through_relay = self.path.is_relayed() && self.setup != Some(Setup::ActPass);
        self.cema && !through_relay
    }

    /// Host and port to connect to, if the local end connects: those of the c= and m= lines with `a=msrp-cema`, or else those of the first
    /// URI of the path (RFC 4975 §5.4, RFC 6714 §4.3).
    ///
    /// # Errors
    /// Returns [`MediaError::Path`] if there is no address or port, and [`MediaError::PathMismatch`] if the two differ without
    /// `a=msrp-cema`.
    pub fn next_hop(&self) -> Result<(&str, u16), MediaError> {
        let described = self.address.as_deref().map(|host| (host, self.port));
        if self.accepts_cema() {
            return described.ok_or(MediaError::Path);
        }
        let first = self.path.first_uri().ok_or(MediaError::Path)?;
        let (host, port) = first.host_and_port();
        let named = (host, port.filter(|port| *port != 0).ok_or(MediaError::Path)?);
        // Behind a relay the c= line is the client's own (RFC 4976).
        match described {
            Some(described) if !self.path.is_relayed() && differ(described, named) => Err(MediaError::PathMismatch),
            _ => Ok(named),
        }
    }
}

/// Whether two addresses are certainly different. Names are not resolved here.
fn differ(one: (&str, u16), other: (&str, u16)) -> bool {
    match (one.0.parse::<IpAddr>(), other.0.parse::<IpAddr>()) {
        (Ok(address), Ok(another)) => address != another || one.1 != other.1,
        _ => one.1 != other.1,
    }
}

/// The value of the first attribute of a name, empty if it has no value.
fn first_value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|a| a.attribute.eq_ignore_ascii_case(name))?;
    Some(found.value.as_deref().unwrap_or_default())
}

pub fn is_msrp(media: &Media) -> bool {
    let proto = |name: &str| media.proto.eq_ignore_ascii_case(name);
    media.media.eq_ignore_ascii_case("message") && media.port != 0 && (proto("TCP/MSRP") || proto("TCP/TLS/MSRP"))
}

/// Whether a line is for one file (RFC 5547 §6: every such line has a file-selector).
fn is_file(media: &Media) -> bool {
    media.attributes.iter().any(|a| FILE_ATTRIBUTES.iter().any(|name| a.attribute.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests;
