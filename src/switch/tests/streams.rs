//! Messages in chunks (RFC 7701 §6.1, §9.5; RFC 4975 §7.3.1).

use std::time::Duration;

use super::fixture::{Fixture, Options, bodies};
use crate::facts::{Command, RoomPolicy};

/// A piece of a message as a chunk of its own.
fn piece(
    room: &Fixture,
    at: usize,
    id: &str,
    body: &str,
    range: std::ops::Range<usize>,
    total: &str,
    flag: char,
) -> String {
    let headers =
        format!("Message-ID: {id}\r\nByte-Range: {}-*/{total}\r\nContent-Type: message/cpim\r\n", range.start + 1);
    room.chunk(at, &format!("c{:06}", range.start), "SEND", &headers, Some(&body[range]), flag)
}

fn long(room: &Fixture, len: usize) -> String {
    room.to_room(0, &"0123456789".repeat(len / 10))
}

#[test]
fn headers_may_be_cut_anywhere() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "hello");
    for cut in 1..body.len() {
        let id = format!("m{cut}");
        let first = piece(&room, 0, &id, &body, 0..cut, "*", '+');
        let second = piece(&room, 0, &id, &body, cut..body.len(), "*", '$');
        room.send(0, &first);
        assert_eq!(room.answer(0, "c000000"), Some(200), "{cut}");
        assert_eq!(room.received(1), "", "nothing goes out before the message is whole");
        room.send(0, &second);
        assert_eq!(bodies(&room.received_bytes(1)), std::slice::from_ref(&body), "cut at {cut}");
        assert_eq!(room.switch.held_bytes(), 0);
    }
}

#[test]
fn a_large_message_goes_out_as_it_comes_and_later_joiners_get_nothing_of_it() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = long(&room, 200_000);
    let total = body.len().to_string();
    let (mut wire, mut at) = (Vec::new(), 0);
    while at < body.len() {
        let end = (at + 30_000).min(body.len());
        let chunk = piece(&room, 0, "big", &body, at..end, &total, if end == body.len() { '$' } else { '+' });
        room.send(0, &chunk);
        let news = room.received_bytes(1);
        assert!(!news.is_empty(), "something goes out with every piece");
        wire.extend(news);
        if at == 30_000 {
            room.join("late", Options::default());
        }
        at = end;
    }
    assert!(bodies(&wire) == [body]);
    assert_eq!(room.received(2), "");
    let wire = String::from_utf8(wire).unwrap();
    let heads: Vec<_> = wire.split("MSRP ").skip(1).map(|chunk| chunk.split_once("\r\n\r\n").unwrap().0).collect();
    assert!(heads.len() > 3 && wire.contains("+\r\n"), "in chunks");
    for head in heads {
        assert!(head.contains(&format!("-*/{total}\r\n")), "it can be interrupted: {head}");
        assert!(head.contains("\r\nFailure-Report: no\r\n"), "the same in every chunk: {head}");
        assert!(head.ends_with("\r\nContent-Type: message/cpim"), "the last header: {head}");
    }
}

#[test]
fn chunks_may_come_out_of_order_and_overlap() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = long(&room, 3000);
    let len = body.len();
    for (start, end, flag) in [(0, 1000, '+'), (2000, len, '$'), (900, 1500, '+'), (1400, 2000, '+')] {
        let chunk = piece(&room, 0, "m1", &body, start..end, "*", flag);
        assert_eq!(room.received(1), "");
        room.send(0, &chunk);
    }
    assert!(bodies(&room.received_bytes(1)) == [body]);
}

#[test]
fn a_sender_that_gives_up_or_is_lost_is_passed_on() {
    for lost in [false, true] {
        let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
        let body = long(&room, 100_000);
        let chunk = piece(&room, 0, "big", &body, 0..90_000, "100000", '+');
        room.send(0, &chunk);
        if lost {
            room.close(0);
        } else {
            let abort = room.chunk(0, "abort001", "SEND", "Message-ID: big\r\nByte-Range: 90001-*/*\r\n", None, '#');
            room.send(0, &abort);
        }
        let wire = room.received_bytes(1);
        assert!(bodies(&wire)[0].ends_with('#'), "lost: {lost}");
        let last = String::from_utf8(wire).unwrap().rsplit("MSRP ").next().unwrap().to_owned();
        assert!(last.contains("\r\nByte-Range: 1-0/*\r\n"), "of nothing the range begins at 1: {last}");
    }
}

