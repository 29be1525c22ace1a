//! Who a caller is, and as whom the others see it.

use crate::call::privacy::Privacy;
use crate::facts::Member;
use crate::limits::ASSERTED_IDENTITIES_MAX;
use parlor_proto::sip::{Address, HeaderName, Request, address_text, addresses, aor, display_name};
use parlor_proto::uri::Aor;

/// The host of anonymous users (RFC 3323 §4.1.1.3).
const ANONYMOUS_HOST: &str = "anonymous.invalid";
/// The user part that anonymous users share.
const ANONYMOUS_USER: &str = "anonymous";

/// How the sender of a request is identified.
#[derive(Debug, Clone)]
pub enum Caller {
    /// By From alone, without authentication.
    Claimed,
    /// By the password of this user, who belongs to each of our domains.
    Authenticated(String),
    /// By the addresses that a trusted peer asserts (RFC 3325). Never empty.
    Asserted(Vec<Address>),
    /// By a trusted peer that forwards the request in a dialog that began with an assertion.
    Vouched,
}

/// The account of a caller, and the member that it joins as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The address that policies apply to. Other members do not see it if the member is anonymous. `None` if it is unknown.
    pub account: Option<Aor>,
    /// The member that the others see.
    pub member: Member,
}

/// Why a request identifies no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// From is missing or malformed.
    #[error("the From header cannot be read")]
    Malformed,
    /// The scheme of its URI is not supported.
    #[error("the From header has no sip, sips, im or tel address")]
    Scheme,
    /// From is another user than the authenticated one.
    #[error("From is another user than the credentials")]
    NotYours,
}

/// The addresses that a request of a trusted peer asserts (RFC 3325 §9.1); none if P-Asserted-Identity is missing or malformed.
#[must_use]
pub fn asserted(request: &Request) -> Vec<Address> {
    let mut all = addresses(&request.headers, &HeaderName::PAssertedIdentity).unwrap_or_default();
    all.retain(|address| aor(&address.uri).is_ok_and(|aor| !is_anonymous(&aor)));
    all.truncate(ASSERTED_IDENTITIES_MAX);
    // Members are known by their SIP address where they have one.
    all.sort_by_key(|address| !address.uri.scheme().is_sip());
    all
}

/// Makes the member that joins with a request. An anonymous caller (by Privacy or From) is a user of its own: it gets a URI made of
/// `unique` for the whole call, and may use that URI or its anonymous From in CPIM, never its own address (RFC 7701 §6.1). An
/// anonymous From that no other member has, by `is_free`, is used as that URI.
///
/// # Errors
/// Returns an error if From is malformed or names another user.
pub fn identify(
    request: &Request,
    caller: &Caller,
    domains: &[String],
    unique: u64,
    is_free: impl Fn(&Aor) -> bool,
) -> Result<Identity, IdentityError> {
    let from = addresses(&request.headers, &HeaderName::From).ok_or(IdentityError::Malformed)?;
    let from: &Address = from.first().ok_or(IdentityError::Malformed)?;
    let claimed = aor(&from.uri).map_err(|_| IdentityError::Scheme)?;
    let hidden = is_anonymous(&claimed);
    let named = named(from, &claimed, caller, domains)?;
    let account = named.as_ref().map(|member| member.user.clone());
    let member = match named {
        Some(member) if !hidden && !Privacy::of(&request.headers).anonymous => member,
        _ => anonymous_member(hidden.then_some(&claimed), unique, is_free)?,
    };
    Ok(Identity { account, member })
}

/// The identified member; `None` if only From identifies it and From is anonymous.
fn named(from: &Address, claimed: &Aor, caller: &Caller, domains: &[String]) -> Result<Option<Member>, IdentityError> {
    let hidden = is_anonymous(claimed);
    match caller {
        Caller::Claimed | Caller::Vouched => Ok((!hidden).then(|| member(claimed.clone(), from, vec![]))),
        Caller::Asserted(asserted) => {
            let identities = asserted.iter().filter_map(|address| aor(&address.uri).ok()).collect();
            let first = asserted.first().ok_or(IdentityError::Malformed)?;
            let user = aor(&first.uri).map_err(|_| IdentityError::Scheme)?;
            let mut named = member(user, first, identities);
            named.display_name = named.display_name.or_else(|| display_name(from).map(Into::into));
            Ok(Some(named))
        }
        Caller::Authenticated(name) => {
            let identities = addresses_of(name, domains);
            if !hidden && !identities.contains(claimed) {
                return Err(IdentityError::NotYours);
            }
            let user = identities.first().cloned().ok_or(IdentityError::Malformed)?;
            Ok(Some(member(user, from, identities)))
        }
    }
}

