//! NICKNAME requests (RFC 7701 §7).

use std::time::Duration;

use super::fixture::Fixture;
use crate::facts::{Command, Confusable, Event, NicknameScope, RoomPolicy};
use crate::ids::RoomId;
use crate::limits::NICKNAME_REQUESTS_WAITING_MAX;

fn ask(room: &mut Fixture, at: usize, value: &str) -> Option<u16> {
    let request = room.chunk(at, "nick0001", "NICKNAME", &format!("Use-Nickname: {value}\r\n"), None, '$');
    room.send(at, &request);
    room.answer(at, "nick0001")
}

#[test]
fn one_user_has_it_until_it_is_given_up() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "alice"]);
    assert_eq!(ask(&mut room, 0, "\"Alice the great\""), Some(200));
    assert_eq!(ask(&mut room, 1, "\"alice THE Great\""), Some(425));
    assert_eq!(ask(&mut room, 2, "\"Alice the great\""), Some(200), "her other device");
    assert_eq!(ask(&mut room, 0, "\"\""), Some(200));
    assert_eq!(ask(&mut room, 1, "\"Alice the great\""), Some(425));
    assert_eq!(ask(&mut room, 2, "\"\""), Some(200));
    assert_eq!(ask(&mut room, 1, "\"Alice the great\""), Some(200));
}

#[test]
fn malformed_values_are_424_and_unquoted_ones_by_policy() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    assert_eq!(ask(&mut room, 0, "\"Ally"), Some(424));
    assert_eq!(ask(&mut room, 0, "Ally"), Some(200));
    let letter = RoomPolicy { unquoted_nicknames: false, ..RoomPolicy::default() };
    let mut room = Fixture::new(letter, &["alice"]);
    assert_eq!(ask(&mut room, 0, "Ally"), Some(424));
    assert_eq!(ask(&mut room, 0, "\"Ally\""), Some(200));
}

#[test]
fn reserved_words_are_425_and_a_room_may_have_no_nicknames() {
    let policy = RoomPolicy { reserved_nicknames: vec!["Admin".into()], ..RoomPolicy::default() };
    assert_eq!(ask(&mut Fixture::new(policy, &["alice"]), 0, "\"ADMIN\""), Some(425));
    let policy = RoomPolicy { nicknames: false, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice"]);
    for value in ["\"Ally\"", "\"malformed", "\"\""] {
        assert_eq!(ask(&mut room, 0, value), Some(403), "that is looked at first: {value}");
    }
}

#[test]
fn the_focus_learns_the_latest() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    room.events.clear();
    ask(&mut room, 0, "\"Ally\"");
    ask(&mut room, 0, "\"Ally\"");
    ask(&mut room, 0, "\"\"");
    let session = room.members[0].session;
    let names: Vec<_> = room.events.iter().filter(|event| matches!(event, Event::Nickname { .. })).collect();
    let expected = [Some("Ally".into()), None].map(|nickname| Event::Nickname { session, nickname });
    assert_eq!(names, expected.iter().collect::<Vec<_>>(), "asking for what one has is no change");
}

#[test]
fn quarantine_outlives_the_session_and_the_empty_room() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    ask(&mut room, 0, "\"Ally\"");
    room.close(0);
    room.control(Command::CloseRoom { room: RoomId(1) });
    assert!(!room.events.contains(&Event::RoomClosed { room: RoomId(1) }));
    room.open_room();
    let bob = room.join("bob", super::fixture::Options::default());
    assert_eq!(ask(&mut room, bob, "\"Ally\""), Some(425));
    room.pass(Duration::from_secs(61));
    assert_eq!(ask(&mut room, bob, "\"Ally\""), Some(200));
}

#[test]
fn a_user_who_returns_under_another_alias_finds_its_nickname_in_quarantine() {
    let mut room = Fixture::new(RoomPolicy::default(), &["mask1", "bob"]);
    ask(&mut room, 0, "\"Owl\"");
    room.close(0);
    let stranger = room.join("mask2", super::fixture::Options::default());
    assert_eq!(ask(&mut room, stranger, "\"Owl\""), Some(425));
    let back = room.join("mask3", super::fixture::Options { formerly: Some("mask1"), ..Default::default() });
    assert_eq!((ask(&mut room, 1, "\"Owl\""), ask(&mut room, back, "\"Owl\"")), (Some(425), Some(200)));
}

#[test]
fn a_closing_room_goes_when_the_last_quarantine_has_ended() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    ask(&mut room, 0, "\"Ally\"");
    room.close(0);
    room.control(Command::CloseRoom { room: RoomId(1) });
    room.pass(Duration::from_secs(61));
    assert!(room.events.contains(&Event::RoomClosed { room: RoomId(1) }));
    assert_eq!(room.switch.sizes(), (0, 0, 0));
}

