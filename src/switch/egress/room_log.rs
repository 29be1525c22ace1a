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

use super::frame::Frame;
use super::piece_sink::{BoundedSink, Mark, PieceSink};
use crate::ids::{ConnectionId, RoomKey, SessionKey};
use crate::limits::{SPARE_PAGE_BYTES_MAX, SPARE_PAGE_ENTRIES_MAX};

/// The log of one room. `behind` of the followers have not read all of the page; it is empty when that is 0.
#[derive(Debug)]
pub struct Log {
    pub followers: Vec<ConnectionId>,
    /// Seats that do not follow, and the connections they are on.
    pub others: Vec<(SessionKey, ConnectionId)>,
    pub page: Page,
    /// The number of the page's first entry. They are numbered for as long as the room lasts.
    pub first: u64,
    pub behind: usize,
    /// Octets of the largest message that every follower takes.
    pub size_max: u64,
    /// Octets of the longest path lines of a follower.
    pub paths_max: usize,
    /// It is on the list of those that have something new.
    pub fresh: bool,
}

/// Where a session that is alone on its connection sits.
#[derive(Debug)]
pub struct Place {
    pub room: RoomKey,
    pub session: SessionKey,
    pub paths: Rc<[u8]>,
    pub receives: bool,
    pub max_size: u64,
    /// Whether it follows the log; in which of its lists `index` is.
    pub follows: bool,
    pub index: usize,
    /// The number of the entry that it reads next.
    pub next: u64,
}

/// What was said. Used again by one room after the other, so that nothing is allocated for a message.
#[derive(Debug, Default)]
pub struct Page {
    /// Another one each time that it is used.
    pub number: u64,
    pub octets: Vec<u8>,
    pub said: Vec<Said>,
    /// Octets of all entries.
    pub len: usize,
}

/// One message.
#[derive(Debug)]
pub struct Said {
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
    pub fn unread(&self, place: &Place) -> &[Said] {
        let read = usize::try_from(place.next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.page.said.get(read..).unwrap_or_default()
    }

    pub fn end(&self) -> u64 {
        self.first + self.page.said.len() as u64
    }

    /// Octets that a follower has not read.
    pub fn waiting(&self, id: ConnectionId, place: &Place) -> usize {
        let own = place.paths.len();
        self.unread(place).iter().map(|said| if said.from == id { 0 } else { said.len + own }).sum()
    }

    pub fn has_read(&mut self, place: &mut Place) {
        let end = self.end();
        if place.next < end {
            place.next = end;
            self.behind -= 1;
        }
    }

    /// Hands what a follower has not read to a sink. The end of one entry and the beginning of the next are one piece.
    pub fn gather<S: PieceSink>(&self, id: ConnectionId, place: &Place, sink: &mut BoundedSink<'_, S>) {
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
    pub fn clear(&mut self) {
        self.octets.clear();
        self.octets.shrink_to(SPARE_PAGE_BYTES_MAX);
        self.said.clear();
        self.said.shrink_to(SPARE_PAGE_ENTRIES_MAX);
        self.len = 0;
    }
}
