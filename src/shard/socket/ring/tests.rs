//! A ring by itself: descriptors that are closed, and more connections than buffers.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use slotmap::SlotMap;

use super::*;

const LONG: Option<Duration> = Some(Duration::from_secs(60));

struct Pairs {
    ids: SlotMap<ConnectionId, (Rc<OwnedFd>, UnixStream)>,
}

impl Pairs {
    fn new(count: usize) -> Self {
        let mut ids = SlotMap::with_key();
        for _ in 0..count {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ids.insert((Rc::new(OwnedFd::from(ours)), theirs));
        }
        Self { ids }
    }

    /// One octet more for us to receive.
    fn say(&self, id: ConnectionId) {
        (&self.ids[id].1).write_all(b"x").unwrap();
    }

    fn receive(&self, ring: &mut Ring, id: ConnectionId, more: bool) {
        ring.receive(id, &self.ids[id].0, more);
    }
}

/// The number of a descriptor that is closed is the next one's. What was queued for the first must not have it.
fn another_takes_the_number(queue: impl FnOnce(&mut Ring, ConnectionId, &Rc<OwnedFd>)) {
    let mut ring = Ring::new(8, 4..=4, Duration::ZERO).unwrap();
    let id = SlotMap::with_key().insert(());
    let (ours, theirs) = UnixStream::pair().unwrap();
    let ours = Rc::new(OwnedFd::from(ours));
    let number = ours.as_raw_fd();
    queue(&mut ring, id, &ours);
    drop((ours, theirs));
    let others: Vec<_> = (0..64).map(|_| UnixStream::pair().unwrap()).collect();
    for (one, other) in &others {
        assert!(one.as_raw_fd() != number && other.as_raw_fd() != number, "the number is still taken");
        (&*one).write_all(b"mine").unwrap();
    }
    ring.wait(LONG);
    assert!(matches!(
        ring.poll(),
        Some(Arrival::Received(_, Received::Over) | Arrival::Writable(_) | Arrival::Connected(_))
    ));
    for (_, mut other) in others {
        let mut text = [0; 4];
        other.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"mine");
    }
}

#[test]
fn a_queued_receive_keeps_its_descriptor() {
    another_takes_the_number(|ring, id, socket| ring.receive(id, socket, true));
    another_takes_the_number(|ring, id, socket| ring.receive(id, socket, false));
}

#[test]
fn a_queued_poll_keeps_its_descriptor() {
    another_takes_the_number(|ring, id, socket| ring.writable(id, socket));
    another_takes_the_number(|ring, _, socket| ring.connecting(1, socket));
}

/// A receive that waits for a buffer is in no queue of the kernel yet.
#[test]
fn a_receive_without_a_buffer_keeps_its_descriptor() {
    let mut ring = Ring::new(8, 1..=1, Duration::ZERO).unwrap();
    let mut pairs = Pairs::new(2);
    let ids: Vec<_> = pairs.ids.keys().collect();
    for id in &ids {
        pairs.say(*id);
        pairs.receive(&mut ring, *id, true);
    }
    ring.wait(LONG);
    let Some(Arrival::Received(first, Received::Bytes { buffer: Some(buffer), bytes, .. })) = ring.poll() else {
        panic!("nothing")
    };
    assert_eq!(first, ids[0]);
    let (ours, _theirs) = pairs.ids.remove(ids[1]).unwrap();
    let weak = Rc::downgrade(&ours);
    drop(ours);
    assert!(weak.upgrade().is_some());
    drop(bytes);
    ring.give_back(buffer);
    ring.wait(LONG);
    assert!(matches!(ring.poll(), Some(Arrival::Received(id, Received::Bytes { .. })) if id == ids[1]));
    assert!(weak.upgrade().is_none(), "it has completed");
}

/// Who is served, in order, where all have something to say all the time. Turns are as the shell's: what arrived is handled, then
/// sends enter the kernel, and then it waits.
fn served(ring: &mut Ring, pairs: &Pairs, turns: usize) -> Vec<ConnectionId> {
    for id in pairs.ids.keys() {
        pairs.say(id);
        pairs.receive(ring, id, false);
    }
    let mut order = Vec::new();
    for _ in 0..turns {
        ring.wait(LONG);
        for _ in 0..ring.arrived() {
            let Some(Arrival::Received(id, Received::Bytes { bytes, buffer: Some(buffer), more })) = ring.poll() else {
                panic!()
            };
            order.push(id);
            pairs.say(id);
            drop(bytes);
            ring.give_back(buffer);
            pairs.receive(ring, id, more);
        }
        ring.poll_nowait();
        ring.replace_lent();
    }
    order
}

#[test]
fn nobody_is_served_twice_before_all_are_served_once() {
    for (count, buffers) in [(12, 4), (13, 4), (9, 8), (5, 1)] {
        let mut ring = Ring::new(8, buffers..=buffers, Duration::ZERO).unwrap();
        let pairs = Pairs::new(count);
        let order = served(&mut ring, &pairs, 400);
        assert!(order.len() >= 400, "{}", order.len());
        let first = &order[..count];
        for (n, round) in order.chunks_exact(count).enumerate() {
            assert_eq!(round, first, "round {n}, {count} connections, {buffers} buffers");
        }
    }
}

/// The same while others, who come and go, would take the buffers that are returned.
#[test]
fn who_waits_for_a_buffer_is_served_in_the_order_in_which_it_came() {
    let mut ring = Ring::new(64, 2..=2, Duration::ZERO).unwrap();
    let pairs = Pairs::new(8);
    let ids: Vec<_> = pairs.ids.keys().collect();
    ids.iter().for_each(|id| pairs.receive(&mut ring, *id, false));
    ring.poll_nowait();
    let spoken = [5, 1, 7, 0, 3, 6, 2, 4].map(|at| ids[at]);
    let mut order = Vec::new();
    for id in spoken {
        pairs.say(id);
        ring.poll_nowait();
    }
    while order.len() < spoken.len() {
        ring.wait(LONG);
        for _ in 0..ring.arrived() {
            let arrival = ring.poll().unwrap();
            let Arrival::Received(id, Received::Bytes { bytes, buffer: Some(buffer), .. }) = arrival else {
                panic!("{arrival:?}")
            };
            drop(bytes);
            ring.give_back(buffer);
            // Whoever was served has more to say at once.
            pairs.say(id);
            pairs.receive(&mut ring, id, true);
            ring.poll_nowait();
            order.push(id);
        }
    }
    assert_eq!(order[..spoken.len()], spoken);
}

#[test]
fn buffers_become_more_where_they_are_wanted() {
    let mut ring = Ring::new(64, 2..=8, Duration::ZERO).unwrap();
    let pairs = Pairs::new(12);
    let order = served(&mut ring, &pairs, 50);
    assert_eq!(ring.buffers.count(), 8);
    let first = &order[order.len() - 24..][..12];
    assert_eq!(first, &order[order.len() - 12..], "and are still too few, so all take turns");
}
