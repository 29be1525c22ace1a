//! The names and URIs of the participants seen in the room.

use std::collections::BTreeMap;

use parlor_proto::uri::Aor;

/// The participants that have sent a message, or that the roster has.
pub struct AddressBook {
    /// The user's own URI, whose host completes a name without host.
    own: String,
    entries: BTreeMap<Aor, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    uri: String,
    name: Option<String>,
}

impl AddressBook {
    /// An empty address book of a user.
    pub fn new(own: &str) -> Self {
        Self { own: own.to_owned(), entries: BTreeMap::new() }
    }

    /// Adds a participant other than the user. Without `name`, a known name is kept.
    pub fn insert(&mut self, uri: &str, name: Option<&str>) {
        let Ok(aor) = Aor::parse(uri.as_bytes()) else { return };
        if Aor::parse(self.own.as_bytes()).as_ref() == Ok(&aor) {
            return;
        }
        let known = self.entries.remove(&aor).and_then(|entry| entry.name);
        self.entries.insert(aor, Entry { uri: uri.to_owned(), name: name.map(str::to_owned).or(known) });
    }

    /// The name and URI of each participant, ordered by URI.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.entries.values().map(|entry| (entry.name.as_deref(), entry.uri.as_str()))
    }

    /// The URI for what a user types: a URI, an address without scheme, a known name or user part, or else a user at the own host.
    pub fn resolve(&self, who: &str) -> String {
        if Aor::parse(who.as_bytes()).is_ok() {
            return who.to_owned();
        }
        if who.contains('@') {
            return format!("sip:{who}");
        }
        let lower = who.to_lowercase();
        let named = self.entries.values().find(|entry| entry.name.as_ref().is_some_and(|n| n.to_lowercase() == lower));
        let by_user = || self.entries.iter().find(|(aor, _)| aor.user() == Some(who)).map(|(_, entry)| entry);
        if let Some(entry) = named.or_else(by_user) {
            return entry.uri.clone();
        }
        let host = self.own.rsplit_once('@').map_or("localhost", |(_, host)| host);
        format!("sip:{}@{host}", parlor_proto::sip::escape_user(who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participants_are_resolved_by_name_user_and_address() {
        let mut book = AddressBook::new("sip:me@example.com");
        book.insert("sip:b@example.net", Some("Bob"));
        book.insert("sip:carol@example.org:5070", None);
        book.insert("sip:me@EXAMPLE.com;x=y", Some("I"));
        book.insert("not a uri", Some("Nobody"));
        for (who, uri) in [
            ("bob", "sip:b@example.net"),
            ("carol", "sip:carol@example.org:5070"),
            ("sip:x@y", "sip:x@y"),
            ("x@y", "sip:x@y"),
            ("dave", "sip:dave@example.com"),
            ("Al Bee", "sip:Al%20Bee@example.com"),
        ] {
            assert_eq!(book.resolve(who), uri);
        }
        assert_eq!(book.iter().count(), 2);
    }
}
