//! One chunk as it goes out, shared by its recipients.
//!
//! Of a copy only the To-Path and From-Path lines are the recipient's own, and those its session has ready. Everything else is
//! a frame: made once, pointed to by every recipient's outbox.
//!
//! ```text
//!   MSRP 5f1d… SEND          frame, up to `start`
//!   To-Path: …               the recipient's
//!   From-Path: …
//!   Message-ID: …            frame, up to `body_at`
//!   …
//!   (body)                   slices of the receive slab; or, where it is small, octets of the frame itself
//!   -------5f1d…$            the rest of the frame
//! ```

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use rand_core::Rng;
use smallvec::SmallVec;

use super::piece_sink::{BoundedSink, PieceSink};
use crate::facts::FailureReport;
use parlor_proto::msrp::encode::{RANDOM_ID_BYTES, byte_range, end, random_id};
use parlor_proto::msrp::{ByteRange, Continuation, contains_end_line};

/// A chunk without the lines that are its recipient's own.
#[derive(Debug)]
pub struct Frame {
    octets: Vec<u8>,
    start: usize,
    body_at: usize,
    body: RefCell<SmallVec<[Bytes; 1]>>,
    len: usize,
}

/// The octets that a chunk carries.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// None, and no Content-Type: what ends a message that was given up.
    None,
    /// To be copied into the frame.
    Copied(&'a [u8]),
    /// To be kept where they are; the first octets come from elsewhere and are copied.
    Shared(&'a [u8], &'a [Bytes]),
}

/// What all copies and all chunks of a message have in common.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// Message-ID.
    pub message_id: &'a [u8],
    /// The headers of the body, each with its line end, where they are not the usual `Content-Type: message/cpim`.
    pub content: Option<&'a [u8]>,
    /// It only reports on other messages, and is for members on hold too.
    pub reports: bool,
}

impl<'a> Label<'a> {
    /// The label of a message with the usual headers.
    #[must_use]
    pub fn of(message_id: &'a [u8]) -> Self {
        Self { message_id, content: None, reports: false }
    }
}

/// What a frame is made from. Several sessions on one connection need a transaction id each, so more than one frame may come
/// of it.
#[derive(Debug, Clone, Copy)]
pub struct ChunkTemplate<'a> {
    /// What all chunks of its message have in common.
    pub label: Label<'a>,
    /// Byte-Range.
    pub range: ByteRange,
    /// Failure-Report of the copies.
    pub failure_report: FailureReport,
    /// What it carries.
    pub body: Body<'a>,
    /// The continuation flag of its end-line.
    pub continuation: Continuation,
}

impl Body<'_> {
    /// Octets of it.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Copied(octets) => octets.len(),
            Self::Shared(first, slices) => first.len() + slices.iter().map(Bytes::len).sum::<usize>(),
        }
    }

    /// Whether it contains the end-line of a chunk with that transaction id.
    fn ends(&self, tid: &[u8]) -> bool {
        let in_slice = |octets: &[u8]| contains_end_line(octets, tid);
        match self {
            Self::None => false,
            Self::Copied(octets) => in_slice(octets),
            Self::Shared(first, slices) => in_slice(first) || slices.iter().any(|slice| in_slice(slice)),
        }
    }
}

impl Frame {
    /// Makes a frame under a transaction id that is drawn now, when the octets are known: nobody can have put its end-line
    /// into them (RFC 4975 §7.1).
    #[must_use]
    pub fn new(template: &ChunkTemplate<'_>, rng: &mut impl Rng) -> (u64, Rc<Self>) {
        let tid = draw(template, rng);
        (tid, Rc::new(Self::with_tid(template, &random_id(tid))))
    }

    /// Writes a frame whose body is copied into a buffer. Returns its transaction id, drawn as [`Frame::new`] does, and behind
    /// how many of its octets the recipient's path lines go.
    pub fn write(template: &ChunkTemplate<'_>, rng: &mut impl Rng, out: &mut Vec<u8>) -> (u64, usize) {
        let tid = draw(template, rng);
        let start = out.len();
        let (split, _) = write(template, &random_id(tid), out);
        (tid, split - start)
    }

