//! The log of a room: the messages to all members since the last flush, each stored once.
//!
//! With batched sends, pushing each message to every outbox is the largest cost of a fan-out. So a message to all members is
//! appended to the room log, and the outboxes of attached members stay empty: at the flush each of them reads the log from its
//! own position, with its own path lines inserted.
//!
//! ```text
//!   octets   MSRP t1 SEND|Message-ID … body … t1$ MSRP t2 SEND|Message-ID … body … t2$
//!                        ▲ paths                             ▲ paths
//!   pieces   ├──────────┤ P ├─────────────────────────────────┤ P ├──────────────────┤
//! ```
//!
//! A member is attached if it is the only session of its connection, receives, is not congested and not blocked, and has an empty
//! outbox. Any other event (a private message, a piece of a stream, a full socket, a partial send, its end) first moves the unread
//! part of the log into its outbox and detaches it. A detached member gets a copy of each frame in its outbox, in order and within
//! the bounds of the outbox. When the outbox has drained, it is attached again. A log is emptied when all attached members have
//! read it.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use super::frame::Frame;
use super::piece_sink::{BoundedSink, Mark, PieceSink};
use crate::ids::{ConnectionId, RoomKey, SessionKey};
use crate::limits::{SPARE_PAGE_BYTES_MAX, SPARE_PAGE_ENTRIES_MAX};

/// The log of one room.
#[derive(Debug)]
pub struct Log {
    /// Attached connections.
    pub attached: Vec<ConnectionId>,
    /// Detached members and their connections.
    pub detached: Vec<(SessionKey, ConnectionId)>,
    pub page: Page,
    /// The number of the page's first entry. Entries are numbered over the lifetime of the room.
    pub first: u64,
    /// The number of attached connections that have not read all of the page. At 0 the page is empty.
    pub behind: usize,
    /// The largest message in octets that all attached members accept.
    pub size_max: u64,
    /// The longest path lines of attached members, in octets.
    pub paths_max: usize,
    /// Whether it is on the list of logs with unread entries.
    pub is_updated: bool,
}

/// A session that is alone on its connection, as a reader of its room's log.
#[derive(Debug)]
pub struct LogReader {
    pub room: RoomKey,
    pub session: SessionKey,
    pub paths: Rc<[u8]>,
    pub receives: bool,
    pub max_size: u64,
    /// Whether it is attached to the log; `index` is its place in that list of the log, or else in that of the detached.
    pub attached: bool,
    pub index: usize,
    /// The number of the entry that it reads next.
    pub next: u64,
}

/// What a log holds. Used again by one room after the other, so that nothing is allocated for a message.
#[derive(Debug, Default)]
pub struct Page {
    /// A new number each time that it is used.
    pub number: u64,
    pub octets: Vec<u8>,
    pub entries: Vec<LogEntry>,
    /// Octets of all entries.
    pub len: usize,
}

/// One message.
#[derive(Debug)]
pub struct LogEntry {
    pub from: ConnectionId,
    pub len: usize,
    pub content: Content,
}

/// Where its octets are.
#[derive(Debug)]
pub enum Content {
    /// In the page's octets. A frame is made of them for those who cannot read them there, once for all.
    Logged { start: usize, split: usize, end: usize, frame: OnceCell<Rc<Frame>> },
    /// Too large to be copied.
    Framed(Rc<Frame>),
}

impl Default for Log {
    fn default() -> Self {
        Self {
            attached: Vec::new(),
            detached: Vec::new(),
            page: Page::default(),
            first: 0,
            behind: 0,
            size_max: u64::MAX,
            paths_max: 0,
            is_updated: false,
        }
    }
}

impl Log {
    /// What a reader has not read, what it has sent itself included.
    pub fn unread(&self, reader: &LogReader) -> &[LogEntry] {
        let read = usize::try_from(reader.next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.page.entries.get(read..).unwrap_or_default()
    }

    /// The number that the next entry gets.
    pub fn end(&self) -> u64 {
        self.first + self.page.entries.len() as u64
    }

    /// Octets that a reader has not read.
    pub fn waiting(&self, id: ConnectionId, reader: &LogReader) -> usize {
        let own = reader.paths.len();
        self.unread(reader).iter().map(|entry| if entry.from == id { 0 } else { entry.len + own }).sum()
    }

    /// A reader has read everything.
    pub fn mark_read(&mut self, reader: &mut LogReader) {
        let end = self.end();
        if reader.next < end {
            reader.next = end;
            self.behind -= 1;
        }
    }

    /// Hands what a reader has not read to a sink. The end of one entry and the beginning of the next are one piece.
    pub fn gather<S: PieceSink>(&self, id: ConnectionId, reader: &LogReader, sink: &mut BoundedSink<'_, S>) {
        let Page { number: page, octets, .. } = &self.page;
        let push = |sink: &mut BoundedSink<'_, S>, run: Range<usize>| {
            sink.push_marked(&octets[run.clone()], Mark { page: *page, at: run.start })
        };
        let mut run = 0..0;
        for entry in self.unread(reader) {
            if entry.from == id {
                continue;
            }
            if sink.is_full() {
                return;
            }
            match &entry.content {
                Content::Logged { start, split, end, .. } => {
                    if run.end != *start {
                        push(sink, run);
                        run = *start..*start;
                    }
                    push(sink, run.start..*split);
                    sink.push(&reader.paths);
                    run = *split..*end;
                }
                Content::Framed(frame) => {
                    push(sink, run);
                    run = 0..0;
                    frame.gather(&reader.paths, 0, sink);
                }
            }
        }
        push(sink, run);
    }
}

impl LogEntry {
    /// It as a frame; `octets` are those of its page.
    pub fn frame(&self, octets: &[u8]) -> &Rc<Frame> {
        match &self.content {
            Content::Framed(frame) => frame,
            Content::Logged { start, split, end, frame } => {
                frame.get_or_init(|| Rc::new(Frame::of(octets[*start..*end].to_vec(), split - start)))
            }
        }
    }
}

impl Page {
    /// Empties it, and keeps some of its memory.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.octets.shrink_to(SPARE_PAGE_BYTES_MAX);
        self.entries.clear();
        self.entries.shrink_to(SPARE_PAGE_ENTRIES_MAX);
        self.len = 0;
    }
}