/// The addresses of a user by its name: at every domain of ours, or, where the name has one of them in it already, at that one.
fn addresses_of(name: &str, domains: &[String]) -> Vec<Aor> {
    let whole = name
        .rsplit_once('@')
        .filter(|(user, host)| !user.is_empty() && domains.iter().any(|domain| domain.eq_ignore_ascii_case(host)));
    match whole {
        Some((user, domain)) => Aor::new(user, domain).into_iter().collect(),
        None => domains.iter().filter_map(|domain| Aor::new(name, domain).ok()).collect(),
    }
}

fn member(user: Aor, address: &Address, mut identities: Vec<Aor>) -> Member {
    if !identities.contains(&user) {
        identities.push(user.clone());
    }
    let display_name = display_name(address).map(Into::into);
    let (uri, identities) = (address_text(&address.uri).into(), identities.into());
    Member { user, uri, display_name, identities, anonymous: false }
}

/// A member that is not known. `offered` is the anonymous address it came with.
fn anonymous_member(
    offered: Option<&Aor>,
    unique: u64,
    is_free: impl Fn(&Aor) -> bool,
) -> Result<Member, IdentityError> {
    let shared_user = Aor::new(ANONYMOUS_USER, ANONYMOUS_HOST).map_err(|_| IdentityError::Malformed)?;
    let own = offered.filter(|offered| offered.user().is_some_and(|user| user != ANONYMOUS_USER) && is_free(offered));
    let drawn = Aor::new(&format!("anonymous-{unique:016x}"), ANONYMOUS_HOST).map_err(|_| IdentityError::Malformed)?;
    let user = own.unwrap_or(&drawn).clone();
    let host = user.host().unwrap_or(ANONYMOUS_HOST);
    let uri = format!("sip:{}@{host}", parlor_proto::sip::escape_user(user.user().unwrap_or(ANONYMOUS_USER))).into();
    // The address that all of them share is taken from each; one of somebody else's is not.
    let shared = offered.filter(|offered| offered.user().is_none_or(|user| user == ANONYMOUS_USER));
    let mut identities = vec![user.clone(), shared_user];
    identities.extend(shared.filter(|shared| !identities.contains(shared)).cloned());
    Ok(Member { user, uri, display_name: None, identities: identities.into(), anonymous: true })
}

