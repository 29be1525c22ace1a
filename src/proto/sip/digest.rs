//! Digest authentication on the wire: challenges, credentials and their hashes (RFC 7616, RFC 8760).
//!
//! Only text and hashes. Whether a nonce is valid, and whether credentials are accepted, is up to the application.

use md5::{Digest, Md5};
use sha2::Sha256;

use super::quoted;

/// The hash function of digests. The session variants and SHA-512-256 are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, which every implementation has to support.
    Sha256,
    /// MD5, for old clients.
    Md5,
}

impl Algorithm {
    /// The name in headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// Hexadecimal digits in a digest.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Md5 => 32,
        }
    }

    /// The algorithm of a name; MD5 without a name (RFC 7616 §3.3).
    fn of(name: Option<&str>) -> Option<Self> {
        let name = name.unwrap_or("MD5");
        [Self::Sha256, Self::Md5].into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The digest of a text in hexadecimal digits, lower case (RFC 8760 §2.2).
    #[must_use]
    pub fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Md5 => hex(&Md5::digest(text)),
        }
    }

    /// H(A1) (RFC 7616 §3.4.2), which a server can store instead of a password.
    #[must_use]
    pub fn ha1(self, username: &str, realm: &str, password: &str) -> String {
        self.hash(&format!("{username}:{realm}:{password}"))
    }

    /// The hash of a username, which clients send if the challenge has `userhash` (RFC 7616 §3.4.4).
    #[must_use]
    pub fn userhash(self, username: &str, realm: &str) -> String {
        self.hash(&format!("{username}:{realm}"))
    }
}

/// Octets in hexadecimal digits, lower case.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 0xf])
        .map(|digit| b"0123456789abcdef"[usize::from(digit)] as char)
        .collect()
}

/// A challenge: the value of a WWW-Authenticate or Proxy-Authenticate header (RFC 7616 §3.3).
///
/// ```
/// use parlor_proto::sip::{Challenge, Credentials, Login};
///
/// // The client:
/// let value = "Digest realm=\"chat.example\", qop=\"auth\", algorithm=SHA-256, nonce=\"7ypf\"";
/// let challenge = Challenge::parse(value).expect("a supported challenge");
/// let login = Login { username: "alice", password: "wonderland" };
/// let answer = challenge.answer(login, "INVITE", "sip:lobby@chat.example", 1, "f2_wE4q74E6z");
///
/// // The server, which stores H(A1):
/// let credentials = Credentials::parse(&answer)?;
/// let ha1 = credentials.algorithm.ha1("alice", "chat.example", "wonderland");
/// assert_eq!(credentials.response, credentials.expected(&ha1, "INVITE"));
/// # Ok::<(), parlor_proto::sip::CredentialsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The realm of the users.
    pub realm: String,
    /// The nonce of the server.
    pub nonce: String,
    /// The hash function.
    pub algorithm: Algorithm,
    /// The opaque text, which the client returns unchanged.
    pub opaque: Option<String>,
    /// Whether the last nonce had expired, and the password was not wrong.
    pub stale: bool,
    /// Whether `qop` has "auth"; otherwise the client answers as in RFC 2069.
    pub qop: bool,
    /// Whether the client may hash the username.
    pub userhash: bool,
}

