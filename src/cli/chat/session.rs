//! The MSRP session of the client: sent requests with their responses, and received messages. No sockets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::Rng;

use super::inbox::Received;
use super::receiver::Receiver;
use crate::limits::UNINTERRUPTIBLE_CHUNK_BYTES_MAX;
use parlor_proto::msrp::encode::{self, random_id};
use parlor_proto::msrp::{ByteRange, ChunkParser, Continuation, Event, FailureReport, ParseError, Start, Status};

/// How long a response is waited for (RFC 4975 §7.1: 30 s).
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// An event of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// A complete message was received.
    Received(Received),
    /// A sent request was answered, or timed out.
    Answered(Sent, Result<(), SendError>),
}

/// The kind of a sent request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The empty SEND that binds the session.
    Binding,
    /// A message.
    Message,
    /// A chunk of a file, with its octets.
    FileChunk(u64),
    /// A NICKNAME; empty: without a nickname.
    Nickname(String),
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The status and the comment of its response.
    Status(u16, String),
    /// No response in time.
    Timeout,
}

/// A transaction id or Message-ID.
pub type Id = [u8; encode::RANDOM_ID_BYTES];

/// One session.
pub struct Session {
    local: String,
    remote: String,
    parser: ChunkParser,
    receiver: Receiver,
    /// The requests without response, by transaction id, and when they were sent.
    pending: HashMap<Id, (Sent, Instant)>,
    /// Octets to be sent.
    pub outgoing: Vec<u8>,
    rng: ChaCha12Rng,
}

impl Session {
    /// A session between two paths.
    pub fn new(local: String, remote: String, rng: ChaCha12Rng) -> Self {
        Self {
            receiver: Receiver::new(local.clone()),
            local,
            remote,
            parser: ChunkParser::new(),
            pending: HashMap::new(),
            outgoing: Vec::new(),
            rng,
        }
    }

    /// The number of requests without response.
    pub fn unanswered(&self) -> usize {
        self.pending.len()
    }

    /// Whether a received message is incomplete.
    pub fn is_receiving(&self) -> bool {
        self.receiver.is_receiving()
    }

    /// Sends the empty SEND that binds the session to its connection (RFC 4975 §5.4).
    pub fn bind(&mut self, now: Instant) {
        let range = ByteRange { start: 1, end: Some(0), total: Some(0) };
        let id = self.draw_tid(b"");
        let message_id = self.draw_message_id();
        self.send(id, &message_id, range, None, Continuation::Complete);
        self.pending.insert(id, (Sent::Binding, now));
    }

    /// Sends a message as one chunk. `body` is message/cpim.
    pub fn message(&mut self, body: &[u8], now: Instant) {
        let total = body.len() as u64;
        let id = self.draw_tid(body);
        let message_id = self.draw_message_id();
        let range = ByteRange { start: 1, end: range_end(1, total), total: Some(total) };
        self.send(id, &message_id, range, Some(body), Continuation::Complete);
        self.pending.insert(id, (Sent::Message, now));
    }

    /// A new Message-ID.
    pub fn draw_message_id(&mut self) -> Id {
        random_id(self.rng.next_u64())
    }

    /// Sends a chunk of a file, from the octet `start`, counted from 1.
    pub fn file_chunk(&mut self, message_id: &Id, start: u64, total: u64, body: &[u8], now: Instant) {
        let len = body.len() as u64;
        let last = start - 1 + len == total;
        let id = self.draw_tid(body);
        let continuation = if last { Continuation::Complete } else { Continuation::More };
        let range = ByteRange { start, end: range_end(start, len), total: Some(total) };
        self.send(id, message_id, range, Some(body), continuation);
        self.pending.insert(id, (Sent::FileChunk(len), now));
    }

