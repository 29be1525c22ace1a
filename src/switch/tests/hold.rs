//! Members on hold: no messages, but what tells about messages (RFC 4975 §8.9).

use super::fixture::{Fixture, Options, ROOM_URI, bodies};
use crate::facts::{Command, Direction, RoomPolicy};

const IMDN: &str = "message/imdn+xml";
const TYPING: &str = "application/im-iscomposing+xml";

fn direct(room: &mut Fixture, at: usize, sends: bool, receives: bool) {
    let mut terms = room.terms(at);
    terms.direction = Direction { sends, receives };
    room.control(Command::ChangeSession { session: room.members[at].session, terms: Box::new(terms) });
}

fn typed(room: &Fixture, to: &str, kind: &str, len: usize) -> String {
    room.cpim(0, to, &"x".repeat(len)).replace("text/plain", kind)
}

/// Sends a message of the first member, whole or in two chunks. Returns the status of its end.
fn send(room: &mut Fixture, body: &str, chunks: usize) -> Option<u16> {
    let total = body.len();
    let step = total.div_ceil(chunks);
    let mut status = None;
    for start in (0..total).step_by(step) {
        let end = total.min(start + step);
        let flag = if end == total { '$' } else { '+' };
        let headers = format!("Message-ID: m\r\nByte-Range: {}-*/{total}\r\nContent-Type: message/cpim\r\n", start + 1);
        let chunk = room.chunk(0, "held0001", "SEND", &headers, Some(&body[start..end]), flag);
        room.send(0, &chunk);
        status = room.answer(0, "held0001");
    }
    status
}

#[test]
fn notifications_pass_to_members_on_hold_whole_and_in_chunks() {
    for (sends, receives) in [(true, false), (false, false), (true, true)] {
        let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
        direct(&mut room, 1, sends, receives);
        for to in [ROOM_URI, "sip:bob@example.com"] {
            for kind in [IMDN, "Message/Delivery-Status; x=y"] {
                // Copied, shared, held until it is whole, and sent on as it comes.
                for (len, chunks) in [(100, 1), (10_000, 1), (3000, 2), (200_000, 3)] {
                    let body = typed(&room, to, kind, len);
                    assert_eq!(send(&mut room, &body, chunks), Some(200), "{to} {kind} {len}");
                    assert_eq!(bodies(&room.received_bytes(1)), [body], "{to} {kind} {len}");
                    room.received(2);
                }
            }
        }
    }
}

#[test]
fn messages_and_what_announces_them_do_not() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    direct(&mut room, 1, true, false);
    for kind in ["text/plain", TYPING, "message/imdn"] {
        for (len, chunks) in [(100, 1), (3000, 2), (200_000, 3)] {
            let body = typed(&room, ROOM_URI, kind, len);
            assert_eq!(send(&mut room, &body, chunks), Some(200), "the others get it");
            assert_eq!(room.received(1), "", "{kind} {len}");
            assert_eq!(bodies(&room.received_bytes(2)), [body]);
            let body = typed(&room, "sip:bob@example.com", kind, len);
            assert_eq!(send(&mut room, &body, chunks), Some(413), "{kind} {len}: nobody can take it");
            assert_eq!(room.received(1), "");
        }
    }
    direct(&mut room, 1, true, true);
    let body = typed(&room, ROOM_URI, TYPING, 100);
    send(&mut room, &body, 1);
    assert_eq!(bodies(&room.received_bytes(1)), [body], "the hold is over");
}

#[test]
fn a_notification_still_has_to_be_of_a_type_and_size_that_is_taken() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    room.join("bob", Options { accepts: Some("text/plain"), ..Options::default() });
    room.join("carol", Options { max_size: Some(500), ..Options::default() });
    for at in [1, 2] {
        direct(&mut room, at, true, false);
    }
    let body = typed(&room, ROOM_URI, IMDN, 1000);
    assert_eq!(send(&mut room, &body, 1), Some(200));
    assert_eq!((room.received(1), room.received(2)), (String::new(), String::new()));
    let body = typed(&room, "sip:bob@example.com", IMDN, 10);
    assert_eq!(send(&mut room, &body, 1), Some(415));
}
