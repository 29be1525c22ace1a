//! Who has been heard of in the room.

use std::collections::BTreeMap;

use parlor_proto::uri::Aor;

/// Everybody who has sent something since we came.
pub(super) struct Book {
    /// Our own URI: its host completes a bare name.
    own: String,
    people: BTreeMap<Aor, Person>,
}

#[derive(Debug, Clone)]
struct Person {
    uri: String,
    name: Option<String>,
}

impl Book {
    pub(super) fn new(own: &str) -> Self {
        Self { own: own.to_owned(), people: BTreeMap::new() }
    }

    /// Somebody was heard of. It is not noted where it is ourselves, and keeps its name where it is heard of without one.
    pub(super) fn enter(&mut self, uri: &str, name: Option<&str>) {
        let Ok(aor) = Aor::parse(uri.as_bytes()) else { return };
        if Aor::parse(self.own.as_bytes()).as_ref() == Ok(&aor) {
            return;
        }
        let known = self.people.remove(&aor).and_then(|person| person.name);
        self.people.insert(aor, Person { uri: uri.to_owned(), name: name.map(str::to_owned).or(known) });
    }

    /// Name and URI of everybody, in a fixed order.
    pub(super) fn people(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.people.values().map(|person| (person.name.as_deref(), person.uri.as_str()))
    }

    /// The URI that somebody is meant by: a URI, an address, the name of somebody who was heard of, or the user part of an
    /// address at our own host.
    pub(super) fn find(&self, who: &str) -> String {
        if Aor::parse(who.as_bytes()).is_ok() {
            return who.to_owned();
        }
        if who.contains('@') {
            return format!("sip:{who}");
        }
        let lower = who.to_lowercase();
        let named = self.people.values().find(|person| person.name.as_ref().is_some_and(|n| n.to_lowercase() == lower));
        let by_user = || self.people.iter().find(|(aor, _)| aor.user() == Some(who)).map(|(_, person)| person);
        if let Some(person) = named.or_else(by_user) {
            return person.uri.clone();
        }
        let host = self.own.rsplit_once('@').map_or("localhost", |(_, host)| host);
        format!("sip:{}@{host}", parlor_proto::sip::escape_user(who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_by_name_user_and_address() {
        let mut book = Book::new("sip:me@example.com");
        book.enter("sip:b@example.net", Some("Bob"));
        book.enter("sip:carol@example.org:5070", None);
        book.enter("sip:me@EXAMPLE.com;x=y", Some("I"));
        book.enter("not a uri", Some("Nobody"));
        for (who, uri) in [
            ("bob", "sip:b@example.net"),
            ("carol", "sip:carol@example.org:5070"),
            ("sip:x@y", "sip:x@y"),
            ("x@y", "sip:x@y"),
            ("dave", "sip:dave@example.com"),
            ("Al Bee", "sip:Al%20Bee@example.com"),
        ] {
            assert_eq!(book.find(who), uri);
        }
        assert_eq!(book.people().count(), 2);
    }
}
