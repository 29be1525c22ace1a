//! A shell over a back end that waits for nothing: a test gives it what arrives, and says what time it is.

use std::collections::VecDeque;
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::facts::EndReason;
use crate::ids::{ConnectionId, ShardId};
use crate::limits::CONTROL_LANE_BYTES_MAX;
use crate::shard::backend::Backend;
use crate::shard::mesh;
use crate::shard::settings::{CLOSE_TIMEOUT, ShardSettings};
use crate::shard::shell::Shell;
use crate::shard::socket::{Arrival, Direct, Received, Taken};
use crate::shard::tls::{TlsLink, tests as links};

/// A request for a session that there is none of.
const REQUEST: &[u8] =
    b"MSRP abcd SEND\r\nTo-Path: msrps://h:1/s;tcp\r\nFrom-Path: msrps://h:2/t;tcp\r\nMessage-ID: m\r\n\
    Content-Type: a/b\r\n\r\nx\r\n-------abcd$\r\n";

/// Notes what it is asked.
#[derive(Default)]
struct FakeBackend {
    arrivals: VecDeque<Arrival>,
    /// Connections to receive from.
    receives: Vec<ConnectionId>,
    /// Connections whose room is waited for.
    writable: Vec<ConnectionId>,
}

impl Backend for FakeBackend {
    type Socket = OwnedFd;

    fn arrived(&self) -> usize {
        self.arrivals.len()
    }

    fn poll_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.pop_front()
    }

    fn accept(&mut self, _: usize) {}

    fn connect(&mut self, _: u32, _: &Rc<OwnedFd>) {}

    fn receive(&mut self, id: ConnectionId, _: &Rc<OwnedFd>, _: bool) {
        self.receives.push(id);
    }

    fn wait_writable(&mut self, id: ConnectionId, _: &Rc<OwnedFd>) {
        self.writable.push(id);
    }

    fn give_back(&mut self, _: Option<Taken>) {}

    fn closed(&mut self, _: ConnectionId) {}
}

fn shell() -> Shell<FakeBackend> {
    let (_, port) = mesh::link(ShardId(0), 0, mesh::events().0, None);
    Shell::new(FakeBackend::default(), &ShardSettings::default(), port, [3; 32], false)
}

/// The other end of a connection whose socket on our side is full.
struct Remote {
    id: ConnectionId,
    stream: UnixStream,
    /// Octets that fill the socket.
    filling: usize,
}

impl Remote {
    fn new(shell: &mut Shell<FakeBackend>, link: Option<TlsLink>, now: Instant) -> Self {
        let (ours, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut out = Direct(ours.as_fd());
        let filling = std::iter::repeat_with(|| out.write(&[0; 65536])).map_while(Result::ok).sum();
        let id = shell.switch.adopt("192.0.2.1:7".parse().unwrap(), link.is_some(), now);
        shell.add_peer(id, Rc::new(ours.into()), link);
        Self { id, stream, filling }
    }

    fn read(&mut self, len: usize) {
        self.stream.read_exact(&mut vec![0; len]).unwrap();
    }
}

/// A connection with TLS, and the link of the other end.
fn with_tls(shell: &mut Shell<FakeBackend>, now: Instant) -> (Remote, TlsLink) {
    let (setup, _) = links::setup("localhost");
    let (mut server, mut client) = links::pair(&setup, "localhost");
    links::shake_hands(&mut server, &mut client, 1 << 20);
    (Remote::new(shell, Some(server), now), client)
}

/// Octets have come on a connection.
fn receive(shell: &mut Shell<FakeBackend>, id: ConnectionId, bytes: Bytes, now: Instant) {
    let received = Received::Bytes { bytes, buffer: None, more: false };
    shell.backend.arrivals.push_back(Arrival::Received(id, received));
    shell.handle_arrivals(now);
}

/// A socket has room again.
fn room(shell: &mut Shell<FakeBackend>, id: ConnectionId, now: Instant) {
    shell.backend.arrivals.push_back(Arrival::Writable(id));
    shell.handle_arrivals(now);
    shell.flush();
}

#[test]
fn a_tls_peer_that_does_not_read_delays_its_end_no_longer_than_the_limit() {
    let (mut shell, now) = (shell(), Instant::now());
    let (mut remote, _) = with_tls(&mut shell, now);
    shell.close_gracefully(remote.id, now);
    assert_eq!(shell.backend.writable, [remote.id]);
    shell.handle_timeouts(now + CLOSE_TIMEOUT / 2);
    room(&mut shell, remote.id, now + CLOSE_TIMEOUT / 2);
    assert!(shell.peers.contains_key(remote.id), "its close_notify has not left");
    assert_eq!(shell.backend.writable, [remote.id; 2]);
    shell.handle_timeouts(now + CLOSE_TIMEOUT - Duration::from_millis(1));
    assert!(shell.peers.contains_key(remote.id));
    shell.handle_timeouts(now + CLOSE_TIMEOUT);
    assert!(!shell.peers.contains_key(remote.id) && shell.timers.is_empty());
    remote.read(remote.filling);
    assert_eq!(remote.stream.read(&mut [0]).unwrap(), 0, "it is shut down");
}

#[test]
fn a_tls_peer_that_reads_is_closed_behind_its_close_notify() {
    let (mut shell, now) = (shell(), Instant::now());
    let (mut remote, mut client) = with_tls(&mut shell, now);
    shell.close_gracefully(remote.id, now);
    remote.read(remote.filling);
    room(&mut shell, remote.id, now);
    assert!(!shell.peers.contains_key(remote.id) && shell.timers.is_empty());
    let mut wire = Vec::new();
    remote.stream.read_to_end(&mut wire).unwrap();
    assert_eq!(client.receive(&mut &wire[..], &mut [0; 100]).unwrap(), 0);
    assert!(client.peer_has_closed());
}

#[test]
fn room_for_ciphertext_is_asked_for_once_however_much_comes_meanwhile() {
    let (mut shell, now) = (shell(), Instant::now());
    let (mut remote, mut client) = with_tls(&mut shell, now);
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.encrypt(&[IoSlice::new(REQUEST)]);
        client.write_to(&mut wire).unwrap();
        receive(&mut shell, remote.id, wire.into(), now);
        shell.flush();
    }
    assert_eq!(shell.backend.writable, [remote.id]);
    remote.read(remote.filling);
    room(&mut shell, remote.id, now);
    shell.flush();
    let (mut wire, mut plain) = (Vec::new(), vec![0; 10_000]);
    // It ends where no more has come.
    let _ = remote.stream.read_to_end(&mut wire);
    let n = client.receive(&mut &wire[..], &mut plain).unwrap();
    assert_eq!(String::from_utf8_lossy(&plain[..n]).matches("MSRP abcd 481").count(), 10, "each is answered");
}

