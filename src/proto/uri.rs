//! Addresses of record, in a form that can be compared: the key of a room or a participant.
//!
//! Two URIs name the same room or participant if their keys are equal. The comparison is looser than RFC 3261 §19.1.4, by which `sip:x`
//! differs from `sip:x;transport=udp` and the example of RFC 7701 §9.3 fails: the schemes sip, sips and im are equal, the user part is
//! unescaped, the host is in lower case, parameters, headers and passwords are dropped, and the default port equals none. The visual
//! separators of a tel URI are dropped (RFC 3966 §5.1.1).
//!
//! ```
//! use parlor_proto::uri::Aor;
//!
//! let one = Aor::parse(b"sip:%61lice@EXAMPLE.com:5060;transport=tcp")?;
//! assert_eq!(one, Aor::new("alice", "example.com")?);
//! # Ok::<(), parlor_proto::uri::UriError>(())
//! ```

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

/// An address of record, as a comparison key. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aor(Arc<str>);

/// Why a text is not an address of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// There is no scheme, or another one than sip, sips, im and tel.
    #[error("not a sip, sips, im or tel URI")]
    Scheme,
    /// The user part has a malformed escape, a control character, or is not UTF-8 after unescaping.
    #[error("the user part cannot be read")]
    User,
    /// There is no host, or it is neither a name nor an address.
    #[error("the host cannot be read")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port cannot be read")]
    Port,
    /// The telephone number has no digit, or an invalid character.
    #[error("the telephone number cannot be read")]
    Number,
}

impl Aor {
    /// Parses a URI of a SIP or CPIM header, without angle brackets.
    ///
    /// # Errors
    /// Returns an error that says which part of the URI is malformed.
    pub fn parse(uri: &[u8]) -> Result<Self, UriError> {
        let colon = memchr::memchr(b':', uri).ok_or(UriError::Scheme)?;
        let (scheme, rest) = (&uri[..colon], &uri[colon + 1..]);
        let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
        if is("sip") || is("sips") || is("im") {
            parse_user_at_host(rest, is("sips"))
        } else if is("tel") {
            parse_number(rest)
        } else {
            Err(UriError::Scheme)
        }
    }

    /// The key of `user` at `host`, both unescaped. An empty `user` is a host alone. `host` may have a port (`host:port`) and brackets.
    ///
    /// # Errors
    /// Returns an error if the host or the port is malformed.
    pub fn new(user: &str, host: &str) -> Result<Self, UriError> {
        let host = normal_host(host.as_bytes(), false)?;
        Ok(Self(if user.is_empty() { host.into() } else { format!("{user}@{host}").into() }))
    }

    /// The key as text: `user@host`, `user@host:port`, `host` or `tel:+number`. Not a URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user part, unescaped; `None` for a host alone or a telephone number.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.0.rsplit_once('@').map(|(user, _)| user)
    }

    /// The host in lower case, with its port unless that is the default one; `None` for a telephone number.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self.0.rsplit_once('@') {
            Some((_, host)) => Some(host),
            None if self.0.starts_with("tel:") => None,
            None => Some(&self.0),
        }
    }
}

fn parse_user_at_host(rest: &[u8], secure: bool) -> Result<Aor, UriError> {
    // The user part may contain ';' and '?', and the '@' ends it (RFC 3261 §25.1).
    let (user, after) = match memchr::memchr(b'@', rest) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (&rest[..0], rest),
    };
    let user = user.split(|&b| b == b':').next().unwrap_or_default();
    let user = unescape(user)?;
    let end = after.iter().position(|b| matches!(b, b';' | b'?' | b'>')).unwrap_or(after.len());
    let host = normal_host(&after[..end], secure)?;
    Ok(Aor(if user.is_empty() { host.into() } else { format!("{user}@{host}").into() }))
}

fn unescape(raw: &[u8]) -> Result<String, UriError> {
    let mut out = Vec::with_capacity(raw.len());
    let mut octets = raw.iter();
    while let Some(&octet) = octets.next() {
        if octet == b'%' {
            let mut digit = || octets.next().and_then(|&b| (b as char).to_digit(16)).ok_or(UriError::User);
            let value = digit()? * 16 + digit()?;
            out.push(u8::try_from(value).map_err(|_| UriError::User)?);
        } else {
            out.push(octet);
        }
    }
    if out.iter().any(u8::is_ascii_control) {
        return Err(UriError::User);
    }
    String::from_utf8(out).map_err(|_| UriError::User)
}

