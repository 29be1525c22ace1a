//! The rooms of the focus, by id and by name.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::facts::RoomPolicy;
use crate::focus::store::room::Room;
use crate::focus::store::roster::Roster;
use crate::ids::{RoomId, ShardId};
use crate::limits::PARTS_KEPT_FOR_OTHERS;
use crate::shares::{Claim, Shares};

/// All rooms. A closing room keeps its name, and with it its shard, until nothing of it is left there.
#[derive(Debug, Default)]
pub struct Rooms {
    pub shares: Shares,
    by_id: HashMap<RoomId, Room>,
    by_name: HashMap<Arc<str>, RoomId>,
    last: u64,
}

impl Rooms {
    /// An empty store for at most `max` rooms; 0 is no limit.
    pub fn new(max: usize) -> Self {
        let mut rooms = Self { shares: Shares::new(0, PARTS_KEPT_FOR_OTHERS), ..Self::default() };
        rooms.set_max(max);
        rooms
    }

    /// Sets the maximum number of rooms; 0 is no limit.
    pub fn set_max(&mut self, max: usize) {
        self.shares.set_max(if max == 0 { usize::MAX } else { max });
    }

    /// Notes that a user of a room has proved that it receives our messages.
    pub fn confirm(&mut self, id: RoomId) {
        if let Some(room) = self.by_id.get_mut(&id) {
            room.confirmed = true;
            room.share.iter_mut().for_each(|share| self.shares.prove(share));
        }
    }

