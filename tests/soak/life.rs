//! Guests who do all that is allowed, in any order.

use std::time::Duration;

use super::for_each_seed;
use super::guest::LONG;
use super::house::House;

const ROOMS: [&str; 4] = ["lobby", "attic", "cellar", "garden"];
const GUESTS_MAX: usize = 24;
const STEPS: usize = 1500;

#[test]
fn soak_delivers_once_and_leaks_nothing() {
    for_each_seed(4, |numbers| {
        let mut house = House::new(numbers);
        house.rude = true;
        for _ in 0..STEPS {
            step(&mut house);
            house.check();
        }
        house.flush_all();
        let heard: usize = house.guests.iter().map(|guest| guest.hearing.messages).sum();
        let whispers: usize = house.guests.iter().map(|guest| guest.hearing.whispers).sum();
        assert!(
            heard > STEPS / 4 && whispers > 0 && house.notifies > 0,
            "they live: {heard}, {whispers}, {}",
            house.notifies
        );
        house.end();
    });
}

/// One of those who are there.
fn somebody(house: &mut House) -> Option<usize> {
    let there: Vec<usize> = (0..house.guests.len()).filter(|at| house.guests[*at].bound).collect();
    house.numbers.pick(&there).copied()
}

fn step(house: &mut House) {
    let what = house.numbers.next(100);
    let room = ROOMS[house.numbers.next(ROOMS.len())];
    if what < 10 {
        return come(house, room);
    }
    let Some(at) = somebody(house) else { return };
    let len = house.numbers.next(6000);
    match what {
        10..40 => {
            let message = house.guests[at].message("*", len);
            house.msrp(at, message.as_bytes());
        }
        40..46 => {
            let Some(to) = somebody(house) else { return };
            let to = house.guests[to].name.clone();
            let message = house.guests[at].message(&to, len);
            house.msrp(at, message.as_bytes());
        }
        46..56 => {
            let gives_up = house.numbers.once_in(20);
            let piece = house.guests[at].piece(LONG / 4 + 10 * len, gives_up);
            house.msrp(at, piece.as_bytes());
        }
        56..66 => {
            let max = if house.numbers.once_in(3) { usize::MAX } else { 20 * len };
            house.take(at, max);
        }
        66..69 => house.take(at, 0),
        69..80 => house.flush(),
        80..82 => leave(house, at),
        82..85 => house.subscribe(at, [0, 90, 600][len % 3]),
        85..87 => nickname(house, at, len),
        87..91 => refuse(house, at, len),
        91..93 => hold(house, at, len),
        _ => {
            let longer = house.numbers.once_in(10);
            house.pass(Duration::from_millis(if longer { 40_000 } else { len as u64 }));
        }
    }
}

/// Somebody comes; some never acknowledge, some never connect.
fn come(house: &mut House, room: &str) {
    if house.guests.iter().filter(|guest| guest.bound).count() >= GUESTS_MAX {
        return;
    }
    let at = house.invite(room);
    assert_eq!(house.guests[at].status, 200);
    if !house.numbers.once_in(16) {
        house.sip(at, "ACK", "");
    }
    if !house.numbers.once_in(16) {
        house.bind(at);
    }
}

fn leave(house: &mut House, at: usize) {
    if house.numbers.once_in(2) {
        house.sip(at, "BYE", "");
        // What was said before still comes.
        house.take(at, usize::MAX);
    } else {
        house.hang_up(at);
    }
}

fn nickname(house: &mut House, at: usize, number: usize) {
    let name = format!("Use-Nickname: \"Nick {}\"\r\n", number % 5);
    let chunk = house.guests[at].chunk("nick0000", "NICKNAME", &name, None, '$');
    house.msrp(at, chunk.as_bytes());
}

/// Answers something that has come with an error, or reports about it.
fn refuse(house: &mut House, at: usize, number: usize) {
    let tids = std::mem::take(&mut house.guests[at].hearing.tids);
    let Some(tid) = tids.last() else { return };
    let status = ["200 OK", "413 Enough", "481 Gone"][number % 3];
    let chunk = house.guests[at].chunk(tid, status, "", None, '$');
    house.msrp(at, chunk.as_bytes());
}

/// Is on hold from now on, or is not any more.
fn hold(house: &mut House, at: usize, number: usize) {
    let direction = ["", "a=sendonly\r\n", "a=recvonly\r\n", "a=inactive\r\n"][number % 4];
    let offer = house.guests[at].offer(direction);
    house.sip(at, "INVITE", &offer);
    house.sip(at, "ACK", "");
}