    /// The frame that was written by [`Frame::write`].
    #[must_use]
    pub fn of(octets: Vec<u8>, split: usize) -> Self {
        let len = octets.len();
        Self { octets, start: split, body_at: len, body: RefCell::default(), len }
    }

    fn with_tid(template: &ChunkTemplate<'_>, tid: &[u8; RANDOM_ID_BYTES]) -> Self {
        const HEAD_LEN: usize = 5 + RANDOM_ID_BYTES + 7 + 200 + 14 + RANDOM_ID_BYTES;
        let (copied, shared): (&[u8], &[Bytes]) = match template.body {
            Body::None => (&[], &[]),
            Body::Copied(octets) => (octets, &[]),
            Body::Shared(first, slices) => (first, slices),
        };
        let mut octets = Vec::with_capacity(HEAD_LEN + copied.len());
        let (start, body_at) = write(template, tid, &mut octets);
        let body: SmallVec<[Bytes; 1]> = shared.iter().cloned().collect();
        let len = octets.len() + body.iter().map(Bytes::len).sum::<usize>();
        Self { octets, start, body_at, body: RefCell::new(body), len }
    }

    /// Octets of a copy, its recipient's path lines left out.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a frame has a start line at least")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Moves the body out of the receive slab into memory of its own, once for all who hold the frame. What waits behind a
    /// full socket must not pin a slab.
    pub fn release_slab(&self) {
        let mut body = self.body.borrow_mut();
        if body.is_empty() || (body.len() == 1 && body[0].is_unique()) {
            return;
        }
        let mut own = BytesMut::with_capacity(body.iter().map(Bytes::len).sum());
        for slice in body.drain(..) {
            own.extend_from_slice(&slice);
        }
        body.push(own.freeze());
    }

    /// Hands the octets of a copy from `skip` on to a sink, piece by piece.
    pub fn gather<S: PieceSink>(&self, paths: &[u8], mut skip: usize, sink: &mut BoundedSink<'_, S>) {
        if skip == 0 {
            return self.for_each_piece(paths, |piece| sink.push(piece));
        }
        self.for_each_piece(paths, |piece| {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            sink.push(&piece[skipped..]);
        });
    }

    #[inline]
    fn for_each_piece(&self, paths: &[u8], mut take: impl FnMut(&[u8])) {
        take(&self.octets[..self.start]);
        take(paths);
        take(&self.octets[self.start..self.body_at]);
        self.body.borrow().iter().for_each(|slice| take(slice));
        take(&self.octets[self.body_at..]);
    }
}

fn draw(template: &ChunkTemplate<'_>, rng: &mut impl Rng) -> u64 {
    let mut tid = rng.next_u64();
    while template.body.ends(&random_id(tid)) {
        tid = rng.next_u64();
    }
    tid
}

