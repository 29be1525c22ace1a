//! The operations of a ring that have not completed.
//!
//! An operation names its socket by the number of a descriptor, which the kernel looks up when the operation is submitted. Each
//! operation holds its descriptor until it has completed, so that the number cannot become another socket's before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use io_uring::{opcode, squeue, types};
use rustix::event::PollFlags;
use rustix::net::SocketFlags;
use slotmap::{Key, KeyData, SlotMap, new_key_type};

use super::buffers::GROUP;
use crate::ids::ConnectionId;

new_key_type! {
    /// An operation that has not completed.
    pub struct OperationKey;
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    pub what: What,
    pub socket: Rc<OwnedFd>,
}

/// What an operation is for.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// Connections of a listener, by its number.
    Accept(usize),
    /// A socket that connects, by the number of the connection.
    Connect(u32),
    Receive(Receive),
    Writable(ConnectionId),
    /// An eventfd.
    Wake,
}

/// One receive on a connection.
#[derive(Debug, Clone, Copy)]
pub struct Receive {
    pub id: ConnectionId,
    /// Octets may be there already.
    pub more: bool,
    /// Its place among the receives that wait for a buffer, kept until it gets one.
    pub ticket: Option<u64>,
}

/// `IORING_RECVSEND_POLL_FIRST`: wait for octets to come before the first try.
const POLL_FIRST: u16 = 1;

/// All operations, by the key that their completions carry.
#[derive(Debug, Default)]
pub struct Operations(SlotMap<OperationKey, Operation>);

impl Operations {
    pub fn insert(&mut self, what: What, socket: Rc<OwnedFd>) -> OperationKey {
        self.0.insert(Operation { what, socket })
    }

    pub fn get_mut(&mut self, key: OperationKey) -> Option<&mut Operation> {
        self.0.get_mut(key)
    }

    /// Removes an operation that has completed, and lets go of its descriptor.
    pub fn remove(&mut self, key: OperationKey) {
        self.0.remove(key);
    }

    /// The submission queue entry of an operation.
    pub fn entry(&self, key: OperationKey) -> Option<squeue::Entry> {
        let operation = self.0.get(key)?;
        let fd = types::Fd(operation.socket.as_raw_fd());
        let entry = match operation.what {
            What::Accept(_) => opcode::AcceptMulti::new(fd).flags(SocketFlags::CLOEXEC.bits() as i32).build(),
            What::Connect(_) | What::Writable(_) => opcode::PollAdd::new(fd, PollFlags::OUT.bits().into()).build(),
            What::Wake => opcode::PollAdd::new(fd, PollFlags::IN.bits().into()).multi(true).build(),
            What::Receive(receive) => opcode::Recv::new(fd, std::ptr::null_mut(), 0)
                .buf_group(GROUP)
                .ioprio(if receive.more { 0 } else { POLL_FIRST })
                .build()
                .flags(squeue::Flags::BUFFER_SELECT),
        };
        Some(entry.user_data(key.data().as_ffi()))
    }
}

/// The operation of a completion. A send has none: its number is below 2^32, and no key is.
pub fn key_of(user_data: u64) -> Option<OperationKey> {
    (user_data > u64::from(u32::MAX)).then(|| OperationKey::from(KeyData::from_ffi(user_data)))
}

/// Receives that wait for a buffer, in the order in which they began to.
///
/// A receive that was tried and found none keeps its place. A new one goes behind all that wait, so that no connection is served
/// twice before all that wait were served once.
#[derive(Debug, Default)]
pub struct Waiting {
    queue: BinaryHeap<Reverse<(u64, OperationKey)>>,
    last_ticket: u64,
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn push(&mut self, key: OperationKey, receive: &mut Receive) {
        let ticket = *receive.ticket.get_or_insert_with(|| {
            self.last_ticket += 1;
            self.last_ticket
        });
        self.queue.push(Reverse((ticket, key)));
    }

    pub fn pop(&mut self) -> Option<OperationKey> {
        self.queue.pop().map(|Reverse((_, key))| key)
    }
}
