//! Digest authentication on the wire: challenges, credentials, and what is computed of them (RFC 7616, RFC 8760).
//!
//! Pure text and hashes. What is believed, and for how long, is decided by whoever reads them.

use md5::{Digest, Md5};
use sha2::Sha256;

use super::quoted;

/// How digests are computed. The session variants and SHA-512-256 are neither offered nor taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, the one that everybody must have.
    Sha256,
    /// MD5, for clients of old.
    Md5,
}

impl Algorithm {
    /// Its name as it stands in headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// Digits of its digests.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Md5 => 32,
        }
    }

    /// The algorithm of a name; without one it is MD5 (RFC 7616 §3.3).
    fn of(name: Option<&str>) -> Option<Self> {
        let name = name.unwrap_or("MD5");
        [Self::Sha256, Self::Md5].into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The digest of a text, in hexadecimal digits of lower case (RFC 8760 §2.2).
    #[must_use]
    pub fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Md5 => hex(&Md5::digest(text)),
        }
    }

    /// H(A1) (RFC 7616 §3.4.2): all that a server has to know of a password.
    #[must_use]
    pub fn ha1(self, username: &str, realm: &str, password: &str) -> String {
        self.hash(&format!("{username}:{realm}:{password}"))
    }

    /// The username as clients send it where they are asked to hide it (RFC 7616 §3.4.4).
    #[must_use]
    pub fn userhash(self, username: &str, realm: &str) -> String {
        self.hash(&format!("{username}:{realm}"))
    }
}

/// Octets in hexadecimal digits of lower case.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 0xf])
        .map(|digit| b"0123456789abcdef"[usize::from(digit)] as char)
        .collect()
}

/// A challenge: the value of a WWW-Authenticate or Proxy-Authenticate header (RFC 7616 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Whose users are asked for.
    pub realm: String,
    /// What the answer is made of.
    pub nonce: String,
    /// How.
    pub algorithm: Algorithm,
    /// What the answer brings back.
    pub opaque: Option<String>,
    /// The nonce was too old, not the password wrong.
    pub stale: bool,
    /// `qop` has "auth"; else the answer is that of RFC 2069.
    pub qop: bool,
    /// The username can be hidden.
    pub userhash: bool,
}

impl Challenge {
    /// Reads one; `None` where it is of another scheme, of an algorithm that is not taken, or broken: it is to be ignored then
    /// (RFC 8760 §2.4).
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

    /// The header's value. Which parameters are quoted is prescribed by RFC 7616 §3.3.
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

    /// The answer to it: the value of an Authorization header. `count` is how often the nonce was used, this time included;
    /// `cnonce` is random.
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

/// A user and the password, as the client has them.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Who.
    pub username: &'a str,
    /// The password.
    pub password: &'a str,
}

/// What a client with `qop=auth` adds to the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qop {
    /// `nc` as it was written: eight hexadecimal digits.
    pub count: String,
    /// `cnonce`.
    pub cnonce: String,
}

impl Qop {
    /// The nonce count as a number; `None` where it is none.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        let legal = self.count.len() == 8 && self.count.bytes().all(|b| b.is_ascii_hexdigit());
        legal.then(|| u32::from_str_radix(&self.count, 16).ok()).flatten()
    }
}

/// Credentials: the value of an Authorization header (RFC 7616 §3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who it is said to be: the name, or its hash where `userhash` says so.
    pub username: String,
    /// Whether it is the hash.
    pub userhash: bool,
    /// Whose user.
    pub realm: String,
    /// The nonce of a challenge.
    pub nonce: String,
    /// The URI that the digest was made for.
    pub uri: String,
    /// The digest.
    pub response: String,
    /// How it was made.
    pub algorithm: Algorithm,
    /// `None` is a client of RFC 2069.
    pub qop: Option<Qop>,
}

/// Why credentials are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Another scheme, Basic for one. As good as none at all (RFC 8760 §2.6).
    #[error("the scheme is not Digest")]
    Scheme,
    /// An algorithm that was not offered. As good as none at all.
    #[error("the algorithm was not offered")]
    Algorithm,
    /// A parameter is missing, broken, or was not offered.
    #[error("the credentials cannot be read")]
    Malformed,
}

impl Credentials {
    /// Reads the value of a header.
    ///
    /// # Errors
    /// Why it has no credentials that could be looked at.
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

    /// What `response` has to be for H(A1).
    #[must_use]
    pub fn expected(&self, ha1: &str, method: &str) -> String {
        response(self.algorithm, ha1, &self.nonce, self.qop.as_ref(), method, &self.uri)
    }
}

/// RFC 7616 §3.4: both `username` and `username*` are an error.
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

/// RFC 5987 §3.2.
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

/// `qop` as the client used it. Only "auth" was offered.
fn qop(parameters: &Parameters) -> Result<Option<Qop>, CredentialsError> {
    let Some(qop) = parameters.get("qop") else { return Ok(None) };
    let (count, cnonce) = (parameters.get("nc"), parameters.get("cnonce"));
    let (true, Some(count), Some(cnonce)) = (qop.eq_ignore_ascii_case("auth"), count, cnonce) else {
        return Err(CredentialsError::Malformed);
    };
    let qop = Qop { count: count.to_owned(), cnonce: cnonce.to_owned() };
    if qop.number().is_some() { Ok(Some(qop)) } else { Err(CredentialsError::Malformed) }
}

/// RFC 7616 §3.4.1; without qop that of RFC 2069 §2.1.2.
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
    /// `None` where the scheme is another one, the syntax broken, or a parameter there twice.
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

/// A token or a quoted string, and what stands behind it.
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
