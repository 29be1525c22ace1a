//! The names of CPIM headers are resolved before anything is decided (RFC 3862 §3.4, RFC 4975 §13).

use super::fixture::{Fixture, bodies};
use crate::facts::RoomPolicy;

const CPIM: &str = "urn:ietf:params:cpim-headers:";
const REST: &str = "\r\nContent-Type: text/plain\r\n\r\nhi";

fn send(room: &mut Fixture, id: &str, headers: &[&str]) -> (Option<u16>, String) {
    let body = format!("{}{REST}", headers.iter().map(|line| format!("{line}\r\n")).collect::<String>());
    let message = room.message(0, id, &body);
    room.send(0, &message);
    (room.answer(0, &format!("tid{id}")), body)
}

#[test]
fn addresses_are_found_under_any_prefix_that_stands_for_cpim() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let (ns, other) = (format!("NS: c <{CPIM}>"), "NS: <mid:other@example.com>");
    let default = format!("NS: <{CPIM}>");
    let (from, to) = ("From: <sip:alice@example.com>", "To: <sip:lobby@example.com>");
    let (c_from, c_to) = (format!("c.{from}"), format!("c.{to}"));
    let cases: [&[&str]; 6] = [
        &[&ns, &c_from, &c_to],
        &[&c_to, &ns, &c_from, to],
        &[from, &ns, &c_to, "d.To: <sip:bob@example.com>", "c.c.To: <sip:bob@example.com>"],
        &[&default, from, to],
        &[other, from, to, &ns, &c_from, &c_to],
        &[other, to, &default, from, to],
    ];
    for (n, headers) in cases.into_iter().enumerate() {
        let (status, body) = send(&mut room, &format!("m{n}"), headers);
        assert_eq!(status, Some(200), "{headers:?}");
        assert_eq!(bodies(&room.received_bytes(1)), [body], "as it came");
    }
}

#[test]
fn a_name_counts_in_each_of_its_forms() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let ns = format!("NS: c <{CPIM}>");
    let ns_again = format!("c.NS: d <{CPIM}>");
    let (from, to) = ("From: <sip:alice@example.com>", "To: <sip:lobby@example.com>");
    let (c_from, c_to) = (format!("c.{from}"), format!("c.{to}"));
    let cases: [(&[&str], u16); 10] = [
        (&[&ns, from, to, &c_to], 403),
        (&[&ns, from, to, "c.To: <sip:bob@example.com>"], 403),
        (&[&ns, &ns_again, from, &c_to, "d.To: <sip:lobby@example.com>"], 403),
        (&[&ns, from, &c_from, to], 400),
        (&[&ns, "c.From: <sip:bob@example.com>", to], 403),
        (&[&ns, "c.From: <sip:al ice@example.com>", to], 403),
        // Not declared yet, not declared as that, or not any more.
        (&[&c_from, &c_to, &ns], 400),
        (&["NS: c <mid:other@example.com>", from, &c_to], 400),
        (&[&ns, "NS: c <mid:other@example.com>", from, &c_to], 400),
        (&["NS: <mid:other@example.com>", from, to], 400),
    ];
    for (n, (headers, status)) in cases.into_iter().enumerate() {
        assert_eq!(send(&mut room, &format!("m{n}"), headers).0, Some(status), "{headers:?}");
        assert_eq!(room.received(1), "", "{headers:?}");
    }
}

#[test]
fn a_declaration_that_cannot_be_read_is_400() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    for (n, ns) in ["NS: c", "NS: c urn:x", "NS: a b <mid:x@y>", "NS: <mid:x@y"].into_iter().enumerate() {
        let headers = [ns, "From: <sip:alice@example.com>", "To: <sip:lobby@example.com>"];
        assert_eq!(send(&mut room, &format!("m{n}"), &headers).0, Some(400), "{ns}");
    }
}

#[test]
fn a_private_message_and_its_report_go_by_the_resolved_names() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let headers = format!("NS: c <{CPIM}>\r\nc.From: A <sip:alice@example.com>\r\nc.To: <sip:bob@example.com>\r\n");
    let body = format!("{headers}{REST}");
    let message = room.message_with(0, "m1", "Success-Report: yes\r\n", &body);
    room.send(0, &message);
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
    assert_eq!(room.received(2), "");
    let wire = room.received(0);
    assert!(wire.contains("\r\n\r\nFrom: A <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n"), "{wire}");
}

#[test]
fn a_from_that_cannot_be_read_is_403_and_one_that_is_missing_400() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let unreadable = [
        "<sip:al ice@localhost>",
        "<sip:alice@example.com",
        "sip:alice@example.com>",
        "",
        "<>",
        "alice",
        "<sip:alice@example.com> <sip:alice@example.com>",
        "\"Al <sip:alice@example.com>",
        "<nonsense>",
    ];
    for (n, from) in unreadable.into_iter().enumerate() {
        let from = format!("From: {from}");
        for (id, to) in [("a", "To: <sip:lobby@example.com>"), ("b", "X: y")] {
            assert_eq!(send(&mut room, &format!("{id}{n}"), &[&from, to]).0, Some(403), "{from}");
            assert_eq!(room.received(1), "", "{from}");
        }
    }
    assert_eq!(send(&mut room, "none", &["To: <sip:lobby@example.com>"]).0, Some(400));
    let from = "From: <sip:al ice@localhost>";
    assert_eq!(send(&mut room, "two", &[from, from, "To: <sip:lobby@example.com>"]).0, Some(400));
}
