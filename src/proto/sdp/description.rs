//! Reading a session description and finding the message media in it.

use std::net::IpAddr;

use sdp_types::{Attribute, Media, Session};

use super::charset::in_utf8;
use super::{AcceptTypes, ChatroomTokens, Direction, Fingerprint, Setup};
use crate::limits::{ACCEPT_TYPES_BYTES_MAX, ACCEPT_TYPES_MAX, SDP_MEDIA_LINES_MAX};
use crate::msrp::Path;

/// What a line for a file is known by, and its refusal repeats (RFC 5547 §8.3).
pub(super) const FILE_ATTRIBUTES: [&str; 2] = ["file-selector", "file-transfer-id"];

/// The one top-level type of a chat room (RFC 7701 §5.2).
pub(super) const CPIM: &str = "message/cpim";

/// A session description as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub(super) session: Session,
}

/// Why bytes are no session description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// A line is not what it should be.
    #[error("not a session description: {0}")]
    Syntax(String),
    /// More media lines than we answer.
    #[error("more than {SDP_MEDIA_LINES_MAX} media lines")]
    TooManyMedia,
}

/// Why a description has no message media that can be used: the peer is well-formed but incompatible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// No `m=message` line over MSRP, or only refused ones.
    #[error("no MSRP media")]
    NoMessageMedia,
    /// Only lines of which each is for one file (RFC 5547).
    #[error("file transfer (a=file-selector) is not available")]
    FileTransfer,
    /// It wants TLS where there is none, or none where it must be.
    #[error("MSRP over TLS is not available")]
    TlsUnavailable,
    /// It has no TLS, and must (RFC 7701 §4.1).
    #[error("MSRP has to go over TLS here")]
    TlsRequired,
    /// It has `a=fingerprint`, but by no hash function that may be used (RFC 8122 §5).
    #[error("no usable a=fingerprint")]
    Fingerprint,
    /// c= and m= lead elsewhere than `a=path` although nobody speaks of `a=msrp-cema`: a box in between has changed one of them only
    /// (RFC 6714 §4.3).
    #[error("a=path and the c= and m= lines lead to different places")]
    PathMismatch,
    /// `a=path` is missing, broken, or contradicts the media line.
    #[error("no usable a=path")]
    Path,
    /// `a=accept-types` has no message/cpim (RFC 7701 §5.2).
    #[error("a=accept-types without message/cpim")]
    CpimNotAccepted,
    /// A list of types is longer than the server keeps for one member.
    #[error(
        "a=accept-types and a=accept-wrapped-types: at most {ACCEPT_TYPES_MAX} types and {ACCEPT_TYPES_BYTES_MAX} octets each"
    )]
    TooManyTypes,
    /// Neither side would connect.
    #[error("nobody would connect")]
    Setup,
}

/// What we can do about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Take MSRP without TLS.
    pub plain: bool,
    /// Take MSRP over TLS.
    pub tls: bool,
    /// Be connected to.
    pub listen: bool,
    /// Connect.
    pub connect: bool,
}

/// One usable `m=message` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageMedia {
    /// Which of the media lines it is.
    pub index: usize,
    /// Over TLS.
    pub secure: bool,
    /// `a=path`, in order.
    pub path: Path,
    /// `a=accept-types`.
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
    /// What the peer may do.
    pub direction: Direction,
    /// `a=fingerprint` by the most preferred hash function; empty where it has none (RFC 8122 §5).
    pub fingerprints: Vec<Fingerprint>,
    /// The address of its c= line.
    pub address: Option<String>,
    /// The port of its m= line.
    pub port: u16,
}

impl Description {
    /// Reads a description. Lenient in what real clients leave out: `t=`, `s=` and `o=` may be missing. Octets that are no UTF-8 are
    /// those of the charset that `a=charset` names, in s= and i= lines, and harm nothing elsewhere (RFC 8866 §6.10, §9).
    ///
    /// # Errors
    /// Where a line is broken, or there are too many media lines.
    pub fn parse(text: &[u8]) -> Result<Self, SdpError> {
        let session = Session::parse(in_utf8(text).as_bytes()).map_err(|error| SdpError::Syntax(error.to_string()))?;
        if session.medias.len() > SDP_MEDIA_LINES_MAX {
            return Err(SdpError::TooManyMedia);
        }
        Ok(Self { session })
    }

