//! The flush of a turn, from a switch to sockets.

use std::cell::RefCell;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use socket2::SockRef;

use super::*;
use crate::limits::TLS_BATCHED_BYTES_MAX;
use crate::shard::socket::{Batch, Direct};
use crate::shard::submit::{FlushOutcome, Target, flush_some};

struct Peer {
    id: ConnectionId,
    socket: UnixStream,
    link: Option<RefCell<TlsLink>>,
    /// The other end.
    remote: UnixStream,
    client: Option<TlsLink>,
    /// Plaintext that waits for it at first.
    expected: Vec<u8>,
    received: Vec<u8>,
}

impl Peer {
    fn new(switch: &mut Switch, len: usize, tls: bool) -> Self {
        let id = wait_in(switch, len, Instant::now());
        let mut expected = Vec::new();
        switch.gather(id, &mut expected, usize::MAX);
        let (socket, remote) = UnixStream::pair().unwrap();
        remote.set_nonblocking(true).unwrap();
        let links = tls.then(|| {
            let (setup, _) = setup("localhost");
            let (mut server, mut client) = pair(&setup, "localhost");
            shake_hands(&mut server, &mut client, 1 << 20);
            (server, client)
        });
        let (link, client) = links.unzip();
        Self { id, socket, link: link.map(RefCell::new), remote, client, expected, received: Vec::new() }
    }

    /// Reads what has come. Returns how many octets those were on the wire.
    fn read(&mut self) -> usize {
        let mut wire = Vec::new();
        // It ends where no more has come.
        let _ = self.remote.read_to_end(&mut wire);
        match &mut self.client {
            None => self.received.extend_from_slice(&wire),
            Some(client) => {
                let (mut input, mut into) = (&wire[..], vec![0; 50_000]);
                while let n @ 1.. = client.receive(&mut input, &mut into).unwrap() {
                    self.received.extend_from_slice(&into[..n]);
                }
            }
        }
        wire.len()
    }
}

fn switch() -> Switch {
    Switch::new(crate::switch::Settings::default(), [7; 32])
}

/// Flushes connections, and returns how many sends each submission had.
fn flush(switch: &mut Switch, batch: &mut Batch, peers: &[Peer], ids: &[ConnectionId]) -> (Vec<usize>, FlushOutcome) {
    let (mut sends, mut outcome) = (Vec::new(), FlushOutcome::default());
    let target = |id| {
        let peer = peers.iter().find(|peer| peer.id == id)?;
        Some(Target { socket: peer.socket.as_fd(), link: peer.link.as_ref() })
    };
    let mut rest = ids;
    while !rest.is_empty() {
        let mut count = 0;
        let n = flush_some(
            switch,
            batch,
            rest,
            target,
            |gathering| {
                let results = gathering.submit();
                count = results.len();
                results
            },
            &mut outcome,
        );
        sends.push(count);
        rest = &rest[n..];
    }
    (sends, outcome)
}

#[test]
fn connections_with_and_without_tls_leave_in_one_submission() {
    for with_ring in [false, true] {
        let (mut switch, mut batch) = (switch(), Batch::new(8, 1024, with_ring));
        let mut peers: Vec<_> = [true, false, true, true].map(|tls| Peer::new(&mut switch, 1000, tls)).into();
        let ids: Vec<_> = peers.iter().map(|peer| peer.id).collect();
        let (sends, outcome) = flush(&mut switch, &mut batch, &peers, &ids);
        assert_eq!(sends, [4]);
        assert!(outcome.would_block.is_empty() && outcome.failed.is_empty());
        for peer in &mut peers {
            peer.read();
            assert_eq!(peer.received, peer.expected);
            assert_eq!(switch.gather(peer.id, &mut Vec::new(), usize::MAX), 0, "it has left");
        }
    }
}

