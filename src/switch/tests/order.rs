//! Whatever is sent in whatever pieces, every member gets every message, once, octet for octet, in one order for all.

use proptest::prelude::*;

use super::fixture::Fixture;
use crate::facts::RoomPolicy;

/// What one member sends: sizes of the chunks of each of its messages.
type Plan = Vec<Vec<usize>>;

/// A chunk as it was received: Message-ID, first position, octets, flag.
struct Chunk<'a> {
    id: &'a str,
    start: usize,
    body: &'a [u8],
    flag: u8,
}

/// Reads one SEND off the front of `wire`, by the letter of RFC 4975 §9 and with nothing of the library.
fn read<'a>(wire: &mut &'a [u8]) -> Chunk<'a> {
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|window| window == what);
    let head_len = find(wire, b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&wire[..head_len]).unwrap();
    let mut lines = head.split("\r\n");
    let tid = lines.next().unwrap().strip_prefix("MSRP ").unwrap().strip_suffix(" SEND").unwrap();
    let field = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)).unwrap();
    let end_line = format!("\r\n-------{tid}");
    let rest = &wire[head_len + 4..];
    let len = find(rest, end_line.as_bytes()).expect("an end-line");
    let range = field("Byte-Range: ");
    let start: usize = range.split('-').next().unwrap().parse().unwrap();
    if let Ok(end) = range.split(['-', '/']).nth(1).unwrap().parse::<usize>() {
        assert_eq!(end + 1 - start, len, "{range}");
    }
    *wire = &rest[len + end_line.len() + 3..];
    Chunk { id: field("Message-ID: "), start, body: &rest[..len], flag: rest[len + end_line.len()] }
}

/// The messages in what a member received, in the order in which they ended.
fn messages(mut wire: &[u8]) -> Vec<Vec<u8>> {
    let (mut open, mut done) = (Vec::<(&str, Vec<u8>)>::new(), Vec::new());
    while !wire.is_empty() {
        let chunk = read(&mut wire);
        let at = open.iter().position(|(id, _)| *id == chunk.id).unwrap_or_else(|| {
            open.push((chunk.id, Vec::new()));
            open.len() - 1
        });
        assert_eq!(open[at].1.len() + 1, chunk.start, "nothing is left out or repeated");
        open[at].1.extend_from_slice(chunk.body);
        match chunk.flag {
            b'$' => done.push(open.remove(at).1),
            flag => assert_eq!(flag, b'+'),
        }
    }
    assert!(open.is_empty(), "what began has ended");
    done
}

/// The octets that a member sends, with its messages' chunks in turns, and the messages.
fn script(room: &Fixture, at: usize, plan: &Plan) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut chunks, mut whole) = (Vec::new(), Vec::new());
    for (n, sizes) in plan.iter().enumerate() {
        let text: String = sizes.iter().flat_map(|len| "abcdefghij\r\n-------".chars().cycle().take(*len)).collect();
        let body = room.to_room(at, &format!("{at}.{n} {text}"));
        let mut start = 0;
        for (turn, len) in sizes.iter().enumerate() {
            let last = turn + 1 == sizes.len();
            let end = if last { body.len() } else { (start + len).min(body.len()) };
            let headers =
                format!("Message-ID: m{n}\r\nByte-Range: {}-*/*\r\nContent-Type: message/cpim\r\n", start + 1);
            let flag = if last { '$' } else { '+' };
            chunks.push((
                turn,
                room.chunk(at, &format!("t{n}x{turn:03}"), "SEND", &headers, Some(&body[start..end]), flag),
            ));
            start = end;
        }
        whole.push(body.into_bytes());
    }
    chunks.sort_by_key(|(turn, _)| *turn);
    (chunks.into_iter().flat_map(|(_, chunk)| chunk.into_bytes()).collect(), whole)
}

fn plan() -> impl Strategy<Value = Plan> {
    let size = prop_oneof![1usize..200, 1000usize..5000, 3000usize..6000];
    prop::collection::vec(prop::collection::vec(size, 1..5), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_member_gets_every_message_once_and_in_one_order(
        plans in prop::collection::vec(plan(), 3),
        steps in prop::collection::vec((0usize..3, 1usize..9000, 0usize..4, 1usize..20_000), 1..60),
        hold in prop_oneof![Just(0usize), Just(2000), Just(64 * 1024)],
    ) {
        let policy = RoomPolicy { forward_whole_up_to: hold, ..RoomPolicy::default() };
        let mut room = Fixture::new(policy, &["a", "b", "c", "listener"]);
        let scripts: Vec<_> = plans.iter().enumerate().map(|(at, plan)| script(&room, at, plan)).collect();
        let (mut sent, mut wires) = ([0; 3], vec![Vec::new(); 4]);
        for (sender, len, reader, max) in steps {
            let end = (sent[sender] + len).min(scripts[sender].0.len());
            room.send_bytes(sender, &scripts[sender].0[sent[sender]..end]);
            sent[sender] = end;
            let piece = room.taken(reader, max);
            wires[reader].extend(piece);
        }
        for sender in 0..3 {
            room.send_bytes(sender, &scripts[sender].0[sent[sender]..]);
        }
        for (at, wire) in wires.iter_mut().enumerate() {
            wire.extend(room.received_bytes(at));
        }
        prop_assert_eq!(room.switch.counters().discarded, 0);
        let heard = messages(&wires[3]);
        let mut expected: Vec<_> = scripts.iter().flat_map(|(_, whole)| whole.clone()).collect();
        let mut sorted = heard.clone();
        expected.sort();
        sorted.sort();
        prop_assert!(sorted == expected, "everything, once, octet for octet");
        prop_assert_eq!(room.switch.held_bytes(), 0);
        for at in 0..3 {
            let own = &scripts[at].1;
            let others: Vec<_> = heard.iter().filter(|message| !own.contains(message)).cloned().collect();
            let answers: Vec<u8> = wires[at].clone();
            prop_assert!(messages(&without_responses(&answers)) == others, "the same order for all");
        }
    }
}

/// What is left when the responses are taken out. None of them stands inside a chunk, so a chunk is copied whole.
fn without_responses(mut wire: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while !wire.is_empty() {
        let line = wire.split(|b| *b == b'\r').next().unwrap();
        let mut words = line.split(|b| *b == b' ').skip(1);
        let (tid, what) = (words.next().unwrap(), words.next().unwrap());
        let end_line = [b"\r\n-------", tid].concat();
        let at = wire.windows(end_line.len()).position(|window| window == end_line).expect("an end-line");
        let (chunk, rest) = wire.split_at(at + end_line.len() + 3);
        if what == b"SEND" {
            out.extend_from_slice(chunk);
        }
        wire = rest;
    }
    out
}

#[test]
fn every_bit_of_a_transaction_id_is_drawn() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let (mut ones, mut zeros) = (0u64, 0u64);
    for n in 0..64 {
        let message = room.message(0, &format!("m{n}"), &room.to_room(0, "x"));
        room.send(0, &message);
        let got = room.received(1);
        let tid = got.strip_prefix("MSRP ").and_then(|rest| rest.split(' ').next()).expect("a SEND");
        let id = u64::from_str_radix(tid, 16).expect("16 hexadecimal digits");
        ones |= id;
        zeros |= !id;
    }
    assert_eq!((ones, zeros), (u64::MAX, u64::MAX));
}
