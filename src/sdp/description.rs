//! Reading a session description and finding the message media in it.

use std::net::IpAddr;

use sdp_types::{Attribute, Media, Session};

use super::{AcceptTypes, ChatroomTokens, Direction, Fingerprint, Setup};
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
    /// It has no TLS, and must (RFC 7701 §4.1).
    #[error("MSRP has to go over TLS here")]
    Plain,
    /// It has `a=fingerprint`, but by no hash function that may be used (RFC 8122 §5).
    #[error("no usable a=fingerprint")]
    Fingerprint,
    /// We would have to connect, and c= and m= lead elsewhere than `a=path` although nobody speaks of `a=msrp-cema`
    /// (RFC 6714 §4.3).
    #[error("a=path and the c= and m= lines lead to different places")]
    Mismatch,
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
            can,
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
            can,
        )
    }

    fn usable(&self, connects: impl Fn(Option<Setup>) -> bool, can: Capabilities) -> Result<MessageMedia, Unusable> {
        let mut first_fault = None;
        for (index, media) in self.session.medias.iter().enumerate() {
            if !is_msrp(media) {
                continue;
            }
            match self.read(index, media) {
                Ok(found) if found.secure && !can.tls => first_fault = first_fault.or(Some(Unusable::Secure)),
                Ok(found) if !found.secure && !can.plain => first_fault = first_fault.or(Some(Unusable::Plain)),
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
        // Without a session-id it names a machine and no session (RFC 4975 §6).
        if path.session_id().is_none() {
            return Err(Unusable::Path);
        }
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
    fn fingerprints(&self, media: &Media) -> Result<Vec<Fingerprint>, Unusable> {
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
            return Err(Unusable::Fingerprint);
        }
        Ok(Fingerprint::preferred(usable))
    }

    fn address(&self, media: &Media) -> Option<String> {
        let connection = media.connections.first().or(self.session.connection.as_ref());
        connection.map(|c| c.connection_address.clone())
    }
}

impl MessageMedia {
    /// Whether an answer to it has `a=msrp-cema`: where it was offered, but not to one who has a relay and connects through it
    /// (RFC 6714 §4.3).
    #[must_use]
    pub fn agrees_to_cema(&self) -> bool {
        let through_relay = self.path.is_relayed() && self.setup != Some(Setup::ActPass);
        self.cema && !through_relay
    }

    /// Host and port of whom to connect to, where it is we who connect: with `a=msrp-cema` what the c= and m= lines say, else
    /// the first URI of the path (RFC 4975 §5.4, RFC 6714 §4.3).
    ///
    /// # Errors
    /// Where there is no address or port, or where it says two things without `a=msrp-cema`.
    pub fn next_hop(&self) -> Result<(&str, u16), Unusable> {
        let described = self.address.as_deref().map(|host| (host, self.port));
        if self.agrees_to_cema() {
            return described.ok_or(Unusable::Path);
        }
        let first = self.path.first_uri().ok_or(Unusable::Path)?;
        let (host, port) = first.host_and_port();
        let named = (host, port.filter(|port| *port != 0).ok_or(Unusable::Path)?);
        // Behind a relay the c= line is the client's own (RFC 4976).
        match described {
            Some(described) if !self.path.is_relayed() && differ(described, named) => Err(Unusable::Mismatch),
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

fn is_msrp(media: &Media) -> bool {
    let proto = |name: &str| media.proto.eq_ignore_ascii_case(name);
    media.media.eq_ignore_ascii_case("message") && media.port != 0 && (proto("TCP/MSRP") || proto("TCP/TLS/MSRP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAN: Capabilities = Capabilities { plain: true, tls: false, listen: true, connect: false };

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
        assert!(found.cema);
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
            (format!("m=message 1 TCP/MSRP *\r\na=path:msrp://192.0.2.9:9;tcp\r\n{TYPES}"), Unusable::Path),
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
        let connects = Capabilities { listen: false, connect: true, ..CAN };
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

    const FINGERPRINT: &str = "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\n";

    fn secure(attributes: &str) -> Result<MessageMedia, Unusable> {
        let path = "a=path:msrps://192.0.2.9:9/s;tcp\r\n";
        let text = media(&format!("m=message 9 TCP/TLS/MSRP *\r\n{path}{TYPES}{attributes}"));
        Description::parse(text.as_bytes()).unwrap().offered(Capabilities { tls: true, plain: false, ..CAN })
    }

    #[test]
    fn fingerprints_stand_on_the_line_or_above_all_lines() {
        assert_eq!(secure("").unwrap().fingerprints, []);
        assert_eq!(secure(FINGERPRINT).unwrap().fingerprints.len(), 1);
        let above = media(&format!("{FINGERPRINT}m=message 9 TCP/TLS/MSRP *\r\na=path:msrps://h:9/s;tcp\r\n{TYPES}"));
        let found = Description::parse(above.as_bytes()).unwrap().offered(Capabilities { tls: true, ..CAN });
        assert_eq!(found.unwrap().fingerprints.len(), 1);
        assert_eq!(secure("a=fingerprint:md5 00:01\r\n"), Err(Unusable::Fingerprint));
        let both = secure(&format!("a=fingerprint:md5 00:01\r\n{FINGERPRINT}"));
        assert_eq!(both.unwrap().fingerprints.len(), 1, "what cannot be used is passed over beside what can");
    }

    #[test]
    fn where_tls_is_wanted_plain_media_is_not_taken() {
        let plain = media(&format!("m=message 1 TCP/MSRP *\r\n{PATH}{TYPES}"));
        let only_tls = Capabilities { tls: true, plain: false, ..CAN };
        assert_eq!(Description::parse(plain.as_bytes()).unwrap().offered(only_tls), Err(Unusable::Plain));
    }

    fn next_hop(lines: &str) -> Result<(String, u16), Unusable> {
        let text = media(lines);
        let can = Capabilities { connect: true, ..CAN };
        let found = Description::parse(text.as_bytes()).unwrap().offered(can).unwrap();
        found.next_hop().map(|(host, port)| (host.to_owned(), port))
    }

    #[test]
    fn who_is_connected_to_follows_from_path_relay_and_cema() {
        let at = |host: &str, port| Ok((host.to_owned(), port));
        let passive = "a=setup:passive\r\n";
        assert_eq!(next_hop(&format!("m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}{passive}")), at("192.0.2.9", 9));
        let elsewhere = format!("m=message 7777 TCP/MSRP *\r\nc=IN IP4 192.0.2.200\r\n{PATH}{TYPES}{passive}");
        assert_eq!(next_hop(&elsewhere), Err(Unusable::Mismatch));
        assert_eq!(next_hop(&format!("{elsewhere}a=msrp-cema\r\n")), at("192.0.2.200", 7777));
        let relayed = elsewhere.replace("a=path:", "a=path:msrp://[2001:db8::5]:2855/r;tcp ");
        assert_eq!(next_hop(&relayed), at("2001:db8::5", 2855));
        assert_eq!(
            next_hop(&format!("{relayed}a=msrp-cema\r\n")),
            at("2001:db8::5", 2855),
            "its relay is connected to"
        );
        let without_port = "a=path:msrp://192.0.2.9/s;tcp\r\n";
        assert_eq!(next_hop(&format!("m=message 9 TCP/MSRP *\r\n{without_port}{TYPES}{passive}")), Err(Unusable::Path));
    }

    #[test]
    fn a_connection_attribute_is_ignored() {
        let lines = format!("m=message 1 TCP/MSRP *\r\n{PATH}{TYPES}");
        for value in ["new", "existing"] {
            assert_eq!(offered(&format!("{lines}a=connection:{value}\r\n")), offered(&lines));
        }
    }

    #[test]
    fn an_address_of_zeros_is_taken() {
        let text = media(&format!("m=message 1 TCP/MSRP *\r\n{PATH}{TYPES}"))
            .replace("c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0");
        assert!(Description::parse(text.as_bytes()).unwrap().offered(CAN).is_ok());
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
