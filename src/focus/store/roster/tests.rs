//! What subscribers see of a roster, change by change.

use super::*;
use parlor_proto::conference_info::{ConferenceInfo, JoiningMethod};

const ROOM: &str = "sip:lobby@chat.example";

fn device(call: u64) -> Device {
    Device {
        call: Tag(call),
        display_name: None,
        joining_method: JoiningMethod::DialedIn,
        joined_at: None,
        brought_by: None,
        media: MediaStatus::SendRecv,
    }
}

fn join(roster: &mut Roster, name: &str, call: u64) {
    let uri: Arc<str> = format!("sip:{name}@h").into();
    roster.join(&Aor::new(name, "h").unwrap(), &uri, "participant", device(call));
}

fn read(document: &Document) -> ConferenceInfo {
    ConferenceInfo::parse(&document.body).unwrap()
}

fn changes(roster: &mut Roster, seen: ChangeNumber) -> (Vec<String>, ChangeNumber) {
    let document = roster.changes_since(seen, ROOM, &Description::default(), 5);
    let told = read(&document).users.into_iter().map(|user| format!("{} {}", user.entity, user.state.as_str()));
    (told.collect(), document.reaches)
}

#[test]
fn a_subscriber_hears_what_has_changed_since_and_nothing_twice() {
    let mut roster = Roster::default();
    for (call, name) in ["ann", "bob", "cyn"].into_iter().enumerate() {
        join(&mut roster, name, call as u64);
    }
    let all = roster.everything(ROOM, &Description::default(), 1);
    assert_eq!((read(&all).users.len(), read(&all).user_count, all.reaches), (3, Some(3), 3));
    roster.leave(Tag(1));
    roster.set_nickname(Tag(0), Some("Ally".into()));
    roster.set_nickname(Tag(0), Some("Al".into()));
    join(&mut roster, "dan", 9);
    assert_eq!(changes(&mut roster, 3), (vec![], 3), "nothing is told before it is published");
    roster.publish();
    let told = ["sip:bob@h deleted", "sip:ann@h full", "sip:dan@h full"].map(String::from).to_vec();
    assert_eq!(changes(&mut roster, 3), (told, 7));
    assert_eq!(changes(&mut roster, 7), (vec![], 7));
}

#[test]
fn whoever_comes_back_is_not_told_as_gone() {
    let mut roster = Roster::default();
    join(&mut roster, "ann", 1);
    roster.leave(Tag(1));
    join(&mut roster, "ann", 2);
    roster.publish();
    assert_eq!(changes(&mut roster, 0).0, ["sip:ann@h full"]);
    assert!(roster.gone.is_empty());
}

#[test]
fn a_user_with_two_devices_is_one_and_shows_its_latest_nickname() {
    let mut roster = Roster::default();
    join(&mut roster, "ann", 1);
    join(&mut roster, "ann", 2);
    roster.set_nickname(Tag(1), Some("One".into()));
    roster.set_nickname(Tag(2), Some("Two".into()));
    let nickname =
        |roster: &Roster| read(&roster.everything(ROOM, &Description::default(), 1)).users[0].nickname.clone();
    assert_eq!((roster.people.len(), nickname(&roster).as_deref()), (1, Some("Two")));
    roster.set_nickname(Tag(2), None);
    assert_eq!(nickname(&roster).as_deref(), Some("One"));
    let before = roster.last;
    roster.set_nickname(Tag(1), Some("One".into()));
    roster.set_media(Tag(1), MediaStatus::SendRecv);
    assert_eq!(roster.last, before, "what stays the same is no change");
    roster.leave(Tag(1));
    assert_eq!((roster.people.len(), nickname(&roster)), (1, None));
    roster.leave(Tag(2));
    assert_eq!(roster.people.len(), 0);
}

#[test]
fn a_large_roster_is_told_in_parts_that_miss_nobody() {
    let mut roster = Roster::default();
    for call in 0..2000 {
        join(&mut roster, &format!("user-{call}"), call);
    }
    roster.publish();
    let first = roster.everything(ROOM, &Description::default(), 1);
    assert_eq!(read(&first).user_count, Some(2000));
    let mut known: Vec<String> = read(&first).users.into_iter().map(|user| user.entity).collect();
    let (mut seen, mut parts) = (first.reaches, 1);
    while seen < roster.last {
        let part = roster.changes_since(seen, ROOM, &Description::default(), 2);
        assert!(part.body.len() <= CONFERENCE_DOCUMENT_BYTES_MAX + 1024, "{}", part.body.len());
        assert!(part.reaches > seen);
        known.extend(read(&part).users.into_iter().map(|user| user.entity));
        (seen, parts) = (part.reaches, parts + 1);
    }
    known.sort();
    known.dedup();
    assert_eq!(known.len(), 2000);
    assert!(parts > 10, "{parts}");
}

#[test]
fn subscribers_who_have_seen_the_same_share_the_octets() {
    let mut roster = Roster::default();
    join(&mut roster, "ann", 1);
    roster.publish();
    let document = |roster: &mut Roster, seen, version| {
        roster.changes_since(seen, ROOM, &Description::default(), version).body.as_ptr()
    };
    let one = document(&mut roster, 0, 1);
    assert_eq!(document(&mut roster, 0, 1), one);
    assert_ne!(document(&mut roster, 0, 2), one);
    for version in 0..1000 {
        document(&mut roster, 0, version);
    }
    assert!(roster.cached.len() <= CONFERENCE_DOCUMENTS_KEPT_MAX);
    join(&mut roster, "bob", 2);
    assert_eq!(document(&mut roster, 0, 1), one, "until more is published");
    roster.publish();
    assert!(roster.cached.is_empty());
}

#[test]
fn departures_are_not_remembered_for_ever() {
    let mut roster = Roster::default();
    for call in 0..=DEPARTURES_PER_ROOM_MAX as u64 {
        join(&mut roster, &format!("user-{call}"), call);
        roster.leave(Tag(call));
    }
    assert_eq!(roster.gone.len(), DEPARTURES_PER_ROOM_MAX);
    assert!(!roster.can_continue(1) && roster.can_continue(roster.last - 2));
}

#[test]
fn a_description_is_told_when_it_has_changed() {
    let mut roster = Roster::default();
    join(&mut roster, "ann", 1);
    roster.description_changed();
    roster.publish();
    let description = Description { subject: Some("New".into()), ..Description::default() };
    let subject = |roster: &mut Roster, seen| read(&roster.changes_since(seen, ROOM, &description, 1)).subject;
    assert_eq!(subject(&mut roster, 1).as_deref(), Some("New"));
    assert_eq!(subject(&mut roster, 2), None);
}
