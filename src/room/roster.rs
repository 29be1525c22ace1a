//! Who is in a room: one member for each session that is bound, and the sessions of each user (RFC 7701 §6.1: a URI is mapped
//! to every session of its user).

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use smallvec::SmallVec;

use super::lists::{Class, TypeLists, TypeMatches};
use crate::ids::{ConnectionId, KeyHasher, SessionKey};
use parlor_proto::sdp::AcceptTypes;
use parlor_proto::uri::Aor;

/// What the fan-out needs to know of one session, kept together so that a message to the room walks one array.
#[derive(Debug)]
pub struct RoomMember {
    /// The session.
    pub session: SessionKey,
    /// The connection that carries the session.
    pub connection: ConnectionId,
    /// The session's To-Path and From-Path lines.
    pub paths: Rc<[u8]>,
    /// Octets of the largest message it takes.
    pub max_size: u64,
    /// Which of the roster's lists of accepted types is its.
    class: Class,
    /// Whether it can receive at all (RFC 3264 §5.1).
    pub receives: bool,
    /// Whether it takes private messages (RFC 7701 §6.2).
    pub takes_private: bool,
}

/// What of a session's terms counts in the room.
#[derive(Debug)]
pub struct MemberTerms<'a> {
    /// The user.
    pub user: &'a Aor,
    /// Other addresses that messages reach the user by.
    pub aliases: &'a [Aor],
    /// As [`RoomMember::max_size`]; `None` is no limit.
    pub max_size: Option<u64>,
    /// `accept-wrapped-types`; `None` takes everything.
    pub accepts: Option<&'a AcceptTypes>,
    /// As [`RoomMember::receives`].
    pub receives: bool,
    /// As [`RoomMember::takes_private`].
    pub takes_private: bool,
}

/// The members of a room.
#[derive(Debug, Default)]
pub struct Roster {
    members: Vec<RoomMember>,
    places: HashMap<SessionKey, usize, BuildHasherDefault<KeyHasher>>,
    users: HashMap<Aor, SmallVec<[SessionKey; 1]>>,
    /// Users by their other addresses, and these by their users.
    aliases: HashMap<Aor, Aor>,
    aliases_of: HashMap<Aor, Box<[Aor]>>,
    lists: TypeLists,
}

impl TypeMatches<'_> {
    /// Whether the member takes the message's type.
    #[must_use]
    pub fn accepts(&self, member: &RoomMember) -> bool {
        self.take(member.session, member.class)
    }
}

impl Roster {
    /// The members, in no order that means anything.
    #[must_use]
    pub fn members(&self) -> &[RoomMember] {
        &self.members
    }

    /// The member of a session.
    #[must_use]
    pub fn member(&self, session: SessionKey) -> Option<&RoomMember> {
        self.places.get(&session).map(|place| &self.members[*place])
    }

    /// The sessions of a user, by any of its addresses; none where nobody of that address is here.
    #[must_use]
    pub fn sessions_of(&self, user: &Aor) -> &[SessionKey] {
        let found = self.users.get(user).or_else(|| self.users.get(self.aliases.get(user)?));
        found.map_or(&[], |sessions| sessions.as_slice())
    }

    /// Adds a session, or changes its terms.
    pub fn add_member(
        &mut self,
        session: SessionKey,
        connection: ConnectionId,
        paths: Rc<[u8]>,
        member_terms: &MemberTerms<'_>,
    ) {
        self.remove_member(session, member_terms.user);
        let member = RoomMember {
            session,
            connection,
            paths,
            max_size: member_terms.max_size.unwrap_or(u64::MAX),
            class: self.lists.join(session, member_terms.accepts),
            receives: member_terms.receives,
            takes_private: member_terms.takes_private,
        };
        self.places.insert(session, self.members.len());
        self.members.push(member);
        self.users.entry(member_terms.user.clone()).or_default().push(session);
        self.know_as(member_terms.user, member_terms.aliases);
    }

