//! Sinks that take a number of pieces and then no more, and the order in which rooms are sent to.

use super::fixture::{Fixture, Options, bodies};
use crate::facts::RoomPolicy;
use crate::switch::PieceSink;

/// Takes so many pieces.
struct Few {
    out: Vec<u8>,
    pieces: usize,
    max: usize,
}

impl PieceSink for Few {
    fn room(&self) -> usize {
        self.max - self.pieces
    }

    fn push(&mut self, piece: &[u8]) {
        assert!(self.room() > 0 && !piece.is_empty());
        self.pieces += 1;
        self.out.extend_from_slice(piece);
    }
}

impl Fixture {
    /// What a sink of `max` pieces takes of what waits for a member, and the kernel of that.
    fn taken_in_pieces(&mut self, at: usize, max: usize, octets_max: usize) -> Vec<u8> {
        let connection = self.members[at].connection;
        self.switch.take_dirty(&mut Vec::new());
        let mut sink = Few { out: Vec::new(), pieces: 0, max };
        let n = self.switch.gather(connection, &mut sink, octets_max);
        assert_eq!(n, sink.out.len(), "what is answered was handed over");
        self.switch.sent(connection, n, self.now);
        sink.out
    }
}

/// Bob takes all at once, carol and dave in pieces; dave's socket was full before. What they get is the same.
#[test]
fn what_a_sink_has_no_room_for_comes_next() {
    for max in 1..14 {
        for octets_max in [usize::MAX, 100] {
            let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol", "dave"]);
            room.block(3);
            for n in 0..6 {
                // Small ones are in the room's log, large ones in frames of their own, and some are private.
                let text = format!("{n}{}", "x".repeat(if n % 3 == 2 { 9000 } else { 10 }));
                let body = room.to_room(0, &text);
                let chunk = room.message(0, &format!("m{n}"), &body);
                room.send(0, &chunk);
                for to in [1, 2, 3] {
                    // An answer is in the way too.
                    let chunk = room.message(to, &format!("e{n}{to}"), "");
                    room.send(to, &chunk);
                }
            }
            let expected = bodies(&room.received_bytes(1));
            assert_eq!(expected.len(), 6);
            for at in [2, 3] {
                let mut wire = Vec::new();
                loop {
                    let taken = room.taken_in_pieces(at, max, octets_max);
                    if taken.is_empty() {
                        break;
                    }
                    wire.extend(taken);
                }
                assert_eq!(bodies(&wire), expected, "{at}: {max} pieces, {octets_max} octets");
                let answers = String::from_utf8_lossy(&wire).matches(" 400 ").count()
                    + String::from_utf8_lossy(&wire).matches(" 200 OK").count();
                assert_eq!(answers, 6);
            }
            room.switch.egress.check_logs();
        }
    }
}

/// Who spoke first is not sent to last.
#[test]
fn rooms_are_flushed_in_the_order_of_their_first_messages() {
    let mut rooms = Fixture::new(RoomPolicy::default(), &[]);
    let spoken = [3, 1, 5, 2, 4];
    (2..=5).for_each(|room| rooms.open_another_room(room));
    let mut join = |name: &str, room| rooms.join(name, Options { room: Some(room), ..Options::default() });
    let members: Vec<_> = (1..=5).map(|room| (join("alice", room), join("bob", room))).collect();
    rooms.switch.take_dirty(&mut Vec::new());
    for room in spoken {
        let (alice, _) = members[room - 1];
        let body = rooms.to_room(alice, "hello");
        let chunk = rooms.message_with(alice, &format!("m{room}"), "Failure-Report: no\r\n", &body);
        rooms.send(alice, &chunk);
    }
    let mut dirty = Vec::new();
    rooms.switch.take_dirty(&mut dirty);
    let bobs = spoken.map(|room| rooms.members[members[room - 1].1].connection);
    assert_eq!(dirty, bobs);
}
