//! A room's log against what it stands for: a queue for each member, onto which every message is pushed.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::fixture::{Fixture, Options, bodies};
use crate::facts::{Command, RoomPolicy};
use crate::ids::ConnectionId;
use crate::switch::{Mark, PieceSink};

/// What the log must not be told from: for each member the texts that are for it, in order.
#[derive(Default)]
struct Model {
    present: Vec<usize>,
    due: HashMap<usize, Vec<String>>,
    got: HashMap<usize, Vec<u8>>,
    /// Whose sockets take nothing until they are tried again.
    stuck: HashSet<usize>,
    /// Who has something to get, as the switch has listed them.
    dirty: Vec<ConnectionId>,
    said: usize,
    /// Octets that may wait on one connection at most, were all of them on it.
    waiting: usize,
    marked: HashMap<(u64, usize), Vec<u8>>,
}

/// Takes octets down, and holds whoever marks them to it.
struct Noting<'a> {
    out: Vec<u8>,
    marked: &'a mut HashMap<(u64, usize), Vec<u8>>,
}

impl PieceSink for Noting<'_> {
    fn push(&mut self, piece: &[u8]) {
        self.out.extend_from_slice(piece);
    }

    fn push_marked(&mut self, piece: &[u8], mark: Mark) {
        let known = self.marked.entry((mark.page, mark.at)).or_default();
        let both = known.len().min(piece.len());
        assert_eq!(known[..both], piece[..both], "a mark stands for the same octets always");
        if piece.len() > both {
            *known = piece.to_vec();
        }
        self.push(piece);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Say { from: usize, len: usize },
    Whisper { from: usize, to: usize },
    Take { at: usize, max: usize },
    Block { at: usize },
    Leave { at: usize },
    Join { shares: Option<usize>, picky: bool },
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0usize..64;
    prop_oneof![
        8 => (who.clone(), prop_oneof![1usize..300, 4000usize..6000]).prop_map(|(from, len)| Step::Say { from, len }),
        2 => (who.clone(), who.clone()).prop_map(|(from, to)| Step::Whisper { from, to }),
        4 => (who.clone(), prop_oneof![1usize..2000, Just(usize::MAX)]).prop_map(|(at, max)| Step::Take { at, max }),
        1 => who.clone().prop_map(|at| Step::Block { at }),
        1 => who.clone().prop_map(|at| Step::Leave { at }),
        1 => (prop::option::of(who), any::<bool>()).prop_map(|(shares, picky)| Step::Join { shares, picky }),
        2 => Just(Step::Flush),
    ]
}

impl Model {
    fn pick(&self, n: usize) -> Option<usize> {
        (!self.present.is_empty()).then(|| self.present[n % self.present.len()])
    }

    fn text(&mut self, len: usize) -> String {
        self.said += 1;
        format!("{}:{}", self.said, "y".repeat(len))
    }

    fn apply(&mut self, room: &mut Fixture, step: &Step) {
        match *step {
            Step::Say { from, len } => {
                let Some(from) = self.pick(from) else { return };
                let text = self.text(len);
                self.keep_below_the_bound(room, (len + 500) * self.present.len());
                let body = room.to_room(from, &text);
                room.send(from, &room.message(from, &format!("m{}", self.said), &body));
                for at in self.present.iter().filter(|at| **at != from) {
                    self.due.entry(*at).or_default().push(text.clone());
                }
            }
            Step::Whisper { from, to } => {
                let (Some(from), Some(to)) = (self.pick(from), self.pick(to)) else { return };
                let text = self.text(3);
                let body = room.cpim(from, &format!("sip:{}@example.com", room.members[to].name), &text);
                room.send(from, &room.message(from, &format!("m{}", self.said), &body));
                self.due.entry(to).or_default().push(text);
            }
            Step::Take { at, max } => {
                if let Some(at) = self.pick(at) {
                    self.take(room, at, max);
                }
            }
            Step::Block { at } => {
                if let Some(at) = self.pick(at) {
                    room.switch.take_dirty(&mut self.dirty);
                    self.dirty.retain(|id| *id != room.members[at].connection);
                    room.block(at);
                    self.stuck.insert(first_on(room, at));
                }
            }
            Step::Leave { at } => {
                let Some(at) = self.pick(at) else { return };
                self.present.retain(|other| *other != at);
                room.control(Command::CloseSession { session: room.members[at].session });
                // What was said before is still sent.
                self.take(room, at, usize::MAX);
            }
            Step::Join { shares, picky } => {
                let shares = shares.and_then(|n| self.pick(n));
                let accepts = picky.then_some("text/plain");
                self.join(room, Options { shares, accepts, ..Options::default() });
            }
            Step::Flush => self.flush(room),
        }
    }

    /// What a full outbox does is not asked here: before one can be, everything leaves.
    fn keep_below_the_bound(&mut self, room: &mut Fixture, more: usize) {
        self.waiting += more;
        if self.waiting > 180_000 {
            self.waiting = more;
            for at in self.present.clone() {
                self.take(room, at, usize::MAX);
            }
        }
    }

    fn join(&mut self, room: &mut Fixture, options: Options) {
        // What waits on a shared connection would hide the answer that binds.
        if let Some(other) = options.shares {
            self.take(room, other, usize::MAX);
        }
        room.switch.take_dirty(&mut self.dirty);
        let at = room.join(&format!("u{}", room.members.len()), options);
        self.present.push(at);
    }

    fn take(&mut self, room: &mut Fixture, at: usize, max: usize) {
        room.switch.take_dirty(&mut self.dirty);
        self.dirty.retain(|id| *id != room.members[at].connection);
        let wire = room.taken(at, max);
        let first = first_on(room, at);
        self.stuck.remove(&first);
        self.got.entry(first).or_default().extend(wire);
    }

