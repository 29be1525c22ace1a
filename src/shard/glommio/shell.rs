//! What the tasks of one shard share: the machine and its sockets. Nothing of it is held across an await.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Instant;

use glommio::net::TcpStream;
use glommio::timer::Timer;
use slotmap::SecondaryMap;

use super::notify::Notify;
use crate::facts::EndReason;
use crate::ids::{ConnectionId, ShardId};
use crate::shard::mesh::{TELL_AGAIN_AFTER, Upward};
use crate::shard::slab::Slab;
use crate::shard::socket::{self, Batch};
use crate::switch::Switch;

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
}

/// One connection's socket.
pub struct Peer {
    pub(super) fd: RawFd,
    pub(super) stream: RefCell<TcpStream>,
    /// It may be read again.
    pub(super) resume: Notify,
    pub(super) closed: Cell<bool>,
}

impl Shell {
    pub(super) fn new(id: ShardId, switch: Switch, batch: Batch, upward: Upward) -> Self {
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
        }
    }

    /// Takes a connection in.
    pub(super) fn adopt(&self, stream: TcpStream) -> Option<(ConnectionId, Rc<Peer>)> {
        let address = stream.peer_addr().ok()?;
        let fd = stream.as_raw_fd();
        let peer =
            Rc::new(Peer { fd, stream: RefCell::new(stream), resume: Notify::default(), closed: Cell::new(false) });
        let id = self.switch.borrow_mut().adopt(address, false, Instant::now());
        self.peers.borrow_mut().insert(id, peer.clone());
        Some((id, peer))
    }

    /// Does what the machine asks for after an input. Sending is left to the flusher, so that it comes after every reader of
    /// this turn; unless an outbox is so full that it cannot wait.
    pub(super) fn settle(self: &Rc<Self>) {
        if self.switch.borrow().is_pressing() {
            self.flush_now();
        }
        loop {
            let closing = self.switch.borrow_mut().poll_closing();
            let Some(id) = closing else { break };
            self.close(id, EndReason::ConnectionLost);
        }
        let mut switch = self.switch.borrow_mut();
        while let Some(id) = switch.poll_resumed() {
            if let Some(peer) = self.peers.borrow().get(id) {
                peer.resume.notify();
            }
        }
        if !self.upward.borrow_mut().tell(|| switch.poll_event()) {
            self.tell_later();
        }
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
        socket::shutdown(peer.fd);
        peer.resume.notify();
        self.switch.borrow_mut().closed(id, why, Instant::now());
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
