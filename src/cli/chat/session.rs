//! The MSRP session of one participant: what is sent and what waits for its answer. No sockets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::Rng;

use super::inbox::{Inbox, Received};
use crate::limits::UNINTERRUPTIBLE_CHUNK_BYTES_MAX;
use parlor_proto::msrp::encode::{self, random_id};
use parlor_proto::msrp::{
    ByteRange, ChunkParser, Continuation, Event, FailureReport, Head, Method, MsrpUri, ParseError, Start, Status,
    path_uris,
};

/// How long an answer may take (RFC 4975 §7.1: the transaction timer).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What happened in the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// A message has come whole.
    Received(Received),
    /// Something of ours was answered.
    Answered(Sent, Result<(), Refusal>),
}

/// What of ours an answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    /// The empty message that binds the session.
    Binding,
    /// A message.
    Message,
    /// A chunk of the file that is being sent, and how many octets of it.
    FileChunk(u64),
    /// A nickname; empty is none.
    Nickname(String),
}

/// Why something of ours was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Status and comment.
    Status(u16, String),
    /// No answer in time.
    Unanswered,
}

type Tid = [u8; encode::RANDOM_ID_BYTES];

/// One end of one session.
pub(super) struct Session {
    local: String,
    remote: String,
    parser: ChunkParser,
    chunk: Option<Chunk>,
    inbox: Inbox,
    waiting: HashMap<Tid, (Sent, Instant)>,
    /// Octets to be sent, in order.
    pub(super) outgoing: Vec<u8>,
    rng: ChaCha12Rng,
}

/// What is to be known of a request of theirs until it has ended.
struct Chunk {
    tid: Vec<u8>,
    reply_to: Vec<u8>,
    from_path: Vec<u8>,
    message_id: Vec<u8>,
    start: u64,
    len: u64,
    status: Status,
    failure_report: FailureReport,
    success_report: bool,
    has_body: bool,
}

impl Session {
    /// A session between two paths.
    pub(super) fn new(local: String, remote: String, rng: ChaCha12Rng) -> Self {
        Self {
            local,
            remote,
            parser: ChunkParser::new(),
            chunk: None,
            inbox: Inbox::default(),
            waiting: HashMap::new(),
            outgoing: Vec::new(),
            rng,
        }
    }

    /// Requests of ours that nobody has answered yet.
    pub(super) fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a part of a message has come and the rest has not.
    pub(super) fn expects_more(&self) -> bool {
        self.chunk.is_some() || self.inbox.expects_more()
    }

    /// Sends the empty message that binds the session to its connection (RFC 4975 §5.4).
    pub(super) fn bind(&mut self, now: Instant) {
        let range = ByteRange { start: 1, end: Some(0), total: Some(0) };
        let id = self.draw(b"");
        let message_id = random_id(self.rng.next_u64());
        self.send(id, &message_id, range, None, Continuation::Complete);
        self.waiting.insert(id, (Sent::Binding, now));
    }

    /// Sends a whole message, wrapper and all.
    pub(super) fn message(&mut self, body: &[u8], now: Instant) {
        let total = body.len() as u64;
        let id = self.draw(body);
        let message_id = random_id(self.rng.next_u64());
        let range = ByteRange { start: 1, end: range_end(1, total), total: Some(total) };
        self.send(id, &message_id, range, Some(body), Continuation::Complete);
        self.waiting.insert(id, (Sent::Message, now));
    }

    /// A Message-ID for a message that is sent in chunks.
    pub(super) fn draw_message_id(&mut self) -> Tid {
        random_id(self.rng.next_u64())
    }

    /// Sends one chunk of a file.
    pub(super) fn file_chunk(&mut self, message_id: &Tid, start: u64, total: u64, body: &[u8], now: Instant) {
        let len = body.len() as u64;
        let last = start - 1 + len == total;
        let id = self.draw(body);
        let continuation = if last { Continuation::Complete } else { Continuation::More };
        let range = ByteRange { start, end: range_end(start, len), total: Some(total) };
        self.send(id, message_id, range, Some(body), continuation);
        self.waiting.insert(id, (Sent::FileChunk(len), now));
    }

