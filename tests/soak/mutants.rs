//! Strangers who send what is nearly right. Nobody else notices, and nothing of it stays.

use std::time::Duration;

use super::house::House;
use super::numbers::Numbers;
use super::{for_each_seed, world::Peer};

const MUTANTS: usize = 300;

fn samples(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/tests/wire/{folder}", env!("CARGO_MANIFEST_DIR"));
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == ending)).collect();
    paths.sort();
    let samples: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!samples.is_empty());
    samples
}

/// Alice and bob are in the lobby and hear one another, whatever happened.
fn talk(house: &mut House, alice: usize, bob: usize) {
    house.flush_all();
    let before = house.guests[bob].hearing.messages;
    let message = house.guests[alice].message("*", 10);
    house.msrp(alice, message.as_bytes());
    house.flush();
    assert_eq!(house.guests[bob].hearing.messages, before + 1, "bob hears alice");
}

#[test]
fn mutants_of_msrp_disturb_nobody() {
    let samples = samples("msrp", "msrp");
    for_each_seed(4, |numbers| {
        let mut house = House::new(numbers);
        let (alice, bob) = (house.arrive("lobby"), house.arrive("lobby"));
        house.guests.iter_mut().for_each(|guest| guest.hearing.among_strangers = true);
        for round in 0..MUTANTS {
            let room = if round % 2 == 0 { "lobby" } else { "attic" };
            let stranger = house.arrive(room);
            let other = house.numbers.pick(&samples).unwrap().clone();
            let mut mutant = legal(&mut house, stranger, &other);
            house.numbers.mutate(&mut mutant, &other);
            house.msrp(stranger, &mutant);
            house.flush();
            house.check();
            if round % 4 == 0 {
                house.pass(Duration::from_secs(1));
            }
            house.hang_up(stranger);
            house.guests.truncate(2);
        }
        talk(&mut house, alice, bob);
        house.end();
    });
}

/// Something that a client may send: of this session, or of another one long ago.
fn legal(house: &mut House, at: usize, sample: &[u8]) -> Vec<u8> {
    let choice = house.numbers.next(6);
    let guest = &mut house.guests[at];
    match choice {
        0 => return sample.to_vec(),
        1 => guest.message("*", 300),
        2 => guest.message("g1", 300),
        3 => guest.piece(9000, false) + &guest.piece(9000, false) + &guest.piece(90_000, false),
        4 => guest.chunk("nick0000", "NICKNAME", "Use-Nickname: \"Mallory\"\r\n", None, '$'),
        _ => {
            let headers = "Message-ID: 0123456789abcdef01234567\r\nByte-Range: 1-9/9\r\nStatus: 000 413 enough\r\n";
            guest.chunk("rep00001", "REPORT", headers, None, '$') + &guest.chunk("abcd0001", "200 OK", "", None, '$')
        }
    }
    .into_bytes()
}

#[test]
fn mutants_of_sip_disturb_nobody() {
    let samples = samples("sip", "sip");
    for_each_seed(4, |numbers| {
        let mut house = House::new(numbers);
        house.strangers = true;
        let (alice, bob) = (house.arrive("lobby"), house.arrive("lobby"));
        house.guests.iter_mut().for_each(|guest| guest.hearing.among_strangers = true);
        let mut stranger = Peer::new("mallory", "attic");
        for round in 0..MUTANTS {
            let other = house.numbers.pick(&samples).unwrap().clone();
            let mut mutant = if round % 3 == 0 { other.clone() } else { request(&mut house.numbers, &mut stranger) };
            house.numbers.mutate(&mut mutant, &other);
            house.deliver(&mutant, stranger.hop());
            if let Some(tag) = house.tags.get("mallory") {
                stranger.to_tag = Some(tag.clone());
            }
            if house.numbers.once_in(20) {
                stranger = Peer::new("mallory", "attic");
                house.pass(Duration::from_millis(700));
            }
            house.check();
        }
        talk(&mut house, alice, bob);
        house.pass(Duration::from_secs(60));
        let carol = house.arrive("lobby");
        talk(&mut house, carol, bob);
        house.end();
    });
}

fn request(numbers: &mut Numbers, peer: &mut Peer) -> Vec<u8> {
    let method = ["INVITE", "ACK", "BYE", "CANCEL", "SUBSCRIBE", "OPTIONS", "REFER", "UPDATE"][numbers.next(8)];
    peer.extra = match method {
        "SUBSCRIBE" => "Event: conference\r\nExpires: 600\r\nAccept: application/conference-info+xml\r\n".into(),
        "REFER" => "Refer-To: <sip:bob@home.example>\r\n".into(),
        _ => String::new(),
    };
    let body = if matches!(method, "INVITE" | "UPDATE") { peer.offer() } else { String::new() };
    peer.request(method, &body).into_bytes()
}
