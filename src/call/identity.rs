//! Who a caller is.

use crate::facts::Member;
use crate::sip::{Address, HeaderName, Request, address_text, addresses, aor, display_name};
use crate::uri::Aor;

/// The host of those who do not want to be known (RFC 3323 §4.1.1.3).
const ANONYMOUS_HOST: &str = "anonymous.invalid";

/// Why a From header names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is none, or it cannot be read.
    #[error("the From header cannot be read")]
    Malformed,
    /// Its URI is of a kind that members do not have.
    #[error("the From header has no sip, sips, im or tel address")]
    Scheme,
}

/// Makes the member of the From header. Each anonymous caller is a user of its own: it gets a URI that is made of `unique`
/// and stays the same for the call, and it may use that or the anonymous From of its INVITE in CPIM.
///
/// # Errors
/// Where From names nobody.
pub fn identify(request: &Request, unique: u64) -> Result<Member, IdentityError> {
    let from = addresses(&request.headers, &HeaderName::From).ok_or(IdentityError::Malformed)?;
    let from: &Address = from.first().ok_or(IdentityError::Malformed)?;
    let user = aor(&from.uri).map_err(|_| IdentityError::Scheme)?;
    let display_name = display_name(from).map(Into::into);
    if !is_anonymous(&user) {
        let identities = vec![user.clone()];
        return Ok(Member { user, uri: address_text(&from.uri).into(), display_name, identities });
    }
    let name = format!("anonymous-{unique:016x}");
    let own = Aor::new(&name, ANONYMOUS_HOST).map_err(|_| IdentityError::Malformed)?;
    let uri = format!("sip:{name}@{ANONYMOUS_HOST}").into();
    Ok(Member { user: own.clone(), uri, display_name, identities: vec![own, user] })
}

fn is_anonymous(user: &Aor) -> bool {
    user.host().is_some_and(|host| host == ANONYMOUS_HOST || host.ends_with(".anonymous.invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Message, parse_datagram};

    fn member(from: &str, unique: u64) -> Result<Member, IdentityError> {
        let text = format!("INVITE sip:r@h SIP/2.0\r\nFrom: {from};tag=1\r\nContent-Length: 0\r\n\r\n");
        match parse_datagram(text.as_bytes()) {
            Ok(Some(Message::Request(request))) => identify(&request, unique),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_member_is_the_address_of_its_from() {
        let found = member("\"Ali Ce\" <sip:alice@Example.com:5099;transport=tcp>", 1).unwrap();
        assert_eq!(found.user, Aor::parse(b"sip:alice@example.com:5099").unwrap());
        assert_eq!(&*found.uri, "sip:alice@Example.com:5099");
        assert_eq!(found.display_name.as_deref(), Some("Ali Ce"));
        assert_eq!(found.identities, std::slice::from_ref(&found.user));
        assert_eq!(member("<tel:+1-201>", 1).unwrap().user, Aor::parse(b"tel:+1201").unwrap());
        assert_eq!(member("<http://example.com>", 1), Err(IdentityError::Scheme));
    }

    #[test]
    fn no_two_anonymous_callers_are_one_user() {
        let anonymous = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
        let (one, two) = (member(anonymous, 1).unwrap(), member(anonymous, 2).unwrap());
        assert_ne!(one.user, two.user);
        assert_eq!(&*one.uri, "sip:anonymous-0000000000000001@anonymous.invalid");
        let both = [one.user.clone(), Aor::parse(b"sip:anonymous@anonymous.invalid").unwrap()];
        assert_eq!(one.identities, both);
    }
}
