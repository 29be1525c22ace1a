//! Who reads a room's log, and what is appended to it; see [`super::room_log`].

use std::cell::OnceCell;

use super::connection::{Connection, Sending};
use super::frame::{Body, Frame, Seed};
use super::piece_sink::{BoundedSink, PieceSink};
use super::room_log::{Content, Page, Place, Said};
use super::state::Outlets;
use crate::ids::{ConnectionId, RoomKey, SessionKey};
use crate::limits::SPARE_PAGES_MAX;
use crate::room::Seat;

impl Outlets {
    /// Who sits in a room and does not follow, one after the other.
    pub fn other(&self, room: RoomKey, at: usize) -> Option<SessionKey> {
        self.logs.get(room)?.others.get(at).map(|(session, _)| *session)
    }

    /// Says something to everybody who follows a room, its sender left out: once, whatever their number. Answers the transaction
    /// id and how many copies it will be. `None`: not everybody who follows can take it that way.
    pub fn say(&mut self, room: RoomKey, from: ConnectionId, seed: &Seed<'_>) -> Option<(u64, u32)> {
        let log = self.logs.get_mut(room)?;
        let mut place = self.connections.get_mut(from).and_then(|c| c.place.as_mut()).filter(|place| place.follows);
        let copies = log.followers.len() - usize::from(place.is_some());
        if copies == 0 || seed.body.len() as u64 > log.size_max {
            return None;
        }
        if log.page.said.is_empty() {
            self.stamp += 1;
            log.page = Page { number: self.stamp, ..self.spare.pop().unwrap_or_default() };
        }
        let page = &mut log.page;
        let start = page.octets.len();
        let (tid, len, content) = match seed.body {
            Body::Shared(..) => {
                let (tid, frame) = Frame::new(seed, &mut self.rng);
                (tid, frame.len(), Content::Framed(frame))
            }
            Body::None | Body::Copied(_) => {
                let (tid, split) = Frame::write(seed, &mut self.rng, &mut page.octets);
                let end = page.octets.len();
                let content = Content::Logged { start, split: start + split, end, frame: OnceCell::new() };
                (tid, end - start, content)
            }
        };
        let after = page.len + len + (page.said.len() + 1) * log.paths_max;
        if !page.said.is_empty() && after > self.outbox_max {
            // Somebody's bound may be reached: each is asked.
            page.octets.truncate(start);
            return None;
        }
        page.len += len;
        page.said.push(Said { from, len, content });
        log.behind = log.followers.len();
        if let Some(place) = place.as_mut().filter(|place| place.next + 1 == log.end()) {
            // Nothing but its own words is new to the sender.
            log.has_read(place);
        }
        self.pressing |= after > self.outbox_max / 2;
        if !std::mem::replace(&mut log.fresh, true) {
            self.fresh.push(room);
        }
        self.counters.deliveries += copies as u64;
        Some((tid, copies as u32))
    }

    /// Marks the followers of every room that has something new.
    pub fn mark_followers(&mut self) {
        // In the order in which they spoke: who came first must not be sent to last.
        let mut fresh = std::mem::take(&mut self.fresh);
        for room in fresh.drain(..) {
            let Some(log) = self.logs.get_mut(room) else { continue };
            log.fresh = false;
            for at in 0..log.followers.len() {
                let id = log.followers[at];
                let Some(connection) = self.connections.get_mut(id) else { continue };
                let Some(place) = &mut connection.place else { continue };
                if log.unread(place).iter().all(|said| said.from == id) {
                    // Its own words alone.
                    log.has_read(place);
                } else if connection.state == Sending::Idle {
                    connection.state = Sending::Dirty;
                    self.dirty.push(id);
                }
            }
            self.empty_when_read(room);
        }
        self.fresh = fresh;
    }

    pub fn empty_when_read(&mut self, room: RoomKey) {
        let Some(log) = self.logs.get_mut(room) else { return };
        if log.behind > 0 || log.page.said.is_empty() {
            return;
        }
        log.first = log.end();
        let mut page = std::mem::take(&mut log.page);
        page.clear();
        if self.spare.len() < SPARE_PAGES_MAX {
            self.spare.push(page);
        }
    }

    /// A session has sat down, or sits differently.
    pub fn sit(&mut self, room: RoomKey, id: ConnectionId, session: SessionKey, seat: &Seat) {
        let Some(log) = self.logs.get_mut(room) else { return };
        let Some(connection) = self.connections.get_mut(id) else { return };
        let index = log.others.len();
        log.others.push((session, id));
        if connection.sessions.as_slice() == [session] {
            let (paths, receives, max_size) = (seat.paths.clone(), seat.receives, seat.max_size);
            connection.place = Some(Place { room, session, paths, receives, max_size, follows: false, index, next: 0 });
            self.follow(id);
        } else {
            // Several sessions on a connection need copies of their own.
            self.part(id);
            if let Some(connection) = self.connections.get_mut(id) {
                connection.place = None;
            }
        }
    }

    /// A session has stood up. What was said before it did is still for it.
    pub fn stand(&mut self, room: RoomKey, id: Option<ConnectionId>, session: SessionKey) {
        let connection = id.and_then(|id| self.connections.get(id));
        let place = connection.and_then(|connection| connection.place.as_ref());
        let index = match (id, place.filter(|place| place.session == session && place.room == room)) {
            (Some(id), Some(_)) => {
                self.part(id);
                self.connections.get_mut(id).and_then(|connection| connection.place.take()).map(|place| place.index)
            }
            _ => self.logs.get(room).and_then(|log| log.others.iter().position(|(other, _)| *other == session)),
        };
        if let Some(index) = index {
            self.leave_others(room, index);
        }
    }

