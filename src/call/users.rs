//! Users and the hashes of their passwords.

use std::collections::HashMap;
use std::fmt;

use parlor_proto::sip::Algorithm;

/// The hashes of a password: H(A1) for each algorithm (RFC 7616 §3.4.2). Not shown in logs.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret {
    /// By SHA-256, in hexadecimal.
    pub sha256: Option<String>,
    /// By MD5, in hexadecimal.
    pub md5: Option<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The hashes of a password.
    #[must_use]
    pub fn of(username: &str, realm: &str, password: &str) -> Self {
        let ha1 = |algorithm: Algorithm| Some(algorithm.ha1(username, realm, password));
        Self { sha256: ha1(Algorithm::Sha256), md5: ha1(Algorithm::Md5) }
    }

    /// H(A1) by one algorithm.
    #[must_use]
    pub fn by(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.as_deref(),
            Algorithm::Md5 => self.md5.as_deref(),
        }
    }
}

/// The users of a realm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users {
    realm: String,
    secrets: HashMap<String, Secret>,
    /// Names by their hash, for clients that hide them.
    hashes: HashMap<String, String>,
}

impl Users {
    /// The users of a realm, by name.
    #[must_use]
    pub fn new(realm: &str, users: impl IntoIterator<Item = (String, Secret)>) -> Self {
        let secrets: HashMap<String, Secret> = users.into_iter().collect();
        let hashes = |algorithm: Algorithm| {
            secrets.keys().map(move |name| (algorithm.userhash(name, realm), name.clone())).collect::<Vec<_>>()
        };
        let hashes = [Algorithm::Sha256, Algorithm::Md5].into_iter().flat_map(hashes).collect();
        Self { realm: realm.to_owned(), secrets, hashes }
    }

    /// Whose they are.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The algorithms that somebody has a secret for, the better one first.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut all = vec![Algorithm::Sha256, Algorithm::Md5];
        // Nobody's challenge looks like everybody's.
        if !self.secrets.is_empty() {
            all.retain(|algorithm| self.secrets.values().any(|secret| secret.by(*algorithm).is_some()));
        }
        all
    }

    /// The user of a name, or of its hash.
    pub(super) fn find(&self, name: &str, hashed: bool) -> Option<(&str, &Secret)> {
        let name = if hashed { self.hashes.get(name)? } else { name };
        self.secrets.get_key_value(name).map(|(name, secret)| (name.as_str(), secret))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_hash_and_shows_no_secret() {
        let users = Users::new("r", [("alice".to_owned(), Secret::of("alice", "r", "wonderland"))]);
        assert_eq!(users.find("alice", false).unwrap().0, "alice");
        assert_eq!(users.find(&Algorithm::Md5.userhash("alice", "r"), true).unwrap().0, "alice");
        assert!(users.find("Alice", false).is_none() && users.find("alice", true).is_none());
        let (_, secret) = users.find("alice", false).unwrap();
        assert_eq!(secret.by(Algorithm::Md5), Some(Algorithm::Md5.ha1("alice", "r", "wonderland").as_str()));
        let shown = format!("{users:?}");
        assert!(!shown.contains("wonderland") && !shown.contains(secret.by(Algorithm::Md5).unwrap()), "{shown}");
    }

    #[test]
    fn only_what_somebody_can_answer_is_offered() {
        let both = [Algorithm::Sha256, Algorithm::Md5];
        assert_eq!(Users::new("r", []).algorithms(), both);
        let old = ("bob".to_owned(), Secret { sha256: None, md5: Some("x".into()) });
        assert_eq!(Users::new("r", [old.clone()]).algorithms(), [Algorithm::Md5]);
        assert_eq!(Users::new("r", [old, ("al".to_owned(), Secret::of("al", "r", "x"))]).algorithms(), both);
    }
}
