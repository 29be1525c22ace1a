//! Messages are appended to a room's log, and connections are attached to it and detached from it; see [`super::room_log`].

use std::cell::OnceCell;

use super::connection::{Connection, Sending};
use super::frame::{Body, ChunkTemplate, Frame};
use super::piece_sink::{BoundedSink, PieceSink};
use super::room_log::{Content, LogEntry, LogReader, Page};
use super::state::Egress;
use crate::ids::{ConnectionId, RoomKey, SessionKey};
use crate::limits::SPARE_PAGES_MAX;
use crate::room::RoomMember;

impl Egress {
    /// The session at index `at` of those in a room that are not attached to its log.
    pub fn detached(&self, room: RoomKey, at: usize) -> Option<SessionKey> {
        self.logs.get(room)?.detached.get(at).map(|(session, _)| *session)
    }

    /// Appends a chunk to the room log, for all attached members but its sender. Returns the transaction id and the number of copies;
    /// `None` if an attached member cannot get it from the log.
    pub fn append(&mut self, room: RoomKey, from: ConnectionId, template: &ChunkTemplate<'_>) -> Option<(u64, u32)> {
        let log = self.logs.get_mut(room)?;
        let mut reader =
            self.connections.get_mut(from).and_then(|c| c.reader.as_mut()).filter(|reader| reader.attached);
        let copies = log.attached.len() - usize::from(reader.is_some());
        if copies == 0 || template.body.len() as u64 > log.size_max {
            return None;
        }
        if log.page.entries.is_empty() {
            self.sequence += 1;
            log.page = Page { number: self.sequence, ..self.spare_pages.pop().unwrap_or_default() };
        }
        let page = &mut log.page;
        let start = page.octets.len();
        let (tid, len, content) = match template.body {
            Body::Shared(..) => {
                let (tid, frame) = Frame::new(template, &mut self.rng);
                (tid, frame.len(), Content::Framed(frame))
            }
            Body::None | Body::Copied(_) => {
                let (tid, split) = Frame::write(template, &mut self.rng, &mut page.octets);
                let end = page.octets.len();
                let content = Content::Logged { start, split: start + split, end, frame: OnceCell::new() };
                (tid, end - start, content)
            }
        };
        let after = page.len + len + (page.entries.len() + 1) * log.paths_max;
        if !page.entries.is_empty() && after > self.outbox_max {
            // Somebody's bound may be reached: each is asked.
            page.octets.truncate(start);
            return None;
        }
        page.len += len;
        page.entries.push(LogEntry { from, len, content });
        log.behind = log.attached.len();
        if let Some(reader) = reader.as_mut().filter(|reader| reader.next + 1 == log.end()) {
            // Nothing but its own message is new to the sender.
            log.mark_read(reader);
        }
        self.flush_now |= after > self.outbox_max / 2;
        if !std::mem::replace(&mut log.is_updated, true) {
            self.updated_rooms.push(room);
        }
        self.counters.deliveries += copies as u64;
        Some((tid, copies as u32))
    }

    /// Puts all members with unread entries of a log on the list of connections to send to.
    pub fn mark_readers(&mut self) {
        // In the order of the rooms' first messages: who came first must not be sent to last.
        let mut rooms = std::mem::take(&mut self.updated_rooms);
        for room in rooms.drain(..) {
            let Some(log) = self.logs.get_mut(room) else { continue };
            log.is_updated = false;
            for at in 0..log.attached.len() {
                let id = log.attached[at];
                let Some(connection) = self.connections.get_mut(id) else { continue };
                let Some(reader) = &mut connection.reader else { continue };
                if log.unread(reader).iter().all(|entry| entry.from == id) {
                    // Its own messages alone.
                    log.mark_read(reader);
                } else if connection.state == Sending::Idle {
                    connection.state = Sending::Dirty;
                    self.dirty.push(id);
                }
            }
            self.empty_when_read(room);
        }
        self.updated_rooms = rooms;
    }

    pub fn empty_when_read(&mut self, room: RoomKey) {
        let Some(log) = self.logs.get_mut(room) else { return };
        if log.behind > 0 || log.page.entries.is_empty() {
            return;
        }
        log.first = log.end();
        let mut page = std::mem::take(&mut log.page);
        page.clear();
        if self.spare_pages.len() < SPARE_PAGES_MAX {
            self.spare_pages.push(page);
        }
    }

    /// A session has become a member of a room, or its terms have changed.
    pub fn add_member(&mut self, room: RoomKey, id: ConnectionId, session: SessionKey, member: &RoomMember) {
        let Some(log) = self.logs.get_mut(room) else { return };
        let Some(connection) = self.connections.get_mut(id) else { return };
        let index = log.detached.len();
        log.detached.push((session, id));
        if connection.sessions.as_slice() == [session] {
            let (paths, receives, max_size) = (member.paths.clone(), member.receives, member.max_size);
            connection.reader =
                Some(LogReader { room, session, paths, receives, max_size, attached: false, index, next: 0 });
            self.attach(id);
        } else {
            // Several sessions on a connection need copies of their own.
            self.detach(id);
            if let Some(connection) = self.connections.get_mut(id) {
                connection.reader = None;
            }
        }
    }

    /// A session is no member any more. What was sent before is still for it.
    pub fn remove_member(&mut self, room: RoomKey, id: Option<ConnectionId>, session: SessionKey) {
        let connection = id.and_then(|id| self.connections.get(id));
        let reader = connection.and_then(|connection| connection.reader.as_ref());
        let index = match (id, reader.filter(|reader| reader.session == session && reader.room == room)) {
            (Some(id), Some(_)) => {
                self.detach(id);
                self.connections.get_mut(id).and_then(|connection| connection.reader.take()).map(|reader| reader.index)
            }
            _ => self.logs.get(room).and_then(|log| log.detached.iter().position(|(other, _)| *other == session)),
        };
        if let Some(index) = index {
            self.remove_detached(room, index);
        }
    }

