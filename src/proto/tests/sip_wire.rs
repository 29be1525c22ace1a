//! SIP messages of real clients, and the torture messages of RFC 4475 and RFC 5118: parsed, written, framed and mutated.
#![cfg(feature = "sip")]

#[path = "../../../tests/support/sip_samples.rs"]
mod sip_samples;

use sip_samples::{Chance, all_samples, samples};

use parlor_proto::limits::SIP_MESSAGE_BYTES_MAX;
use parlor_proto::sip::{Framed, Framer, MalformedRequest, parse_datagram};

fn sample(name: &str) -> Vec<u8> {
    samples("sip").into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no sample {name}")).1
}

#[test]
fn a_parsed_message_is_written_back_octet_for_octet() {
    let mut whole = 0;
    for (name, octets) in all_samples() {
        let Ok(Some(message)) = parse_datagram(&octets) else { continue };
        // A datagram may have noise after its message (RFC 3261 §18.3).
        assert!(octets.starts_with(&message.to_bytes()), "{name}");
        whole += usize::from(octets.len() == message.to_bytes().len());
    }
    assert!(whole > 50, "{whole}");
}

/// Every sample that can be framed on a stream, one after another, with keep-alives between.
fn stream() -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut stream, mut whole) = (Vec::new(), Vec::new());
    for (_, octets) in samples("sip") {
        stream.extend_from_slice(b"\r\n\r\n");
        stream.extend_from_slice(&octets);
        whole.push(octets);
    }
    (stream, whole)
}

fn octets_of(framed: Framed) -> Option<Vec<u8>> {
    framed.message().map(|message| message.to_bytes().to_vec())
}

fn framed(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, usize, bool) {
    let (mut framer, mut messages, mut pings) = (Framer::default(), Vec::new(), 0);
    for piece in pieces {
        messages.extend(framer.push(piece).into_iter().map(|framed| octets_of(framed).expect("it can be read")));
        assert!(framer.error().is_none(), "the stream can be framed");
        pings += framer.take_pings();
    }
    (messages, pings, framer.is_partial())
}

#[test]
fn a_stream_has_the_same_messages_however_it_is_cut() {
    let (stream, whole) = stream();
    let expected = (whole.clone(), whole.len(), false);
    assert_eq!(framed(&[&stream]), expected);
    assert_eq!(framed(&stream.chunks(1).collect::<Vec<_>>()), expected, "an octet at a time");
    for size in [2, 3, 7, 100, 1000, 4096] {
        assert_eq!(framed(&stream.chunks(size).collect::<Vec<_>>()), expected, "{size} octets at a time");
    }
}

#[test]
fn every_two_part_split_of_a_message_gives_that_message() {
    for (name, octets) in samples("sip") {
        for at in 0..=octets.len() {
            let (messages, _, partial) = framed(&[&octets[..at], &octets[at..]]);
            assert_eq!((messages, partial), (vec![octets.clone()], false), "{name} at {at}");
        }
    }
}

#[test]
fn every_prefix_of_a_message_is_partial() {
    for (name, octets) in samples("sip") {
        for end in 1..octets.len() {
            let (messages, _, partial) = framed(&[&octets[..end]]);
            assert_eq!((messages.len(), partial), (0, true), "{name} to {end}");
        }
    }
}

/// The messages of RFC 4475 after which nobody can know where the next message begins.
const UNFRAMEABLE: [&str; 2] = ["mcl01", "ncl"];

#[test]
fn a_stream_that_cannot_be_framed_ends() {
    let next = sample("sipsimple-invite");
    for (name, octets) in samples("sip/rfc4475").into_iter().filter(|(name, _)| UNFRAMEABLE.contains(&name.as_str())) {
        for at in 0..octets.len() {
            let mut framer = Framer::default();
            let mut found = framer.push(&octets[..at]);
            found.extend(framer.push(&octets[at..]));
            assert!(matches!(found.as_slice(), [Framed::Malformed(_)]), "{name} at {at}: it is answered, once");
            assert!(framer.error().is_some() && framer.push(&next).is_empty() && !framer.is_partial(), "{name}");
        }
    }
    let endless = vec![b'a'; 2 * SIP_MESSAGE_BYTES_MAX];
    let mut framer = Framer::default();
    assert!(framer.push(&endless).is_empty() && framer.error().is_some());
}

#[test]
fn a_malformed_message_that_can_be_framed_does_not_end_the_stream() {
    let next = sample("sipsimple-tcp-invite");
    for name in ["ltgtruri", "lwsruri", "lwsstart", "trws", "badinv01", "bigcode"] {
        let (_, mut octets) = samples("sip/rfc4475").into_iter().find(|(found, _)| found == name).unwrap();
        octets.extend_from_slice(&next);
        for size in [1, 7, octets.len()] {
            let mut framer = Framer::default();
            let mut found: Vec<_> = octets.chunks(size).flat_map(|piece| framer.push(piece)).collect();
            let last = found.pop().and_then(octets_of);
            assert_eq!(last.as_ref(), Some(&next), "{name}");
            let expected = usize::from(name != "bigcode");
            let is_malformed = |framed: &Framed| matches!(framed, Framed::Malformed(_)) || name == "badinv01";
            assert_eq!(
                found.iter().filter(|framed| is_malformed(framed)).count(),
                expected,
                "{name}: responses get no answer"
            );
            assert!(framer.error().is_none() && !framer.is_partial());
        }
    }
}

#[test]
fn an_ambiguous_length_is_an_error() {
    let message = |length: &str| {
        format!("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n{length}X: y\r\n\r\nabcde")
    };
    for length in ["Content-Length: 5\r\n", "l:5\r\n", "L \t:\r\n 5 \r\n", "content-LENGTH:   0005\r\n"] {
        let mut framer = Framer::default();
        let found = framer.push(message(length).as_bytes());
        assert_eq!((found.len(), framer.error(), framer.is_partial()), (1, None, false), "{length:?}");
    }
    for length in [
        "",
        "Content-Length:\r\n",
        "Content-Length: five\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 1\r\n 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5\r\nl: 5\r\n",
        "Content-Length: 65537\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Y: z\nContent-Length: 5\r\n",
        "Y: z\rContent-Length: 5\r\nl: 5\r\n",
        "Y: z\r\r\nContent-Length: 5\r\n",
    ] {
        let mut framer = Framer::default();
        let found = framer.push(message(length).as_bytes());
        assert!(
            matches!(found.as_slice(), [Framed::Malformed(_)]) && framer.error().is_some(),
            "{length:?}: {found:?}"
        );
    }
}

#[test]
fn no_mutated_message_panics() {
    let all: Vec<_> = all_samples().into_iter().map(|(_, octets)| octets).collect();
    let (mut chance, mut parsed) = (Chance(0x5eed_cafe), 0);
    for _ in 0..20_000 {
        let mut octets = all[chance.below(all.len())].clone();
        chance.mutate(&mut octets);
        let _ = Framer::default().push(&octets);
        match parse_datagram(&octets) {
            Ok(message) => parsed += usize::from(message.is_some()),
            Err(error) => drop(MalformedRequest::recover(&octets, error)),
        }
    }
    assert!(parsed > 5_000, "{parsed} of them can still be parsed");
}
