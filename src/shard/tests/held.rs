//! What has arrived on a paused connection is handled before anything that comes after it.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use ::bytes::Bytes;

use super::*;
use crate::ids::ConnectionId;
use crate::shard::backend::Backend;
use crate::shard::shell::Shell;
use crate::shard::socket::{Arrival, Taken};

/// Notes for which connections it was asked to receive, and brings what a test puts in.
#[derive(Default)]
struct Fake {
    arrivals: VecDeque<Arrival>,
    receives: Vec<ConnectionId>,
}

impl Backend for Fake {
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

    fn wait_writable(&mut self, _: ConnectionId, _: &Rc<OwnedFd>) {}

    fn give_back(&mut self, _: Option<Taken>) {}

    fn closed(&mut self, _: ConnectionId) {}
}

#[test]
fn nothing_is_received_while_earlier_bytes_are_held() {
    let (_handle, port) = mesh::link(ShardId(0), 0, mesh::events().0, None);
    let mut shell = Shell::new(Fake::default(), &ShardSettings::default(), port, [3; 32], false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    shell.backend.arrivals.push_back(Arrival::Accepted(0, Ok(listener.accept().unwrap().0.into())));
    shell.turn();
    let [id] = shell.backend.receives[..] else { panic!("one connection, one receive") };
    // A pause and two resumes, as congested members bring about in one turn.
    shell.peers.get_mut(id).unwrap().receiving = false;
    shell.held.push((id, Bytes::from_static(b"MSRP a")));
    shell.receive(id, true);
    shell.resume(id);
    shell.resume(id);
    assert_eq!(shell.backend.receives.len(), 1, "it was asked for more before what is held was handled");
    shell.handle_released(Instant::now());
    assert_eq!(shell.backend.receives, [id, id]);
    assert!(shell.held.is_empty() && shell.released.is_empty());
}
