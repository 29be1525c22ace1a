//! What waits to be sent on one connection.
//!
//! Two lanes: responses and REPORTs leave at the next chunk boundary, before waiting messages. Of messages only pointers wait.

use std::collections::VecDeque;
use std::rc::Rc;

use super::frame::Frame;
use super::piece_sink::{BoundedSink, PieceSink};
use crate::limits::{KEPT_COPIES_MAX, SPARE_LANE_BYTES_MAX, SPARE_LANES_MAX};

/// The outbox of a connection. At most one of `control_sent` and `front_sent` is not 0: what has been begun is finished first.
#[derive(Debug, Default)]
pub struct Outbox {
    control: Vec<u8>,
    control_sent: usize,
    messages: VecDeque<Copy>,
    front_sent: usize,
    message_bytes: usize,
}

/// Empty lanes, kept for whoever writes next: a response costs no allocation, and idle connections own none.
#[derive(Debug, Default)]
pub struct Lanes(Vec<Vec<u8>>);

/// One recipient's copy of a chunk.
#[derive(Debug)]
struct Copy {
    frame: Rc<Frame>,
    paths: Rc<[u8]>,
}

impl Copy {
    fn len(&self) -> usize {
        self.frame.len() + self.paths.len()
    }
}

impl Outbox {
    /// Octets of messages that wait.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// Octets of responses and REPORTs that wait.
    #[must_use]
    pub fn control_bytes(&self) -> usize {
        self.control.len() - self.control_sent
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.control.is_empty() && self.messages.is_empty()
    }

    /// Adds a copy of a chunk.
    pub fn push(&mut self, frame: Rc<Frame>, paths: Rc<[u8]>) {
        let copy = Copy { frame, paths };
        self.message_bytes += copy.len();
        self.messages.push_back(copy);
    }

    /// The lane of responses and REPORTs, to be written to at its end. It is made of one of `spare` where there is none yet.
    pub fn control_lane(&mut self, spare: &mut Lanes) -> &mut Vec<u8> {
        if self.control.capacity() == 0
            && let Some(lane) = spare.0.pop()
        {
            self.control = lane;
        }
        &mut self.control
    }

    /// Gives the lane away once nothing waits in it.
    pub fn spare_control(&mut self, spare: &mut Lanes) {
        if self.control.is_empty() && self.control.capacity() > 0 {
            let mut lane = std::mem::take(&mut self.control);
            if spare.0.len() < SPARE_LANES_MAX {
                lane.shrink_to(SPARE_LANE_BYTES_MAX);
                spare.0.push(lane);
            }
        }
    }

    /// Hands what waits to a sink.
    pub fn gather<S: PieceSink>(&self, sink: &mut BoundedSink<'_, S>) {
        let mut messages = self.messages.iter();
        if self.front_sent > 0
            && let Some(front) = messages.next()
        {
            front.frame.gather(&front.paths, self.front_sent, sink);
        }
        sink.push(&self.control[self.control_sent..]);
        for copy in messages {
            if sink.is_full() {
                break;
            }
            copy.frame.gather(&copy.paths, 0, sink);
        }
    }

    /// Takes off what was sent: `n` octets of what [`Outbox::gather`] hands out. Returns how many copies were finished.
    pub fn sent(&mut self, mut n: usize) -> usize {
        let mut finished = 0;
        if self.front_sent > 0 {
            n = self.take_from_front(n, &mut finished);
        }
        let control = n.min(self.control_bytes());
        self.control_sent += control;
        n -= control;
        if self.control_sent == self.control.len() {
            self.control.clear();
            self.control_sent = 0;
        }
        while n > 0 && !self.messages.is_empty() {
            n = self.take_from_front(n, &mut finished);
        }
        debug_assert_eq!(n, 0, "more was sent than waited");
        if self.messages.is_empty() && self.messages.capacity() > KEPT_COPIES_MAX {
            self.messages.shrink_to(KEPT_COPIES_MAX);
        }
        finished
    }

    fn take_from_front(&mut self, n: usize, finished: &mut usize) -> usize {
        let Some(front) = self.messages.front() else { return n };
        let left = front.len() - self.front_sent;
        let taken = n.min(left);
        self.message_bytes -= taken;
        if taken == left {
            self.messages.pop_front();
            self.front_sent = 0;
            *finished += 1;
        } else {
            self.front_sent += taken;
        }
        n - taken
    }

