//! URIs of SIP headers.

use bytes::Bytes;
use sipx_sip::{Scheme, Uri};

use super::Transport;
use crate::uri::{Aor, UriError};

/// Parses a URI. Returns `None` if it is malformed.
#[must_use]
pub fn uri(text: &str) -> Option<Uri> {
    Uri::parse(Bytes::copy_from_slice(text.as_bytes())).ok()
}

/// Whether a URI has the scheme `sips`: TLS on every hop (RFC 3261 §26.2.2).
#[must_use]
pub fn is_sips(uri: &Uri) -> bool {
    matches!(uri.scheme(), Scheme::Sips)
}

/// The transport for a URI, without DNS (RFC 3263 §4.1, RFC 3261 §26.2.2); `None` for a transport that is not supported.
#[must_use]
pub fn transport_of(uri: &Uri) -> Option<Transport> {
    let named = uri.transport().map(|name| String::from_utf8_lossy(name).to_ascii_lowercase());
    match (is_sips(uri), named.as_deref()) {
        (false, None | Some("udp")) => Some(Transport::Udp),
        (false, Some("tcp")) => Some(Transport::Tcp),
        (true, None | Some("tcp")) | (_, Some("tls")) => Some(Transport::Tls),
        _ => None,
    }
}

/// The address of record of a URI.
///
/// # Errors
/// Returns an error if the URI has another scheme than sip, sips, im and tel, or a malformed part.
pub fn aor(uri: &Uri) -> Result<Aor, UriError> {
    Aor::parse(&uri.to_bytes())
}

/// The URI as text without password, parameters and headers: the address of a participant to show to others.
#[must_use]
pub fn address_text(uri: &Uri) -> String {
    let scheme = String::from_utf8_lossy(uri.scheme().as_bytes()).into_owned();
    let Some(host) = uri.host() else {
        let opaque = String::from_utf8_lossy(uri.opaque().unwrap_or_default()).into_owned();
        let end = opaque.find([';', '?']).unwrap_or(opaque.len());
        return format!("{scheme}:{}", &opaque[..end]);
    };
    let mut out = format!("{scheme}:");
    if let Some(user) = uri.user() {
        out.push_str(&String::from_utf8_lossy(user));
        out.push('@');
    }
    out.push_str(&host.to_string());
    if let Some(port) = uri.port() {
        out.push_str(&format!(":{port}"));
    }
    out
}

/// A user part with the octets escaped that are not allowed in one (RFC 3261 §25.1).
#[must_use]
pub fn escape_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for octet in user.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&octet) {
            out.push(octet as char);
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_password_parameters_and_headers() {
        for (full, bare) in [
            ("sip:alice@example.com:5070;transport=tcp?a=b", "sip:alice@example.com:5070"),
            ("sips:al%20ice:secret@[2001:db8::1];gr", "sips:al%20ice@[2001:db8::1]"),
            ("sip:example.com", "sip:example.com"),
            ("tel:+1-201;phone-context=x", "tel:+1-201"),
            ("im:bob@example.com", "im:bob@example.com"),
        ] {
            assert_eq!(address_text(&uri(full).unwrap()), bare, "{full}");
        }
    }

    #[test]
    fn an_escaped_user_reads_back() {
        for user in ["lobby", "a b", "50%", "r\u{f6}om", "x@y", "a:b", "semi;colon"] {
            let text = format!("sip:{}@example.com", escape_user(user));
            assert_eq!(aor(&uri(&text).unwrap()).unwrap().user(), Some(user), "{text}");
        }
    }
}