impl Challenge {
    /// Parses the value of a header. Returns `None` for another scheme, an algorithm that is not supported, or a malformed value: ignore
    /// the challenge then (RFC 8760 §2.4).
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let parameters = Parameters::of_digest(value)?;
        let qop = parameters.get("qop");
        let offers_auth = |list: &str| list.split(',').any(|token| token.trim().eq_ignore_ascii_case("auth"));
        if qop.is_some_and(|list| !offers_auth(list)) {
            return None;
        }
        let is_true = |name: &str| parameters.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Some(Self {
            realm: parameters.get("realm")?.to_owned(),
            nonce: parameters.get("nonce")?.to_owned(),
            algorithm: Algorithm::of(parameters.get("algorithm"))?,
            opaque: parameters.get("opaque").map(str::to_owned),
            stale: is_true("stale"),
            qop: qop.is_some(),
            userhash: is_true("userhash"),
        })
    }

    /// The value of the header. RFC 7616 §3.3 prescribes which parameters are quoted.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = format!("Digest realm={}, qop=\"auth\"", quoted(&self.realm));
        out += &format!(", algorithm={}, nonce={}", self.algorithm.name(), quoted(&self.nonce));
        if let Some(opaque) = &self.opaque {
            out += &format!(", opaque={}", quoted(opaque));
        }
        if self.stale {
            out += ", stale=true";
        }
        if self.userhash {
            out += ", userhash=true";
        }
        out + ", charset=UTF-8"
    }

    /// The answer to the challenge: the value of an Authorization header for a request with this method and Request-URI. `count` is the
    /// number of uses of the nonce, from 1; `cnonce` is random text.
    #[must_use]
    pub fn answer(&self, login: Login<'_>, method: &str, uri: &str, count: u32, cnonce: &str) -> String {
        let qop = self.qop.then(|| Qop { count: format!("{count:08x}"), cnonce: cnonce.to_owned() });
        let ha1 = self.algorithm.ha1(login.username, &self.realm, login.password);
        let response = response(self.algorithm, &ha1, &self.nonce, qop.as_ref(), method, uri);
        let hidden = self.userhash.then(|| self.algorithm.userhash(login.username, &self.realm));
        let mut out = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}",
            quoted(hidden.as_deref().unwrap_or(login.username)),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(uri),
            self.algorithm.name(),
        );
        if let Some(qop) = qop {
            out += &format!(", qop=auth, nc={}, cnonce={}", qop.count, quoted(&qop.cnonce));
        }
        if let Some(opaque) = &self.opaque {
            out += &format!(", opaque={}", quoted(opaque));
        }
        if hidden.is_some() {
            out += ", userhash=true";
        }
        out
    }
}

/// Username and password of a client.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The username.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
}

/// The parameters that a client with `qop=auth` adds to the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qop {
    /// `nc`, the nonce count as received: eight hexadecimal digits.
    pub count: String,
    /// `cnonce`, the nonce of the client.
    pub cnonce: String,
}

impl Qop {
    /// The nonce count as a number; `None` if it is malformed.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        let legal = self.count.len() == 8 && self.count.bytes().all(|b| b.is_ascii_hexdigit());
        legal.then(|| u32::from_str_radix(&self.count, 16).ok()).flatten()
    }
}

/// Credentials: the value of an Authorization header (RFC 7616 §3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The username, or its hash if `userhash` is set. Not yet verified.
    pub username: String,
    /// Whether `username` is a hash.
    pub userhash: bool,
    /// The realm of the user.
    pub realm: String,
    /// The nonce of the challenge.
    pub nonce: String,
    /// The URI that the digest covers.
    pub uri: String,
    /// The digest.
    pub response: String,
    /// The hash function.
    pub algorithm: Algorithm,
    /// `None` for a client of RFC 2069.
    pub qop: Option<Qop>,
}

/// Why credentials cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Another scheme, such as Basic. Treat the request as one without credentials (RFC 8760 §2.6).
    #[error("the scheme is not Digest")]
    Scheme,
    /// An algorithm that is not supported. Treat the request as one without credentials.
    #[error("the algorithm was not offered")]
    Algorithm,
    /// Malformed: a parameter is missing, malformed, or was not offered.
    #[error("the credentials cannot be read")]
    Malformed,
}