    /// Gives a file up that has been sent in part (RFC 4975 §7.1.1: the `#` flag).
    pub(super) fn abort_file(&mut self, message_id: &Tid, start: u64, total: u64, now: Instant) {
        let id = self.draw(b"");
        let range = ByteRange { start, end: None, total: Some(total) };
        self.send(id, message_id, range, Some(b""), Continuation::Abort);
        self.waiting.insert(id, (Sent::FileChunk(0), now));
    }

    /// Asks for a nickname, or for none where it is empty.
    pub(super) fn nickname(&mut self, nickname: &str, now: Instant) {
        let id = self.draw(b"");
        encode::nickname(&mut self.outgoing, &id, self.remote.as_bytes(), self.local.as_bytes(), nickname);
        self.waiting.insert(id, (Sent::Nickname(nickname.to_owned()), now));
    }

    fn send(&mut self, tid: Tid, id: &[u8], byte_range: ByteRange, body: Option<&[u8]>, continuation: Continuation) {
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

    /// A transaction id that does not stand in the body (RFC 4975 §7.1).
    fn draw(&mut self, body: &[u8]) -> Tid {
        loop {
            let id = random_id(self.rng.next_u64());
            if memchr::memmem::find(body, &id).is_none() {
                return id;
            }
        }
    }

    /// Requests whose answers have not come in time.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<News> {
        let late = |at: Instant| now.saturating_duration_since(at) >= ANSWER_TIMEOUT;
        let overdue = self.waiting.extract_if(|_, (_, at)| late(*at));
        overdue.map(|(_, (sent, _))| News::Answered(sent, Err(Refusal::Unanswered))).collect()
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.values().map(|(_, at)| *at + ANSWER_TIMEOUT).min()
    }

    /// Takes octets from the connection.
    ///
    /// # Errors
    /// Where they are not MSRP.
    pub(super) fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Vec<News>, ParseError> {
        let mut news = Vec::new();
        let mut parser = std::mem::take(&mut self.parser);
        let mut input = bytes;
        while let Some(event) = parser.next(&mut input)? {
            match event {
                Event::Head(head) => news.extend(self.head(&head)),
                Event::Body { piece, end } => {
                    self.body(piece);
                    news.extend(end.and_then(|end| self.ended(end)));
                }
                Event::Bodiless(end) => news.extend(self.ended(end)),
            }
        }
        self.parser = parser;
        Ok(news)
    }

    fn head(&mut self, head: &Head<'_>) -> Option<News> {
        let method = match head.start {
            Start::Response(status, comment) => return self.response(head.tid, status, comment),
            Start::Request(method) => method,
        };
        let status = match method {
            Method::Send if !self.is_ours(head.to_path) => Status::NO_SESSION,
            Method::Send if head.message_id.is_none() || head.malformed.is_some() => Status::BAD_REQUEST,
            Method::Send => Status::OK,
            // Nobody answers a REPORT (RFC 4975 §7.1.2), and ours ask for none.
            Method::Report => return None,
            _ => Status::UNKNOWN_METHOD,
        };
        let message_id = head.message_id.unwrap_or_default().to_vec();
        let start = head.byte_range.unwrap_or(ByteRange::DEFAULT).start;
        let status = if status == Status::OK { self.inbox.begin(&message_id, start) } else { status };
        self.chunk = Some(Chunk {
            tid: head.tid.to_vec(),
            // A SEND is answered to the next hop only, other methods to the whole path (RFC 4975 §7.2).
            reply_to: match method {
                Method::Send => path_uris(head.from_path).next().unwrap_or_default().to_vec(),
                _ => head.from_path.to_vec(),
            },
            from_path: head.from_path.to_vec(),
            message_id,
            start,
            len: 0,
            status,
            failure_report: head.failure_report,
            success_report: head.success_report,
            has_body: false,
        });
        None
    }

    fn is_ours(&self, to_path: &[u8]) -> bool {
        let session = |uri: &[u8]| MsrpUri::parse(uri).ok().and_then(|uri| uri.session_id.map(<[u8]>::to_vec));
        let asked = path_uris(to_path).next_back().and_then(session);
        asked.is_some() && asked == session(self.local.as_bytes())
    }

    fn response(&mut self, tid: &[u8], status: Status, comment: Option<&[u8]>) -> Option<News> {
        let (sent, _) = self.waiting.remove(tid)?;
        let comment = comment.map_or_else(Default::default, |c| String::from_utf8_lossy(c).into_owned());
        let outcome = if status.is_success() { Ok(()) } else { Err(Refusal::Status(status.0, comment)) };
        Some(News::Answered(sent, outcome))
    }

