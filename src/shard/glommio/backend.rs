//! What the shell asks of the executor, as tasks that wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use glommio::net::TcpListener;
use glommio::timer::Timer;
use slotmap::SecondaryMap;
use tokio::sync::Notify;

use crate::ids::ConnectionId;
use crate::limits::RECEIVE_BYTES_MAX;
use crate::shard::backend::{Backend, LISTENERS};
use crate::shard::slab::Slab;
use crate::shard::socket::{Arrival, Received, Stream, Taken};

/// Connections that a listener gives before it gives way.
const ACCEPTS_PER_TURN_MAX: usize = 64;
/// What is received and has at most so many bytes is copied out of the slab: several connections are received from in a turn, and
/// each would keep a block.
const COPIED_BYTES_MAX: usize = 4096;

/// The tasks' side of a shard's executor.
pub struct GlommioBackend {
    listeners: [Option<Rc<TcpListener>>; LISTENERS],
    readers: SecondaryMap<ConnectionId, Rc<Reader>>,
    /// Where its tasks put what has arrived.
    pub inbox: Rc<Inbox>,
    /// Connections whose sockets are full, until a task waits for each.
    pub full: Vec<(ConnectionId, Rc<Stream>)>,
}

/// What the tasks have found.
#[derive(Default)]
pub struct Inbox {
    arrivals: RefCell<VecDeque<Arrival<Stream>>>,
    /// Something has arrived.
    pub notify: Notify,
    slab: RefCell<Slab>,
}

/// What a connection's reader waits for between receives.
#[derive(Default)]
struct Reader {
    receive: Notify,
    closed: Cell<bool>,
}

impl Inbox {
    /// Adds something that has arrived.
    pub fn push(&self, arrival: Arrival<Stream>) {
        self.arrivals.borrow_mut().push_back(arrival);
        self.notify.notify_one();
    }

    fn poll_receive(&self, cx: &mut Context<'_>, stream: &Stream) -> Poll<Received> {
        let mut slab = self.slab.borrow_mut();
        let n = match stream.poll_read(cx, slab.writable()) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(n @ 1..)) => n,
            Poll::Ready(_) => return Poll::Ready(Received::Over),
        };
        let bytes = match n {
            ..=COPIED_BYTES_MAX => Bytes::copy_from_slice(&slab.writable()[..n]),
            _ => slab.take(n),
        };
        Poll::Ready(Received::Bytes { bytes, buffer: None, more: n == RECEIVE_BYTES_MAX })
    }
}

impl GlommioBackend {
    /// A back end of this thread's executor.
    pub fn new(listeners: [Option<TcpListener>; LISTENERS]) -> Self {
        Self {
            listeners: listeners.map(|listener| listener.map(Rc::new)),
            readers: SecondaryMap::new(),
            inbox: Rc::default(),
            full: Vec::new(),
        }
    }
}

impl Backend for GlommioBackend {
    type Socket = Stream;

    fn arrived(&self) -> usize {
        self.inbox.arrivals.borrow().len()
    }

    fn poll_arrival(&mut self) -> Option<Arrival<Stream>> {
        self.inbox.arrivals.borrow_mut().pop_front()
    }

    fn accept(&mut self, number: usize) {
        let Some(listener) = self.listeners[number].clone() else { return };
        glommio::spawn_local(accept(number, listener, self.inbox.clone())).detach();
    }

    fn connect(&mut self, number: u32, socket: &Rc<Stream>) {
        let (stream, inbox) = (socket.clone(), self.inbox.clone());
        let connect = async move {
            // While it connects, nothing can be written, not even nothing.
            let _ = poll_fn(|cx| stream.poll_write(cx, &[])).await;
            inbox.push(Arrival::Connected(number));
        };
        glommio::spawn_local(connect).detach();
    }

    fn receive(&mut self, id: ConnectionId, socket: &Rc<Stream>, _: bool) {
        if !self.readers.contains_key(id) {
            let reader: Rc<Reader> = Rc::default();
            self.readers.insert(id, reader.clone());
            glommio::spawn_local(read(id, socket.clone(), reader, self.inbox.clone())).detach();
        }
        self.readers[id].receive.notify_one();
    }

    /// One task waits, since a stream wakes one only: the shell asks once for each.
    fn wait_writable(&mut self, id: ConnectionId, socket: &Rc<Stream>) {
        self.full.push((id, socket.clone()));
    }

    /// It has no buffers of its own to give away.
    fn give_back(&mut self, _: Option<Taken>) {}

    fn closed(&mut self, id: ConnectionId) {
        if let Some(reader) = self.readers.remove(id) {
            reader.closed.set(true);
            reader.receive.notify_one();
        }
    }
}

/// Accepts connections until that fails.
async fn accept(number: usize, listener: Rc<TcpListener>, inbox: Rc<Inbox>) {
    for count in 1.. {
        let accepted = listener.accept().await.map(Stream::new).map_err(Into::into);
        let failed = accepted.is_err();
        inbox.push(Arrival::Accepted(number, accepted));
        if failed {
            return;
        }
        if count % ACCEPTS_PER_TURN_MAX == 0 {
            Timer::new(Duration::ZERO).await;
        }
    }
}

/// Receives from a connection whenever the shell asks, until it is over.
async fn read(id: ConnectionId, stream: Rc<Stream>, reader: Rc<Reader>, inbox: Rc<Inbox>) {
    loop {
        reader.receive.notified().await;
        if reader.closed.get() {
            return;
        }
        let received = poll_fn(|cx| inbox.poll_receive(cx, &stream)).await;
        let (over, more) = match &received {
            Received::Bytes { more, .. } => (false, *more),
            Received::Over => (true, false),
        };
        inbox.push(Arrival::Received(id, received));
        if over {
            return;
        }
        if more {
            // More may be there already. A reader that stays runnable would keep the executor from polling its sockets.
            Timer::new(Duration::ZERO).await;
        }
    }
}
