//! The rooms there are, who is in them, and when they go.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::roster::Roster;
use crate::call::matches_any;
use crate::facts::{CREATOR, Delete, RoomPolicy};
use crate::ids::{RoomId, ShardId};
use crate::limits::{MASKS_PER_ROOM_MAX, PARTS_KEPT_FOR_OTHERS};
use crate::shares::{Claim, Share, Shares};
use parlor_proto::uri::Aor;

/// One room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) name: Arc<str>,
    pub(super) shard: ShardId,
    pub(super) policy: Arc<RoomPolicy>,
    /// Whether its shard was told last that it exists, not that it closes.
    pub(super) open: bool,
    /// Sessions of each user.
    users: HashMap<Aor, usize>,
    /// Sessions of those who are known to us, by who they are: an anonymous one is the same here.
    accounts: HashMap<Aor, usize>,
    creator: Option<Aor>,
    /// Somebody in it has acknowledged our 200, or has answered our call, since it was opened. Until then it is not there to stay: whoever
    /// made it may be nobody.
    confirmed: bool,
    /// What it counts for whoever made it.
    share: Option<Share>,
    /// As whom those were here who have left and whom only we know, the latest last.
    masks: VecDeque<(Aor, Aor)>,
    pub(super) roster: Roster,
    /// Changes of the roster wait for the end of their interval.
    pub(super) publishing: bool,
}

/// What follows from somebody's leaving.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing.
    Others,
    /// The room is to be closed.
    Empty,
    /// Everybody else is to leave too (RFC 7701 §5.3).
    Dissolved,
}

impl Room {
    /// Users, however many sessions they have.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    pub(super) fn has(&self, user: &Aor) -> bool {
        self.users.contains_key(user)
    }

    /// Whether it is there because of a user.
    pub(super) fn is_creator(&self, user: &Aor) -> bool {
        self.creator.as_ref() == Some(user)
    }

    /// Whether somebody is here, seen or unseen.
    pub(super) fn has_account(&self, account: &Aor) -> bool {
        self.accounts.contains_key(account)
    }

    /// Notes who is behind a session that enters.
    pub(super) fn enter_account(&mut self, account: &Aor) {
        *self.accounts.entry(account.clone()).or_default() += 1;
    }

    /// Forgets it again.
    pub(super) fn leave_account(&mut self, account: &Aor) {
        if let Some(sessions) = self.accounts.get_mut(account) {
            *sessions -= 1;
            if *sessions == 0 {
                self.accounts.remove(account);
            }
        }
    }

    /// An account has left that was hidden behind `mask`.
    pub(super) fn put_mask(&mut self, account: &Aor, mask: &Aor) {
        self.take_mask(account);
        if self.masks.len() >= MASKS_PER_ROOM_MAX {
            self.masks.pop_front();
        }
        self.masks.push_back((account.clone(), mask.clone()));
    }

    /// The mask of an account that comes back.
    pub(super) fn take_mask(&mut self, account: &Aor) -> Option<Aor> {
        let at = self.masks.iter().position(|(known, _)| known == account)?;
        self.masks.remove(at).map(|(_, mask)| mask)
    }

    /// Whether somebody may bring others in and send them away.
    /// Patterns are about who it is, not about what the others see.
    pub(super) fn is_moderated_by(&self, user: &Aor, account: Option<&Aor>) -> bool {
        let made = self.is_creator(user);
        let patterns = self.policy.moderators.iter().map(String::as_str);
        patterns.clone().any(|name| name == CREATOR && made)
            || matches_any(patterns.filter(|name| *name != CREATOR), account.unwrap_or(user))
    }

    /// Whether anybody has made it: one that waits for its first, or for its first again, is yet to be made.
    pub(super) fn is_made(&self) -> bool {
        self.creator.is_some()
    }

    /// Somebody has made the room without being in it.
    pub(super) fn made_by(&mut self, user: &Aor) {
        self.creator.get_or_insert_with(|| user.clone());
    }

    pub(super) fn enter(&mut self, user: &Aor) {
        self.creator.get_or_insert_with(|| user.clone());
        *self.users.entry(user.clone()).or_default() += 1;
    }

    pub(super) fn leave(&mut self, user: &Aor) -> Left {
        let Some(sessions) = self.users.get_mut(user) else { return Left::Others };
        *sessions -= 1;
        if *sessions > 0 {
            return Left::Others;
        }
        self.users.remove(user);
        let created = self.creator.as_ref() == Some(user);
        match self.policy.delete {
            Delete::Never if self.confirmed => Left::Others,
            _ if self.users.is_empty() => Left::Empty,
            Delete::WhenCreatorLeaves if created => Left::Dissolved,
            _ => Left::Others,
        }
    }

    /// Whether it stays when nobody is in it.
    pub(super) fn is_to_stay(&self) -> bool {
        self.policy.delete == Delete::Never && self.confirmed
    }

    /// Marks it as closing; whoever joins it next has made it.
    pub(super) fn close(&mut self) {
        self.open = false;
        self.confirmed = false;
        self.creator = None;
    }
}