    /// Removes a session. Returns whether its user has no other.
    pub fn remove_member(&mut self, session: SessionKey, user: &Aor) -> bool {
        if let Some(place) = self.places.remove(&session) {
            let left = self.members.swap_remove(place);
            self.lists.leave(session, left.class);
            if let Some(moved) = self.members.get(place) {
                self.places.insert(moved.session, place);
            }
        }
        let Some(sessions) = self.users.get_mut(user) else { return true };
        sessions.retain(|other| *other != session);
        let gone = sessions.is_empty();
        if gone {
            self.users.remove(user);
            self.know_as(user, &[]);
        }
        gone
    }

    /// Which lists of accepted types have this one. A type that cannot be read (`None`) goes to those who take everything.
    #[must_use]
    pub fn match_type<'a>(&'a self, media_type: Option<&'a str>) -> TypeMatches<'a> {
        self.lists.match_type(media_type)
    }

    /// The same for one member alone.
    #[must_use]
    pub fn accepts(&self, member: &RoomMember, media_type: Option<&str>) -> bool {
        self.lists.accepts(member.session, member.class, media_type)
    }

    /// Puts these other addresses of a user in place of those it had.
    fn know_as(&mut self, user: &Aor, aliases: &[Aor]) {
        for old in self.aliases_of.remove(user).into_iter().flatten() {
            if self.aliases.get(&old) == Some(user) {
                self.aliases.remove(&old);
            }
        }
        let others: Box<[Aor]> = aliases.iter().filter(|alias| *alias != user).cloned().collect();
        if !others.is_empty() {
            self.aliases.extend(others.iter().map(|alias| (alias.clone(), user.clone())));
            self.aliases_of.insert(user.clone(), others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SHARED_TYPE_LISTS_MAX;
    use slotmap::KeyData;

    fn key(n: u64) -> SessionKey {
        KeyData::from_ffi(1 << 32 | n).into()
    }

    fn add(roster: &mut Roster, n: u64, user: &Aor, accepts: Option<&str>) {
        let accepts = accepts.map(AcceptTypes::parse);
        let member_terms = MemberTerms {
            user,
            aliases: &[],
            max_size: None,
            accepts: accepts.as_ref(),
            receives: true,
            takes_private: true,
        };
        roster.add_member(key(n), KeyData::from_ffi(1 << 32 | n).into(), Rc::from(&b""[..]), &member_terms);
    }

    #[test]
    fn a_user_is_a_member_once_for_each_session() {
        let mut roster = Roster::default();
        let (alice, bob) = (Aor::parse(b"sip:alice@x").unwrap(), Aor::parse(b"sip:bob@x").unwrap());
        add(&mut roster, 1, &alice, None);
        add(&mut roster, 2, &alice, None);
        add(&mut roster, 3, &bob, None);
        assert_eq!((roster.members().len(), roster.users.len()), (3, 2));
        assert_eq!(roster.sessions_of(&alice), [key(1), key(2)]);
        assert!(!roster.remove_member(key(1), &alice), "the other device is still here");
        assert!(roster.remove_member(key(2), &alice));
        assert!(roster.sessions_of(&alice).is_empty());
        add(&mut roster, 3, &bob, None);
        assert_eq!(roster.members().len(), 1, "added again is no second member");
    }

    #[test]
    fn a_user_is_reached_by_each_of_its_addresses_while_it_is_here() {
        let mut roster = Roster::default();
        let (alice, phone) = (Aor::parse(b"sip:alice@x").unwrap(), Aor::parse(b"tel:+1").unwrap());
        let aliases = [phone.clone(), alice.clone()];
        let member_terms = MemberTerms {
            user: &alice,
            aliases: &aliases,
            max_size: None,
            accepts: None,
            receives: true,
            takes_private: true,
        };
        for n in [1, 2] {
            roster.add_member(key(n), KeyData::from_ffi(1 << 32 | n).into(), Rc::from(&b""[..]), &member_terms);
        }
        assert_eq!(roster.sessions_of(&phone), [key(1), key(2)]);
        assert_eq!(roster.users.len(), 1);
        roster.remove_member(key(1), &alice);
        assert_eq!(roster.sessions_of(&phone), [key(2)]);
        roster.remove_member(key(2), &alice);
        assert!(roster.sessions_of(&phone).is_empty() && roster.aliases.is_empty() && roster.aliases_of.is_empty());
    }

    fn users(count: usize) -> Vec<Aor> {
        (0..count).map(|n| Aor::parse(format!("sip:u{n}@x").as_bytes()).unwrap()).collect()
    }

    /// What each member takes, asked both ways.
    fn takes(roster: &Roster, media_type: Option<&str>) -> Vec<bool> {
        let matches = roster.match_type(media_type);
        let one_by_one: Vec<_> = roster.members().iter().map(|member| roster.accepts(member, media_type)).collect();
        let at_once: Vec<_> = roster.members().iter().map(|member| matches.accepts(member)).collect();
        assert_eq!(one_by_one, at_once);
        assert!(!matches.all() || at_once.iter().all(|taken| *taken));
        at_once
    }

    #[test]
    fn a_type_is_matched_once_for_each_list() {
        let mut roster = Roster::default();
        let users = users(4);
        for (n, accepts) in [None, Some("text/*"), Some("text/*"), Some("image/png")].into_iter().enumerate() {
            add(&mut roster, n as u64, &users[n], accepts);
        }
        assert_eq!(roster.lists.counts(), (2, 0));
        assert_eq!(takes(&roster, Some("text/plain")), [true, true, true, false]);
        assert_eq!(takes(&roster, Some("image/png")), [true, false, false, true]);
    }

    #[test]
    fn a_type_that_cannot_be_read_goes_to_those_who_take_everything() {
        let mut roster = Roster::default();
        let users = users(3);
        for (n, accepts) in [None, Some("text/*"), Some("*")].into_iter().enumerate() {
            add(&mut roster, n as u64, &users[n], accepts);
        }
        assert_eq!(takes(&roster, None), [true, false, true]);
    }

    #[test]
    fn a_list_is_forgotten_with_its_last_member() {
        let mut roster = Roster::default();
        let users = users(2);
        add(&mut roster, 0, &users[0], Some("text/plain"));
        for n in 0..10 * SHARED_TYPE_LISTS_MAX {
            add(&mut roster, 1, &users[1], Some(&format!("x/y{n}")));
            assert_eq!(roster.lists.counts(), (2, 0), "nobody has the one before any more");
        }
        assert_eq!(takes(&roster, Some("text/plain")), [true, false]);
        add(&mut roster, 1, &users[1], None);
        assert_eq!(roster.lists.counts(), (1, 0));
        assert!(roster.match_type(Some("text/plain")).all());
    }

    #[test]
    fn more_lists_than_are_shared_are_asked_member_by_member() {
        let mut roster = Roster::default();
        let count = SHARED_TYPE_LISTS_MAX + 3;
        let users = users(count);
        for (n, user) in users.iter().enumerate() {
            add(&mut roster, n as u64, user, Some(&format!("x/y{n} text/plain")));
        }
        assert_eq!(roster.lists.counts(), (SHARED_TYPE_LISTS_MAX, 3));
        for n in 0..count {
            let expected: Vec<_> = (0..count).map(|member| member == n).collect();
            assert_eq!(takes(&roster, Some(&format!("x/y{n}"))), expected, "nobody is sent what it refuses");
        }
        assert_eq!(takes(&roster, Some("text/plain")), vec![true; count]);
        assert_eq!(takes(&roster, None), vec![false; count]);
        roster.remove_member(key(count as u64 - 1), &users[count - 1]);
        roster.remove_member(key(0), &users[0]);
        assert_eq!(roster.lists.counts(), (SHARED_TYPE_LISTS_MAX - 1, 2));
    }
}
