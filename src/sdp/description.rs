//! Reading a session description and finding the message media in it.

use sdp_types::{Attribute, Media, Session};

use super::{AcceptTypes, ChatroomTokens, Direction, Setup};
use crate::limits::SDP_MEDIA_LINES_MAX;
use crate::msrp::Path;

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
pub enum Unusable {
    /// No `m=message` line over MSRP, or only refused ones.
    #[error("no MSRP media")]
    NoMessageMedia,
    /// It wants TLS where there is none, or none where it must be.
    #[error("MSRP over TLS is not available")]
    Secure,
    /// `a=path` is missing, broken, or contradicts the media line.
    #[error("no usable a=path")]
    Path,
    /// `a=accept-types` has no message/cpim (RFC 7701 §5.2).
    #[error("a=accept-types without message/cpim")]
    NotCpim,
    /// Neither side would connect.
    #[error("nobody would connect")]
    Setup,
}

/// What we can do about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
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
    /// `a=connection:new`.
    pub new_connection: bool,
    /// `a=msrp-cema` (RFC 6714).
    pub cema: bool,
    /// What the peer may do.
    pub direction: Direction,
    /// The address of its c= line.
    pub address: Option<String>,
    /// The port of its m= line.
    pub port: u16,
}

impl Description {
    /// Reads a description. Lenient in what real clients leave out: `t=`, `s=` and `o=` may be missing.
    ///
    /// # Errors
    /// Where a line is broken, or there are too many media lines.
    pub fn parse(text: &[u8]) -> Result<Self, SdpError> {
        let session = Session::parse(text).map_err(|error| SdpError::Syntax(error.to_string()))?;
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
    pub fn offered(&self, can: Capabilities) -> Result<MessageMedia, Unusable> {
        self.usable(
            |setup| match setup {
                None | Some(Setup::Active) => can.listen,
                Some(Setup::Passive) => can.connect,
                Some(Setup::ActPass) => can.listen || can.connect,
            },
            can.tls,
        )
    }

    /// The message media of an answer to an offer of ours. Without `a=setup` we connect, as we made the offer.
    ///
    /// # Errors
    /// As [`Self::offered`].
    pub fn answered(&self, can: Capabilities) -> Result<MessageMedia, Unusable> {
        self.usable(
            |setup| match setup {
                None | Some(Setup::Passive | Setup::ActPass) => can.connect,
                Some(Setup::Active) => can.listen,
            },
            can.tls,
        )
    }

    fn usable(&self, connects: impl Fn(Option<Setup>) -> bool, tls: bool) -> Result<MessageMedia, Unusable> {
        let mut first_fault = None;
        for (index, media) in self.session.medias.iter().enumerate() {
            if !is_msrp(media) {
                continue;
            }
            match self.read(index, media) {
                Ok(found) if found.secure && !tls => first_fault = first_fault.or(Some(Unusable::Secure)),
                Ok(found) if !connects(found.setup) => first_fault = first_fault.or(Some(Unusable::Setup)),
                Ok(found) => return Ok(found),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        Err(first_fault.unwrap_or(Unusable::NoMessageMedia))
    }

    fn read(&self, index: usize, media: &Media) -> Result<MessageMedia, Unusable> {
        let secure = media.proto.eq_ignore_ascii_case("TCP/TLS/MSRP");
        let value = |name: &'static str| first_value(&media.attributes, name);
        let path = Path::parse(value("path").ok_or(Unusable::Path)?.as_bytes()).map_err(|_| Unusable::Path)?;
        // The scheme of its own URI says whether it speaks TLS (RFC 4975 §8.1); a relay before it may differ.
        if path.iter().next_back().is_some_and(|uri| uri.secure) != secure && path.iter().count() == 1 {
            return Err(Unusable::Path);
        }
        let accept_types = AcceptTypes::parse(value("accept-types").unwrap_or_default());
        if !accept_types.accepts(CPIM) {
            return Err(Unusable::NotCpim);
        }
        Ok(MessageMedia {
            index,
            secure,
            path,
            accept_types,
            accept_wrapped_types: value("accept-wrapped-types").map(AcceptTypes::parse),
            setup: value("setup").or_else(|| first_value(&self.session.attributes, "setup")).and_then(Setup::parse),
            chatroom: value("chatroom").map(ChatroomTokens::parse),
            max_size: value("max-size").and_then(|size| size.trim().parse().ok()),
            new_connection: value("connection").is_some_and(|v| v.trim().eq_ignore_ascii_case("new")),
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

    fn address(&self, media: &Media) -> Option<String> {
        let connection = media.connections.first().or(self.session.connection.as_ref());
        connection.map(|c| c.connection_address.clone())
    }
}

/// The value of the first attribute of a name, empty where it has none.
fn first_value<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|a| a.attribute.eq_ignore_ascii_case(name))?;
    Some(found.value.as_deref().unwrap_or_default())
}

fn is_msrp(media: &Media) -> bool {
    let proto = |name: &str| media.proto.eq_ignore_ascii_case(name);
    media.media.eq_ignore_ascii_case("message") && media.port != 0 && (proto("TCP/MSRP") || proto("TCP/TLS/MSRP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAN: Capabilities = Capabilities { tls: false, listen: true, connect: false };

    fn media(lines: &str) -> String {
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{lines}")
    }

    fn offered(lines: &str) -> Result<MessageMedia, Unusable> {
        Description::parse(media(lines).as_bytes()).unwrap().offered(CAN)
    }

    const PATH: &str = "a=path:msrp://192.0.2.9:9/s;tcp\r\n";
    const TYPES: &str = "a=accept-types:Message/CPIM text/plain\r\n";

    #[test]
    fn everything_of_a_full_line_is_read() {
        let found = offered(&format!(
            "m=audio 5000 RTP/AVP 0\r\nm=message 9 TCP/MSRP *\r\nc=IN IP6 2001:db8::1\r\n{PATH}{TYPES}a=setup:ACTIVE\r\n\
             a=accept-wrapped-types:text/*\r\na=chatroom:nicknames\r\na=max-size: 1000\r\na=connection:new\r\n\
             a=msrp-cema\r\na=sendonly\r\n"
        ))
        .unwrap();
        assert_eq!((found.index, found.port, found.secure), (1, 9, false));
        assert_eq!(found.path.as_str(), "msrp://192.0.2.9:9/s;tcp");
        assert!(found.accept_wrapped_types.unwrap().accepts("text/html"));
        assert_eq!(found.setup, Some(Setup::Active));
        assert_eq!(found.chatroom, Some(ChatroomTokens { nickname: true, private_messages: false }));
        assert_eq!(found.max_size, Some(1000));
        assert!(found.new_connection && found.cema);
        assert_eq!(found.direction, Direction { sends: true, receives: false });
        assert_eq!(found.address.as_deref(), Some("2001:db8::1"));
    }

    #[test]
    fn the_first_usable_line_is_taken() {
        let found = offered(&format!(
            "m=message 1 TCP/MSRP *\r\na=accept-types:text/plain\r\n{PATH}m=message 0 TCP/MSRP *\r\n{PATH}{TYPES}\
             m=message 2 TCP/MSRP *\r\n{PATH}{TYPES}m=message 3 TCP/MSRP *\r\n{PATH}{TYPES}"
        ));
        assert_eq!(found.unwrap().index, 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let msrps = "a=path:msrps://192.0.2.9:9/s;tcp\r\n";
        for (lines, fault) in [
            (String::new(), Unusable::NoMessageMedia),
            ("m=audio 1 RTP/AVP 0\r\n".into(), Unusable::NoMessageMedia),
            (format!("m=message 1 UDP/MSRP *\r\n{PATH}{TYPES}"), Unusable::NoMessageMedia),
            (format!("m=message 1 TCP/TLS/MSRP *\r\n{msrps}{TYPES}"), Unusable::Secure),
            (format!("m=message 1 TCP/MSRP *\r\n{msrps}{TYPES}"), Unusable::Path),
            (format!("m=message 1 TCP/MSRP *\r\n{TYPES}"), Unusable::Path),
            (format!("m=message 1 TCP/MSRP *\r\na=path:http://x\r\n{TYPES}"), Unusable::Path),
            (format!("m=message 1 TCP/MSRP *\r\n{PATH}"), Unusable::NotCpim),
            (format!("m=message 1 TCP/MSRP *\r\n{PATH}{TYPES}a=setup:passive\r\n"), Unusable::Setup),
        ] {
            assert_eq!(offered(&lines), Err(fault), "{lines}");
        }
    }

    #[test]
    fn who_connects_follows_from_offer_and_answer() {
        let with = |setup: &str| media(&format!("m=message 1 TCP/MSRP *\r\n{PATH}{TYPES}{setup}"));
        let parse = |setup: &str| Description::parse(with(setup).as_bytes()).unwrap();
        let connects = Capabilities { tls: false, listen: false, connect: true };
        for (setup, takes_offer, can_connect_by_answer) in [
            ("", true, true),
            ("a=setup:active\r\n", true, false),
            ("a=setup:actpass\r\n", true, true),
            ("a=setup:holdconn\r\n", true, true),
            ("a=setup:passive\r\n", false, true),
        ] {
            assert_eq!(parse(setup).offered(CAN).is_ok(), takes_offer, "{setup}");
            assert_eq!(parse(setup).answered(connects).is_ok(), can_connect_by_answer, "{setup}");
        }
        assert!(parse("a=setup:active\r\n").answered(CAN).is_ok());
    }

    #[test]
    fn a_star_in_accept_types_takes_cpim() {
        assert!(offered(&format!("m=message 1 TCP/MSRP *\r\n{PATH}a=accept-types:*\r\n")).is_ok());
    }

    #[test]
    fn a_line_end_cannot_be_smuggled_into_an_answer() {
        let text = media("m=video 1 RTP/AVP 31\rm=message 1 TCP/MSRP *\r\n");
        assert!(matches!(Description::parse(text.as_bytes()), Err(SdpError::Syntax(_))));
    }

    #[test]
    fn too_many_lines_are_refused() {
        let lines = "m=audio 1 RTP/AVP 0\r\n".repeat(SDP_MEDIA_LINES_MAX + 1);
        assert_eq!(Description::parse(media(&lines).as_bytes()), Err(SdpError::TooManyMedia));
        assert!(matches!(Description::parse(b"nonsense"), Err(SdpError::Syntax(_))));
    }
}
