//! Links by themselves, one at each end of a wire.

use super::*;
use crate::tls::{Identity, Trust};

mod flush;

/// A certificate for a name, and settings that trust it.
pub fn setup(name: &str) -> (TlsSetup, Identity) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let identity = Identity::load(&certificate, &key).unwrap();
    let trust = Trust::load(Some(&certificate)).unwrap();
    (TlsSetup::new(&identity, &trust).unwrap(), identity)
}

/// A server and a client, which have not spoken.
pub fn pair(setup: &TlsSetup, name: &str) -> (TlsLink, TlsLink) {
    (TlsLink::accept(setup).unwrap(), TlsLink::connect(setup, name, &[]).unwrap())
}

/// Carries what one has to say to the other, in pieces of `step` octets. Answers the plaintext.
fn carry(from: &mut TlsLink, to: &mut TlsLink, step: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    assert!(from.write_to(&mut wire).unwrap());
    let (mut plain, mut into) = (Vec::new(), vec![0; 5000]);
    for piece in wire.chunks(step) {
        let mut input = piece;
        loop {
            let n = to.receive(&mut input, &mut into).unwrap();
            plain.extend_from_slice(&into[..n]);
            if n == 0 {
                break;
            }
        }
        assert!(input.is_empty());
    }
    plain
}

pub fn shake_hands(server: &mut TlsLink, client: &mut TlsLink, step: usize) {
    for _ in 0..4 {
        carry(client, server, step);
        carry(server, client, step);
    }
    assert!(!server.connection.is_handshaking() && !client.connection.is_handshaking());
}

fn encrypt(link: &mut TlsLink, parts: &[&[u8]]) -> usize {
    let pieces: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    link.encrypt(&pieces)
}

#[test]
fn plaintext_comes_out_as_it_went_in_however_the_wire_is_cut() {
    let (setup, _) = setup("localhost");
    for step in [1, 7, 1000, 1 << 20] {
        let (mut server, mut client) = pair(&setup, "localhost");
        shake_hands(&mut server, &mut client, step);
        let long = vec![b'x'; 40_000];
        let n = encrypt(&mut client, &[b"one, ", b"two, ", &long]);
        assert_eq!(n, 10 + long.len());
        let plain = carry(&mut client, &mut server, step);
        assert!(plain.starts_with(b"one, two, x") && plain.len() == n, "{step}");
        encrypt(&mut server, &[b"back"]);
        assert_eq!(carry(&mut server, &mut client, step), b"back");
    }
}

#[test]
fn pieces_go_together_into_few_records() {
    let (setup, _) = setup("localhost");
    let (mut server, mut client) = pair(&setup, "localhost");
    shake_hands(&mut server, &mut client, 1 << 20);
    let parts = vec![&[b'm'; 900][..]; 36];
    assert_eq!(encrypt(&mut server, &parts), 32_400);
    let mut wire = Vec::new();
    server.write_to(&mut wire).unwrap();
    let mut records = Vec::new();
    let mut rest = &wire[..];
    while let [23, 3, 3, high, low, ..] = rest {
        let len = usize::from(*high) << 8 | usize::from(*low);
        records.push(len);
        rest = &rest[5 + len..];
    }
    assert!(rest.is_empty() && records.len() == 2 && records[0] > 16_000, "{records:?}");
}

#[test]
fn both_ends_are_told_once_what_the_other_has_shown() {
    let (setup, identity) = setup("localhost");
    let (mut server, mut client) = pair(&setup, "localhost");
    assert_eq!((server.take_handshake(), client.take_handshake()), (None, None));
    shake_hands(&mut server, &mut client, 1 << 20);
    let (at_server, at_client) = (server.take_handshake().unwrap().unwrap(), client.take_handshake().unwrap().unwrap());
    assert!(at_client.named && !at_server.named);
    for shown in [&at_server, &at_client] {
        assert!(identity.fingerprints.iter().all(|one| shown.fingerprints.contains(one)));
    }
    assert_eq!((server.take_handshake(), client.take_handshake()), (None, None));
    let mut server = TlsLink::accept(&setup).unwrap();
    let mut client = TlsLink::connect(&setup, "other.example", &identity.fingerprints).unwrap();
    shake_hands(&mut server, &mut client, 1 << 20);
    assert!(!client.take_handshake().unwrap().unwrap().named, "nobody has asked what it is called");
}

#[test]
fn another_certificate_is_shown_from_the_next_handshake_on() {
    let (ours, old) = setup("localhost");
    let (_, new) = setup("localhost");
    ours.replace(&new);
    let mut server = TlsLink::accept(&ours).unwrap();
    let mut client = TlsLink::connect(&ours, "localhost", &new.fingerprints).unwrap();
    shake_hands(&mut server, &mut client, 1 << 20);
    let shown = client.take_handshake().unwrap().unwrap();
    assert!(shown.fingerprints.contains(&new.fingerprints[0]) && !shown.fingerprints.contains(&old.fingerprints[0]));
}

/// A switch with a connection that so many octets of responses wait for, at least.
fn waiting(len: usize, now: Instant) -> (Switch, ConnectionId) {
    let mut switch = Switch::new(crate::switch::Settings::default(), [7; 32]);
    let id = wait_in(&mut switch, len, now);
    (switch, id)
}

