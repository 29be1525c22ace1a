//! URIs as they stand in SIP headers.

use bytes::Bytes;
use sipx_sip::{Scheme, Uri};

use super::Transport;
use crate::uri::{Aor, UriError};

/// Reads a URI; `None` where it is none.
#[must_use]
pub fn uri(text: &str) -> Option<Uri> {
    Uri::parse(Bytes::copy_from_slice(text.as_bytes())).ok()
}

/// Whether a URI wants TLS on every hop (RFC 3261 §26.2.2).
#[must_use]
pub fn is_sips(uri: &Uri) -> bool {
    matches!(uri.scheme(), Scheme::Sips)
}

/// What whoever has a SIP URI is called over, where nothing but the URI is asked (RFC 3263 §4.1, RFC 3261 §26.2.2); `None` where
/// that is not spoken.
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

/// The address of record that a URI names.
///
/// # Errors
/// Where it names none: another scheme, or a part that cannot be read.
pub fn aor(uri: &Uri) -> Result<Aor, UriError> {
    Aor::parse(&uri.to_bytes())
}

/// The URI without password, parameters and headers: what others see of a participant, and write to.
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

/// A user part with what may not stand in one escaped (RFC 3261 §25.1).
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
    fn an_address_is_a_uri_without_its_trimmings() {
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
