//! MSRP URIs and the paths made of them (RFC 4975 §6, §9).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::limits::Limits;

/// One MSRP URI, borrowed from its text: `msrp://host:port/session-id;tcp`.
///
/// ```
/// use parlor_proto::msrp::MsrpUri;
///
/// let uri = MsrpUri::parse(b"msrps://chat.example:2855/iau39soe2843z;tcp").unwrap();
/// assert!(uri.secure);
/// assert_eq!(uri.host_and_port(), ("chat.example", Some(2855)));
/// assert_eq!(uri.session_id, Some(&b"iau39soe2843z"[..]));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MsrpUri<'a> {
    /// The whole URI as received.
    pub text: &'a [u8],
    /// Whether the scheme is `msrps`: TLS.
    pub secure: bool,
    /// Host and port, without userinfo.
    pub authority: &'a [u8],
    /// The session-id at that host; compared case-sensitively (RFC 4975 §6.1).
    pub session_id: Option<&'a [u8]>,
    /// The transport: `tcp`, or another one such as `ws` (RFC 7977).
    pub transport: &'a [u8],
}

/// A To-Path, From-Path or `a=path`: one or more URIs in order. The first is the next hop, the last is the endpoint.
/// Cheap to clone.
///
/// ```
/// use parlor_proto::msrp::Path;
///
/// let path = Path::parse(b"msrp://relay.example:1/r;tcp msrp://a.example:2/s;tcp").unwrap();
/// assert!(path.is_relayed());
/// assert_eq!(path.first(), "msrp://relay.example:1/r;tcp");
/// assert_eq!(path.session_id(), Some(&b"s"[..]));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Path(Arc<str>);

/// Why a text is not a path. Its sender is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Malformed: there is no URI.
    #[error("the path is empty")]
    Empty,
    /// Beyond a limit: there are more than `msrp_path_uris_max` URIs.
    #[error("the path has too many URIs")]
    TooManyUris,
    /// Malformed: an element is not an MSRP URI (RFC 4975 §9).
    #[error("the path has an element that is not an MSRP URI")]
    Uri,
}

impl<'a> MsrpUri<'a> {
    /// Parses one URI.
    ///
    /// # Errors
    /// Returns [`PathError::Uri`] if `text` does not match the grammar of RFC 4975 §9.
    pub fn parse(text: &'a [u8]) -> Result<Self, PathError> {
        let (scheme, rest) = split_at_str(text, b"://").ok_or(PathError::Uri)?;
        let secure = match () {
            () if scheme.eq_ignore_ascii_case(b"msrp") => false,
            () if scheme.eq_ignore_ascii_case(b"msrps") => true,
            () => return Err(PathError::Uri),
        };
        let semicolon = memchr::memchr(b';', rest).ok_or(PathError::Uri)?;
        let (place, parameters) = (&rest[..semicolon], &rest[semicolon + 1..]);
        let (authority, session_id) = match memchr::memchr(b'/', place) {
            Some(slash) => (&place[..slash], Some(&place[slash + 1..])),
            None => (place, None),
        };
        let authority = memchr::memrchr(b'@', authority).map_or(authority, |at| &authority[at + 1..]);
        let transport = parameters.split(|&b| b == b';').next().unwrap_or_default();
        let legal_session = |id: &[u8]| !id.is_empty() && id.iter().all(|&b| is_session_id_octet(b));
        if authority.is_empty()
            || !authority.iter().all(|b| b.is_ascii_graphic())
            || session_id.is_some_and(|id| !legal_session(id))
            || transport.is_empty()
            || !transport.iter().all(u8::is_ascii_alphanumeric)
            || !parameters.iter().all(|b| b.is_ascii_graphic())
        {
            return Err(PathError::Uri);
        }
        Ok(Self { text, secure, authority, session_id, transport })
    }

    /// Host and port as received, an IPv6 address without its brackets. The port is `None` where it is missing or not a number.
    #[must_use]
    pub fn host_and_port(&self) -> (&'a str, Option<u16>) {
        let text = std::str::from_utf8(self.authority).unwrap_or_default();
        if let Some((host, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            return (host, rest.strip_prefix(':').and_then(|p| p.parse().ok()));
        }
        match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (text, None),
        }
    }

    /// Whether two URIs are equal by the rules of RFC 4975 §6.1.
    #[must_use]
    pub fn equivalent(&self, other: &MsrpUri<'_>) -> bool {
        self.secure == other.secure
            && self.session_id == other.session_id
            && self.transport.eq_ignore_ascii_case(other.transport)
            && self.same_authority(other)
    }

    fn same_authority(&self, other: &MsrpUri<'_>) -> bool {
        if self.authority.eq_ignore_ascii_case(other.authority) {
            return true;
        }
        let ((host, port), (other_host, other_port)) = (self.host_and_port(), other.host_and_port());
        if port != other_port {
            return false;
        }
        let (host, other_host) = (percent_decoded(host), percent_decoded(other_host));
        match (host.parse::<IpAddr>(), other_host.parse::<IpAddr>()) {
            (Ok(address), Ok(other)) => address == other,
            _ => host.eq_ignore_ascii_case(&other_host),
        }
    }
}

fn is_session_id_octet(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'=' | b'/')
}

fn split_at_str<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(text, separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// Decodes the escapes of unreserved characters, which is what §6.1 rule 2 asks for.
fn percent_decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let value = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(b) if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') => {
                out.push(b as char);
                rest = &rest[at + 3..];
            }
            _ => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