/// Writes all but the path lines and what is shared. Returns where those lines go, and where the shared octets.
fn write(template: &ChunkTemplate<'_>, tid: &[u8; RANDOM_ID_BYTES], out: &mut Vec<u8>) -> (usize, usize) {
    out.extend_from_slice(b"MSRP ");
    out.extend_from_slice(tid);
    out.extend_from_slice(b" SEND\r\n");
    let start = out.len();
    out.extend_from_slice(b"Message-ID: ");
    out.extend_from_slice(template.label.message_id);
    out.extend_from_slice(b"\r\nByte-Range: ");
    byte_range(out, template.range);
    out.extend_from_slice(match template.failure_report {
        FailureReport::No => b"\r\nFailure-Report: no\r\n",
        FailureReport::Partial => b"\r\nFailure-Report: partial\r\n",
        FailureReport::Yes => b"\r\n",
    });
    if !matches!(template.body, Body::None) {
        out.extend_from_slice(template.label.content.unwrap_or(b"Content-Type: message/cpim\r\n"));
        out.extend_from_slice(b"\r\n");
    }
    if let Body::Copied(octets) | Body::Shared(octets, _) = template.body {
        out.extend_from_slice(octets);
    }
    let body_at = out.len();
    if !matches!(template.body, Body::None) {
        out.extend_from_slice(b"\r\n");
    }
    end(out, tid, template.continuation);
    (start, body_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    const PATHS: &[u8] = b"To-Path: msrp://a/1;tcp\r\nFrom-Path: msrp://b/2;tcp\r\n";

    fn template(body: Body<'_>) -> ChunkTemplate<'_> {
        ChunkTemplate {
            label: Label::of(b"0123456789abcdef01234567"),
            range: ByteRange { start: 1, end: Some(10), total: Some(10) },
            failure_report: FailureReport::No,
            body,
            continuation: Continuation::Complete,
        }
    }

    fn written(frame: &Frame, skip: usize, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sink = BoundedSink::new(max, &mut out);
        frame.gather(PATHS, skip, &mut sink);
        assert_eq!(sink.taken(), out.len());
        out
    }

    #[test]
    fn a_copy_is_a_whole_chunk() {
        let frame = Frame::with_tid(&template(Body::Copied(b"0123456789")), b"aaaabbbbccccdddd");
        let text = written(&frame, 0, usize::MAX);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "MSRP aaaabbbbccccdddd SEND\r\nTo-Path: msrp://a/1;tcp\r\nFrom-Path: msrp://b/2;tcp\r\n\
             Message-ID: 0123456789abcdef01234567\r\nByte-Range: 1-10/10\r\nFailure-Report: no\r\n\
             Content-Type: message/cpim\r\n\r\n0123456789\r\n-------aaaabbbbccccdddd$\r\n"
        );
    }

    #[test]
    fn shared_and_copied_bodies_look_the_same_on_the_wire() {
        let slab = Bytes::from_static(b"..0123456789..");
        let slices = [slab.slice(3..5), slab.slice(5..12)];
        let shared = Frame::with_tid(&template(Body::Shared(b"0", &slices)), b"aaaabbbbccccdddd");
        let copied = Frame::with_tid(&template(Body::Copied(b"0123456789")), b"aaaabbbbccccdddd");
        let whole = written(&copied, 0, usize::MAX);
        assert_eq!(written(&shared, 0, usize::MAX), whole);
        assert_eq!(shared.len(), copied.len());
        shared.release_slab();
        assert_eq!(written(&shared, 0, usize::MAX), whole);
        for skip in 0..=whole.len() {
            for max in [0, 1, 7, 100, usize::MAX] {
                let end = skip.saturating_add(max).min(whole.len());
                assert_eq!(written(&shared, skip, max), whole[skip..end], "{skip} {max}");
            }
        }
    }

    #[test]
    fn detaching_lets_go_of_the_slab() {
        let mut slab = BytesMut::from(&b"0123456789"[..]);
        let received = slab.split().freeze();
        let frame = Frame::with_tid(&template(Body::Shared(b"", &[received.slice(..)])), b"aaaabbbbccccdddd");
        drop(received);
        assert!(!slab.try_reclaim(10), "the frame pins it");
        frame.release_slab();
        assert!(slab.try_reclaim(10));
    }

    #[test]
    fn the_transaction_id_is_not_in_the_body() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let first = random_id(rng.clone().next_u64());
        let (tid, _) = Frame::new(&template(Body::Copied(&[b"-------", &first[..]].concat())), &mut rng);
        assert_ne!(random_id(tid), first);
    }

    #[test]
    fn a_message_given_up_ends_without_a_body() {
        let mut template = template(Body::None);
        template.continuation = Continuation::Abort;
        let text = String::from_utf8(written(&Frame::with_tid(&template, b"aaaabbbbccccdddd"), 0, usize::MAX)).unwrap();
        assert!(text.ends_with("Failure-Report: no\r\n-------aaaabbbbccccdddd#\r\n"), "{text}");
    }
}
