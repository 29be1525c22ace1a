//! Which types the members of a room take: the lists that they have, each once for all who have the same, so that a message is
//! matched against a few lists and not once for every member.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::ids::{KeyHasher, SessionKey};
use crate::limits::SHARED_TYPE_LISTS_MAX;
use parlor_proto::sdp::AcceptTypes;

/// The lists of a room's members. Each is counted by its members and forgotten with the last of them.
#[derive(Debug, Default)]
pub struct TypeLists {
    /// Those that members share, by their classes less one. A place without members is free.
    shared: Vec<Shared>,
    /// The lists of members that came when there was no place left: each is asked for each message, and costs as a member does.
    own: HashMap<SessionKey, AcceptTypes, BuildHasherDefault<KeyHasher>>,
}

#[derive(Debug)]
struct Shared {
    list: AcceptTypes,
    members: usize,
}

/// Which list a member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(u8);

impl Class {
    /// None: it takes everything.
    const EVERYTHING: Self = Self(0);
    /// One of its own.
    const OWN: Self = Self(u8::MAX);

    fn place(self) -> Option<usize> {
        (self != Self::OWN).then(|| usize::from(self.0).checked_sub(1)).flatten()
    }
}

/// For each list whether it has the type of one message.
#[derive(Debug, Clone, Copy)]
pub struct TypeMatches<'a> {
    lists: &'a TypeLists,
    media_type: Option<&'a str>,
    /// One bit for each class.
    taken: u64,
}

impl TypeMatches<'_> {
    /// Whether the member of a session takes the message's type.
    pub(super) fn take(&self, session: SessionKey, class: Class) -> bool {
        match class {
            Class::OWN => self.lists.accepts(session, class, self.media_type),
            Class(shared) => self.taken >> shared & 1 == 1,
        }
    }

    /// Whether every member takes it, as far as is known without asking each.
    #[must_use]
    pub fn all(&self) -> bool {
        self.taken == u64::MAX && self.lists.own.is_empty()
    }
}

impl TypeLists {
    /// A session with this list joins. Returns its class.
    pub fn join(&mut self, session: SessionKey, accepts: Option<&AcceptTypes>) -> Class {
        let Some(accepts) = accepts.filter(|list| !list.accepts_all()) else { return Class::EVERYTHING };
        let known = self.shared.iter().position(|shared| shared.members > 0 && shared.list == *accepts);
        let place = known.or_else(|| self.free_place(accepts));
        let class = place.and_then(|place| Some((place, u8::try_from(place + 1).ok()?)));
        let Some((place, class)) = class else {
            self.own.insert(session, accepts.clone());
            return Class::OWN;
        };
        self.shared[place].members += 1;
        Class(class)
    }

    /// A place for a list that no member has; `None` where all are taken.
    fn free_place(&mut self, accepts: &AcceptTypes) -> Option<usize> {
        let list = accepts.clone();
        if let Some(place) = self.shared.iter().position(|shared| shared.members == 0) {
            self.shared[place].list = list;
            return Some(place);
        }
        (self.shared.len() < SHARED_TYPE_LISTS_MAX).then(|| {
            self.shared.push(Shared { list, members: 0 });
            self.shared.len() - 1
        })
    }

    /// A session of this class leaves.
    pub fn leave(&mut self, session: SessionKey, class: Class) {
        if class == Class::OWN {
            self.own.remove(&session);
        }
        let Some(shared) = class.place().and_then(|place| self.shared.get_mut(place)) else { return };
        shared.members = shared.members.saturating_sub(1);
        if shared.members == 0 {
            shared.list = AcceptTypes::default();
        }
    }

    /// Whether one member takes a type; see [`super::Roster::match_type`].
    pub fn accepts(&self, session: SessionKey, class: Class, media_type: Option<&str>) -> bool {
        let list = match class {
            Class::OWN => self.own.get(&session),
            class => class.place().and_then(|place| self.shared.get(place)).map(|shared| &shared.list),
        };
        list.is_none_or(|list| has(list, media_type))
    }

    /// Which lists have a type.
    pub fn match_type<'a>(&'a self, media_type: Option<&'a str>) -> TypeMatches<'a> {
        let refused =
            self.shared.iter().enumerate().filter(|(_, shared)| shared.members > 0 && !has(&shared.list, media_type));
        let taken = refused.fold(u64::MAX, |taken, (place, _)| taken & !(1 << (place + 1)));
        TypeMatches { lists: self, media_type, taken }
    }

    #[cfg(test)]
    pub fn counts(&self) -> (usize, usize) {
        (self.shared.iter().filter(|shared| shared.members > 0).count(), self.own.len())
    }
}

/// A type that cannot be read is on no list.
fn has(list: &AcceptTypes, media_type: Option<&str>) -> bool {
    media_type.is_some_and(|media_type| list.accepts(media_type))
}

const _: () =
    assert!(SHARED_TYPE_LISTS_MAX < u64::BITS as usize, "one bit for each, and one for those who take everything");