    /// Charges a room that is opened again to `maker`.
    pub fn charge(&mut self, id: RoomId, maker: &Claim) {
        if let Some(room) = self.by_id.get_mut(&id) {
            room.share.take().into_iter().for_each(|share| self.shares.give_back(share));
            room.share = Some(self.shares.take(maker, 1));
        }
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn find(&self, name: &str) -> Option<&Room> {
        self.by_id.get(self.by_name.get(name)?)
    }

    pub fn get(&self, id: RoomId) -> Option<&Room> {
        self.by_id.get(&id)
    }

    pub fn get_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        self.by_id.get_mut(&id)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Room> {
        self.by_id.values_mut()
    }

    /// Creates a room. The caller has checked that its name is free and that `maker` has room in its share.
    pub fn make(&mut self, name: &str, shard: ShardId, policy: Arc<RoomPolicy>, maker: &Claim) -> &mut Room {
        self.last += 1;
        let (id, name): (_, Arc<str>) = (RoomId(self.last), name.into());
        self.by_name.insert(name.clone(), id);
        let room = Room {
            id,
            name,
            shard,
            policy,
            open: false,
            users: HashMap::new(),
            accounts: HashMap::new(),
            creator: None,
            confirmed: false,
            share: Some(self.shares.take(maker, 1)),
            aliases: VecDeque::new(),
            roster: Roster::default(),
            publishing: false,
        };
        self.by_id.entry(id).or_insert(room)
    }

    /// Removes a closed room; `None` where it was opened again meanwhile, or is not known.
    pub fn forget(&mut self, id: RoomId) -> Option<Room> {
        if self.by_id.get(&id)?.open {
            return None;
        }
        let mut room = self.by_id.remove(&id)?;
        self.by_name.remove(&room.name);
        room.share.take().into_iter().for_each(|share| self.shares.give_back(share));
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Delete;
    use crate::focus::store::room::Left;
    use crate::limits::ALIASES_PER_ROOM_MAX;
    use parlor_proto::uri::Aor;

    fn user(name: &str) -> Aor {
        Aor::new(name, "example.com").unwrap()
    }

    fn maker() -> Claim {
        Claim::at(std::net::IpAddr::from([192, 0, 2, 7]), crate::shares::Reach::Unproved)
    }

    #[test]
    fn a_room_that_nobody_confirmed_does_not_last_and_counts_for_whoever_opened_it_last() {
        let mut rooms = Rooms::new(10);
        let id = room(&mut rooms, Delete::Never).id;
        rooms.get_mut(id).unwrap().confirmed = false;
        let left = ["ann", "ann", "ben"].map(|name| rooms.get_mut(id).unwrap().leave(&user(name)));
        assert_eq!(left, [Left::Others, Left::Others, Left::Empty]);
        let other = Claim::at(std::net::IpAddr::from([192, 0, 2, 8]), crate::shares::Reach::Unproved);
        rooms.charge(id, &other);
        assert_eq!((rooms.shares.of(&maker().holder), rooms.shares.of(&other.holder)), (0, 1));
        rooms.confirm(id);
        assert!(rooms.shares.proves(&other.holder) && rooms.get(id).unwrap().is_permanent());
        rooms.get_mut(id).unwrap().close();
        assert!(rooms.forget(id).is_some());
        assert_eq!(rooms.shares.held(), 0);
    }

    fn room(rooms: &mut Rooms, delete: Delete) -> &mut Room {
        let policy = RoomPolicy { delete, ..RoomPolicy::default() };
        let room = rooms.make("lobby", ShardId(0), Arc::new(policy), &maker());
        room.open = true;
        room.confirmed = true;
        for name in ["ann", "ann", "ben"] {
            room.enter(&user(name));
        }
        room
    }

    #[test]
    fn a_user_has_left_with_the_last_of_its_sessions() {
        let mut rooms = Rooms::default();
        let room = room(&mut rooms, Delete::WhenEmpty);
        assert_eq!((room.users(), room.leave(&user("ann"))), (2, Left::Others));
        assert!(room.has(&user("ann")));
        assert_eq!((room.leave(&user("ann")), room.users()), (Left::Others, 1));
        assert_eq!(room.leave(&user("nobody")), Left::Others);
        assert_eq!(room.leave(&user("ben")), Left::Empty);
    }

    #[test]
    fn a_room_goes_with_its_creator_or_never() {
        let mut rooms = Rooms::default();
        let room_of_ann = room(&mut rooms, Delete::WhenCreatorLeaves);
        assert_eq!(room_of_ann.leave(&user("ann")), Left::Others);
        assert_eq!(room_of_ann.leave(&user("ann")), Left::Dissolved);
        assert_eq!(room_of_ann.leave(&user("ben")), Left::Empty);
        let mut rooms = Rooms::default();
        let lasting = room(&mut rooms, Delete::Never);
        assert!(["ann", "ann", "ben"].iter().all(|name| lasting.leave(&user(name)) == Left::Others));
    }

    #[test]
    fn the_latest_alias_of_an_account_is_remembered_and_taken_once() {
        let mut rooms = Rooms::default();
        let room = room(&mut rooms, Delete::Never);
        room.remember_alias(&user("ann"), &user("owl"));
        room.remember_alias(&user("ann"), &user("fox"));
        assert_eq!((room.take_alias(&user("ann")), room.take_alias(&user("ann"))), (Some(user("fox")), None));
        for n in 0..=ALIASES_PER_ROOM_MAX {
            room.remember_alias(&user(&format!("user-{n}")), &user("owl"));
        }
        assert_eq!(room.aliases.len(), ALIASES_PER_ROOM_MAX);
        assert!(room.take_alias(&user("user-0")).is_none() && room.take_alias(&user("user-1")).is_some());
    }

    #[test]
    fn a_closing_room_keeps_its_name_until_it_is_forgotten() {
        let mut rooms = Rooms::default();
        let id = room(&mut rooms, Delete::WhenEmpty).id;
        assert!(rooms.forget(id).is_none());
        rooms.get_mut(id).unwrap().close();
        assert_eq!(rooms.find("lobby").map(|room| room.id), Some(id));
        assert!(rooms.forget(id).is_some());
        assert!(rooms.find("lobby").is_none() && rooms.forget(id).is_none());
        assert_ne!(room(&mut rooms, Delete::WhenEmpty).id, id);
    }
}