fn is_anonymous(user: &Aor) -> bool {
    user.host().is_some_and(|host| host == ANONYMOUS_HOST || host.ends_with(".anonymous.invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_proto::sip::{Message, parse_datagram};

    fn request(rows: &str) -> Request {
        let text = format!("INVITE sip:r@h SIP/2.0\r\n{rows}\r\nContent-Length: 0\r\n\r\n");
        match parse_datagram(text.as_bytes()) {
            Ok(Some(Message::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    fn identity(rows: &str, caller: &Caller, unique: u64) -> Result<Identity, IdentityError> {
        identify(&request(rows), caller, &["one.example".into(), "two.example".into()], unique, |_| true)
    }

    fn member(from: &str, unique: u64) -> Result<Member, IdentityError> {
        identity(&format!("From: {from};tag=1"), &Caller::Claimed, unique).map(|identity| identity.member)
    }

    fn key(uri: &str) -> Aor {
        Aor::parse(uri.as_bytes()).unwrap()
    }

    #[test]
    fn a_member_is_the_address_of_its_from() {
        let found = member("\"Ali Ce\" <sip:alice@Example.com:5099;transport=tcp>", 1).unwrap();
        assert_eq!(found.user, key("sip:alice@example.com:5099"));
        assert_eq!(&*found.uri, "sip:alice@Example.com:5099");
        assert_eq!(found.display_name.as_deref(), Some("Ali Ce"));
        assert_eq!(&found.identities[..], std::slice::from_ref(&found.user));
        assert!(!found.anonymous);
        assert_eq!(member("<tel:+1-201>", 1).unwrap().user, key("tel:+1201"));
        assert_eq!(member("<http://example.com>", 1), Err(IdentityError::Scheme));
    }

    #[test]
    fn no_two_anonymous_callers_are_one_user() {
        let anonymous = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
        let (one, two) = (member(anonymous, 1).unwrap(), member(anonymous, 2).unwrap());
        assert_ne!(one.user, two.user);
        assert_eq!(&*one.uri, "sip:anonymous-0000000000000001@anonymous.invalid");
        let both = [one.user.clone(), key("sip:anonymous@anonymous.invalid")];
        assert_eq!(*one.identities, both);
        assert!(one.anonymous && one.display_name.is_none());
    }

    #[test]
    fn an_anonymous_address_of_ones_own_is_kept_where_it_is_nobody_elses() {
        let from = request("From: <sip:owl@anonymous.invalid>;tag=1");
        let join = |free: bool| identify(&from, &Caller::Claimed, &[], 1, |_| free).unwrap().member;
        assert_eq!(
            (join(true).user, &*join(true).uri),
            (key("sip:owl@anonymous.invalid"), "sip:owl@anonymous.invalid")
        );
        let other = join(false);
        assert_eq!(other.user, key("sip:anonymous-0000000000000001@anonymous.invalid"));
        assert!(!other.identities.contains(&key("sip:owl@anonymous.invalid")), "it would speak for the other owl");
    }

    #[test]
    fn who_asks_for_privacy_is_known_to_us_alone() {
        for value in ["id", "user", "header"] {
            let rows = format!("From: \"Ali Ce\" <sip:alice@home.example>;tag=1\r\nPrivacy: {value}");
            let found = identity(&rows, &Caller::Claimed, 1).unwrap();
            assert_eq!(found.account, Some(key("sip:alice@home.example")));
            assert!(
                !format!("{:?}", found.member).contains("alice") && found.member.display_name.is_none(),
                "{found:?}"
            );
        }
        let none = identity("From: <sip:alice@home.example>;tag=1\r\nPrivacy: none", &Caller::Claimed, 1).unwrap();
        assert!(!none.member.anonymous);
    }

    #[test]
    fn the_user_of_a_password_is_itself_at_every_domain_and_nobody_else() {
        let alice = Caller::Authenticated("alice".into());
        let from = |uri: &str| identity(&format!("From: <{uri}>;tag=1"), &alice, 1);
        let found = from("sips:alice@TWO.example").unwrap();
        assert_eq!(found.account, Some(key("sip:alice@one.example")));
        assert_eq!((found.member.user, &*found.member.uri), (key("sip:alice@one.example"), "sips:alice@TWO.example"));
        assert_eq!(*found.member.identities, [key("sip:alice@one.example"), key("sip:alice@two.example")]);
        for other in ["sip:bob@one.example", "sip:alice@three.example", "tel:+1", "sip:one.example"] {
            assert_eq!(from(other), Err(IdentityError::NotYours), "{other}");
        }
        let hidden = from("sip:anonymous@anonymous.invalid").unwrap();
        assert_eq!(hidden.account, Some(key("sip:alice@one.example")));
        assert!(hidden.member.anonymous);
    }

    #[test]
    fn a_name_with_a_domain_of_ours_in_it_is_an_address_and_with_another_a_name() {
        let from = |name: &str, uri: &str| {
            let caller = Caller::Authenticated(name.into());
            identity(&format!("From: <{uri}>;tag=1"), &caller, 1).map(|found| found.member.identities)
        };
        assert_eq!(from("alice@TWO.example", "sip:alice@two.example"), Ok([key("sip:alice@two.example")].into()));
        assert_eq!(from("alice@two.example", "sip:alice@one.example"), Err(IdentityError::NotYours));
        let foreign = from("alice@ims.example", "sip:alice%40ims.example@one.example").unwrap();
        assert_eq!(*foreign, [key("sip:alice%40ims.example@one.example"), key("sip:alice%40ims.example@two.example")]);
        assert_eq!(from("alice@ims.example", "sip:alice@ims.example"), Err(IdentityError::NotYours));
    }

    #[test]
    fn what_a_trusted_peer_asserts_is_who_it_is() {
        let rows = "From: \"Me\" <sip:somebody@else.example>;tag=1\r\nP-Asserted-Identity: <tel:+1-201-555>\r\n\
                    P-Asserted-Identity: <sip:+1201555@ims.example;user=phone>";
        let caller = Caller::Asserted(asserted(&request(rows)));
        let found = identity(rows, &caller, 1).unwrap();
        assert_eq!(found.member.user, key("sip:+1201555@ims.example"));
        assert_eq!(*found.member.identities, [key("sip:+1201555@ims.example"), key("tel:+1201555")]);
        assert_eq!(
            (&*found.member.uri, found.member.display_name.as_deref()),
            ("sip:+1201555@ims.example", Some("Me"))
        );
        let private = identity(&format!("{rows}\r\nPrivacy: id"), &caller, 1).unwrap();
        assert!(private.member.anonymous && !format!("{:?}", private.member).contains("1201555"));
        assert_eq!(private.account, found.account);
        assert!(asserted(&request("From: <sip:a@b>\r\nP-Asserted-Identity: <sip:x")).is_empty());
    }
}
