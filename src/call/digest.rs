//! The server's side of digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): who is challenged, and who is believed.
//!
//! Two algorithms are offered, SHA-256 first, with `qop="auth"`. What protects against replay: a nonce bears our stamp and its
//! time, is good for five minutes, and each of its counts is taken once. A client that does not count (RFC 2069, which RFC 3261
//! §22.4 wants taken) may use a nonce once. The digest is looked at first and the nonce after it, so that only those who know
//! the password hear that their nonce was stale, and only they cost memory.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use subtle::ConstantTimeEq;

use super::failures::Failures;
use super::nonces::Nonces;
use super::users::Users;
use crate::sip::{Challenge, Credentials, CredentialsError, HeaderName, Request, text_rows};

/// Challenges, and judges the answers.
pub struct Authenticator {
    users: Arc<Users>,
    nonces: Nonces,
    failures: Failures,
}

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbelieved {
    /// It has no credentials of ours: challenge it.
    Unasked,
    /// The password is wrong, or the user is not known: challenge it again.
    Wrong,
    /// The password is right, the nonce is too old or was used already: challenge it again, with `stale=true`.
    Stale,
    /// The credentials cannot be read: 400.
    Malformed,
    /// Too many wrong passwords came from there: 403, unheard.
    Barred,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("realm", &self.users.realm()).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// One that believes these users. `key` are random octets that nonces are stamped with.
    #[must_use]
    pub fn new(users: Arc<Users>, key: [u8; 32]) -> Self {
        Self { users, nonces: Nonces::new(key), failures: Failures::default() }
    }

    /// Puts other users in force.
    pub fn replace_users(&mut self, users: Arc<Users>) {
        self.users = users;
    }

    /// The values of WWW-Authenticate, the preferred one first (RFC 8760 §2.3).
    pub fn challenge(&mut self, stale: bool, now: Instant) -> Vec<String> {
        let nonce = self.nonces.draw(now);
        let challenge = |algorithm| Challenge {
            realm: self.users.realm().to_owned(),
            nonce: nonce.clone(),
            algorithm,
            opaque: None,
            stale,
            qop: true,
            userhash: true,
        };
        self.users.algorithms().into_iter().map(|algorithm| challenge(algorithm).encode()).collect()
    }

    /// Whether a request has credentials for this realm, right or wrong.
    #[must_use]
    pub fn is_answered(&self, request: &Request) -> bool {
        self.credentials(request).is_some()
    }

    /// The URI that a request's credentials for this realm were made for.
    #[must_use]
    pub fn digest_uri(&self, request: &Request) -> Option<String> {
        self.credentials(request)?.ok().map(|credentials| credentials.uri)
    }

    /// The name of the user that a request is from.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn verify(&mut self, request: &Request, source: IpAddr, now: Instant) -> Result<String, Unbelieved> {
        let credentials = self.credentials(request).ok_or(Unbelieved::Unasked)?.map_err(|_| Unbelieved::Malformed)?;
        if self.failures.bars(source, now) {
            return Err(Unbelieved::Barred);
        }
        let method = String::from_utf8_lossy(request.method.as_bytes()).into_owned();
        let Some(name) = self.user_of(&credentials, &method) else {
            self.failures.add(source, now);
            return Err(Unbelieved::Wrong);
        };
        let count = credentials.qop.as_ref().and_then(crate::sip::Qop::number);
        if self.nonces.take(&credentials.nonce, count, now) { Ok(name) } else { Err(Unbelieved::Stale) }
    }

    /// The first credentials that are for us. Those for another realm are another server's, and what is of a scheme or an
    /// algorithm that was not offered is as good as none.
    fn credentials(&self, request: &Request) -> Option<Result<Credentials, CredentialsError>> {
        text_rows(&request.headers, &HeaderName::Authorization).into_iter().find_map(|value| {
            match Credentials::parse(&value) {
                Ok(credentials) => (credentials.realm == self.users.realm()).then_some(Ok(credentials)),
                Err(CredentialsError::Malformed) => Some(Err(CredentialsError::Malformed)),
                Err(CredentialsError::Scheme | CredentialsError::Algorithm) => None,
            }
        })
    }

    /// Who knows the password. It takes as long for a user that is not known.
    fn user_of(&self, credentials: &Credentials, method: &str) -> Option<String> {
        let algorithm = credentials.algorithm;
        let found = self.users.find(&credentials.username, credentials.userhash);
        let known = found.and_then(|(name, secret)| Some((name, secret.by(algorithm)?)));
        let nobody = "0".repeat(algorithm.digits());
        let expected = credentials.expected(known.map_or(nobody.as_str(), |(_, ha1)| ha1), method);
        let given = credentials.response.to_ascii_lowercase();
        let right = bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
        known.filter(|_| right).map(|(name, _)| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Secret;
    use crate::limits::FAILURES_PER_SOURCE_MAX;
    use crate::sip::{Algorithm, Login, Message, parse_datagram};
    use std::time::Duration;

    const ALICE: Login<'_> = Login { username: "alice", password: "wonderland" };
    const URI: &str = "sip:lobby@h";

    fn authenticator() -> (Authenticator, Instant) {
        let now = Instant::now();
        let bob = Secret { sha256: None, md5: Some(Algorithm::Md5.ha1("bob", "r", "builder")) };
        let users = [("alice".to_owned(), Secret::of("alice", "r", "wonderland")), ("bob".to_owned(), bob)];
        (Authenticator::new(Arc::new(Users::new("r", users)), [7; 32]), now)
    }

    fn source() -> IpAddr {
        IpAddr::from([192, 0, 2, 7])
    }

    fn request(rows: &[&str]) -> Request {
        let rows: String = rows.iter().map(|row| format!("Authorization: {row}\r\n")).collect();
        let text = format!("INVITE {URI} SIP/2.0\r\n{rows}Content-Length: 0\r\n\r\n");
        match parse_datagram(text.as_bytes()) {
            Ok(Some(Message::Request(request))) => request,
            other => panic!("{other:?}"),
        }
    }

    fn challenge(authenticator: &mut Authenticator, algorithm: Algorithm, now: Instant) -> Challenge {
        let all = authenticator.challenge(false, now);
        let all: Vec<_> = all.iter().map(|value| Challenge::parse(value).unwrap()).collect();
        assert_eq!(all.iter().map(|one| one.algorithm).collect::<Vec<_>>(), [Algorithm::Sha256, Algorithm::Md5]);
        all.into_iter().find(|one| one.algorithm == algorithm).unwrap()
    }

    #[test]
    fn either_algorithm_is_taken_and_its_user_named() {
        let (mut all, now) = authenticator();
        for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
            let open = Challenge { userhash: false, ..challenge(&mut all, algorithm, now) };
            let hidden = challenge(&mut all, algorithm, now);
            for one in [open, hidden] {
                let answer = one.answer(ALICE, "INVITE", URI, 1, "c");
                assert_eq!(all.verify(&request(&[&answer]), source(), now).as_deref(), Ok("alice"));
            }
        }
    }

    #[test]
    fn nothing_is_taken_twice() {
        let (mut all, now) = authenticator();
        let one = challenge(&mut all, Algorithm::Sha256, now);
        let first = one.answer(ALICE, "INVITE", URI, 1, "c");
        let second = one.answer(ALICE, "INVITE", URI, 2, "c");
        let mut verify = |answer: &str| all.verify(&request(&[answer]), source(), now);
        assert!(verify(&first).is_ok());
        assert_eq!(verify(&first), Err(Unbelieved::Stale), "a replay");
        assert!(verify(&second).is_ok());
        assert_eq!(verify(&first), Err(Unbelieved::Stale), "a count that goes back");
    }

    #[test]
    fn a_nonce_that_is_old_or_of_another_server_is_stale_for_who_knows_the_password_only() {
        let (mut all, now) = authenticator();
        let one = challenge(&mut all, Algorithm::Sha256, now);
        let late = now + Duration::from_secs(301);
        let answer = |login, one: &Challenge| request(&[&one.answer(login, "INVITE", URI, 1, "c")]);
        assert_eq!(all.verify(&answer(ALICE, &one), source(), late), Err(Unbelieved::Stale));
        let wrong = Login { password: "x", ..ALICE };
        assert_eq!(all.verify(&answer(wrong, &one), source(), late), Err(Unbelieved::Wrong));
        let foreign = Challenge { nonce: "abc".into(), ..one };
        assert_eq!(all.verify(&answer(ALICE, &foreign), source(), late), Err(Unbelieved::Stale));
        assert!(all.challenge(true, now)[0].contains("stale=true"));
    }

    #[test]
    fn what_is_not_the_digest_of_this_request_is_wrong() {
        let (mut all, now) = authenticator();
        let one = challenge(&mut all, Algorithm::Sha256, now);
        let good = one.answer(ALICE, "INVITE", URI, 1, "c");
        let bye = one.answer(ALICE, "BYE", URI, 1, "c");
        let nobody = one.answer(Login { username: "carol", ..ALICE }, "INVITE", URI, 1, "c");
        // Bob has a secret for MD5 only.
        let bob = one.answer(Login { username: "bob", password: "builder" }, "INVITE", URI, 1, "c");
        let uri = good.replace(URI, "sip:attic@h");
        let algorithm = good.replace("algorithm=SHA-256", "algorithm=MD5");
        let count = good.replace("nc=00000001", "nc=00000002");
        let cnonce = good.replace("cnonce=\"c\"", "cnonce=\"d\"");
        for answer in [bye, nobody, bob, uri, algorithm, count, cnonce] {
            assert_eq!(all.verify(&request(&[&answer]), source(), now), Err(Unbelieved::Wrong), "{answer}");
        }
        assert!(all.verify(&request(&[&good]), source(), now).is_ok(), "none of them used the count up");
    }

    #[test]
    fn what_is_for_others_is_passed_over_and_what_is_broken_is_malformed() {
        let (mut all, now) = authenticator();
        let good = challenge(&mut all, Algorithm::Sha256, now).answer(ALICE, "INVITE", URI, 1, "c");
        let other_realm = good.replace("realm=\"r\"", "realm=\"other\"");
        let basic = "Basic YWxpY2U6d29uZGVybGFuZA==";
        for rows in [&[][..], &[basic], &[&other_realm]] {
            assert_eq!(all.verify(&request(rows), source(), now), Err(Unbelieved::Unasked));
            assert!(!all.is_answered(&request(rows)));
        }
        assert_eq!(all.verify(&request(&["Digest x"]), source(), now), Err(Unbelieved::Malformed));
        assert!(all.verify(&request(&[basic, &other_realm, &good]), source(), now).is_ok());
    }

    #[test]
    fn a_client_of_rfc_2069_is_taken_once_a_nonce() {
        let (mut all, now) = authenticator();
        let old = Challenge { qop: false, ..challenge(&mut all, Algorithm::Md5, now) };
        let answer = old.answer(ALICE, "INVITE", URI, 1, "c");
        assert!(all.verify(&request(&[&answer]), source(), now).is_ok());
        assert_eq!(all.verify(&request(&[&answer]), source(), now), Err(Unbelieved::Stale));
    }

    #[test]
    fn who_guesses_is_not_heard_any_more_though_it_guess_right() {
        let (mut all, now) = authenticator();
        let one = challenge(&mut all, Algorithm::Sha256, now);
        for count in 1..=FAILURES_PER_SOURCE_MAX {
            let guess = one.answer(Login { password: "guess", ..ALICE }, "INVITE", URI, count, "c");
            assert_eq!(all.verify(&request(&[&guess]), source(), now), Err(Unbelieved::Wrong));
        }
        let right = request(&[&one.answer(ALICE, "INVITE", URI, 99, "c")]);
        assert_eq!(all.verify(&right, source(), now), Err(Unbelieved::Barred));
        assert_eq!(all.verify(&request(&[]), source(), now), Err(Unbelieved::Unasked));
        assert!(all.verify(&right, IpAddr::from([192, 0, 2, 8]), now).is_ok(), "from elsewhere");
        let right = request(&[&one.answer(ALICE, "INVITE", URI, 100, "c")]);
        assert!(all.verify(&right, source(), now + Duration::from_secs(6)).is_ok(), "after a while");
    }

    #[test]
    fn other_users_are_in_force_at_once() {
        let (mut all, now) = authenticator();
        let one = challenge(&mut all, Algorithm::Sha256, now);
        all.replace_users(Arc::new(Users::new("r", [("alice".to_owned(), Secret::of("alice", "r", "new"))])));
        let answer = request(&[&one.answer(ALICE, "INVITE", URI, 1, "c")]);
        assert_eq!(all.verify(&answer, source(), now), Err(Unbelieved::Wrong));
        let answer = request(&[&one.answer(Login { password: "new", ..ALICE }, "INVITE", URI, 1, "c")]);
        assert!(all.verify(&answer, source(), now).is_ok());
    }
}