impl Path {
    /// Parses the URIs of a path, separated by spaces.
    ///
    /// # Errors
    /// Returns an error if there is no URI, if there are more than [`MSRP_PATH_URIS_MAX`](crate::limits::MSRP_PATH_URIS_MAX), or
    /// if an element is not an MSRP URI.
    pub fn parse(text: &[u8]) -> Result<Self, PathError> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// [`Self::parse`] with other limits.
    ///
    /// # Errors
    /// Returns an error as [`Self::parse`] does, with `msrp_path_uris_max` of `limits`.
    pub fn parse_with(text: &[u8], limits: &Limits) -> Result<Self, PathError> {
        let mut out = String::with_capacity(text.len());
        for (count, uri) in path_uris(text).enumerate() {
            if count >= limits.msrp_path_uris_max {
                return Err(PathError::TooManyUris);
            }
            let uri = MsrpUri::parse(uri)?;
            if count > 0 {
                out.push(' ');
            }
            out.push_str(std::str::from_utf8(uri.text).map_err(|_| PathError::Uri)?);
        }
        if out.is_empty() { Err(PathError::Empty) } else { Ok(Self(out.into())) }
    }

    /// The path as text, with one space between two URIs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URIs, next hop first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = MsrpUri<'_>> {
        // `parse` accepted every element, so none is skipped here.
        self.0.split(' ').filter_map(|uri| MsrpUri::parse(uri.as_bytes()).ok())
    }

    /// The next hop as text: where to connect to, and where responses come from.
    #[must_use]
    pub fn first(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// The next hop.
    #[must_use]
    pub fn first_uri(&self) -> Option<MsrpUri<'_>> {
        self.iter().next()
    }

    /// Whether there is a relay before the endpoint (RFC 4976).
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.0.contains(' ')
    }

    /// The endpoint as text.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.rsplit(' ').next().unwrap_or_default()
    }

    /// The session-id of the endpoint, which identifies the session. Compare nothing else: SBCs and relays may rewrite the other parts.
    #[must_use]
    pub fn session_id(&self) -> Option<&[u8]> {
        MsrpUri::parse(self.last().as_bytes()).ok().and_then(|uri| uri.session_id)
    }
}

/// The elements of a path, split at its spaces, without a check that they are URIs. Costs no allocation.
pub fn path_uris(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b' ').filter(|uri| !uri.is_empty())
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> MsrpUri<'_> {
        MsrpUri::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn the_parts_are_found() {
        let u = uri("msrps://alice@Host.example:2855/a+b/c=;TCP;x=y");
        assert!(u.secure);
        assert_eq!(u.authority, b"Host.example:2855");
        assert_eq!(u.session_id, Some(&b"a+b/c="[..]));
        assert_eq!(u.transport, b"TCP");
        assert_eq!(uri("msrp://[2001:db8::1]:99/s;tcp").host_and_port(), ("2001:db8::1", Some(99)));
        assert_eq!(uri("msrp://host/s;tcp").host_and_port(), ("host", None));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "msrp://host/s",
            "http://host/s;tcp",
            "msrp:///s;tcp",
            "msrp://host/;tcp",
            "msrp://host/s;",
            "msrp://host/s;t cp",
            "msrp://host/s s;tcp",
            "msrp://ho st/s;tcp",
        ] {
            assert_eq!(MsrpUri::parse(bad.as_bytes()).err(), Some(PathError::Uri), "{bad}");
        }
    }

    #[test]
    fn comparison_follows_section_6_1() {
        let a = uri("msrp://host.example:2855/s;tcp");
        assert!(a.equivalent(&uri("MSRP://user@HOST.example:2855/s;TCP")));
        assert!(a.equivalent(&uri("msrp://h%6Fst.example:2855/s;tcp;p=1")));
        assert!(!a.equivalent(&uri("msrps://host.example:2855/s;tcp")));
        assert!(!a.equivalent(&uri("msrp://host.example/s;tcp")));
        assert!(!a.equivalent(&uri("msrp://host.example:2855/S;tcp")));
        assert!(!a.equivalent(&uri("msrp://host.example:2855;tcp")));
        assert!(!a.equivalent(&uri("msrp://host.example:2855/s;ws")));
        assert!(uri("msrp://[::1]:1/s;tcp").equivalent(&uri("msrp://[0:0:0:0:0:0:0:1]:1/s;tcp")));
    }

    #[test]
    fn a_path_keeps_its_order() {
        let path = Path::parse(b" msrp://relay.example:1/r;tcp  msrp://a.example:2/s;tcp").unwrap();
        assert_eq!(path.as_str(), "msrp://relay.example:1/r;tcp msrp://a.example:2/s;tcp");
        assert_eq!(path.first(), "msrp://relay.example:1/r;tcp");
        assert_eq!(path.last(), "msrp://a.example:2/s;tcp");
        assert_eq!(path.session_id(), Some(&b"s"[..]));
        assert_eq!(path.iter().count(), 2);
        assert_eq!(Path::parse(b"  "), Err(PathError::Empty));
        assert_eq!(Path::parse(b"msrp://a/s;tcp nonsense"), Err(PathError::Uri));
        let long = "msrp://a/s;tcp ".repeat(crate::limits::MSRP_PATH_URIS_MAX + 1);
        assert_eq!(Path::parse(long.as_bytes()), Err(PathError::TooManyUris));
    }
}