/// Requests whose answers are more than may wait for a peer that is read.
fn many_requests() -> Bytes {
    REQUEST.repeat(CONTROL_LANE_BYTES_MAX / 2 / REQUEST.len()).into()
}

/// Pauses a connection.
fn pause(shell: &mut Shell<FakeBackend>, id: ConnectionId, now: Instant) {
    receive(shell, id, many_requests(), now);
    assert!(shell.switch.is_paused(id));
    shell.backend.receives.clear();
}

/// Its peer has read all answers.
fn resume(shell: &mut Shell<FakeBackend>, id: ConnectionId, now: Instant) {
    let waiting = shell.switch.gather(id, &mut Vec::new(), usize::MAX);
    shell.switch.sent(id, waiting, now);
    assert!(!shell.switch.is_paused(id));
}

#[test]
fn what_was_held_is_handled_before_anything_is_received() {
    let (mut shell, now) = (shell(), Instant::now());
    let [one, other] = [(); 2].map(|()| Remote::new(&mut shell, None, now));
    for remote in [&one, &other] {
        pause(&mut shell, remote.id, now);
        receive(&mut shell, remote.id, many_requests(), now);
        resume(&mut shell, remote.id, now);
    }
    shell.released.clear();
    shell.released.extend([one.id, other.id]);
    assert!(shell.backend.receives.is_empty(), "both hold something");
    // While the first is handled, the second is resumed once more.
    shell.handle_released(now);
    assert!(shell.held.is_empty());
    assert!(shell.switch.is_paused(one.id) && shell.switch.is_paused(other.id));
    assert_eq!(shell.backend.receives, [], "what comes behind it would be held too");
    for remote in [&one, &other] {
        resume(&mut shell, remote.id, now);
    }
    shell.drive(now);
    shell.backend.receives.sort_unstable();
    assert_eq!(shell.backend.receives, [one.id, other.id]);
}

#[test]
fn what_is_held_stays_held_on_a_connection_that_is_paused_again() {
    let (mut shell, now) = (shell(), Instant::now());
    let remote = Remote::new(&mut shell, None, now);
    pause(&mut shell, remote.id, now);
    receive(&mut shell, remote.id, REQUEST.into(), now);
    shell.resume(remote.id);
    shell.handle_released(now);
    assert_eq!(shell.held.len(), 1, "it is still paused");
    assert_eq!(shell.backend.receives, []);
    resume(&mut shell, remote.id, now);
    shell.drive(now);
    assert!(shell.time_to_wait().is_some_and(|timeout| timeout.is_zero()));
    shell.handle_released(now);
    let mut answer = Vec::new();
    shell.switch.gather(remote.id, &mut answer, usize::MAX);
    assert_eq!(String::from_utf8_lossy(&answer).matches("MSRP abcd 481").count(), 1);
    assert_eq!(shell.backend.receives, [remote.id]);
}

#[test]
fn nothing_stays_held_for_a_connection_that_is_closed() {
    let (mut shell, now) = (shell(), Instant::now());
    let remote = Remote::new(&mut shell, None, now);
    pause(&mut shell, remote.id, now);
    receive(&mut shell, remote.id, REQUEST.into(), now);
    shell.resume(remote.id);
    shell.close(remote.id, EndReason::ConnectionLost, now);
    assert!(shell.held.is_empty());
    shell.handle_released(now);
    assert_eq!(shell.backend.receives, []);
}

#[test]
fn nothing_is_received_while_earlier_bytes_are_held() {
    let (mut shell, now) = (shell(), Instant::now());
    let id = Remote::new(&mut shell, None, now).id;
    // A pause and two resumes, as congested members bring about in one turn.
    shell.peers.get_mut(id).unwrap().receiving = false;
    shell.held.insert(id, Bytes::from_static(b"MSRP a"));
    shell.receive(id, true);
    shell.resume(id);
    shell.resume(id);
    assert_eq!(shell.backend.receives, [id], "it was asked for more before what is held was handled");
    shell.handle_released(now);
    assert_eq!(shell.backend.receives, [id, id]);
    assert!(shell.held.is_empty() && shell.released.is_empty());
}