fn normal_host(raw: &[u8], secure: bool) -> Result<String, UriError> {
    let text = std::str::from_utf8(raw).map_err(|_| UriError::Host)?;
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']').ok_or(UriError::Host)?;
            // The grammar of RFC 3261 has one colon too many before an embedded IPv4 address (RFC 5118 §4.10).
            let address = Ipv6Addr::from_str(&address.replace(":::", "::")).map_err(|_| UriError::Host)?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(UriError::Host)?) };
            (format!("[{address}]"), port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
            None => (text.to_ascii_lowercase(), None),
        },
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.is_empty() || !(host.starts_with('[') || host.bytes().all(legal)) {
        return Err(UriError::Host);
    }
    let host = host.strip_suffix('.').map(str::to_owned).unwrap_or(host);
    let Some(port) = port else { return Ok(host) };
    let port = port.parse::<u16>().ok().filter(|&p| p != 0).ok_or(UriError::Port)?;
    let default = port == 5060 || (secure && port == 5061);
    Ok(if default { host } else { format!("{host}:{port}") })
}

fn parse_number(rest: &[u8]) -> Result<Aor, UriError> {
    let end = rest.iter().position(|b| matches!(b, b';' | b'?' | b'>')).unwrap_or(rest.len());
    let mut number = String::from("tel:");
    for &octet in &rest[..end] {
        match octet {
            b'-' | b'.' | b'(' | b')' => {}
            b'+' | b'*' | b'#' => number.push(octet as char),
            _ if octet.is_ascii_hexdigit() => number.push(octet.to_ascii_lowercase() as char),
            _ => return Err(UriError::Number),
        }
    }
    if !number.bytes().skip(4).any(|b| b.is_ascii_hexdigit()) {
        return Err(UriError::Number);
    }
    Ok(Aor(number.into()))
}

impl fmt::Display for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aor({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(uri: &str) -> String {
        Aor::parse(uri.as_bytes()).unwrap_or_else(|e| panic!("{uri}: {e}")).to_string()
    }

    #[test]
    fn equivalent_uris_have_the_same_key() {
        for same in [
            "sip:alice@example.com",
            "sips:alice@example.com",
            "im:alice@example.com",
            "SIP:alice@EXAMPLE.com",
            "sip:alice@example.com:5060",
            "sips:alice@example.com:5061",
            "sip:alice@example.com;transport=udp",
            "sip:alice@example.com;gr=abc?Subject=x@y",
            "sip:%61lice@example.com",
            "sip:alice:secret@example.com",
            "sip:alice@example.com.",
        ] {
            assert_eq!(key(same), "alice@example.com", "{same}");
        }
    }

    #[test]
    fn different_addresses_have_different_keys() {
        assert_eq!(key("sip:Alice@example.com"), "Alice@example.com");
        assert_eq!(key("sip:alice@example.com:5070"), "alice@example.com:5070");
        assert_eq!(key("sip:alice;day=tuesday@example.com"), "alice;day=tuesday@example.com");
        assert_eq!(key("sip:example.com"), "example.com");
        assert_eq!(key("sip:alice@[2001:DB8:0::1]:5060"), "alice@[2001:db8::1]");
        assert_eq!(key("sip:alice@[::1]:5062"), "alice@[::1]:5062");
        assert_eq!(key("sip:alice@[2001:db8:::192.0.2.1]"), key("sip:alice@[2001:db8::192.0.2.1]"));
        assert_eq!(key("tel:+1-201-555.0123;ext=5"), "tel:+12015550123");
        assert_eq!(key("sip:example.com?To=sip%3Aa%40b"), "example.com");
    }

    #[test]
    fn errors_name_the_malformed_part() {
        let error = |uri: &str| Aor::parse(uri.as_bytes()).unwrap_err();
        assert_eq!(error("alice@example.com"), UriError::Scheme);
        assert_eq!(error("http://example.com"), UriError::Scheme);
        assert_eq!(error("sip:%zz@example.com"), UriError::User);
        assert_eq!(error("sip:%ff@example.com"), UriError::User);
        assert_eq!(error("sip:%0d@example.com"), UriError::User);
        assert_eq!(error("sip:alice@"), UriError::Host);
        assert_eq!(error("sip:alice@exa mple.com"), UriError::Host);
        assert_eq!(error("sip:alice@[::1"), UriError::Host);
        assert_eq!(error("sip:alice@host:0"), UriError::Port);
        assert_eq!(error("sip:alice@host:banana"), UriError::Port);
        assert_eq!(error("tel:"), UriError::Number);
        assert_eq!(error("tel:alice"), UriError::Number);
    }

    #[test]
    fn parts_can_be_read_back() {
        let aor = Aor::new("ali ce", "Example.com:5060").unwrap();
        assert_eq!(aor.as_str(), "ali ce@example.com");
        assert_eq!((aor.user(), aor.host()), (Some("ali ce"), Some("example.com")));
        let number = Aor::parse(b"tel:+1").unwrap();
        assert_eq!((number.user(), number.host()), (None, None));
    }
}