/// One more such connection.
fn wait_in(switch: &mut Switch, len: usize, now: Instant) -> ConnectionId {
    let id = switch.adopt("192.0.2.1:7".parse().unwrap(), true, now);
    wait_on(switch, id, len, now);
    id
}

/// So many more octets of responses wait for a connection, at least.
fn wait_on(switch: &mut Switch, id: ConnectionId, len: usize, now: Instant) {
    let request = b"MSRP abcd SEND\r\nTo-Path: msrps://h:1/s;tcp\r\nFrom-Path: msrps://h:2/t;tcp\r\nMessage-ID: m\r\n\
        Content-Type: a/b\r\n\r\nx\r\n-------abcd$\r\n";
    let enough = len + switch.gather(id, &mut Vec::new(), usize::MAX);
    while switch.gather(id, &mut Vec::new(), usize::MAX) < enough {
        switch.handle_bytes(id, &bytes::Bytes::from_static(request), now).unwrap();
    }
}

#[test]
fn one_turn_encrypts_as_much_as_the_limit_says() {
    let (setup, _) = setup("localhost");
    let (mut server, mut client) = pair(&setup, "localhost");
    shake_hands(&mut server, &mut client, 1 << 20);
    let now = Instant::now();
    let (mut switch, id) = waiting(TLS_TURN_BYTES_MAX + 1000, now);
    let mut wire = Vec::new();
    assert_eq!(
        server.flush(&mut switch, id, &mut Pieces::new(TLS_TURN_BYTES_MAX, 1024), &mut wire, now),
        Flushed::Done
    );
    let (mut plain, mut input, mut into) = (0, &wire[..], vec![0; 50_000]);
    while let n @ 1.. = client.receive(&mut input, &mut into).unwrap() {
        plain += n;
    }
    assert_eq!(plain, TLS_TURN_BYTES_MAX);
    assert!(switch.gather(id, &mut Vec::new(), usize::MAX) >= 1000, "the rest waits for its turn");
}

#[test]
fn as_much_ciphertext_waits_as_the_limit_says() {
    let (setup, _) = setup("localhost");
    let (mut server, mut client) = pair(&setup, "localhost");
    shake_hands(&mut server, &mut client, 1 << 20);
    let plain = vec![b'x'; 2 * TLS_WAITING_BYTES_MAX];
    let taken = encrypt(&mut server, &[&plain]);
    assert!(taken <= TLS_WAITING_BYTES_MAX && taken > TLS_WAITING_BYTES_MAX - 20_000, "{taken}");
    assert_eq!(encrypt(&mut server, &[&plain]), 0);
}

/// Takes so much and no more.
struct Narrow(Vec<u8>, usize);

impl Write for Narrow {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let n = octets.len().min(self.1 - self.0.len());
        if n == 0 && !octets.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.extend_from_slice(&octets[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_socket_keeps_ciphertext_waiting_and_the_end_behind_it() {
    let (setup, _) = setup("localhost");
    let (mut server, mut client) = pair(&setup, "localhost");
    shake_hands(&mut server, &mut client, 1 << 20);
    encrypt(&mut server, &[&[b'x'; 3000]]);
    let mut narrow = Narrow(Vec::new(), 1000);
    assert!(!server.write_to(&mut narrow).unwrap());
    assert!(!server.close(&mut narrow), "it waits");
    narrow.1 = 1 << 20;
    assert!(server.write_to(&mut narrow).unwrap());
    let (mut input, mut into) = (&narrow.0[..], vec![0; 8000]);
    assert_eq!(client.receive(&mut input, &mut into).unwrap(), 3000);
    assert!(client.peer_has_closed());
    assert!(server.close(&mut narrow), "asked again, it goes");
}

#[test]
fn a_handshake_that_had_no_room_leaves_no_connection_blocked() {
    let (setup, _) = setup("localhost");
    let (mut server, mut client) = pair(&setup, "localhost");
    let now = Instant::now();
    let (mut switch, id) = waiting(0, now);
    let mut hello = Vec::new();
    client.write_to(&mut hello).unwrap();
    assert_eq!(server.receive(&mut &hello[..], &mut [0; 100]).unwrap(), 0);
    let (mut pieces, mut narrow) = (Pieces::new(TLS_TURN_BYTES_MAX, 1024), Narrow(Vec::new(), 100));
    assert_eq!(server.flush(&mut switch, id, &mut pieces, &mut narrow, now), Flushed::WouldBlock);
    narrow.1 = 1 << 20;
    assert_eq!(server.flush(&mut switch, id, &mut pieces, &mut narrow, now), Flushed::Done);
    assert!(server.connection.is_handshaking() && !switch.is_dirty());
    wait_on(&mut switch, id, 1, now);
    assert!(switch.is_dirty(), "the next flush sends it");
}

#[test]
fn what_is_no_tls_is_an_error_and_is_told_the_peer() {
    let (setup, _) = setup("localhost");
    let mut server = TlsLink::accept(&setup).unwrap();
    let mut input = &b"MSRP abcd SEND\r\nTo-Path: msrps://h:1/s;tcp\r\n"[..];
    assert!(server.receive(&mut input, &mut [0; 100]).is_err());
    let mut wire = Vec::new();
    server.write_to(&mut wire).unwrap();
    assert_eq!(wire.first(), Some(&21), "an alert");
}
