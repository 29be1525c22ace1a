//! The Refer-To header of a REFER (RFC 3515 §2.1).

use sipx_sip::{Address, HeaderName, Headers, Uri};

use super::{addresses, display_name};

/// The request that a REFER asks for.
#[derive(Debug, Clone)]
pub struct ReferTo {
    /// The method of the request to send.
    pub method: ReferredMethod,
    /// The URI to send it to, without its method parameter and headers.
    pub target: Uri,
    /// The display name, if there is one.
    pub display_name: Option<String>,
    /// The Call-ID for the request, if the URI has one: it selects one of several calls.
    pub call_id: Option<String>,
    /// The Replaces header for the request, if the URI has one (RFC 3891).
    pub replaces: Option<String>,
}

/// The method of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferredMethod {
    /// INVITE, also if no method is named: invite somebody.
    Invite,
    /// BYE: remove somebody.
    Bye,
    /// Another method.
    Other,
}

/// Why a REFER has no usable Refer-To. The sender is at fault: 400 (RFC 3515 §2.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferToError {
    /// There is no Refer-To, or more than one.
    #[error("not one Refer-To")]
    NotOne,
    /// The Refer-To is malformed.
    #[error("a Refer-To that cannot be read")]
    Malformed,
}

/// Parses the Refer-To header. The method may be a parameter of the URI, as in the RFC, or of the header, as some clients write it.
///
/// # Errors
/// Returns an error if there is not exactly one, or if it is malformed.
pub fn refer_to(headers: &Headers) -> Result<ReferTo, ReferToError> {
    if headers.count(&HeaderName::ReferTo) != 1 {
        return Err(ReferToError::NotOne);
    }
    let all = addresses(headers, &HeaderName::ReferTo).ok_or(ReferToError::Malformed)?;
    let [one] = all.as_slice() else { return Err(ReferToError::NotOne) };
    let mut target = one.uri.clone();
    let method = method(one);
    let (call_id, replaces) = (embedded(&target, "Call-ID"), embedded(&target, "Replaces"));
    target.remove_param("method");
    let names: Vec<String> = target
        .headers()
        .map(|headers| headers.iter().map(|one| String::from_utf8_lossy(one.name()).into_owned()).collect())
        .unwrap_or_default();
    for name in names {
        target.remove_header(&name);
    }
    Ok(ReferTo { method, target, display_name: display_name(one), call_id, replaces })
}

fn method(address: &Address) -> ReferredMethod {
    let of_uri = address.uri.params().and_then(|params| params.value("method"));
    match of_uri.or_else(|| address.param("method")) {
        None => ReferredMethod::Invite,
        Some(name) if name.eq_ignore_ascii_case(b"INVITE") => ReferredMethod::Invite,
        Some(name) if name.eq_ignore_ascii_case(b"BYE") => ReferredMethod::Bye,
        Some(_) => ReferredMethod::Other,
    }
}

/// A header of the URI (RFC 3261 §19.1.1), unescaped.
fn embedded(uri: &Uri, name: &str) -> Option<String> {
    let headers = uri.headers()?;
    let found = headers.iter().find(|header| header.name().eq_ignore_ascii_case(name.as_bytes()))?;
    let mut out = Vec::new();
    let mut octets = found.value()?.iter();
    while let Some(&octet) = octets.next() {
        if octet != b'%' {
            out.push(octet);
            continue;
        }
        let mut digit = || (*octets.next()? as char).to_digit(16);
        out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    let text = String::from_utf8(out).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sipx_sip::Header;

    fn read(rows: &[&str]) -> Result<ReferTo, ReferToError> {
        let mut headers = Headers::new();
        for row in rows {
            headers.push(Header::build(HeaderName::ReferTo, (*row).to_owned()).unwrap());
        }
        refer_to(&headers)
    }

    #[test]
    fn the_method_is_a_parameter_of_the_uri_or_the_header() {
        for (value, method) in [
            ("<sip:carol@example.com>", ReferredMethod::Invite),
            ("sip:carol@example.com", ReferredMethod::Invite),
            ("<sip:carol@example.com;method=INVITE>", ReferredMethod::Invite),
            ("\"Carol\" <sip:carol@example.com;method=BYE>", ReferredMethod::Bye),
            ("<sip:carol@example.com>;method=BYE", ReferredMethod::Bye),
            ("sip:carol@example.com;method=bye", ReferredMethod::Bye),
            ("<sip:carol@example.com;method=REFER?Refer-To=sip:x%40y>", ReferredMethod::Other),
        ] {
            let found = read(&[value]).unwrap();
            assert_eq!((found.method, found.target.to_string().as_str()), (method, "sip:carol@example.com"), "{value}");
        }
    }

    #[test]
    fn headers_are_removed_from_the_uri() {
        let found =
            read(&["\"Carol\" <sip:carol@h:5070;transport=tcp;method=BYE?Call-ID=a%40b&X=y&replaces=c%3Bto-tag%3D1>"]);
        let found = found.unwrap();
        assert_eq!(found.target.to_string(), "sip:carol@h:5070;transport=tcp");
        assert_eq!((found.call_id.as_deref(), found.replaces.as_deref()), (Some("a@b"), Some("c;to-tag=1")));
        assert_eq!(found.display_name.as_deref(), Some("Carol"));
        for broken in ["<sip:c@h?Call-ID=%zz>", "<sip:c@h?Call-ID=%0d%0aX:y>", "<sip:c@h?Call-ID=>"] {
            assert_eq!(read(&[broken]).ok().and_then(|found| found.call_id), None, "{broken}");
        }
    }

    #[test]
    fn there_is_exactly_one() {
        assert_eq!(read(&[]).unwrap_err(), ReferToError::NotOne);
        assert_eq!(read(&["<sip:a@b>", "<sip:c@d>"]).unwrap_err(), ReferToError::NotOne);
        assert_eq!(read(&["<sip:a@b>, <sip:c@d>"]).unwrap_err(), ReferToError::NotOne);
        assert_eq!(read(&["<sip:a@b"]).unwrap_err(), ReferToError::Malformed);
        assert_eq!(read(&["<mailto:a@b>"]).unwrap().target.to_string(), "mailto:a@b");
    }
}