    /// A connection whose messages have all left reads the log again, if nothing is in the way.
    pub fn follow(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let free = connection.state != Sending::Blocked && connection.outbox.message_bytes() == 0;
        if !free || connection.closing || connection.congestion.is_congested() {
            return;
        }
        let Some(place) = connection.place.as_mut().filter(|place| place.receives && !place.follows) else { return };
        let Some(log) = self.logs.get_mut(place.room) else { return };
        let (room, index) = (place.room, place.index);
        place.follows = true;
        place.index = log.followers.len();
        place.next = log.end();
        if log.followers.is_empty() {
            (log.size_max, log.paths_max) = (u64::MAX, 0);
        }
        log.size_max = log.size_max.min(place.max_size);
        log.paths_max = log.paths_max.max(place.paths.len());
        log.followers.push(id);
        self.leave_others(room, index);
    }

    /// A connection reads the log no more: what it has not read moves into its outbox.
    pub fn part(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(place) = connection.place.as_mut().filter(|place| place.follows) else { return };
        let Some(log) = self.logs.get_mut(place.room) else { return };
        for said in log.unread(place).iter().filter(|said| said.from != id) {
            connection.outbox.push(said.frame(&log.page.octets).clone(), place.paths.clone());
        }
        log.has_read(place);
        let (room, index) = (place.room, place.index);
        place.follows = false;
        place.index = log.others.len();
        log.others.push((place.session, id));
        log.followers.swap_remove(index);
        if let Some(moved) = log.followers.get(index).and_then(|moved| self.connections.get_mut(*moved))
            && let Some(place) = &mut moved.place
        {
            place.index = index;
        }
        if !self.connections.get(id).is_none_or(|connection| connection.outbox.is_empty()) {
            self.mark(id);
        }
        self.empty_when_read(room);
    }

    pub fn leave_others(&mut self, room: RoomKey, index: usize) {
        let Some(log) = self.logs.get_mut(room) else { return };
        log.others.swap_remove(index);
        if let Some((session, id)) = log.others.get(index)
            && let Some(place) = self.connections.get_mut(*id).and_then(|connection| connection.place.as_mut())
            && place.session == *session
        {
            place.index = index;
        }
    }

    /// Hands what a follower has not read to a sink.
    pub fn gather_log<S: PieceSink>(&self, connection: &Connection, id: ConnectionId, sink: &mut BoundedSink<'_, S>) {
        let Some(place) = connection.place.as_ref().filter(|place| place.follows) else { return };
        if let Some(log) = self.logs.get(place.room) {
            log.gather(id, place, sink);
        }
    }

    /// `n` octets of what a follower had not read have left. Where they are not all of it, the rest moves into its outbox.
    pub fn sent_log(&mut self, id: ConnectionId, n: usize) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(place) = connection.place.as_mut().filter(|place| place.follows) else { return };
        let Some(log) = self.logs.get_mut(place.room) else { return };
        let waiting = log.waiting(id, place);
        if n == waiting {
            let room = place.room;
            log.has_read(place);
            self.empty_when_read(room);
        } else if n > 0 {
            self.part(id);
            if let Some(connection) = self.connections.get_mut(id) {
                connection.outbox.sent(n);
            }
        }
    }

    /// Whether a follower has something to read.
    pub fn has_unread(&self, connection: &Connection, id: ConnectionId) -> bool {
        let Some(place) = connection.place.as_ref().filter(|place| place.follows) else { return false };
        self.logs.get(place.room).is_some_and(|log| log.unread(place).iter().any(|said| said.from != id))
    }
}

#[cfg(test)]
impl Outlets {
    /// Followers, others and entries of all rooms.
    pub fn log_sizes(&self) -> (usize, usize, usize) {
        let sizes = self.logs.values().map(|log| (log.followers.len(), log.others.len(), log.page.said.len()));
        sizes.fold((0, 0, 0), |sum, log| (sum.0 + log.0, sum.1 + log.1, sum.2 + log.2))
    }

    pub fn log_octets(&self) -> usize {
        self.logs.values().map(|log| log.page.len).sum()
    }

    pub fn logs_are_empty(&self) -> bool {
        self.log_sizes().2 == 0 && self.logs.values().all(|log| log.behind == 0)
    }

    /// What is said of a log and its followers above.
    pub fn check_logs(&self) {
        for log in self.logs.values() {
            let mut behind = 0;
            for (at, id) in log.followers.iter().enumerate() {
                let connection = &self.connections[*id];
                let place = connection.place.as_ref().unwrap();
                assert!(place.follows && place.index == at && place.next <= log.end());
                assert!(connection.outbox.message_bytes() == 0 && connection.state != Sending::Blocked);
                assert!(!connection.congestion.is_congested() && !connection.closing);
                behind += usize::from(place.next < log.end());
            }
            assert_eq!(log.behind, behind);
            for (at, (session, id)) in log.others.iter().enumerate() {
                let place = self.connections.get(*id).and_then(|connection| connection.place.as_ref());
                assert!(place.is_none_or(|place| place.session != *session || (!place.follows && place.index == at)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
