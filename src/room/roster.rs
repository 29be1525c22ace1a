//! Who is in a room: one seat for each session that is bound, and the seats of each user (RFC 7701 §6.1: a URI is mapped to
//! every session of its user).

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::ids::{ConnectionId, KeyHasher, SessionKey};
use crate::sdp::AcceptTypes;
use crate::uri::Aor;

/// What the fan-out needs to know of one session, kept together so that a message to the room walks one array.
#[derive(Debug)]
pub struct Seat {
    /// Whose seat it is.
    pub session: SessionKey,
    /// The connection that carries the session.
    pub connection: ConnectionId,
    /// The session's To-Path and From-Path lines.
    pub paths: Rc<[u8]>,
    /// Octets of the largest message it takes.
    pub max_size: u64,
    /// Which of the roster's lists of accepted types is its.
    class: u16,
    /// Whether it can receive at all (RFC 3264 §5.1).
    pub receives: bool,
    /// Whether it takes private messages (RFC 7701 §6.2).
    pub takes_private: bool,
}

/// What a session brings to its seat.
#[derive(Debug)]
pub struct Seating<'a> {
    /// The user.
    pub user: &'a Aor,
    /// Other addresses that messages reach the user by.
    pub aliases: &'a [Aor],
    /// As [`Seat::max_size`]; `None` is no limit.
    pub max_size: Option<u64>,
    /// `accept-wrapped-types`; `None` takes everything.
    pub accepts: Option<&'a AcceptTypes>,
    /// As [`Seat::receives`].
    pub receives: bool,
    /// As [`Seat::takes_private`].
    pub takes_private: bool,
}

/// The seats of a room.
#[derive(Debug, Default)]
pub struct Roster {
    seats: Vec<Seat>,
    places: HashMap<SessionKey, usize, BuildHasherDefault<KeyHasher>>,
    users: HashMap<Aor, SmallVec<[SessionKey; 1]>>,
    /// Users by their other addresses, and these by their users.
    aliases: HashMap<Aor, Aor>,
    aliases_of: HashMap<Aor, Box<[Aor]>>,
    /// Every list of accepted types that a seat has or had, each once. The first takes everything. Lists that no seat has
    /// any more stay until the roster is empty or has as many as it may.
    classes: Vec<Option<AcceptTypes>>,
}

/// Lists of accepted types that a roster keeps apart. Real clients have a handful; seats beyond that are asked one by one.
const CLASSES_MAX: usize = 1024;

/// For each list of accepted types whether it has the type of one message.
#[derive(Debug, Default)]
pub struct Verdicts(SmallVec<[bool; 16]>);

impl Verdicts {
    /// Whether the seat takes the message's type.
    #[must_use]
    pub fn accepts(&self, seat: &Seat) -> bool {
        self.0.get(usize::from(seat.class)).copied().unwrap_or(true)
    }

    /// Whether every seat takes it.
    #[must_use]
    pub fn all(&self) -> bool {
        self.0.iter().all(|verdict| *verdict)
    }
}

impl Roster {
    /// The seats, in no order that means anything.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The seat of a session.
    #[must_use]
    pub fn seat(&self, session: SessionKey) -> Option<&Seat> {
        self.places.get(&session).map(|place| &self.seats[*place])
    }

    /// The sessions of a user, by any of its addresses; none where nobody of that address is here.
    #[must_use]
    pub fn sessions_of(&self, user: &Aor) -> &[SessionKey] {
        let found = self.users.get(user).or_else(|| self.users.get(self.aliases.get(user)?));
        found.map_or(&[], |sessions| sessions.as_slice())
    }

    /// Gives a session its seat, or changes the one it has.
    pub fn sit(&mut self, session: SessionKey, connection: ConnectionId, paths: Rc<[u8]>, seating: &Seating<'_>) {
        self.leave(session, seating.user);
        let seat = Seat {
            session,
            connection,
            paths,
            max_size: seating.max_size.unwrap_or(u64::MAX),
            class: self.class_of(seating.accepts),
            receives: seating.receives,
            takes_private: seating.takes_private,
        };
        self.places.insert(session, self.seats.len());
        self.seats.push(seat);
        self.users.entry(seating.user.clone()).or_default().push(session);
        self.know_as(seating.user, seating.aliases);
    }