    /// As the shell flushes: everybody on the list, and everything that waits.
    fn flush(&mut self, room: &mut Fixture) {
        room.switch.take_dirty(&mut self.dirty);
        for id in std::mem::take(&mut self.dirty) {
            let Some(at) = (0..room.members.len()).find(|n| room.members[*n].connection == id) else { continue };
            let mut sink = Noting { out: Vec::new(), marked: &mut self.marked };
            let n = room.switch.gather(id, &mut sink, usize::MAX);
            let out = sink.out;
            assert_eq!(n, out.len());
            room.switch.sent(id, n, room.now);
            self.got.entry(at).or_default().extend(out);
        }
    }

    /// What each member has got, by its path.
    fn heard(&self, room: &Fixture) -> HashMap<usize, Vec<String>> {
        let mut heard = HashMap::<usize, Vec<String>>::new();
        for wire in self.got.values() {
            let text = String::from_utf8(wire.clone()).unwrap();
            for chunk in text.split("MSRP ").skip(1) {
                let (tid, rest) = chunk.split_once(' ').unwrap();
                assert!(rest.ends_with(&format!("-------{tid}$\r\n")), "each chunk is in one piece: {chunk}");
                let Some(rest) = rest.strip_prefix("SEND\r\nTo-Path: ") else { continue };
                let (to, rest) = rest.split_once("\r\n").unwrap();
                let at = room.members.iter().position(|member| member.remote == to).unwrap();
                let body = rest.rsplit_once("\r\n-------").unwrap().0.rsplit_once("\r\n\r\n").unwrap().1;
                heard.entry(at).or_default().push(body.to_owned());
            }
        }
        heard
    }
}

/// The first member on the connection of a member.
fn first_on(room: &Fixture, at: usize) -> usize {
    (0..=at).find(|n| room.members[*n].connection == room.members[at].connection).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whoever comes, goes, stalls, shares a connection, whispers or takes a part: each member gets what was said while it was
    /// there, once, in order, in whole chunks.
    #[test]
    fn a_log_is_a_queue_for_each_member(steps in prop::collection::vec(step(), 1..120)) {
        let mut room = Fixture::new(RoomPolicy::default(), &["u0", "u1", "u2"]);
        // More than all steps can say: nobody is to become congested here.
        room.switch.egress.outbox_max = 8 << 20;
        let mut model = Model { present: vec![0, 1, 2], ..Model::default() };
        for step in &steps {
            model.apply(&mut room, step);
            room.switch.egress.check_logs();
        }
        for at in model.stuck.clone() {
            model.take(&mut room, at, usize::MAX);
        }
        // Whatever is not on the list now would never leave.
        model.flush(&mut room);
        prop_assert_eq!(room.switch.counters().discarded, 0);
        let heard = model.heard(&room);
        for at in 0..room.members.len() {
            prop_assert_eq!(heard.get(&at).cloned().unwrap_or_default(), model.due.get(&at).cloned().unwrap_or_default());
        }
        prop_assert!(room.switch.egress.logs_are_empty(), "nothing is kept that everybody has");
    }
}

#[test]
fn a_blocked_member_is_attached_to_the_log_again_once_it_has_drained() {
    let mut room = Fixture::new(RoomPolicy::default(), &["a", "b", "c"]);
    assert_eq!(room.switch.egress.log_sizes(), (3, 0, 0));
    let say = |room: &mut Fixture, id: &str| room.send(0, &room.message(0, id, &room.to_room(0, id)));
    say(&mut room, "one");
    assert_eq!(room.switch.egress.log_sizes(), (3, 0, 1));
    room.block(1);
    assert_eq!(room.switch.egress.log_sizes(), (2, 1, 1));
    say(&mut room, "two");
    assert_eq!(bodies(&room.received_bytes(1)).len(), 2);
    assert_eq!(room.switch.egress.log_sizes(), (3, 0, 2));
    room.received_bytes(2);
    assert_eq!(room.switch.egress.log_sizes(), (3, 0, 0), "all have read it");
}

#[test]
fn a_type_that_somebody_refuses_and_a_size_that_somebody_cannot_take_reach_the_others_in_order() {
    let mut room = Fixture::new(RoomPolicy::default(), &["a", "b"]);
    let picky = room.join("c", Options { accepts: Some("text/html"), ..Options::default() });
    let small = room.join("d", Options { max_size: Some(500), ..Options::default() });
    for (id, text) in [("one", "1".to_owned()), ("two", "2".repeat(600)), ("three", "3".to_owned())] {
        let body = room.to_room(0, &text);
        let body = if id == "one" { body.replace("text/plain", "text/html") } else { body };
        room.send(0, &room.message(0, id, &body));
    }
    let firsts = |room: &mut Fixture, at| -> String {
        bodies(&room.received_bytes(at)).iter().map(|body| body.chars().last().unwrap()).collect()
    };
    assert_eq!(firsts(&mut room, 1), "123");
    assert_eq!(firsts(&mut room, picky), "1");
    assert_eq!(firsts(&mut room, small), "13");
}

#[test]
fn a_log_never_holds_more_than_an_outbox() {
    let mut room = Fixture::new(RoomPolicy::default(), &["a", "b", "c"]);
    let body = room.to_room(0, &"x".repeat(3000));
    for n in 0..200 {
        room.send(0, &room.message(0, &format!("m{n}"), &body));
        assert!(room.switch.egress.log_octets() <= 256 * 1024);
    }
    assert!(room.switch.must_flush_now());
    let counters = room.switch.counters();
    assert_eq!(counters.deliveries + counters.discarded, 400, "each copy is queued or counted as missed");
    assert!(counters.discarded > 0 && counters.congested == 2);
}
