//! The back end on a ring of io_uring: receives, sends and the wait are one system call.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::backend::{Backend, BlockingBackend, LISTENERS};
use super::mesh::ShardWaker;
use super::settings::ShardSettings;
use super::socket::{Arrival, Gathering, Ring, Taken};
use crate::ids::ConnectionId;
use crate::limits::{RECEIVE_BUFFERS_MAX, RECEIVE_BUFFERS_MIN};

/// Whether this machine has what it needs.
///
/// # Errors
/// Returns what the kernel says, if it has no ring, refuses it, or is older than 5.19.
pub fn probe() -> io::Result<()> {
    Ring::new(8, 1..=1, Duration::ZERO).map(drop)
}

/// A ring, and what it waits for all the time.
pub struct RingBackend {
    ring: Ring,
    listeners: [Option<Rc<OwnedFd>>; LISTENERS],
    waker: Arc<ShardWaker>,
}

impl RingBackend {
    /// A ring of this thread.
    ///
    /// # Errors
    /// Returns an error if the kernel refuses the ring or there are no descriptors left.
    pub fn new(
        settings: &ShardSettings,
        listeners: [Option<OwnedFd>; LISTENERS],
        waker: Arc<ShardWaker>,
    ) -> io::Result<Self> {
        let entries = settings.ring_depth.max(settings.send_batch).next_power_of_two();
        let entries = u32::try_from(entries).unwrap_or(u32::MAX);
        let mut ring = Ring::new(entries, RECEIVE_BUFFERS_MIN..=RECEIVE_BUFFERS_MAX, settings.spin_before_park)?;
        ring.watch_eventfd(&Rc::new(waker.descriptor()?));
        Ok(Self { ring, listeners: listeners.map(|listener| listener.map(Rc::new)), waker })
    }
}

impl Backend for RingBackend {
    type Socket = OwnedFd;

    fn arrived(&self) -> usize {
        self.ring.arrived()
    }

    fn poll_arrival(&mut self) -> Option<Arrival> {
        let arrival = self.ring.poll()?;
        if matches!(arrival, Arrival::Woken) {
            self.waker.acknowledge();
        }
        Some(arrival)
    }

    fn accept(&mut self, listener: usize) {
        if let Some(socket) = &self.listeners[listener] {
            self.ring.accept(listener, socket);
        }
    }

    fn connect(&mut self, number: u32, socket: &Rc<OwnedFd>) {
        self.ring.connecting(number, socket);
    }

    fn receive(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>, more: bool) {
        self.ring.receive(id, socket, more);
    }

    fn wait_writable(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>) {
        self.ring.writable(id, socket);
    }

    fn send<'b>(&mut self, sends: Gathering<'b, '_>) -> &'b [io::Result<usize>] {
        sends.submit_to(&mut self.ring)
    }

    fn give_back(&mut self, buffer: Option<Taken>) {
        if let Some(buffer) = buffer {
            self.ring.give_back(buffer);
        }
    }

    /// What is under way for it completes by the shutdown.
    fn closed(&mut self, _: ConnectionId) {}

    fn end_turn(&mut self) {
        self.ring.replace_lent();
    }
}

impl BlockingBackend for RingBackend {
    fn wait(&mut self, timeout: Option<Duration>) {
        match timeout {
            Some(Duration::ZERO) => self.ring.poll_nowait(),
            timeout => self.ring.wait(timeout),
        }
    }
}
