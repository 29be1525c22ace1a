//! Writing a description: an offer, the answer to one, or what could be negotiated.

use std::net::IpAddr;

use sdp_types::{AddrType, Attribute, Connection, Media, NetType, Session, Time};

use super::description::{CPIM, FILE_ATTRIBUTES, is_msrp};
use super::{ChatroomTokens, Description, Direction, Fingerprint, MessageMedia, Setup};
use crate::msrp::Path;

/// MSRP over TCP, and over TLS.
const PLAIN: &str = "TCP/MSRP";
const SECURE: &str = "TCP/TLS/MSRP";

/// The numbers of the o= line, which identify a description (RFC 3264 §5, §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The session id: the same for the whole call.
    pub id: u64,
    /// The version: incremented with every change.
    pub version: u64,
}

/// What the local end offers in every session.
#[derive(Debug, Clone)]
pub struct LocalTerms<'a> {
    /// The host of the c= and o= lines.
    pub host: &'a str,
    /// The family of the host if it is a name: IPv6, or else IPv4.
    pub ipv6: bool,
    /// `a=accept-wrapped-types`; not written if it is empty.
    pub accept_wrapped_types: &'a [String],
    /// `a=chatroom`.
    pub chatroom: ChatroomTokens,
    /// `a=max-size` in octets; 0 is no limit, and not written.
    pub max_size: u64,
    /// The i= line: what the session is about, for people (RFC 8866 §5.4).
    pub subject: Option<&'a str>,
}

/// The local end of the message media of a session.
#[derive(Debug, Clone)]
pub struct LocalMedia<'a> {
    /// What the local end offers in every session.
    pub terms: LocalTerms<'a>,
    /// The port of the m= line.
    pub port: u16,
    /// `a=path`. The scheme of its last URI says whether the media is over TLS.
    pub path: &'a Path,
    /// `a=setup`.
    pub setup: Setup,
    /// `a=fingerprint`, once for each; written only if the media is over TLS (RFC 8122 §5.1).
    pub fingerprints: &'a [Fingerprint],
}

impl LocalTerms<'_> {
    /// A description of what could be negotiated, for the answer to OPTIONS (RFC 3264 §9): a line for each protocol, with port 0 and
    /// without the attributes of one session, such as a path.
    #[must_use]
    pub fn capabilities(&self, origin: Origin, plain: bool, tls: bool) -> String {
        let mut session = self.session(origin);
        for proto in [(plain, PLAIN), (tls, SECURE)].into_iter().filter_map(|(can, proto)| can.then_some(proto)) {
            let mut media = line("message", 0, proto, "*".into());
            self.write_types(&mut media);
            self.write_bounds(&mut media);
            session.medias.push(media);
        }
        written(&session)
    }

    fn session(&self, origin: Origin) -> Session {
        let (id, version) = (origin.id.to_string(), origin.version);
        let host = self.host.trim_matches(['[', ']']);
        let address = address_type(host, self.ipv6);
        let mut session = Session::new(sdp_types::Origin::new(id, version, NetType::In, address.clone(), host), "-");
        session.connection = Some(Connection::new(NetType::In, address, host));
        session.session_description = self.subject.map(str::to_owned);
        session.times.push(Time::new(0, 0));
        session
    }

    fn write_types(&self, media: &mut Media) {
        media.attributes.push(Attribute::with_value("accept-types", CPIM));
        if !self.accept_wrapped_types.is_empty() {
            let types = self.accept_wrapped_types.join(" ");
            media.attributes.push(Attribute::with_value("accept-wrapped-types", types));
        }
    }

    fn write_bounds(&self, media: &mut Media) {
        if self.max_size > 0 {
            media.attributes.push(Attribute::with_value("max-size", self.max_size.to_string()));
        }
        let chatroom = self.chatroom.to_string();
        media.attributes.push(if chatroom.is_empty() {
            Attribute::new("chatroom")
        } else {
            Attribute::with_value("chatroom", chatroom)
        });
    }
}

