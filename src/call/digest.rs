//! The server's side of digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): which requests are challenged, and which credentials are accepted.
//!
//! Two algorithms are offered, SHA-256 first, with `qop="auth"`. Against replay, a nonce contains an HMAC and the time when it was
//! made, is valid for five minutes, and each of its counts is accepted once. A client without counts (RFC 2069, which RFC 3261 §22.4
//! requires to be accepted) may use a nonce once. The checks, in order: the HMAC of the nonce; the rate limit of the user at this
//! source; the digest; the age and the count of the nonce. So `stale=true` for an old nonce, and an entry in the nonce table, need
//! the right password.
//!
//! A nonce contains a second HMAC, of the source that it was sent to. A wrong password is charged to the source if it comes from
//! there: its sender can receive at that address. If it comes from another source (a client whose address has changed, or a forged
//! address), it is charged to the user over all sources; once that limit is reached, such requests get `stale=true` only. The
//! limits do not apply to a user whose nonce has been accepted before, and a client that has logged in from the same address and port
//! has a limit of its own. So other clients at the same address can delay a first login only.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use siphasher::sip::SipHasher13;
use subtle::ConstantTimeEq;

use super::failures::{Charged, Failures};
use super::known::KnownPlaces;
use super::nonces::Nonces;
use super::users::Users;
use crate::log_throttle::LogThrottle;
use parlor_proto::sip::{Challenge, Credentials, CredentialsError, HeaderName, Qop, Request, text_rows};

/// Makes challenges and verifies credentials.
pub struct Authenticator {
    users: Arc<Users>,
    nonces: Nonces,
    failures: Failures,
    known: KnownPlaces,
    /// What the names of users are hashed under.
    keys: (u64, u64),
    rate_limited: LogThrottle,
}

/// Where a request was sent from.
#[derive(Debug, Clone, Copy)]
pub struct RequestSource {
    /// Where it was challenged.
    pub source: IpAddr,
    /// The address and port, where they are one client's own.
    pub place: Option<SocketAddr>,
}

impl From<IpAddr> for RequestSource {
    fn from(source: IpAddr) -> Self {
        Self { source, place: None }
    }
}

/// Why a request is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// It has no credentials of ours: challenge it.
    NoCredentials,
    /// The password is wrong, or the user is not known: challenge it again.
    WrongPassword,
    /// The nonce is not ours, or was sent elsewhere and too many such tries were wrong, or the password is right and the nonce too
    /// old or used already: challenge it again, with `stale=true`.
    Stale,
    /// The credentials cannot be read: 400.
    Malformed,
    /// Too many wrong passwords for this user came from there: 403, without looking at this one.
    RateLimited,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("realm", &self.users.realm()).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// An authenticator for these users. `key` are random octets, the key of the HMACs in nonces.
    #[must_use]
    pub fn new(users: Arc<Users>, key: [u8; 32]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| key[at + i]));
        Self {
            users,
            nonces: Nonces::new(key),
            failures: Failures::default(),
            known: KnownPlaces::default(),
            rate_limited: LogThrottle::default(),
            keys: (word(0), word(8)),
        }
    }

    /// Puts other users in force.
    pub fn replace_users(&mut self, users: Arc<Users>) {
        self.users = users;
    }

    /// The values of WWW-Authenticate for a source, the preferred one first (RFC 8760 §2.3).
    pub fn challenge(&mut self, stale: bool, source: IpAddr, now: Instant) -> Vec<String> {
        let nonce = self.nonces.draw(source, now);
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
    pub fn has_credentials(&self, request: &Request) -> bool {
        self.credentials(request).is_some()
    }

    /// Whether a request has a nonce that was sent to this source, so that its sender can receive there.
    #[must_use]
    pub fn was_challenged_at(&self, request: &Request, source: IpAddr) -> bool {
        let credentials = self.credentials(request).and_then(Result::ok);
        credentials.is_some_and(|credentials| self.nonces.was_sent_to(&credentials.nonce, source))
    }

    /// The URI that a request's credentials for this realm were made for.
    #[must_use]
    pub fn digest_uri(&self, request: &Request) -> Option<String> {
        self.credentials(request)?.ok().map(|credentials| credentials.uri)
    }

    /// The user that a request's credentials for this realm name; `None` where there is none of that name, which may be a password that
    /// was typed in the wrong place (RFC 7616 §3.4).
    #[must_use]
    pub fn user_named(&self, request: &Request) -> Option<String> {
        let credentials = self.credentials(request)?.ok()?;
        self.users.find(&credentials.username, credentials.userhash).map(|(name, _)| name.to_owned())
    }

    /// A request was rate limited. Returns how many were since the last log line, if another one is due.
    pub fn rate_limit_to_log(&mut self, now: Instant) -> Option<u64> {
        self.rate_limited.add(now)
    }

    /// The name of the user that a request is from.
    ///
    /// # Errors
    /// Returns an [`AuthError`] if the request has no valid credentials.
    pub fn verify(
        &mut self,
        request: &Request,
        from: impl Into<RequestSource>,
        now: Instant,
    ) -> Result<String, AuthError> {
        let RequestSource { source, place } = from.into();
        let credentials =
            self.credentials(request).ok_or(AuthError::NoCredentials)?.map_err(|_| AuthError::Malformed)?;
        if !self.nonces.is_own(&credentials.nonce) {
            return Err(AuthError::Stale);
        }
        let user = self.digest_of(&credentials);
        let charged = match place {
            _ if !self.nonces.was_sent_to(&credentials.nonce, source) => Charged::Elsewhere,
            Some(place) if self.known.has(user, place, now) => Charged::Place(place),
            _ => Charged::network(source),
        };
        let is_here = charged != Charged::Elsewhere;
        let proved = is_here && self.nonces.is_proved(&credentials.nonce, user, now);
        if !proved && self.failures.is_rate_limited(user, charged, now) {
            return Err(if is_here { AuthError::RateLimited } else { AuthError::Stale });
        }
        let method = String::from_utf8_lossy(request.method.as_bytes()).into_owned();
        let Some(name) = self.user_of(&credentials, &method) else {
            self.failures.add(user, charged, now);
            return Err(AuthError::WrongPassword);
        };
        let count = credentials.qop.as_ref().and_then(Qop::number);
        if !self.nonces.take(&credentials.nonce, user, count, now) {
            return Err(AuthError::Stale);
        }
        if let Some(place) = place.filter(|_| is_here) {
            self.known.add(user, place, now);
        }
        Ok(name)
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

    /// What the wrong passwords for a user are counted under: the same whether the name is hashed or not, known or not.
    fn digest_of(&self, credentials: &Credentials) -> u64 {
        let known = self.users.find(&credentials.username, credentials.userhash).map(|(name, _)| name);
        let mut hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        hasher.write(known.unwrap_or(&credentials.username).as_bytes());
        hasher.finish()
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
mod tests;