    /// Aborts a file of which a part was sent, with the `#` flag (RFC 4975 §7.1.1).
    pub fn abort_file(&mut self, message_id: &Id, start: u64, total: u64, now: Instant) {
        let id = self.draw_tid(b"");
        let range = ByteRange { start, end: None, total: Some(total) };
        self.send(id, message_id, range, Some(b""), Continuation::Abort);
        self.pending.insert(id, (Sent::FileChunk(0), now));
    }

    /// Requests a nickname; empty: gives it up (RFC 7701 §7).
    pub fn nickname(&mut self, nickname: &str, now: Instant) {
        let id = self.draw_tid(b"");
        encode::nickname(&mut self.outgoing, &id, self.remote.as_bytes(), self.local.as_bytes(), nickname);
        self.pending.insert(id, (Sent::Nickname(nickname.to_owned()), now));
    }

    fn send(&mut self, tid: Id, id: &[u8], byte_range: ByteRange, body: Option<&[u8]>, continuation: Continuation) {
        let send = encode::Send {
            tid: &tid,
            to_path: self.remote.as_bytes(),
            from_path: self.local.as_bytes(),
            message_id: id,
            byte_range,
            success_report: false,
            failure_report: FailureReport::Yes,
            body: body.map(|body| (&b"message/cpim"[..], body)),
            continuation,
        };
        encode::send(&mut self.outgoing, &send);
    }

    /// A transaction id that the body does not contain (RFC 4975 §7.1).
    fn draw_tid(&mut self, body: &[u8]) -> Id {
        loop {
            let id = random_id(self.rng.next_u64());
            if memchr::memmem::find(body, &id).is_none() {
                return id;
            }
        }
    }

    /// Removes the requests whose response timed out.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<SessionEvent> {
        let late = |at: Instant| now.saturating_duration_since(at) >= RESPONSE_TIMEOUT;
        let overdue = self.pending.extract_if(|_, (_, at)| late(*at));
        overdue.map(|(_, (sent, _))| SessionEvent::Answered(sent, Err(SendError::Timeout))).collect()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.values().map(|(_, at)| *at + RESPONSE_TIMEOUT).min()
    }

    /// Handles received octets.
    ///
    /// # Errors
    /// Returns an error if they are not valid MSRP.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Vec<SessionEvent>, ParseError> {
        let mut events = Vec::new();
        let mut parser = std::mem::take(&mut self.parser);
        let mut input = bytes;
        while let Some(event) = parser.next(&mut input)? {
            match event {
                Event::Head(head) => match head.start {
                    Start::Response(status, comment) => {
                        events.extend(self.handle_response(head.tid, status, comment));
                    }
                    Start::Request(method) => self.receiver.begin(method, &head),
                },
                Event::Body { piece, end } => {
                    self.receiver.add(piece);
                    events.extend(end.and_then(|end| self.end_request(end)));
                }
                Event::Bodiless(end) => events.extend(self.end_request(end)),
            }
        }
        self.parser = parser;
        Ok(events)
    }

    fn handle_response(&mut self, tid: &[u8], status: Status, comment: Option<&[u8]>) -> Option<SessionEvent> {
        let (sent, _) = self.pending.remove(tid)?;
        let comment = comment.map_or_else(Default::default, |c| String::from_utf8_lossy(c).into_owned());
        let outcome = if status.is_success() { Ok(()) } else { Err(SendError::Status(status.0, comment)) };
        Some(SessionEvent::Answered(sent, outcome))
    }

    fn end_request(&mut self, end: Continuation) -> Option<SessionEvent> {
        let report_tid = random_id(self.rng.next_u64());
        self.receiver.end(end, &report_tid, &mut self.outgoing).map(SessionEvent::Received)
    }
}

/// The range-end of a chunk; `None`, which is `*`, for a chunk that may be interrupted (RFC 4975 §7.1.1).
fn range_end(start: u64, len: u64) -> Option<u64> {
    (len <= UNINTERRUPTIBLE_CHUNK_BYTES_MAX as u64).then_some(start - 1 + len)
}

#[cfg(test)]
mod tests;
