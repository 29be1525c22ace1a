//! What the shell asks of the way in which its thread waits.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::socket::{Arrival, Gathering, Taken};
use crate::ids::ConnectionId;

/// Listeners of one shard: one without TLS and one with it.
pub const LISTENERS: usize = 2;

/// Waits for sockets. The shell tells it what to wait for, and takes what has arrived; it knows neither switch nor TLS.
///
/// Every request but [`Backend::accept`] is answered by one [`Arrival`], in this turn or a later one. What was asked for a
/// connection that is closed meanwhile may still arrive: the shell ignores it.
pub trait Backend {
    /// A socket as this back end keeps it.
    type Socket: AsFd + From<OwnedFd>;

    /// How many things have arrived and were not polled yet.
    fn arrived(&self) -> usize;

    /// The next thing that has arrived.
    fn poll_arrival(&mut self) -> Option<Arrival<Self::Socket>>;

    /// Accepts connections of a listener until it fails: after an error the shell asks again.
    fn accept(&mut self, listener: usize);

    /// Answers [`Arrival::Connected`] when a connection that is being made is established or has failed.
    fn connect(&mut self, number: u32, socket: &Rc<Self::Socket>);

    /// Receives once on a connection. `more`: something may be there already.
    fn receive(&mut self, id: ConnectionId, socket: &Rc<Self::Socket>, more: bool);

    /// Answers [`Arrival::Writable`] when a connection's socket has room again or has failed. It is not asked again before.
    fn wait_writable(&mut self, id: ConnectionId, socket: &Rc<Self::Socket>);

    /// Submits gathered sends. Returns, for each connection in the order they were added, how many bytes the kernel took.
    fn send<'b>(&mut self, sends: Gathering<'b, '_>) -> &'b [io::Result<usize>] {
        sends.submit()
    }

    /// Takes back the buffer of bytes that were handled.
    fn give_back(&mut self, buffer: Option<Taken>);

    /// A connection was closed: its socket is shut down.
    fn closed(&mut self, id: ConnectionId);

    /// A turn is over: what it has received was handled and sent.
    fn end_turn(&mut self) {}
}

/// A back end that blocks its thread while it waits.
pub trait BlockingBackend: Backend {
    /// Waits until something has arrived or `timeout` has passed. A zero timeout polls once.
    fn wait(&mut self, timeout: Option<Duration>);
}