#[test]
fn ciphertext_that_is_taken_in_part_keeps_its_order() {
    let (mut switch, mut batch) = (switch(), Batch::new(8, 1024, true));
    let mut peers = vec![Peer::new(&mut switch, 14_000, true), Peer::new(&mut switch, 100, true)];
    SockRef::from(&peers[0].socket).set_send_buffer_size(1).unwrap();
    let ids: Vec<_> = peers.iter().map(|peer| peer.id).collect();
    let (sends, outcome) = flush(&mut switch, &mut batch, &peers, &ids);
    assert_eq!(sends, [2]);
    assert_eq!(&outcome.would_block[..], &ids[..1]);
    let first = peers[0].read();
    assert!(first > 0 && first < 14_000, "{first} octets had room");
    // What waits behind it meanwhile does not overtake it.
    wait_on(&mut switch, ids[0], 100, Instant::now());
    switch.gather(ids[0], &mut peers[0].expected, usize::MAX);
    while peers[0].received.len() < peers[0].expected.len() {
        let (_, outcome) = flush(&mut switch, &mut batch, &peers, &ids[..1]);
        assert!(outcome.failed.is_empty());
        assert!(peers[0].read() > 0, "nothing more comes");
    }
    assert_eq!(peers[0].received, peers[0].expected);
    peers[1].read();
    assert_eq!(peers[1].received, peers[1].expected);
}

/// A socket without room in a batch leaves everything where it is.
#[test]
fn ciphertext_that_there_is_no_room_for_waits() {
    let (mut switch, mut batch) = (switch(), Batch::new(8, 1024, true));
    let mut peers = vec![Peer::new(&mut switch, 2000, true), Peer::new(&mut switch, 100, true)];
    let ids: Vec<_> = peers.iter().map(|peer| peer.id).collect();
    let mut out = Direct(peers[0].socket.as_fd());
    let noise = std::iter::repeat_with(|| out.write(&[0; 65536])).map_while(Result::ok).sum();
    let (sends, outcome) = flush(&mut switch, &mut batch, &peers, &ids);
    assert_eq!(sends, [2]);
    assert_eq!(&outcome.would_block[..], &ids[..1]);
    let mut filling = vec![0; noise];
    (&peers[0].remote).read_exact(&mut filling).unwrap();
    assert_eq!(peers[0].read(), 0);
    let (sends, _) = flush(&mut switch, &mut batch, &peers, &ids[..1]);
    assert_eq!(sends, [0], "what waits is written before anything is encrypted");
    peers[0].read();
    assert_eq!(peers[0].received, peers[0].expected);
}

#[test]
fn a_connection_that_is_on_the_list_twice_sends_once() {
    let (mut switch, mut batch) = (switch(), Batch::new(8, 1024, true));
    let mut peers = vec![Peer::new(&mut switch, 1000, true), Peer::new(&mut switch, TLS_BATCHED_BYTES_MAX, true)];
    let [one, other] = [peers[0].id, peers[1].id];
    let (sends, _) = flush(&mut switch, &mut batch, &peers, &[one, other, one, other]);
    assert_eq!(sends, [1], "the other is too long for a batch");
    for peer in &mut peers {
        peer.read();
        assert_eq!(peer.received, peer.expected);
    }
}

#[test]
fn much_ciphertext_is_sent_by_itself() {
    for (len, sends) in [(TLS_BATCHED_BYTES_MAX - 1000, [1]), (TLS_BATCHED_BYTES_MAX, [0])] {
        let (mut switch, mut batch) = (switch(), Batch::new(8, 1024, true));
        let mut peers = vec![Peer::new(&mut switch, len, true)];
        let id = peers[0].id;
        assert_eq!(flush(&mut switch, &mut batch, &peers, &[id]).0, sends);
        peers[0].read();
        assert_eq!(peers[0].received, peers[0].expected);
    }
}

#[test]
fn a_lost_connection_is_told_from_a_full_one() {
    let (mut switch, mut batch) = (switch(), Batch::new(8, 1024, true));
    let mut peers = vec![Peer::new(&mut switch, 1000, true), Peer::new(&mut switch, 1000, true)];
    let ids: Vec<_> = peers.iter().map(|peer| peer.id).collect();
    peers[0].remote = UnixStream::pair().unwrap().0;
    let (_, outcome) = flush(&mut switch, &mut batch, &peers, &ids);
    assert_eq!(&outcome.failed[..], &ids[..1]);
    assert!(outcome.would_block.is_empty());
    peers[1].read();
    assert_eq!(peers[1].received, peers[1].expected);
}