    /// What the session is about, for people: the i= line (RFC 8866 §5.4).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.session.session_description.as_deref()
    }

    /// The first message media of an offer that we can take. Without `a=setup` whoever offers connects (RFC 4975 §5.4).
    ///
    /// # Errors
    /// Why the first message media is not usable, or that there is none.
    pub fn offered_media(&self, can: Capabilities) -> Result<MessageMedia, MediaError> {
        let connects = |setup| match setup {
            None | Some(Setup::Active) => can.listen,
            Some(Setup::Passive) => can.connect,
            Some(Setup::ActPass) => can.listen || can.connect,
        };
        self.usable(connects, can, MessageMedia::contradicts_itself)
    }

    /// The message media of an answer to an offer of ours. Without `a=setup` we connect, as we made the offer.
    ///
    /// # Errors
    /// As [`Self::offered_media`].
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
        let path = Path::parse(value("path").ok_or(MediaError::Path)?.as_bytes()).map_err(|_| MediaError::Path)?;
        // Without a session-id it names a machine and no session (RFC 4975 §6).
        if path.session_id().is_none() {
            return Err(MediaError::Path);
        }
        // The scheme of its own URI says whether it speaks TLS (RFC 4975 §8.1); a relay before it may differ.
        if path.iter().next_back().is_some_and(|uri| uri.secure) != secure && path.iter().count() == 1 {
            return Err(MediaError::Path);
        }
        let accept_types = AcceptTypes::parse(value("accept-types").unwrap_or_default());
        if !accept_types.accepts(CPIM) {
            return Err(MediaError::CpimNotAccepted);
        }
        let accept_wrapped_types = value("accept-wrapped-types").map(AcceptTypes::parse);
        if accept_types.is_too_long() || accept_wrapped_types.as_ref().is_some_and(AcceptTypes::is_too_long) {
            return Err(MediaError::TooManyTypes);
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

    /// The direction of a media line, else of the session (RFC 3264 §5.1).
    fn direction(&self, media: &Media) -> Direction {
        let find = |all: &[Attribute]| all.iter().find_map(|a| Direction::parse(&a.attribute));
        find(&media.attributes).or_else(|| find(&self.session.attributes)).unwrap_or_default()
    }

    /// The fingerprints of a media line, else of the session (RFC 8122 §5).
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

/// The port of who connects and is not to be connected to (RFC 4145 §4.1).
const DISCARD: u16 = 9;

impl MessageMedia {
    /// What may be sent to the peer in a message/cpim wrapper: what may stand alone, which need not be listed twice, and what may only be
    /// wrapped (RFC 4975 §8.6). `None` is everything: so is meant who lists message/cpim and no content at all.
    #[must_use]
    pub fn wrapped_types(&self) -> Option<AcceptTypes> {
        let wrapped = self.accept_wrapped_types.clone().unwrap_or_default();
        let all = wrapped.union(&self.accept_types);
        (!all.is_only(CPIM)).then_some(all)
    }

    /// Whether c= and m= say another place than the path, and no `a=msrp-cema` says why (RFC 6714 §4.3). Port 9 of somebody who connects
    /// says no place (RFC 4145 §4.1), nor does an address of zeros, and behind a relay they may be the client's own (RFC 4976).
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

    /// Whether an answer to it has `a=msrp-cema`: where it was offered, but not to one who has a relay and connects through it
    /// (RFC 6714 §4.3).
    #[must_use]
    pub fn accepts_cema(&self) -> bool {
        let through_relay = self.path.is_relayed() && self.setup != Some(Setup::ActPass);
        self.cema && !through_relay
    }

    /// Host and port of whom to connect to, where it is we who connect: with `a=msrp-cema` what the c= and m= lines say, else
    /// the first URI of the path (RFC 4975 §5.4, RFC 6714 §4.3).
    ///
    /// # Errors
    /// Where there is no address or port, or where it says two things without `a=msrp-cema`.
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

/// Whether two places are not the same for certain: nobody looks names up here.
fn differ(one: (&str, u16), other: (&str, u16)) -> bool {
    match (one.0.parse::<IpAddr>(), other.0.parse::<IpAddr>()) {
        (Ok(address), Ok(another)) => address != another || one.1 != other.1,
        _ => one.1 != other.1,
    }
}

/// The value of the first attribute of a name, empty where it has none.
fn first_value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|a| a.attribute.eq_ignore_ascii_case(name))?;
    Some(found.value.as_deref().unwrap_or_default())
}

pub(super) fn is_msrp(media: &Media) -> bool {
    let proto = |name: &str| media.proto.eq_ignore_ascii_case(name);
    media.media.eq_ignore_ascii_case("message") && media.port != 0 && (proto("TCP/MSRP") || proto("TCP/TLS/MSRP"))
}

/// Whether a line is for one file and no conversation (RFC 5547 §6: every such line has a file-selector).
fn is_file(media: &Media) -> bool {
    media.attributes.iter().any(|a| FILE_ATTRIBUTES.iter().any(|name| a.attribute.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests;
