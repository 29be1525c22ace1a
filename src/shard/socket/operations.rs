//! What a ring has under way.
//!
//! An operation names its socket by a number, which the kernel looks up when the operation is submitted. Each therefore holds its
//! descriptor until it has completed: the number cannot become another socket's before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use io_uring::{opcode, squeue, types};
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

/// What it is for.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// Connections of a listener, by its number.
    Accept(usize),
    /// A connection that is being made, by its number.
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
    /// Something may be there already.
    pub more: bool,
    /// Its place among those that wait for a buffer, kept until it gets one.
    pub turn: Option<u64>,
}

/// Do not try to receive at once: wait for something to come first.
const POLL_FIRST: u16 = 1;

/// All of them, by what their completions carry.
#[derive(Debug, Default)]
pub struct Operations(SlotMap<OperationKey, Operation>);

impl Operations {
    pub fn insert(&mut self, what: What, socket: Rc<OwnedFd>) -> OperationKey {
        self.0.insert(Operation { what, socket })
    }

    pub fn get_mut(&mut self, key: OperationKey) -> Option<&mut Operation> {
        self.0.get_mut(key)
    }

    /// It has completed: its descriptor may go.
    pub fn remove(&mut self, key: OperationKey) {
        self.0.remove(key);
    }

    /// The operation as the kernel is told of it.
    pub fn entry(&self, key: OperationKey) -> Option<squeue::Entry> {
        let operation = self.0.get(key)?;
        let fd = types::Fd(operation.socket.as_raw_fd());
        let entry = match operation.what {
            What::Accept(_) => opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(),
            What::Connect(_) | What::Writable(_) => opcode::PollAdd::new(fd, libc::POLLOUT as u32).build(),
            What::Wake => opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build(),
            What::Receive(receive) => opcode::Recv::new(fd, std::ptr::null_mut(), 0)
                .buf_group(GROUP)
                .ioprio(if receive.more { 0 } else { POLL_FIRST })
                .build()
                .flags(squeue::Flags::BUFFER_SELECT),
        };
        Some(entry.user_data(key.data().as_ffi()))
    }
}

/// The operation of a completion; a send has none, and its number is below 2^32, which no key is.
pub fn key_of(user_data: u64) -> Option<OperationKey> {
    (user_data > u64::from(u32::MAX)).then(|| OperationKey::from(KeyData::from_ffi(user_data)))
}

/// Receives that wait for a buffer, in the order in which they began to.
///
/// A receive that was tried and found none keeps its place. One that is new goes behind all that wait: so nobody is served twice
/// before everybody who waits was served once.
#[derive(Debug, Default)]
pub struct Waiting {
    queue: BinaryHeap<Reverse<(u64, OperationKey)>>,
    turn: u64,
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn push(&mut self, key: OperationKey, receive: &mut Receive) {
        let turn = *receive.turn.get_or_insert_with(|| {
            self.turn += 1;
            self.turn
        });
        self.queue.push(Reverse((turn, key)));
    }

    pub fn pop(&mut self) -> Option<OperationKey> {
        self.queue.pop().map(|Reverse((_, key))| key)
    }
}
