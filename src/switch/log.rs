//! What a room has said since it was last flushed: each message once, however many it is for.
//!
//! A push on every outbox for every message is what a fan-out costs most, once the sends are batched. So a message to everybody
//! goes into the room's log, and the outboxes of those who take everything stay empty: at the flush each of them reads the log
//! from where it stands, with its own path lines in between.
//!
//! ```text
//!   octets   MSRP t1 SEND|Message-ID … body … t1$ MSRP t2 SEND|Message-ID … body … t2$
//!                        ▲ paths                             ▲ paths
//!   pieces   ├──────────┤ P ├─────────────────────────────────┤ P ├──────────────────┤
//! ```
//!
//! Who reads the log is a follower: the only session of its connection, which receives, is not congested and not blocked, and
//! has no message in its outbox. Whatever else happens to it (a private message, a piece of a stream, a socket that is full or
//! takes a part, an end) first moves what it has not read into its outbox, and from then on it is served like everybody was
//! before: a copy of each frame, in order, with the bounds of its outbox. When that has drained, it follows again. A log is
//! emptied when all have read it.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use super::connection::{Connection, Sending};
use super::frame::{Body, Frame, Seed};
use super::outlets::Outlets;
use super::piece_sink::{BoundedSink, Mark, PieceSink};
use crate::ids::{ConnectionId, RoomKey, SessionKey};
use crate::limits::{SPARE_PAGE_BYTES_MAX, SPARE_PAGE_ENTRIES_MAX, SPARE_PAGES_MAX};
use crate::room::Seat;

/// The log of one room. `behind` of the followers have not read all of the page; it is empty when that is 0.
#[derive(Debug)]
pub struct Log {
    followers: Vec<ConnectionId>,
    /// Seats that do not follow, and the connections they are on.
    others: Vec<(SessionKey, ConnectionId)>,
    page: Page,
    /// The number of the page's first entry. They are numbered for as long as the room lasts.
    first: u64,
    behind: usize,
    /// Octets of the largest message that every follower takes.
    size_max: u64,
    /// Octets of the longest path lines of a follower.
    paths_max: usize,
    /// It is on the list of those that have something new.
    fresh: bool,
}

/// Where a session that is alone on its connection sits.
#[derive(Debug)]
pub struct Place {
    room: RoomKey,
    session: SessionKey,
    paths: Rc<[u8]>,
    receives: bool,
    max_size: u64,
    /// Whether it follows the log; in which of its lists `index` is.
    pub(super) follows: bool,
    index: usize,
    /// The number of the entry that it reads next.
    next: u64,
}

/// What was said. Used again by one room after the other, so that nothing is allocated for a message.
#[derive(Debug, Default)]
pub struct Page {
    /// Another one each time that it is used.
    number: u64,
    octets: Vec<u8>,
    said: Vec<Said>,
    /// Octets of all entries.
    len: usize,
}

#[derive(Debug)]
struct Said {
    from: ConnectionId,
    len: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// In the page's octets. A frame is made of them for those who cannot read them there, once for all.
    Logged { start: usize, split: usize, end: usize, frame: OnceCell<Rc<Frame>> },
    /// Too large to be copied.
    Framed(Rc<Frame>),
}

impl Default for Log {
    fn default() -> Self {
        Self {
            followers: Vec::new(),
            others: Vec::new(),
            page: Page::default(),
            first: 0,
            behind: 0,
            size_max: u64::MAX,
            paths_max: 0,
            fresh: false,
        }
    }
}

impl Log {
    fn unread(&self, place: &Place) -> &[Said] {
        let read = usize::try_from(place.next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.page.said.get(read..).unwrap_or_default()
    }

    fn end(&self) -> u64 {
        self.first + self.page.said.len() as u64
    }

    /// Octets that a follower has not read.
    fn waiting(&self, id: ConnectionId, place: &Place) -> usize {
        let own = place.paths.len();
        self.unread(place).iter().map(|said| if said.from == id { 0 } else { said.len + own }).sum()
    }

    fn has_read(&mut self, place: &mut Place) {
        let end = self.end();
        if place.next < end {
            place.next = end;
            self.behind -= 1;
        }
    }

    /// Hands what a follower has not read to a sink. The end of one entry and the beginning of the next are one piece.
    fn gather<S: PieceSink>(&self, id: ConnectionId, place: &Place, sink: &mut BoundedSink<'_, S>) {
        let Page { number: page, octets, .. } = &self.page;
        let push = |sink: &mut BoundedSink<'_, S>, run: Range<usize>| {
            sink.push_marked(&octets[run.clone()], Mark { page: *page, at: run.start })
        };
        let mut run = 0..0;
        for said in self.unread(place) {
            if said.from == id {
                continue;
            }
            if sink.is_full() {
                return;
            }
            match &said.content {
                Content::Logged { start, split, end, .. } => {
                    if run.end != *start {
                        push(sink, run);
                        run = *start..*start;
                    }
                    push(sink, run.start..*split);
                    sink.push(&place.paths);
                    run = *split..*end;
                }
                Content::Framed(frame) => {
                    push(sink, run);
                    run = 0..0;
                    frame.gather(&place.paths, 0, sink);
                }
            }
        }
        push(sink, run);
    }
}