impl Credentials {
    /// Parses the value of a header.
    ///
    /// # Errors
    /// Returns an error if the scheme or the algorithm is not supported, or if the value is malformed.
    pub fn parse(value: &str) -> Result<Self, CredentialsError> {
        let scheme = value.split_ascii_whitespace().next().unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(CredentialsError::Scheme);
        }
        let parameters = Parameters::of_digest(value).ok_or(CredentialsError::Malformed)?;
        let algorithm = Algorithm::of(parameters.get("algorithm")).ok_or(CredentialsError::Algorithm)?;
        let needed = |name: &str| parameters.get(name).map(str::to_owned).ok_or(CredentialsError::Malformed);
        Ok(Self {
            username: username(&parameters).ok_or(CredentialsError::Malformed)?,
            userhash: parameters.get("userhash").is_some_and(|value| value.eq_ignore_ascii_case("true")),
            realm: needed("realm")?,
            nonce: needed("nonce")?,
            uri: needed("uri")?,
            response: needed("response")?,
            algorithm,
            qop: qop(&parameters)?,
        })
    }

    /// The digest that `response` has to equal, given [`Algorithm::ha1`] and the method of the request. Compare the two in constant time.
    #[must_use]
    pub fn expected(&self, ha1: &str, method: &str) -> String {
        response(self.algorithm, ha1, &self.nonce, self.qop.as_ref(), method, &self.uri)
    }
}

/// The username; having both `username` and `username*` is an error (RFC 7616 §3.4).
fn username(parameters: &Parameters) -> Option<String> {
    match (parameters.get("username"), parameters.get("username*")) {
        (Some(plain), None) => Some(plain.to_owned()),
        (None, Some(extended)) => {
            let (charset, rest) = extended.split_once('\'')?;
            let (_, escaped) = rest.split_once('\'')?;
            charset.eq_ignore_ascii_case("UTF-8").then(|| unescaped(escaped)).flatten()
        }
        _ => None,
    }
}

/// Resolves the escapes of RFC 5987 §3.2.
fn unescaped(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let mut digit = || rest.next().and_then(|b| (b as char).to_digit(16));
            octets.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).ok()
}

/// The parameters of `qop`. Only "auth" is supported.
fn qop(parameters: &Parameters) -> Result<Option<Qop>, CredentialsError> {
    let Some(qop) = parameters.get("qop") else { return Ok(None) };
    let (count, cnonce) = (parameters.get("nc"), parameters.get("cnonce"));
    let (true, Some(count), Some(cnonce)) = (qop.eq_ignore_ascii_case("auth"), count, cnonce) else {
        return Err(CredentialsError::Malformed);
    };
    let qop = Qop { count: count.to_owned(), cnonce: cnonce.to_owned() };
    if qop.number().is_some() { Ok(Some(qop)) } else { Err(CredentialsError::Malformed) }
}

/// The digest of RFC 7616 §3.4.1; without qop that of RFC 2069 §2.1.2.
fn response(algorithm: Algorithm, ha1: &str, nonce: &str, qop: Option<&Qop>, method: &str, uri: &str) -> String {
    let ha2 = algorithm.hash(&format!("{method}:{uri}"));
    match qop {
        Some(Qop { count, cnonce }) => algorithm.hash(&format!("{ha1}:{nonce}:{count}:{cnonce}:auth:{ha2}")),
        None => algorithm.hash(&format!("{ha1}:{nonce}:{ha2}")),
    }
}

/// The parameters of a challenge or of credentials, unquoted.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// `None` if the scheme is another one, the syntax is malformed, or a parameter is repeated.
    fn of_digest(value: &str) -> Option<Self> {
        let value = value.trim_start();
        let (scheme, mut rest) = value.split_once(|c: char| c.is_ascii_whitespace())?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut all = Self(Vec::new());
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
            if rest.is_empty() {
                return Some(all);
            }
            let (name, after) = rest.split_once('=')?;
            let name = name.trim().to_ascii_lowercase();
            let (text, after) = take_value(after.trim_start())?;
            let legal =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-*_.!%+`'~".contains(&b));
            if !legal || all.get(&name).is_some() {
                return None;
            }
            all.0.push((name, text));
            rest = after.trim_start();
            if !(rest.is_empty() || rest.starts_with(',')) {
                return None;
            }
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A token or a quoted string, and what follows it.
fn take_value(text: &str) -> Option<(String, &str)> {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(text.len());
        let token = &text[..end];
        return (end > 0 && !token.contains('"')).then(|| (token.to_owned(), &text[end..]));
    };
    let (mut out, mut escaped) = (String::new(), false);
    for (at, c) in inner.char_indices() {
        match c {
            c if escaped => {
                out.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Some((out, &inner[at + 1..])),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests;