    /// Lets go of the receive slab; see [`Frame::release_slab`].
    pub fn release_slab(&self) {
        for copy in &self.messages {
            copy.frame.release_slab();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::FailureReport;
    use crate::switch::egress::{Body, ChunkTemplate, Label};
    use parlor_proto::msrp::{ByteRange, Continuation};
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn frame(body: &[u8], rng: &mut ChaCha8Rng) -> Rc<Frame> {
        let template = ChunkTemplate {
            label: Label::of(b"id"),
            range: ByteRange::DEFAULT,
            failure_report: FailureReport::No,
            body: Body::Copied(body),
            continuation: Continuation::Complete,
        };
        Frame::new(&template, rng).1
    }

    fn gather(outbox: &Outbox, max: usize, out: &mut Vec<u8>) -> usize {
        let mut sink = BoundedSink::new(max, out);
        outbox.gather(&mut sink);
        sink.taken()
    }

    #[test]
    fn responses_overtake_waiting_messages_but_not_a_begun_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut outbox = Outbox::default();
        let paths: Rc<[u8]> = Rc::from(&b"P\r\n"[..]);
        outbox.push(frame(b"one", &mut rng), paths.clone());
        outbox.push(frame(b"two", &mut rng), paths);
        outbox.control_lane(&mut Lanes::default()).extend_from_slice(b"<response>");
        let mut out = Vec::new();
        gather(&outbox, usize::MAX, &mut out);
        assert!(out.starts_with(b"<response>MSRP "));
        outbox.sent(12);
        outbox.control_lane(&mut Lanes::default()).extend_from_slice(b"<second>");
        out.clear();
        gather(&outbox, usize::MAX, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (second, two) = (text.find("<second>").unwrap(), text.find("two").unwrap());
        assert!(text.find("one").unwrap() < second && second < two, "{text}");
        assert!(text[..second].ends_with("$\r\n"), "at a chunk boundary");
    }

    #[test]
    fn an_empty_outbox_and_its_shard_keep_little() {
        let mut lanes = Lanes::default();
        for _ in 0..=SPARE_LANES_MAX {
            let mut outbox = Outbox::default();
            outbox.control_lane(&mut Lanes::default()).extend_from_slice(&[b'r'; 100 * SPARE_LANE_BYTES_MAX]);
            outbox.sent(100 * SPARE_LANE_BYTES_MAX);
            outbox.spare_control(&mut lanes);
        }
        assert_eq!(lanes.0.len(), SPARE_LANES_MAX);
        assert!(lanes.0.iter().all(|lane| lane.capacity() <= 2 * SPARE_LANE_BYTES_MAX));
        let (mut outbox, mut rng) = (Outbox::default(), ChaCha8Rng::seed_from_u64(3));
        for _ in 0..100 * KEPT_COPIES_MAX {
            outbox.push(frame(b"m", &mut rng), Rc::from(&b"P\r\n"[..]));
        }
        let len = outbox.message_bytes();
        assert_eq!((outbox.sent(len), outbox.is_empty()), (100 * KEPT_COPIES_MAX, true));
        assert!(outbox.messages.capacity() <= 2 * KEPT_COPIES_MAX, "{}", outbox.messages.capacity());
    }

    proptest! {
        /// However the kernel takes it, what leaves is what was put in, and each chunk and response is in one piece.
        #[test]
        fn partial_sends_lose_and_repeat_nothing(steps in prop::collection::vec((0usize..3, 1usize..400), 1..60)) {
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let mut outbox = Outbox::default();
            let paths: Rc<[u8]> = Rc::from(&b"P\r\n"[..]);
            let (mut wire, mut put, mut messages) = (Vec::new(), 0, 0usize);
            for (what, amount) in steps {
                match what {
                    0 => {
                        let body = vec![b'm'; amount];
                        let frame = frame(&body, &mut rng);
                        put += frame.len() + paths.len();
                        outbox.push(frame, paths.clone());
                        messages += 1;
                    }
                    1 => {
                        let response = format!("<{}>", "r".repeat(amount));
                        put += response.len();
                        outbox.control_lane(&mut Lanes::default()).extend_from_slice(response.as_bytes());
                    }
                    _ => {
                        let before = wire.len();
                        let n = gather(&outbox, amount, &mut wire);
                        prop_assert_eq!(wire.len() - before, n);
                        messages -= outbox.sent(n);
                    }
                }
            }
            let n = gather(&outbox, usize::MAX, &mut wire);
            messages -= outbox.sent(n);
            prop_assert_eq!((wire.len(), messages, outbox.message_bytes()), (put, 0, 0));
            prop_assert!(outbox.is_empty());
            let text = String::from_utf8(wire).unwrap();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let end = if rest.starts_with('<') { rest.find('>').unwrap() + 1 } else { rest.find("$\r\n").unwrap() + 3 };
                prop_assert!(!rest[1..end - 1].contains(['<', '>']));
                rest = &rest[end..];
            }
        }
    }
}
