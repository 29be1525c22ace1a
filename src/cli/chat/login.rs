//! Answers to those who ask for a password (RFC 3261 §22, RFC 8760 §2.4).

use std::fmt;

use parlor_proto::sip::{self, Challenge, HeaderName, Response, Uri, text_rows};

/// Challenges that are answered without a success in between.
const ANSWERS_MAX: u32 = 8;

/// A user's name and password, hidden from whoever prints it.
#[derive(Clone)]
pub(super) struct Password {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a password of {}", self.username)
    }
}

/// A challenge that we answer, in the header it asks for, and how often its nonce was used.
struct Challenged {
    header: HeaderName,
    challenge: Challenge,
    count: u32,
}

/// What a call knows of passwords: its own, and who asks for it.
pub(super) struct Login {
    password: Option<Password>,
    challenged: Option<Challenged>,
    cnonce: String,
    /// Challenges that were taken since something succeeded.
    taken: u32,
}

impl Login {
    /// Of a password, if there is one; `cnonce` is random.
    pub(super) fn new(password: Option<Password>, cnonce: u64) -> Self {
        Self { password, challenged: None, cnonce: format!("{cnonce:016x}"), taken: 0 }
    }

    /// Credentials for a request, where we were challenged.
    pub(super) fn credentials(&mut self, method: &str, target: &Uri) -> Option<(HeaderName, String)> {
        let (challenged, password) = (self.challenged.as_mut()?, self.password.as_ref()?);
        challenged.count += 1;
        let login = sip::Login { username: &password.username, password: &password.password };
        let uri = String::from_utf8_lossy(&target.to_bytes()).into_owned();
        let answer = challenged.challenge.answer(login, method, &uri, challenged.count, &self.cnonce);
        Some((challenged.header.clone(), answer))
    }

    /// Takes the first challenge of a 401 or 407 that we understand: the request is to be sent again. `false` where it is to be
    /// given up: without a password, without such a challenge, and where the password was refused already (RFC 3261 §22.1).
    pub(super) fn take(&mut self, response: &Response) -> bool {
        let (from, header) = match response.status.code() {
            401 => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            407 => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
            200..300 => {
                self.taken = 0;
                return false;
            }
            _ => return false,
        };
        let rows = text_rows(&response.headers, &from);
        let Some(challenge) = rows.iter().find_map(|row| Challenge::parse(row)) else { return false };
        let before = self.challenged.as_ref().filter(|known| known.challenge.realm == challenge.realm);
        let refused = before.is_some() && !challenge.stale;
        self.taken += 1;
        if self.password.is_none() || refused || self.taken > ANSWERS_MAX {
            return false;
        }
        self.challenged = Some(Challenged { header, challenge, count: 0 });
        true
    }
}