impl LocalMedia<'_> {
    /// The first offer of a call, with one media line. Returns the description as text.
    #[must_use]
    pub fn offer(&self, origin: Origin) -> String {
        let mut session = self.terms.session(origin);
        let media = self.media("*".into());
        session.medias.push(media);
        written(&session)
    }

    /// An offer after `before`, the last local description in the same call: every line keeps its place, and unused lines have port 0
    /// (RFC 3264 §8). `direction` is that of the peer; `cema` is whether both ends agreed on `a=msrp-cema` (RFC 6714).
    #[must_use]
    pub fn next_offer(&self, origin: Origin, before: &Description, direction: Direction, cema: bool) -> String {
        let mut session = self.terms.session(origin);
        let mut ours = self.media("*".into());
        ours.attributes.extend(direction.answer().map(Attribute::new));
        ours.attributes.extend(cema.then(|| Attribute::new("msrp-cema")));
        let mut ours = Some(ours);
        let lines = before.session.medias.iter();
        session.medias.extend(lines.map(|line| ours.take_if(|_| is_msrp(line)).unwrap_or_else(|| refused(line))));
        session.medias.extend(ours);
        written(&session)
    }

    /// The answer to an offer: one line for every line of the offer, all but `taken` refused with port 0 (RFC 3264 §6).
    #[must_use]
    pub fn answer(&self, origin: Origin, offer: &Description, taken: &MessageMedia) -> String {
        let mut session = self.terms.session(origin);
        session.times = offer.session.times.clone();
        for (index, theirs) in offer.session.medias.iter().enumerate() {
            let line = if index == taken.index { self.answer_media(theirs, taken) } else { refused(theirs) };
            session.medias.push(line);
        }
        written(&session)
    }

    fn answer_media(&self, theirs: &Media, taken: &MessageMedia) -> Media {
        let mut media = self.media(theirs.fmt.clone());
        if let Some(direction) = taken.direction.answer() {
            media.attributes.push(Attribute::new(direction));
        }
        if taken.accepts_cema() {
            media.attributes.push(Attribute::new("msrp-cema"));
        }
        media
    }

    fn media(&self, fmt: String) -> Media {
        let secure = self.path.iter().next_back().is_some_and(|uri| uri.secure);
        let mut media = line("message", self.port, if secure { SECURE } else { PLAIN }, fmt);
        self.terms.write_types(&mut media);
        let mut attribute = |name: &str, value: String| media.attributes.push(Attribute::with_value(name, value));
        attribute("path", self.path.as_str().into());
        attribute("setup", self.setup.to_string());
        for fingerprint in self.fingerprints.iter().filter(|_| secure) {
            attribute("fingerprint", fingerprint.to_string());
        }
        self.terms.write_bounds(&mut media);
        media
    }
}

/// The expected octets of a description, to allocate once.
const BYTES_EXPECTED: usize = 512;
/// The expected attributes of a media line.
const ATTRIBUTES_EXPECTED: usize = 8;