/// All rooms. A closing room keeps its name, and with it its shard, until nothing of it is left there.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) shares: Shares,
    by_id: HashMap<RoomId, Room>,
    by_name: HashMap<Arc<str>, RoomId>,
    last: u64,
}

impl Rooms {
    /// None yet, and so many at a time; 0 is no limit.
    pub(super) fn new(max: usize) -> Self {
        let mut rooms = Self { shares: Shares::new(0, PARTS_KEPT_FOR_OTHERS), ..Self::default() };
        rooms.set_max(max);
        rooms
    }

    /// So many rooms at a time from now on; 0 is no limit.
    pub(super) fn set_max(&mut self, max: usize) {
        self.shares.set_max(if max == 0 { usize::MAX } else { max });
    }

    /// Somebody in a room has shown that it hears us.
    pub(super) fn confirm(&mut self, id: RoomId) {
        if let Some(room) = self.by_id.get_mut(&id) {
            room.confirmed = true;
            room.share.iter_mut().for_each(|share| self.shares.prove(share));
        }
    }

    /// Somebody opens a room: it counts for them.
    pub(super) fn made_again(&mut self, id: RoomId, maker: &Claim) {
        if let Some(room) = self.by_id.get_mut(&id) {
            room.share.take().into_iter().for_each(|share| self.shares.give_back(share));
            room.share = Some(self.shares.take(maker, 1));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Room> {
        self.by_id.get(self.by_name.get(name)?)
    }

    pub(super) fn get(&self, id: RoomId) -> Option<&Room> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: RoomId) -> Option<&mut Room> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Room> {
        self.by_id.values_mut()
    }

    /// Makes a room; the caller has seen that there is none of that name, and that the maker may.
    pub(super) fn make(&mut self, name: &str, shard: ShardId, policy: Arc<RoomPolicy>, maker: &Claim) -> &mut Room {
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
            masks: VecDeque::new(),
            roster: Roster::default(),
            publishing: false,
        };
        self.by_id.entry(id).or_insert(room)
    }

    /// Forgets a room of which nothing is left; `None` where it was opened again meanwhile, or is not known.
    pub(super) fn forget(&mut self, id: RoomId) -> Option<Room> {
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
        rooms.made_again(id, &other);
        assert_eq!((rooms.shares.of(&maker().holder), rooms.shares.of(&other.holder)), (0, 1));
        rooms.confirm(id);
        assert!(rooms.shares.proves(&other.holder) && rooms.get(id).unwrap().is_to_stay());
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
    fn the_latest_mask_of_an_account_is_known_once_and_not_for_ever() {
        let mut rooms = Rooms::default();
        let room = room(&mut rooms, Delete::Never);
        room.put_mask(&user("ann"), &user("owl"));
        room.put_mask(&user("ann"), &user("fox"));
        assert_eq!((room.take_mask(&user("ann")), room.take_mask(&user("ann"))), (Some(user("fox")), None));
        for n in 0..=MASKS_PER_ROOM_MAX {
            room.put_mask(&user(&format!("user-{n}")), &user("owl"));
        }
        assert_eq!(room.masks.len(), MASKS_PER_ROOM_MAX);
        assert!(room.take_mask(&user("user-0")).is_none() && room.take_mask(&user("user-1")).is_some());
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
