//! What the tasks of one shard share: the machine and its sockets. Nothing of it is held across an await.

use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Instant;

use glommio::net::TcpStream;
use glommio::timer::Timer;
use slotmap::SecondaryMap;

use super::notify::Notify;
use crate::facts::EndReason;
use crate::ids::{ConnectionId, ShardId};
use crate::shard::flush::Target;
use crate::shard::mesh::{TELL_AGAIN_AFTER, Upward};
use crate::shard::slab::Slab;
use crate::shard::socket::{Batch, Stream};
use crate::shard::tls::TlsLink;
use crate::switch::{Output, Switch};
use crate::tls::TlsSetup;

/// One shard's state.
pub struct Shell {
    pub(super) id: ShardId,
    pub(super) switch: RefCell<Switch>,
    pub(super) slab: RefCell<Slab>,
    pub(super) batch: RefCell<Batch>,
    pub(super) peers: RefCell<SecondaryMap<ConnectionId, Rc<Peer>>>,
    /// Something waits to be sent.
    pub(super) flush: Notify,
    /// The next alarm is earlier than the one that is waited for.
    pub(super) alarm: Notify,
    pub(super) armed: Cell<Option<Instant>>,
    /// Nobody is left, and nobody comes any more.
    pub(super) drained: Notify,
    upward: RefCell<Upward>,
    /// Whether somebody is to try again to tell what there was no room for.
    retrying: Cell<bool>,
    /// For what waits behind a full socket.
    pub(super) spill: RefCell<Vec<u8>>,
    pub(super) dirty: RefCell<Vec<ConnectionId>>,
    pub(super) tls: Option<TlsSetup>,
}

/// One connection's socket.
pub struct Peer {
    pub(super) stream: Stream,
    /// It may be read again.
    pub(super) resume: Notify,
    pub(super) closed: Cell<bool>,
    /// What stands between the socket and the switch.
    pub(super) link: Option<Box<RefCell<TlsLink>>>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream, link: Option<TlsLink>) -> Self {
        Self {
            stream: Stream::new(stream),
            resume: Notify::default(),
            closed: Cell::new(false),
            link: link.map(|link| Box::new(link.into())),
        }
    }

    /// Where its octets go.
    pub(super) fn target(&self) -> Target<'_> {
        Target { socket: self.stream.as_fd(), link: self.link.as_deref() }
    }
}

impl Shell {
    pub(super) fn new(id: ShardId, switch: Switch, batch: Batch, upward: Upward, tls: Option<TlsSetup>) -> Self {
        Self {
            id,
            switch: RefCell::new(switch),
            slab: RefCell::default(),
            batch: RefCell::new(batch),
            peers: RefCell::default(),
            flush: Notify::default(),
            alarm: Notify::default(),
            armed: Cell::new(None),
            drained: Notify::default(),
            upward: RefCell::new(upward),
            retrying: Cell::new(false),
            spill: RefCell::default(),
            dirty: RefCell::default(),
            tls,
        }
    }

    /// Does what the machine asks for after an input. Sending is left to the flusher, so that it comes after every reader of
    /// this turn; unless an outbox is so full that it cannot wait.
    pub(super) fn settle(self: &Rc<Self>) {
        if self.switch.borrow().must_flush_now() {
            self.flush_now();
        }
        loop {
            let output = self.switch.borrow_mut().poll_output();
            match output {
                Some(Output::Close(id)) => self.hang_up(id),
                Some(Output::Connect(dial)) => self.dial(dial),
                Some(Output::Resume(id)) => self.resume(id),
                Some(Output::Event(event)) => self.upward.borrow_mut().send(event),
                None => break,
            }
        }
        if !self.upward.borrow_mut().flush() {
            self.tell_later();
        }
        let switch = self.switch.borrow();
        if switch.is_dirty() {
            self.flush.notify();
        }
        if let Some(at) = switch.poll_timeout()
            && self.armed.get().is_none_or(|armed| at < armed)
        {
            self.alarm.notify();
        }
        if switch.is_drained() {
            self.drained.notify();
        }
    }

    /// A connection is over, on whatever side.
    pub(super) fn close(self: &Rc<Self>, id: ConnectionId, why: EndReason) {
        let Some(peer) = self.peers.borrow_mut().remove(id) else { return };
        peer.closed.set(true);
        peer.stream.shut_down();
        peer.resume.notify();
        self.switch.borrow_mut().closed(id, why, Instant::now());
    }

    fn resume(&self, id: ConnectionId) {
        if let Some(peer) = self.peers.borrow().get(id) {
            peer.resume.notify();
        }
    }

    fn tell_later(self: &Rc<Self>) {
        if self.retrying.replace(true) {
            return;
        }
        let shell = self.clone();
        glommio::spawn_local(async move {
            Timer::new(TELL_AGAIN_AFTER).await;
            shell.retrying.set(false);
            shell.settle();
        })
        .detach();
    }
}