    fn body(&mut self, piece: &[u8]) {
        let Some(chunk) = &mut self.chunk else { return };
        chunk.has_body = true;
        if chunk.status == Status::OK {
            chunk.len += piece.len() as u64;
            self.inbox.add(&chunk.message_id, piece);
        }
    }

    fn ended(&mut self, end: Continuation) -> Option<News> {
        let chunk = self.chunk.take()?;
        let wanted = match chunk.failure_report {
            FailureReport::Yes => true,
            FailureReport::Partial => !chunk.status.is_success(),
            FailureReport::No => false,
        };
        if wanted {
            let (to, from) = (&chunk.reply_to, self.local.as_bytes());
            encode::response(&mut self.outgoing, &chunk.tid, chunk.status, to, from);
        }
        // What ends a message that was given up has no body of its own.
        if end == Continuation::Abort {
            self.inbox.forget(&chunk.message_id);
            return None;
        }
        if chunk.status != Status::OK || !chunk.has_body {
            self.inbox.forget_empty(&chunk.message_id);
            return None;
        }
        match end {
            Continuation::More | Continuation::Abort => None,
            Continuation::Complete => {
                if chunk.success_report {
                    self.report(&chunk);
                }
                self.inbox.finish(&chunk.message_id).map(News::Received)
            }
        }
    }

    fn report(&mut self, chunk: &Chunk) {
        let end = chunk.start - 1 + chunk.len;
        let tid = random_id(self.rng.next_u64());
        let report = encode::Report {
            tid: &tid,
            to_path: &chunk.from_path,
            from_path: self.local.as_bytes(),
            message_id: &chunk.message_id,
            byte_range: ByteRange { start: 1, end: Some(end), total: Some(end) },
            status: Status::OK,
            cpim: None,
        };
        encode::report(&mut self.outgoing, &report);
    }
}