    /// Attaches a connection to its room's log, if all its messages have left and nothing is in the way.
    pub fn attach(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let free = connection.state != Sending::Blocked && connection.outbox.message_bytes() == 0;
        if !free || connection.closing || connection.congestion.is_congested() {
            return;
        }
        let Some(reader) = connection.reader.as_mut().filter(|reader| reader.receives && !reader.attached) else {
            return;
        };
        let Some(log) = self.logs.get_mut(reader.room) else { return };
        let (room, index) = (reader.room, reader.index);
        reader.attached = true;
        reader.index = log.attached.len();
        reader.next = log.end();
        if log.attached.is_empty() {
            (log.size_max, log.paths_max) = (u64::MAX, 0);
        }
        log.size_max = log.size_max.min(reader.max_size);
        log.paths_max = log.paths_max.max(reader.paths.len());
        log.attached.push(id);
        self.remove_detached(room, index);
    }

    /// Detaches a connection from the log. What it has not read moves into its outbox.
    pub fn detach(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(reader) = connection.reader.as_mut().filter(|reader| reader.attached) else { return };
        let Some(log) = self.logs.get_mut(reader.room) else { return };
        for entry in log.unread(reader).iter().filter(|entry| entry.from != id) {
            connection.outbox.push(entry.frame(&log.page.octets).clone(), reader.paths.clone());
        }
        log.mark_read(reader);
        let (room, index) = (reader.room, reader.index);
        reader.attached = false;
        reader.index = log.detached.len();
        log.detached.push((reader.session, id));
        log.attached.swap_remove(index);
        if let Some(moved) = log.attached.get(index).and_then(|moved| self.connections.get_mut(*moved))
            && let Some(reader) = &mut moved.reader
        {
            reader.index = index;
        }
        if !self.connections.get(id).is_none_or(|connection| connection.outbox.is_empty()) {
            self.mark_dirty(id);
        }
        self.empty_when_read(room);
    }

    pub fn remove_detached(&mut self, room: RoomKey, index: usize) {
        let Some(log) = self.logs.get_mut(room) else { return };
        log.detached.swap_remove(index);
        if let Some((session, id)) = log.detached.get(index)
            && let Some(reader) = self.connections.get_mut(*id).and_then(|connection| connection.reader.as_mut())
            && reader.session == *session
        {
            reader.index = index;
        }
    }

    /// Hands what an attached connection has not read to a sink.
    pub fn gather_log<S: PieceSink>(&self, connection: &Connection, id: ConnectionId, sink: &mut BoundedSink<'_, S>) {
        let Some(reader) = connection.reader.as_ref().filter(|reader| reader.attached) else { return };
        if let Some(log) = self.logs.get(reader.room) {
            log.gather(id, reader, sink);
        }
    }

    /// `n` octets of what an attached connection had not read have left. Where they are not all of it, the rest moves into its
    /// outbox.
    pub fn sent_log(&mut self, id: ConnectionId, n: usize) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let Some(reader) = connection.reader.as_mut().filter(|reader| reader.attached) else { return };
        let Some(log) = self.logs.get_mut(reader.room) else { return };
        let waiting = log.waiting(id, reader);
        if n == waiting {
            let room = reader.room;
            log.mark_read(reader);
            self.empty_when_read(room);
        } else if n > 0 {
            self.detach(id);
            if let Some(connection) = self.connections.get_mut(id) {
                connection.outbox.sent(n);
            }
        }
    }

    /// Whether an attached connection has something to read.
    pub fn has_unread(&self, connection: &Connection, id: ConnectionId) -> bool {
        let Some(reader) = connection.reader.as_ref().filter(|reader| reader.attached) else { return false };
        self.logs.get(reader.room).is_some_and(|log| log.unread(reader).iter().any(|entry| entry.from != id))
    }
}

#[cfg(test)]
impl Egress {
    /// Attached, detached and entries of all rooms.
    pub fn log_sizes(&self) -> (usize, usize, usize) {
        let sizes = self.logs.values().map(|log| (log.attached.len(), log.detached.len(), log.page.entries.len()));
        sizes.fold((0, 0, 0), |sum, log| (sum.0 + log.0, sum.1 + log.1, sum.2 + log.2))
    }

    pub fn log_octets(&self) -> usize {
        self.logs.values().map(|log| log.page.len).sum()
    }

    pub fn logs_are_empty(&self) -> bool {
        self.log_sizes().2 == 0 && self.logs.values().all(|log| log.behind == 0)
    }

    /// Asserts what is said of a log and its readers.
    pub fn check_logs(&self) {
        for log in self.logs.values() {
            let mut behind = 0;
            for (at, id) in log.attached.iter().enumerate() {
                let connection = &self.connections[*id];
                let reader = connection.reader.as_ref().unwrap();
                assert!(reader.attached && reader.index == at && reader.next <= log.end());
                assert!(connection.outbox.message_bytes() == 0 && connection.state != Sending::Blocked);
                assert!(!connection.congestion.is_congested() && !connection.closing);
                behind += usize::from(reader.next < log.end());
            }
            assert_eq!(log.behind, behind);
            for (at, (session, id)) in log.detached.iter().enumerate() {
                let reader = self.connections.get(*id).and_then(|connection| connection.reader.as_ref());
                assert!(
                    reader.is_none_or(|reader| reader.session != *session || (!reader.attached && reader.index == at))
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