impl Said {
    fn frame(&self, octets: &[u8]) -> &Rc<Frame> {
        match &self.content {
            Content::Framed(frame) => frame,
            Content::Logged { start, split, end, frame } => {
                frame.get_or_init(|| Rc::new(Frame::of(octets[*start..*end].to_vec(), split - start)))
            }
        }
    }
}

impl Page {
    fn clear(&mut self) {
        self.octets.clear();
        self.octets.shrink_to(SPARE_PAGE_BYTES_MAX);
        self.said.clear();
        self.said.shrink_to(SPARE_PAGE_ENTRIES_MAX);
        self.len = 0;
    }
}

impl Connection {
    /// Whether it reads a room's log.
    pub(super) fn follows(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.follows)
    }
}

impl Outlets {
    /// Who sits in a room and does not follow, one after the other.
    pub(super) fn other(&self, room: RoomKey, at: usize) -> Option<SessionKey> {
        self.logs.get(room)?.others.get(at).map(|(session, _)| *session)
    }

    /// Says something to everybody who follows a room, its sender left out: once, whatever their number. Answers the transaction
    /// id and how many copies it will be. `None`: not everybody who follows can take it that way.
    pub(super) fn say(&mut self, room: RoomKey, from: ConnectionId, seed: &Seed<'_>) -> Option<(u64, u32)> {
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
    pub(super) fn mark_followers(&mut self) {
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

    fn empty_when_read(&mut self, room: RoomKey) {
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
    pub(super) fn sit(&mut self, room: RoomKey, id: ConnectionId, session: SessionKey, seat: &Seat) {
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
    pub(super) fn stand(&mut self, room: RoomKey, id: Option<ConnectionId>, session: SessionKey) {
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
    pub(super) fn follow(&mut self, id: ConnectionId) {
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
    pub(super) fn part(&mut self, id: ConnectionId) {
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

    fn leave_others(&mut self, room: RoomKey, index: usize) {
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
    pub(super) fn gather_log<S: PieceSink>(
        &self,
        connection: &Connection,
        id: ConnectionId,
        sink: &mut BoundedSink<'_, S>,
    ) {
        let Some(place) = connection.place.as_ref().filter(|place| place.follows) else { return };
        if let Some(log) = self.logs.get(place.room) {
            log.gather(id, place, sink);
        }
    }

    /// `n` octets of what a follower had not read have left. Where they are not all of it, the rest moves into its outbox.
    pub(super) fn sent_log(&mut self, id: ConnectionId, n: usize) {
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
    pub(super) fn has_unread(&self, connection: &Connection, id: ConnectionId) -> bool {
        let Some(place) = connection.place.as_ref().filter(|place| place.follows) else { return false };
        self.logs.get(place.room).is_some_and(|log| log.unread(place).iter().any(|said| said.from != id))
    }
}

#[cfg(test)]
impl Outlets {
    /// Followers, others and entries of all rooms.
    pub(super) fn log_sizes(&self) -> (usize, usize, usize) {
        let sizes = self.logs.values().map(|log| (log.followers.len(), log.others.len(), log.page.said.len()));
        sizes.fold((0, 0, 0), |sum, log| (sum.0 + log.0, sum.1 + log.1, sum.2 + log.2))
    }

    pub(super) fn log_octets(&self) -> usize {
        self.logs.values().map(|log| log.page.len).sum()
    }

    pub(super) fn logs_are_empty(&self) -> bool {
        self.log_sizes().2 == 0 && self.logs.values().all(|log| log.behind == 0)
    }

    /// What is said of a log and its followers above.
    pub(super) fn check_logs(&self) {
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