fn written(session: &Session) -> String {
    let mut out = Vec::with_capacity(BYTES_EXPECTED);
    // Writing to a vector does not fail.
    let _ = session.write(&mut out);
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn address_type(host: &str, ipv6: bool) -> AddrType {
    let ipv6 = host.parse::<IpAddr>().map_or(ipv6, |address| address.is_ipv6());
    if ipv6 { AddrType::Ip6 } else { AddrType::Ip4 }
}

/// A refused line. That of a file says which file it was for (RFC 5547 §8.3).
fn refused(theirs: &Media) -> Media {
    let mut media = line(&theirs.media, 0, &theirs.proto, theirs.fmt.clone());
    let of_file = |a: &&Attribute| FILE_ATTRIBUTES.iter().any(|name| a.attribute.eq_ignore_ascii_case(name));
    media.attributes.extend(theirs.attributes.iter().filter(of_file).cloned());
    media
}

fn line(media: &str, port: u16, proto: &str, fmt: String) -> Media {
    Media {
        media: media.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::with_capacity(ATTRIBUTES_EXPECTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::Capabilities;

    const CAN: Capabilities = Capabilities { plain: true, tls: true, listen: true, connect: true };

    fn ours<'a>(path: &'a Path, wrapped: &'a [String], setup: Setup) -> LocalMedia<'a> {
        let chatroom = ChatroomTokens { nickname: true, private_messages: true };
        let (host, ipv6, max_size, subject) = ("192.0.2.1", false, 0, None);
        let terms = LocalTerms { host, ipv6, accept_wrapped_types: wrapped, chatroom, max_size, subject };
        LocalMedia { terms, port: 2855, path, setup, fingerprints: &[] }
    }

    fn path() -> Path {
        Path::parse(b"msrp://192.0.2.1:2855/us;tcp").unwrap()
    }

    fn answer_to(offer: &str) -> String {
        let offer = Description::parse(offer.as_bytes()).unwrap();
        let taken = offer.offered_media(CAN).unwrap();
        ours(&path(), &["*".into()], Setup::Passive).answer(Origin { id: 7, version: 3 }, &offer, &taken)
    }

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=5 9\r\nm=audio 5000/2 RTP/AVP 0 8\r\n\
        a=rtpmap:0 PCMU/8000\r\nm=message 9 TCP/MSRP *\r\na=path:msrp://192.0.2.9:9/s;tcp\r\na=accept-types:message/cpim\r\n\
        m=video 1 RTP/AVP 31\r\n";

    #[test]
    fn every_line_of_the_offer_has_a_line_in_the_answer() {
        assert_eq!(
            answer_to(OFFER),
            "v=0\r\no=- 7 3 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=5 9\r\nm=audio 0 RTP/AVP 0 8\r\n\
             m=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\n\
             a=path:msrp://192.0.2.1:2855/us;tcp\r\na=setup:passive\r\na=chatroom:nickname private-messages\r\n\
             m=video 0 RTP/AVP 31\r\n"
        );
    }

    #[test]
    fn direction_and_cema_are_answered_if_offered() {
        let offer = OFFER.replace("a=accept-types", "a=recvonly\r\na=msrp-cema\r\na=accept-types");
        let answer = answer_to(&offer);
        assert!(answer.contains("a=sendonly\r\n") && answer.contains("a=msrp-cema\r\n"));
        assert!(!answer_to(OFFER).contains("cema"));
    }

    #[test]
    fn cema_is_not_answered_to_a_peer_behind_a_relay() {
        let relayed = OFFER.replace("a=path:", "a=msrp-cema\r\na=path:msrp://relay.example:1/r;tcp ");
        assert!(!answer_to(&relayed).contains("cema"));
        assert!(answer_to(&relayed.replace("a=msrp-cema", "a=msrp-cema\r\na=setup:actpass")).contains("cema"));
    }

    #[test]
    fn a_later_offer_keeps_every_line_in_its_place() {
        let file =
            "m=message 7 TCP/MSRP *\r\na=path:msrp://h:7/f;tcp\r\na=file-selector:size:1\r\na=file-transfer-id:x\r\n";
        let answer = Description::parse(answer_to(&format!("{OFFER}{file}")).as_bytes()).unwrap();
        let (path, held) = (path(), Direction { sends: true, receives: false });
        let ours = ours(&path, &[], Setup::ActPass);
        let lines = |offer: String| offer.split_once("m=").unwrap().1.to_owned();
        let own = "a=path:msrp://192.0.2.1:2855/us;tcp\r\na=setup:actpass\r\na=chatroom:nickname private-messages\r\n";
        let want = format!(
            "audio 0 RTP/AVP 0 8\r\nm=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\n{own}a=recvonly\r\na=msrp-cema\r\n\
             m=video 0 RTP/AVP 31\r\nm=message 0 TCP/MSRP *\r\na=file-selector:size:1\r\na=file-transfer-id:x\r\n"
        );
        let origin = Origin { id: 7, version: 4 };
        assert_eq!(lines(ours.next_offer(origin, &answer, held, true)), want);
        let unused = Description::parse(OFFER.replace("m=message 9", "m=message 0").as_bytes()).unwrap();
        let appended = ours.next_offer(origin, &unused, Direction::default(), false);
        assert_eq!(appended.matches(" 0 ").count(), 3 + 1, "{appended}");
        assert!(appended.trim_end().ends_with("a=chatroom:nickname private-messages") && !appended.contains("cema"));
    }

    #[test]
    fn an_offer_reads_back() {
        let (path, wrapped) = (path(), ["text/plain".to_owned(), "text/html".to_owned()]);
        let mut ours = ours(&path, &wrapped, Setup::ActPass);
        ours.terms.max_size = 5000;
        let offer = Description::parse(ours.offer(Origin { id: 1, version: 1 }).as_bytes()).unwrap();
        let media = offer.offered_media(CAN).unwrap();
        assert_eq!(media.path, path);
        assert_eq!((media.setup, media.max_size, media.port), (Some(Setup::ActPass), Some(5000), 2855));
        assert_eq!(media.accept_wrapped_types.unwrap().to_string(), "text/plain text/html");
        assert_eq!(media.chatroom, Some(ours.terms.chatroom));
        assert_eq!(media.address.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn capabilities_are_those_of_every_session_and_have_no_path() {
        let (path, wrapped) = (path(), ["text/plain".to_owned()]);
        let mut terms = ours(&path, &wrapped, Setup::ActPass).terms;
        terms.max_size = 5000;
        let line = |proto: &str| {
            format!(
                "m=message 0 {proto} *\r\na=accept-types:message/cpim\r\na=accept-wrapped-types:text/plain\r\n\
                 a=max-size:5000\r\na=chatroom:nickname private-messages\r\n"
            )
        };
        let head = "v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
        let origin = Origin { id: 7, version: 1 };
        let (plain, tls) = (line("TCP/MSRP"), line("TCP/TLS/MSRP"));
        assert_eq!(terms.capabilities(origin, true, true), format!("{head}{plain}{tls}"));
        assert_eq!(terms.capabilities(origin, false, true), format!("{head}{tls}"));
        assert_eq!(terms.capabilities(origin, true, false), format!("{head}{plain}"));
    }

    #[test]
    fn fingerprints_are_written_with_tls() {
        let fingerprint = Fingerprint { hash: crate::sdp::HashFunction::Sha1, value: vec![0xab; 20].into() };
        let (plain, secure) = (path(), Path::parse(b"msrps://192.0.2.1:2856/us;tcp").unwrap());
        let offer = |path: &Path| {
            let mut ours = ours(path, &[], Setup::ActPass);
            let all = [fingerprint.clone(), fingerprint.clone()];
            ours.fingerprints = &all;
            ours.offer(Origin { id: 1, version: 1 })
        };
        assert_eq!(offer(&secure).matches("a=fingerprint:sha-1 AB:AB:").count(), 2);
        assert!(!offer(&plain).contains("fingerprint"));
    }

    #[test]
    fn an_empty_token_list_is_still_a_chatroom() {
        let path = path();
        let mut ours = ours(&path, &[], Setup::Active);
        ours.terms.chatroom = ChatroomTokens::default();
        assert!(ours.offer(Origin { id: 1, version: 1 }).contains("a=chatroom\r\n"));
    }

    #[test]
    fn addresses_of_either_family_and_names_are_written() {
        let path = Path::parse(b"msrps://[2001:db8::1]:2855/us;tcp").unwrap();
        let mut ours = ours(&path, &[], Setup::Active);
        ours.terms.host = "[2001:db8::1]";
        let text = ours.offer(Origin { id: 1, version: 1 });
        assert!(text.contains("c=IN IP6 2001:db8::1\r\n") && text.contains("m=message 2855 TCP/TLS/MSRP *\r\n"));
        ours.terms.host = "chat.example.com";
        assert!(ours.offer(Origin { id: 1, version: 1 }).contains("o=- 1 1 IN IP4 chat.example.com\r\n"));
        ours.terms.ipv6 = true;
        assert!(ours.offer(Origin { id: 1, version: 1 }).contains("c=IN IP6 chat.example.com\r\n"));
    }
}
