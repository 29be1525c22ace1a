//! What a SEND says about its body goes out with the copies (RFC 4975 §7.1, §9).

use super::fixture::{Fixture, bodies};
use crate::facts::RoomPolicy;
use crate::limits::MSRP_CONTENT_HEADERS_BYTES_MAX;

const SAID: &str = "Content-Disposition: notification; handling=optional\r\ncontent-id: <1@example.com>\r\n\
    Content-Description: a greeting\r\nContent-Odd: anything\r\n";

/// A whole SEND of the first member under these headers, Content-Type among them.
fn send(room: &Fixture, headers: &str, body: &str) -> String {
    room.chunk(0, "said0001", "SEND", &format!("Message-ID: m\r\n{headers}"), Some(body), '$')
}

/// The headers of each chunk in what was received, Content-Type and what follows the fixed ones.
fn said(wire: &str) -> Vec<String> {
    let chunks = wire.split("MSRP ").skip(1);
    chunks
        .map(|chunk| {
            let head = chunk.split("\r\n\r\n").next().unwrap();
            head.split("\r\n")
                .filter(|line| line.to_ascii_lowercase().starts_with("content-"))
                .collect::<Vec<_>>()
                .join("\r\n")
        })
        .collect()
}

#[test]
fn headers_of_the_body_and_parameters_of_its_type_go_out_as_they_came() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let usual = "Content-Type: message/cpim";
    let parameters = "Content-Type: message/cpim; charset=utf-8;x=\"y\"";
    for (came, go) in [
        (format!("{SAID}{usual}\r\n"), format!("{SAID}{usual}")),
        (format!("{usual}\r\nX-Odd: 1\r\n{SAID}"), format!("{SAID}{usual}")),
        (format!("{parameters}\r\n"), parameters.to_owned()),
        (format!("{SAID}{parameters}\r\n"), format!("{SAID}{parameters}")),
        (format!("{usual}\r\n"), usual.to_owned()),
    ] {
        for to in [super::fixture::ROOM_URI, "sip:bob@example.com"] {
            // Small enough to be copied, and not.
            for len in [2, 10_000] {
                let body = room.cpim(0, to, &"x".repeat(len));
                let message = send(&room, &came, &body);
                room.send(0, &message);
                assert_eq!(room.answer(0, "said0001"), Some(200));
                let wire = room.received(1);
                assert_eq!(said(&wire), [go.as_str()], "{wire}");
                assert_eq!(bodies(wire.as_bytes()), [body], "Content-Type is the last header, and the body is whole");
                room.received(2);
            }
        }
    }
}

#[test]
fn each_chunk_of_a_message_says_what_its_first_did() {
    for len in [3000, 200_000] {
        let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
        let body = room.to_room(0, &"x".repeat(len));
        let (total, half) = (body.len(), body.len() / 2);
        let mut wire = String::new();
        for (range, said, flag) in [(0..half, SAID, '+'), (half..total, "", '$')] {
            let headers = format!(
                "Message-ID: m\r\nByte-Range: {}-*/{total}\r\n{said}Content-Type: message/cpim\r\n",
                range.start + 1
            );
            let chunk = room.chunk(0, "said0001", "SEND", &headers, Some(&body[range]), flag);
            room.send(0, &chunk);
            wire.push_str(&room.received(1));
        }
        let all = said(&wire);
        assert_eq!(all.len() > 1, len > 100_000);
        assert!(all.iter().all(|said| *said == format!("{SAID}Content-Type: message/cpim")), "{all:?}");
        assert_eq!(bodies(wire.as_bytes()), [body]);
        assert_eq!(room.switch.held_bytes(), 0);
    }
}

#[test]
fn who_leaves_a_message_unfinished_says_nothing_about_a_body() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, &"x".repeat(100_000));
    let headers = format!("Message-ID: m\r\nByte-Range: 1-*/200000\r\n{SAID}Content-Type: message/cpim\r\n");
    let begin = room.chunk(0, "said0001", "SEND", &headers, Some(&body), '+');
    room.send(0, &begin);
    assert!(room.received(1).contains("Content-Description"));
    let end = room.chunk(0, "said0002", "SEND", &format!("Message-ID: m\r\n{SAID}"), None, '#');
    room.send(0, &end);
    let wire = room.received(1);
    assert!(wire.ends_with("#\r\n") && !wire.contains("Content-"), "{wire}");
}

#[test]
fn more_than_is_kept_is_413_and_what_is_no_line_400() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "hi");
    let kind = "Content-Type: message/cpim\r\n";
    let beside = kind.len() + "Content-Description: \r\n".len();
    for (len, status) in
        [(MSRP_CONTENT_HEADERS_BYTES_MAX - beside, 200), (MSRP_CONTENT_HEADERS_BYTES_MAX - beside + 1, 413)]
    {
        let message = send(&room, &format!("Content-Description: {}\r\n{kind}", "x".repeat(len)), &body);
        room.send(0, &message);
        assert_eq!(room.answer(0, "said0001"), Some(status));
        assert_eq!(bodies(&room.received_bytes(1)).len(), usize::from(status == 200));
    }
    for odd in ["Content-ID: a\rX: b\r\n", "Content-ID: a\u{7}\r\n", "Content-\u{e9}: a\r\n"] {
        let message = send(&room, &format!("{odd}{kind}"), &body);
        room.send(0, &message);
        assert_eq!(room.answer(0, "said0001"), Some(400), "{odd:?}");
        assert_eq!(room.received(1), "");
    }
    let message = send(&room, kind, &body);
    room.send(0, &message);
    assert_eq!(room.answer(0, "said0001"), Some(200), "the connection goes on");
}