    /// Takes a session's seat away. Answers whether its user has no other.
    pub fn leave(&mut self, session: SessionKey, user: &Aor) -> bool {
        if let Some(place) = self.places.remove(&session) {
            self.seats.swap_remove(place);
            if let Some(moved) = self.seats.get(place) {
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
        if self.seats.is_empty() {
            self.classes.clear();
        }
        gone
    }

    /// Which lists of accepted types have this one. `None` is one that cannot be read; it is for who takes everything.
    #[must_use]
    pub fn verdicts(&self, content_type: Option<&str>) -> Verdicts {
        let has = |list: &AcceptTypes| content_type.is_some_and(|content_type| list.accepts(content_type));
        Verdicts(self.classes.iter().map(|list| list.as_ref().is_none_or(has)).collect())
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

    fn class_of(&mut self, accepts: Option<&AcceptTypes>) -> u16 {
        if self.classes.is_empty() {
            self.classes.push(None);
        }
        let Some(accepts) = accepts.filter(|list| !list.accepts_everything()) else { return 0 };
        let known = self.classes.iter().position(|list| list.as_ref() == Some(accepts));
        let class = known.unwrap_or_else(|| {
            // A roster with that many different lists is an attack; one too many is taken for a list of everything.
            if self.classes.len() >= CLASSES_MAX {
                return 0;
            }
            self.classes.push(Some(accepts.clone()));
            self.classes.len() - 1
        });
        u16::try_from(class).unwrap_or(0)
    }
}

const _: () = assert!(CLASSES_MAX <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::KeyData;

    fn key(n: u64) -> SessionKey {
        KeyData::from_ffi(1 << 32 | n).into()
    }

    fn sit(roster: &mut Roster, n: u64, user: &Aor, accepts: Option<&str>) {
        let accepts = accepts.map(AcceptTypes::parse);
        let seating = Seating {
            user,
            aliases: &[],
            max_size: None,
            accepts: accepts.as_ref(),
            receives: true,
            takes_private: true,
        };
        roster.sit(key(n), KeyData::from_ffi(1 << 32 | n).into(), Rc::from(&b""[..]), &seating);
    }

    #[test]
    fn a_user_has_as_many_seats_as_sessions() {
        let mut roster = Roster::default();
        let (alice, bob) = (Aor::parse(b"sip:alice@x").unwrap(), Aor::parse(b"sip:bob@x").unwrap());
        sit(&mut roster, 1, &alice, None);
        sit(&mut roster, 2, &alice, None);
        sit(&mut roster, 3, &bob, None);
        assert_eq!((roster.seats().len(), roster.users.len()), (3, 2));
        assert_eq!(roster.sessions_of(&alice), [key(1), key(2)]);
        assert!(!roster.leave(key(1), &alice), "the other device is still here");
        assert!(roster.leave(key(2), &alice));
        assert!(roster.sessions_of(&alice).is_empty());
        sit(&mut roster, 3, &bob, None);
        assert_eq!(roster.seats().len(), 1, "sitting down again is no second seat");
    }

    #[test]
    fn a_user_is_reached_by_each_of_its_addresses_while_it_is_here() {
        let mut roster = Roster::default();
        let (alice, phone) = (Aor::parse(b"sip:alice@x").unwrap(), Aor::parse(b"tel:+1").unwrap());
        let aliases = [phone.clone(), alice.clone()];
        let seating = Seating {
            user: &alice,
            aliases: &aliases,
            max_size: None,
            accepts: None,
            receives: true,
            takes_private: true,
        };
        for n in [1, 2] {
            roster.sit(key(n), KeyData::from_ffi(1 << 32 | n).into(), Rc::from(&b""[..]), &seating);
        }
        assert_eq!(roster.sessions_of(&phone), [key(1), key(2)]);
        assert_eq!(roster.users.len(), 1);
        roster.leave(key(1), &alice);
        assert_eq!(roster.sessions_of(&phone), [key(2)]);
        roster.leave(key(2), &alice);
        assert!(roster.sessions_of(&phone).is_empty() && roster.aliases.is_empty() && roster.aliases_of.is_empty());
    }

    #[test]
    fn types_are_asked_once_a_list() {
        let mut roster = Roster::default();
        let users: Vec<_> = (0..4).map(|n| Aor::parse(format!("sip:u{n}@x").as_bytes()).unwrap()).collect();
        for (n, accepts) in [None, Some("text/*"), Some("text/*"), Some("image/png")].into_iter().enumerate() {
            sit(&mut roster, n as u64, &users[n], accepts);
        }
        assert_eq!(roster.classes.len(), 3);
        let takes = |verdicts: Verdicts| roster.seats().iter().map(|seat| verdicts.accepts(seat)).collect::<Vec<_>>();
        assert_eq!(takes(roster.verdicts(Some("text/plain"))), [true, true, true, false]);
        assert_eq!(takes(roster.verdicts(Some("image/png"))), [true, false, false, true]);
        assert_eq!(takes(roster.verdicts(None)), [true, false, false, false]);
    }
}