#[test]
fn the_rest_has_to_come_in_time() {
    let policy = RoomPolicy { chunk_reception_timeout: Duration::from_secs(60), ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    let body = long(&room, 100_000);
    for (start, end) in [(0, 70_000), (70_000, 80_000)] {
        let chunk = piece(&room, 0, "big", &body, start..end, "*", '+');
        room.send(0, &chunk);
        room.pass(Duration::from_secs(50));
    }
    let sofar = bodies(&room.received_bytes(1));
    assert!(!sofar[0].ends_with('#'), "each piece begins the wait anew");
    room.pass(Duration::from_secs(20));
    assert!(bodies(&room.received_bytes(1))[0].ends_with('#'));
    assert_eq!(room.switch.held_bytes(), 0);
}

#[test]
fn senders_and_messages_are_kept_apart() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let mine = room.to_room(0, "from alice");
    let theirs = room.to_room(1, "from bob");
    let other = room.to_room(0, "another");
    for (at, id, body, range, flag) in [
        (0, "same", &mine, 0..20, '+'),
        (1, "same", &theirs, 0..30, '+'),
        (0, "other", &other, 0..10, '+'),
        (0, "same", &mine, 20..mine.len(), '$'),
        (1, "same", &theirs, 30..theirs.len(), '$'),
        (0, "other", &other, 10..other.len(), '$'),
    ] {
        let chunk = piece(&room, at, id, body, range, "*", flag);
        room.send(at, &chunk);
    }
    assert_eq!(bodies(&room.received_bytes(2)), [mine, theirs, other]);
}

#[test]
fn a_limit_on_size_is_413_and_ends_what_has_begun() {
    let policy = RoomPolicy { max_message_size: 100_000, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    let body = long(&room, 120_000);
    let declared = piece(&room, 0, "m1", &body, 0..10_000, "120000", '+');
    room.send(0, &declared);
    assert_eq!(room.answer(0, "c000000"), Some(413));
    let first = piece(&room, 0, "m2", &body, 0..90_000, "*", '+');
    room.send(0, &first);
    assert_eq!(room.answer(0, "c000000"), Some(200));
    let second = piece(&room, 0, "m2", &body, 90_000..110_000, "*", '+');
    room.send(0, &second);
    assert_eq!(room.answer(0, "c090000"), Some(413));
    assert!(bodies(&room.received_bytes(1))[0].ends_with('#'));
}

#[test]
fn who_takes_only_small_messages_gets_no_large_one() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let small = room.join("small", Options { max_size: Some(200), ..Options::default() });
    let body = long(&room, 1000);
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    assert_eq!(room.received(small), "");
    assert!(bodies(&room.received_bytes(1)) == [body]);
}

#[test]
fn types_that_a_recipient_does_not_take_do_not_reach_it() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let pictures = room.join("pictures", Options { accepts: Some("image/*"), ..Options::default() });
    let body = room.to_room(0, "text");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    assert_eq!(room.answer(0, "tidm1"), Some(200), "the sender is not told");
    assert_eq!(room.received(pictures), "");
    assert!(bodies(&room.received_bytes(1)) == [body]);
}

#[test]
fn a_recipient_that_leaves_in_the_middle_is_left_out() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let body = long(&room, 100_000);
    let first = piece(&room, 0, "big", &body, 0..90_000, "*", '+');
    room.send(0, &first);
    assert!(!room.received(1).is_empty());
    let session = room.members[1].session;
    room.control(Command::CloseSession { session });
    let rest = piece(&room, 0, "big", &body, 90_000..body.len(), "*", '$');
    room.send(0, &rest);
    assert!(bodies(&room.received_bytes(2)) == [body]);
    assert_eq!(room.received(1), "", "nothing more of it");
}

#[test]
fn without_a_type_content_is_plain_text() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let pictures = room.join("pictures", Options { accepts: Some("image/*"), ..Options::default() });
    let texts = room.join("texts", Options { accepts: Some("text/plain"), ..Options::default() });
    let body = room.to_room(0, "hello").replace("Content-Type: text/plain\r\n", "X: y\r\n");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    assert_eq!(room.received(pictures), "");
    assert_eq!(bodies(&room.received_bytes(texts)), [body]);
}

#[test]
fn who_reports_that_it_wants_no_more_gets_no_more_and_nothing_is_remembered_of_a_message_that_has_ended() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let body = long(&room, 200_000);
    let begin = |room: &mut Fixture, id: &str| {
        let chunk = piece(room, 0, id, &body, 0..90_000, "*", '+');
        room.send(0, &chunk);
    };
    begin(&mut room, "big");
    let wire = room.received(1);
    let out_id = wire.split("Message-ID: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let headers = format!("Message-ID: {out_id}\r\nByte-Range: 1-9/*\r\nStatus: 000 413 enough\r\n");
    let report = room.chunk(1, "rep00001", "REPORT", &headers, None, '$');
    room.send(1, &report);
    assert!(room.received(1).trim_end().ends_with('#'), "it is told that this was all");
    let rest = piece(&room, 0, "big", &body, 90_000..body.len(), "*", '$');
    room.send(0, &rest);
    assert_eq!(room.received(1), "");
    assert_eq!(bodies(&room.received_bytes(2)), std::slice::from_ref(&body));
    assert_eq!(room.switch.senders.len(), 0, "it has ended");
    begin(&mut room, "given-up");
    assert_eq!(room.switch.senders.len(), 1);
    let end = room.chunk(0, "c000001", "SEND", "Message-ID: given-up\r\n", None, '#');
    room.send(0, &end);
    assert_eq!(room.switch.senders.len(), 0, "its sender has given it up");
    begin(&mut room, "late");
    room.pass(Duration::from_secs(600));
    assert_eq!(room.switch.senders.len(), 0, "its rest did not come");
    begin(&mut room, "lost");
    room.close(0);
    assert_eq!(room.switch.senders.len(), 0, "its sender is gone");
}