/// The range-end of a chunk: not said of one that is long enough to be interrupted (RFC 4975 §7.1.1).
fn range_end(start: u64, len: u64) -> Option<u64> {
    (len <= UNINTERRUPTIBLE_CHUNK_BYTES_MAX as u64).then_some(start - 1 + len)
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::super::inbox::Content;
    use super::*;

    const OURS: &str = "msrp://192.0.2.7:9/ours;tcp";
    const THEIRS: &str = "msrp://192.0.2.1:2855/theirs;tcp";

    fn pair() -> (Session, Session) {
        let end = |local: &str, remote: &str, seed| {
            Session::new(local.into(), remote.into(), ChaCha12Rng::from_seed([seed; 32]))
        };
        (end(OURS, THEIRS, 1), end(THEIRS, OURS, 2))
    }

    fn pass(from: &mut Session, to: &mut Session) -> Vec<News> {
        to.handle_bytes(&std::mem::take(&mut from.outgoing)).unwrap()
    }

    #[test]
    fn what_one_sends_the_other_receives_and_answers() {
        let (mut a, mut b) = pair();
        let now = Instant::now();
        a.bind(now);
        a.message(b"From: <sip:a@h>\r\nTo: <sip:r@h>\r\n\r\nContent-Type: text/plain\r\n\r\nhello", now);
        let news = pass(&mut a, &mut b);
        let [News::Received(received)] = &news[..] else { panic!("{news:?}") };
        assert_eq!(received.content, Content::Text("hello".into()));
        assert_eq!(a.unanswered(), 2);
        assert_eq!(
            pass(&mut b, &mut a),
            [News::Answered(Sent::Binding, Ok(())), News::Answered(Sent::Message, Ok(()))]
        );
        assert_eq!(a.unanswered(), 0);
    }

    #[test]
    fn a_message_that_was_given_up_leaves_nothing_behind() {
        let (_, mut b) = pair();
        let chunk = |range: &str, body: Option<&str>, flag: char| {
            let content = body.map(|body| format!("Content-Type: message/cpim\r\n\r\n{body}\r\n")).unwrap_or_default();
            let head = format!("MSRP abcd SEND\r\nTo-Path: {THEIRS}\r\nFrom-Path: {OURS}\r\nMessage-ID: m\r\n");
            format!("{head}Byte-Range: {range}\r\n{content}-------abcd{flag}\r\n")
        };
        let whole = "From: <sip:a@h>\r\nTo: <sip:r@h>\r\n\r\nContent-Type: text/plain\r\n\r\nagain";
        let wire = [
            chunk("1-*/*", Some("From: <sip:a@h>\r\n"), '+'),
            chunk("1-0/*", None, '#'),
            chunk(&format!("1-{0}/{0}", whole.len()), Some(whole), '$'),
        ];
        let news = b.handle_bytes(wire.concat().as_bytes()).unwrap();
        let [News::Received(received)] = &news[..] else { panic!("{news:?}") };
        assert_eq!(received.content, Content::Text("again".into()));
    }

    #[test]
    fn a_file_goes_in_chunks() {
        let (mut a, mut b) = pair();
        let now = Instant::now();
        let head = b"From: <sip:a@h>\r\nTo: <sip:r@h>\r\n\r\nContent-Type: image/png\r\n\r\n";
        let body = [&head[..], &[7; 3000]].concat();
        let (id, total) = (a.draw_message_id(), body.len() as u64);
        for (i, piece) in body.chunks(1000).enumerate() {
            assert!(pass(&mut a, &mut b).is_empty());
            a.file_chunk(&id, i as u64 * 1000 + 1, total, piece, now);
        }
        assert!(b.expects_more());
        let news = pass(&mut a, &mut b);
        let [News::Received(received)] = &news[..] else { panic!("{news:?}") };
        assert_eq!(received.content, Content::Other { media_type: "image/png".into(), octets: 3000 });
        assert!(!b.expects_more());
        assert_eq!(pass(&mut b, &mut a).len(), 4);
    }

    #[test]
    fn a_given_up_file_leaves_nothing() {
        let (mut a, mut b) = pair();
        let id = a.draw_message_id();
        a.file_chunk(&id, 1, 100, b"From: <sip:a@h>\r\n", Instant::now());
        a.abort_file(&id, 18, 100, Instant::now());
        assert_eq!(pass(&mut a, &mut b), []);
        assert!(!b.expects_more());
    }

    #[test]
    fn requests_for_others_and_of_unknown_methods_are_refused() {
        let (mut a, mut b) = pair();
        a.remote = "msrp://192.0.2.1:2855/other;tcp".into();
        a.message(b"x", Instant::now());
        a.nickname("Al", Instant::now());
        assert_eq!(pass(&mut a, &mut b), []);
        let refused = |status: u16, comment: &str| Err(Refusal::Status(status, comment.into()));
        let answers = pass(&mut b, &mut a);
        assert_eq!(answers[0], News::Answered(Sent::Message, refused(481, Status(481).comment())));
        let unknown = refused(501, Status(501).comment());
        assert_eq!(answers[1], News::Answered(Sent::Nickname("Al".into()), unknown));
    }

    #[test]
    fn an_answer_that_does_not_come_is_missed() {
        let (mut a, _) = pair();
        let now = Instant::now();
        a.message(b"x", now);
        assert_eq!(a.poll_timeout(), Some(now + ANSWER_TIMEOUT));
        assert_eq!(a.handle_timeout(now + ANSWER_TIMEOUT / 2), []);
        let late = a.handle_timeout(now + ANSWER_TIMEOUT);
        assert_eq!(late, [News::Answered(Sent::Message, Err(Refusal::Unanswered))]);
        assert_eq!(a.poll_timeout(), None);
    }

    #[test]
    fn reports_are_made_as_they_are_asked_for() {
        let (_, mut b) = pair();
        let chunk = |headers: &str| {
            format!(
                "MSRP abcd SEND\r\nTo-Path: {THEIRS}\r\nFrom-Path: {OURS}\r\nMessage-ID: 1\r\nByte-Range: 1-1/1\r\n{headers}\
                 Content-Type: message/cpim\r\n\r\nx\r\n-------abcd$\r\n"
            )
        };
        b.handle_bytes(chunk("Failure-Report: no\r\n").as_bytes()).unwrap();
        assert!(b.outgoing.is_empty());
        b.handle_bytes(chunk("Failure-Report: partial\r\nSuccess-Report: yes\r\n").as_bytes()).unwrap();
        let report = String::from_utf8(std::mem::take(&mut b.outgoing)).unwrap();
        assert!(report.contains(" REPORT\r\n") && report.contains("Byte-Range: 1-1/1"), "{report}");
    }
}
