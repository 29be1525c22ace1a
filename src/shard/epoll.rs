//! The back end on epoll, for machines without io_uring: plain system calls on sockets that are ready.
//!
//! Everything is registered for edges. A connection is registered once, for reading, and what an edge has reported holds until a
//! receive finds less than it asked for. Room to write is waited for by registering anew, which reports it also where it is there
//! already.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use slotmap::{Key, KeyData, SecondaryMap};
use socket2::SockRef;

use super::backend::{Backend, BlockingBackend, LISTENERS};
use super::dials;
use super::mesh::ShardWaker;
use super::slab::Slab;
use super::socket::{Arrival, Received, Taken};
use crate::ids::ConnectionId;
use crate::limits::RECEIVE_BYTES_MAX;

/// Events that one wait takes from the kernel.
const EVENTS_PER_WAIT_MAX: usize = 1024;
/// Connections that a listener gives in one turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Listeners have their numbers as tokens; then come the waker and the dials. The tokens of connections are above 2^32.
const WAKER: usize = LISTENERS;
const FIRST_DIAL: u32 = WAKER as u32 + 1;
const _: () = assert!(FIRST_DIAL <= u32::MAX - dials::NUMBERS, "the last dial has a token");

/// An epoll instance, and what was asked of it.
pub struct EpollBackend {
    poll: Poll,
    events: Events,
    listeners: [Option<OwnedFd>; LISTENERS],
    waker: Arc<ShardWaker>,
    /// What the waker writes to, open for as long as it is registered.
    _wakes: OwnedFd,
    connections: SecondaryMap<ConnectionId, Connection>,
    /// Sockets that are connecting, by their numbers.
    dials: BTreeMap<u32, Rc<OwnedFd>>,
    ready: VecDeque<Ready>,
    slab: Slab,
    spin: Duration,
    /// How long the last wait took.
    waited: Duration,
}

struct Connection {
    socket: Rc<OwnedFd>,
    /// A receive was asked for and is not on the list of what is ready.
    receive: bool,
    /// Something may be there to be received.
    readable: bool,
    /// The peer has ended its side: no other edge will come for what is there.
    read_closed: bool,
    /// Room to write was asked for.
    write: bool,
}

/// What the shell is told next. A socket is read when the shell asks, so that one buffer is enough for all.
enum Ready {
    Arrival(Arrival),
    Receive(ConnectionId),
}

impl EpollBackend {
    /// An epoll instance that polls for up to `spin` before it sleeps, where the last wait says that this may be enough.
    ///
    /// # Errors
    /// Returns an error if there are no descriptors left.
    pub fn new(spin: Duration, listeners: [Option<OwnedFd>; LISTENERS], waker: Arc<ShardWaker>) -> io::Result<Self> {
        let (poll, wakes) = (Poll::new()?, waker.descriptor()?);
        let register = |socket: &OwnedFd, token| {
            poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(token), Interest::READABLE)
        };
        register(&wakes, WAKER)?;
        for (number, listener) in listeners.iter().enumerate() {
            let Some(listener) = listener else { continue };
            SockRef::from(listener).set_nonblocking(true)?;
            register(listener, number)?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_WAIT_MAX),
            listeners,
            waker,
            _wakes: wakes,
            connections: SecondaryMap::new(),
            dials: BTreeMap::new(),
            ready: VecDeque::new(),
            slab: Slab::default(),
            spin,
            waited: Duration::ZERO,
        })
    }

    /// Registers a connection, unless it is.
    fn register(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>) {
        if self.connections.contains_key(id) {
            return;
        }
        let token = Token(id.data().as_ffi() as usize);
        let source = &mut SourceFd(&socket.as_raw_fd());
        if self.poll.registry().register(source, token, Interest::READABLE).is_err() {
            return self.fail(id);
        }
        let connection =
            Connection { socket: socket.clone(), receive: false, readable: false, read_closed: false, write: false };
        self.connections.insert(id, connection);
    }

    /// The kernel has no memory for a connection: it is as good as lost.
    fn fail(&mut self, id: ConnectionId) {
        self.push(Arrival::Received(id, Received::Over));
    }

    fn push(&mut self, arrival: Arrival) {
        self.ready.push_back(Ready::Arrival(arrival));
    }

    fn poll(&mut self, timeout: Option<Duration>) {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => panic!("the epoll instance of a shard failed: {error}"),
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        events.iter().for_each(|event| self.handle_event(event));
        self.events = events;
    }

    fn handle_event(&mut self, event: &Event) {
        match event.token().0 {
            listener @ 0..LISTENERS => self.accept_ready(listener),
            WAKER => self.push(Arrival::Woken),
            token => match u32::try_from(token) {
                Ok(dial) => self.handle_connected(dial - FIRST_DIAL),
                Err(_) => self.handle_ready(KeyData::from_ffi(token as u64).into(), event),
            },
        }
    }

    /// Accepts what waits at a listener, up to a bound. What is left is reported again.
    fn accept_ready(&mut self, number: usize) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(listener) = &self.listeners[number] else { return };
            let accepted = match SockRef::from(listener).accept() {
                Ok((socket, _)) => Ok(socket.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => Err(error),
            };
            let failed = accepted.is_err();
            self.push(Arrival::Accepted(number, accepted));
            if failed {
                return;
            }
        }
        self.accept(number);
    }

    fn handle_connected(&mut self, number: u32) {
        let Some(socket) = self.dials.remove(&number) else { return };
        // It is registered again as a connection. That it is not registered now cannot be.
        let _ = self.poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()));
        self.push(Arrival::Connected(number));
    }

    fn handle_ready(&mut self, id: ConnectionId, event: &Event) {
        // An event of one that was closed in this turn is nobody's.
        let Some(connection) = self.connections.get_mut(id) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.readable = true;
            connection.read_closed |= event.is_read_closed() || event.is_error();
            if std::mem::take(&mut connection.receive) {
                self.ready.push_back(Ready::Receive(id));
            }
        }
        let writable = event.is_writable() || event.is_write_closed() || event.is_error();
        if writable && std::mem::take(&mut connection.write) {
            self.push(Arrival::Writable(id));
        }
    }

    /// Receives on a connection that is ready. `None`: there was nothing after all, and it waits for the next edge.
    fn receive_ready(&mut self, id: ConnectionId) -> Option<Received> {
        let connection = self.connections.get_mut(id)?;
        match recv(&connection.socket, self.slab.writable(), RecvFlags::DONTWAIT) {
            Ok((0, _)) => Some(Received::Over),
            Ok((n, _)) => {
                let more = n == RECEIVE_BYTES_MAX || connection.read_closed;
                connection.readable = more;
                Some(Received::Bytes { bytes: self.slab.take(n), buffer: None, more })
            }
            Err(Errno::AGAIN) => {
                connection.readable = false;
                connection.receive = true;
                None
            }
            Err(_) => Some(Received::Over),
        }
    }
}