#[test]
fn look_alikes_are_425_where_policy_refuses_them() {
    let mut lenient = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    assert_eq!(ask(&mut lenient, 0, "\"Alice\""), Some(200));
    assert_eq!(ask(&mut lenient, 1, "\"\u{0410}lice\""), Some(200));
    let policy = RoomPolicy { confusable_nicknames: Confusable::Refuse, ..RoomPolicy::default() };
    let mut strict = Fixture::new(policy, &["alice", "bob", "alice"]);
    assert_eq!(ask(&mut strict, 0, "\"Alice\""), Some(200));
    assert_eq!(ask(&mut strict, 1, "\"\u{0410}lice\""), Some(425));
    assert_eq!(ask(&mut strict, 2, "\"\u{0410}lice\""), Some(200), "her own");
}

fn server_wide() -> Fixture {
    let policy = RoomPolicy { nickname_scope: NicknameScope::Server, ..RoomPolicy::default() };
    Fixture::new(policy, &["alice", "bob"])
}

#[test]
fn a_server_wide_nickname_is_answered_when_the_focus_has_decided() {
    let mut room = server_wide();
    let session = room.members[0].session;
    for (granted, status) in [(false, 425), (true, 200)] {
        room.events.clear();
        assert_eq!(ask(&mut room, 0, "\"Ally\""), None, "not yet");
        let pending = Event::NicknameAsked { session, nickname: "Ally".into() };
        assert_eq!(room.events, [pending]);
        room.control(Command::DecideNickname { session, granted });
        assert_eq!(room.answer(0, "nick0001"), Some(status));
        let shown = room.events.contains(&Event::Nickname { session, nickname: Some("Ally".into()) });
        assert_eq!(shown, granted);
    }
    room.events.clear();
    assert_eq!(ask(&mut room, 1, "\"ally\""), Some(425), "the room knows that itself");
    assert!(room.events.is_empty());
    assert_eq!(ask(&mut room, 0, "\"\""), Some(200), "giving it up needs nobody");
    assert_eq!(room.events, [Event::Nickname { session, nickname: None }]);
}

#[test]
fn what_is_asked_for_meanwhile_is_done_in_its_order() {
    let mut room = server_wide();
    let session = room.members[0].session;
    let decide = |room: &mut Fixture, granted| room.control(Command::DecideNickname { session, granted });
    assert_eq!(ask(&mut room, 0, "\"First\""), None);
    let later = ["\"bad", "\"Second\"", "\"\"", "\"Third\"", "\"\""];
    for (n, value) in later.iter().enumerate() {
        let headers = format!("Use-Nickname: {value}\r\n");
        let request = room.chunk(0, &format!("later{n}"), "NICKNAME", &headers, None, '$');
        room.send(0, &request);
    }
    assert_eq!(room.received(0), "", "nothing overtakes");
    let answered = |room: &mut Fixture| -> Vec<String> {
        let wire = room.received(0);
        wire.split("MSRP ").skip(1).map(|answer| answer.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    decide(&mut room, true);
    assert_eq!(answered(&mut room), ["nick0001 200", "later0 424"]);
    decide(&mut room, false);
    assert_eq!(answered(&mut room), ["later1 425", "later2 200"]);
    decide(&mut room, true);
    assert_eq!(answered(&mut room), ["later3 200", "later4 200"]);
    let last = room.events.iter().rfind(|event| matches!(event, Event::Nickname { .. }));
    assert_eq!(last, Some(&Event::Nickname { session, nickname: None }), "given up last, none in the end");
}

#[test]
fn only_so_many_requests_wait_for_a_decision() {
    let mut room = server_wide();
    ask(&mut room, 0, "\"First\"");
    for _ in 0..NICKNAME_REQUESTS_WAITING_MAX {
        assert_eq!(ask(&mut room, 0, "\"More\""), None);
    }
    assert_eq!(ask(&mut room, 0, "\"Too many\""), Some(403));
}

#[test]
fn a_nickname_is_answered_whatever_failure_report_it_has() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let headers = "Failure-Report: no\r\nUse-Nickname: \"Ally\"\r\n";
    let request = room.chunk(0, "nick0001", "NICKNAME", headers, None, '$');
    room.send(0, &request);
    assert_eq!(room.answer(0, "nick0001"), Some(400));
}

#[test]
fn a_late_nickname_decision_changes_nothing() {
    let mut room = server_wide();
    let session = room.members[0].session;
    ask(&mut room, 0, "\"Ally\"");
    room.close(0);
    room.control(Command::DecideNickname { session, granted: true });
    room.control(Command::DecideNickname { session: room.members[1].session, granted: true });
    assert!(room.received(1).is_empty());
}

#[test]
fn a_second_device_is_given_no_nickname_unasked() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    assert_eq!(ask(&mut room, 0, "\"Ally\""), Some(200));
    let tablet = room.join("alice", super::fixture::Options::default());
    let phone = room.members[0].session;
    let named: Vec<_> = room.events.iter().filter(|event| matches!(event, Event::Nickname { .. })).collect();
    assert_eq!(named, [&Event::Nickname { session: phone, nickname: Some("Ally".into()) }]);
    assert_eq!(ask(&mut room, tablet, "\"Ally\""), Some(200));
    let session = room.members[tablet].session;
    assert!(room.events.contains(&Event::Nickname { session, nickname: Some("Ally".into()) }));
}
