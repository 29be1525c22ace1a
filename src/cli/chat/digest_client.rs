//! Digest authentication of the client (RFC 3261 §22, RFC 8760 §2.4).

use std::fmt;

use parlor_proto::sip::{self, Challenge, HeaderName, Response, Uri, text_rows};

/// Challenges that are answered without a successful response in between.
const CHALLENGES_MAX: u32 = 8;

/// A user name and password. `Debug` hides the password.
#[derive(Clone)]
pub struct Password {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a password of {}", self.username)
    }
}

/// The challenge in use, the header for its credentials, and how often its nonce was used.
struct CurrentChallenge {
    header: HeaderName,
    challenge: Challenge,
    count: u32,
}

/// The authentication state of a call.
pub struct DigestClient {
    password: Option<Password>,
    current: Option<CurrentChallenge>,
    cnonce: String,
    /// Challenges since the last successful response.
    challenges: u32,
}

impl DigestClient {
    /// For a password, if there is one; `cnonce` must be random.
    pub fn new(password: Option<Password>, cnonce: u64) -> Self {
        Self { password, current: None, cnonce: format!("{cnonce:016x}"), challenges: 0 }
    }

    /// The credentials for a request, after a challenge.
    pub fn credentials(&mut self, method: &str, target: &Uri) -> Option<(HeaderName, String)> {
        let (current, password) = (self.current.as_mut()?, self.password.as_ref()?);
        current.count += 1;
        let login = sip::Login { username: &password.username, password: &password.password };
        let uri = String::from_utf8_lossy(&target.to_bytes()).into_owned();
        let answer = current.challenge.answer(login, method, &uri, current.count, &self.cnonce);
        Some((current.header.clone(), answer))
    }

    /// Handles the first supported challenge of a 401 or 407. Returns whether the request is to be sent again: not without a password
    /// or a supported challenge, and not if the password was refused before (RFC 3261 §22.1).
    pub fn handle_challenge(&mut self, response: &Response) -> bool {
        let (from, header) = match response.status.code() {
            401 => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            407 => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
            200..300 => {
                self.challenges = 0;
                return false;
            }
            _ => return false,
        };
        let rows = text_rows(&response.headers, &from);
        let Some(challenge) = rows.iter().find_map(|row| Challenge::parse(row)) else { return false };
        let before = self.current.as_ref().filter(|known| known.challenge.realm == challenge.realm);
        let refused = before.is_some() && !challenge.stale;
        self.challenges += 1;
        if self.password.is_none() || refused || self.challenges > CHALLENGES_MAX {
            return false;
        }
        self.current = Some(CurrentChallenge { header, challenge, count: 0 });
        true
    }
}