impl Backend for EpollBackend {
    type Socket = OwnedFd;

    fn arrived(&self) -> usize {
        self.ready.len()
    }

    fn poll_arrival(&mut self) -> Option<Arrival> {
        loop {
            match self.ready.pop_front()? {
                Ready::Arrival(arrival) => {
                    if matches!(arrival, Arrival::Woken) {
                        self.waker.acknowledge();
                    }
                    return Some(arrival);
                }
                Ready::Receive(id) => {
                    if let Some(received) = self.receive_ready(id) {
                        return Some(Arrival::Received(id, received));
                    }
                }
            }
        }
    }

    /// The listener is registered: what waits there is reported again.
    fn accept(&mut self, number: usize) {
        let Some(listener) = &self.listeners[number] else { return };
        let source = &mut SourceFd(&listener.as_raw_fd());
        if let Err(error) = self.poll.registry().reregister(source, Token(number), Interest::READABLE) {
            self.push(Arrival::Accepted(number, Err(error)));
        }
    }

    fn connect(&mut self, number: u32, socket: &Rc<OwnedFd>) {
        let token = Token((FIRST_DIAL + number) as usize);
        let registered = self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::WRITABLE);
        match registered {
            Ok(()) => _ = self.dials.insert(number, socket.clone()),
            Err(_) => self.push(Arrival::Connected(number)),
        }
    }

    /// Whether more is there it knows by itself.
    fn receive(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>, _: bool) {
        self.register(id, socket);
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.readable {
            self.ready.push_back(Ready::Receive(id));
        } else {
            connection.receive = true;
        }
    }

    fn wait_writable(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>) {
        self.register(id, socket);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.write = true;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(id.data().as_ffi() as usize);
        if self.poll.registry().reregister(&mut SourceFd(&socket.as_raw_fd()), token, interest).is_err() {
            self.fail(id);
        }
    }

    /// It has no buffers of its own to give away.
    fn give_back(&mut self, _: Option<Taken>) {}

    /// Its registration ends with its last descriptor.
    fn closed(&mut self, id: ConnectionId) {
        self.connections.remove(id);
    }
}

impl BlockingBackend for EpollBackend {
    fn wait(&mut self, timeout: Option<Duration>) {
        let timeout = if self.ready.is_empty() { timeout } else { Some(Duration::ZERO) };
        let started = Instant::now();
        if timeout != Some(Duration::ZERO) && self.waited <= self.spin {
            let limit = timeout.map_or(self.spin, |timeout| timeout.min(self.spin));
            while self.ready.is_empty() && started.elapsed() < limit {
                self.poll(Some(Duration::ZERO));
            }
        }
        let timeout = match timeout {
            _ if !self.ready.is_empty() => Some(Duration::ZERO),
            timeout => timeout.map(|timeout| timeout.saturating_sub(started.elapsed())),
        };
        self.poll(timeout);
        self.waited = started.elapsed();
    }
}
