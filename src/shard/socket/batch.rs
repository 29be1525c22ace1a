//! Sends for several connections in one system call.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::net::SendFlags;

use super::direct::send_nowait;
use super::pieces::{Pieces, slices};
use super::ring::Ring;
use super::send_ring::{open_ring, submit_to_ring};
use crate::ids::ConnectionId;
use crate::limits::TLS_TURN_BYTES_MAX;
use crate::switch::Switch;

/// The memory of sends for several connections, which are gathered and then submitted at once: see [`Batch::gather`].
pub struct Batch {
    ring: Option<IoUring>,
    /// Of all sends of this batch.
    pieces: Pieces,
    /// What is encrypted for one connection.
    plaintext: Pieces,
    messages: Vec<libc::msghdr>,
    sends: Vec<Send>,
    results: Vec<io::Result<usize>>,
    sends_max: usize,
}

/// One send: a socket, and which pieces go to it.
#[derive(Debug, Clone, Copy)]
pub struct Send {
    fd: RawFd,
    first: usize,
    count: usize,
}

/// Octets that are copied for one submission: what stays in a core's second-level cache.
const SCRATCH_BYTES_MAX: usize = 256 * 1024;
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

impl Batch {
    /// A batch of up to `sends_max` connections, with a ring of this thread's own if `with_ring` and the machine allows it.
    /// Pieces below `copy_below` octets are copied.
    #[must_use]
    pub fn new(sends_max: usize, copy_below: usize, with_ring: bool) -> Self {
        Self {
            ring: if with_ring { open_ring(sends_max) } else { None },
            pieces: Pieces::new(SCRATCH_BYTES_MAX, copy_below),
            plaintext: Pieces::new(TLS_TURN_BYTES_MAX, copy_below),
            messages: Vec::new(),
            sends: Vec::new(),
            results: Vec::new(),
            sends_max: sends_max.max(1),
        }
    }

    /// Whether sends go through a ring of the batch's own.
    #[cfg(test)]
    pub fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    /// Begins to gather what waits in a switch.
    pub fn gather<'b, 's>(&'b mut self, switch: &'s Switch) -> Gathering<'b, 's> {
        if !self.sends.is_empty() {
            // Sends of a batch that was not submitted.
            self.clear();
        }
        Gathering { batch: self, switch, sockets: PhantomData }
    }

    /// Memory for what is encrypted for one connection.
    pub fn plaintext(&mut self) -> &mut Pieces {
        &mut self.plaintext
    }

    fn begin(&mut self, fd: RawFd) {
        let first = self.pieces.begin();
        self.sends.push(Send { fd, first, count: 0 });
    }

    fn is_full(&self) -> bool {
        self.sends.len() >= self.sends_max || self.pieces.used() >= SCRATCH_BYTES_MAX / 2
    }

    /// # Safety
    /// The pieces that were not copied are still there, and the descriptors are open.
    unsafe fn submit(&mut self) -> &[io::Result<usize>] {
        self.prepare();
        let through_ring = self.sends.len() > 1
            && self.ring.as_mut().is_some_and(|ring| {
                let iovecs = self.pieces.iovecs();
                let entries = self.sends.iter().zip(&self.messages).map(|(send, message)| entry(send, message, iovecs));
                // SAFETY: as the caller says, and the messages were just made of the pieces.
                unsafe { submit_to_ring(ring, entries, &mut self.results) }
            });
        if !through_ring {
            if self.sends.len() > 1 {
                // What the kernel has refused still stands in the ring's queue, and must never be submitted.
                self.ring = None;
            }
            // SAFETY: the pieces are there, as the caller says, and so are the descriptors.
            self.results.extend(self.sends.iter().map(|send| unsafe { send_now(send, self.pieces.iovecs()) }));
        }
        self.clear();
        &self.results
    }

    /// # Safety
    /// As [`Batch::submit`].
    unsafe fn submit_to(&mut self, ring: &mut Ring) -> &[io::Result<usize>] {
        self.prepare();
        let iovecs = self.pieces.iovecs();
        let entries = self.sends.iter().zip(&self.messages).map(|(send, message)| entry(send, message, iovecs));
        // SAFETY: the messages and the copied pieces are ours, and untouched until then; the rest is as the caller says.
        unsafe { ring.send(entries, &mut self.results) };
        self.clear();
        &self.results
    }

    fn prepare(&mut self) {
        self.results.clear();
        self.messages.clear();
        let iovecs = self.pieces.locate();
        for at in 0..self.sends.len() {
            let end = self.sends.get(at + 1).map_or(iovecs.len(), |next| next.first);
            self.sends[at].count = end - self.sends[at].first;
        }
        for send in &self.sends {
            // SAFETY: all zeroes is a valid msghdr.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_iov = iovecs[send.first..].as_ptr().cast_mut();
            message.msg_iovlen = send.count;
            self.messages.push(message);
        }
    }

    fn clear(&mut self) {
        self.sends.clear();
        self.pieces.clear();
    }
}

/// Sends that are being gathered. The switch and the sockets stay borrowed until the sends have completed: pieces that were not
/// copied stand in outboxes, which must not change before.
pub struct Gathering<'b, 's> {
    batch: &'b mut Batch,
    switch: &'s Switch,
    sockets: PhantomData<BorrowedFd<'s>>,
}

impl<'b, 's> Gathering<'b, 's> {
    /// Adds a send of what waits for a connection, `max` octets at most, and no more than one send takes. Returns how many octets
    /// those are. Never to be called twice for one socket: a ring does not keep their order.
    pub fn add(&mut self, socket: BorrowedFd<'s>, id: ConnectionId, max: usize) -> usize {
        self.batch.begin(socket.as_raw_fd());
        self.switch.gather(id, &mut self.batch.pieces, max)
    }

    /// Adds a send of octets that `fill` writes to the beginning of the slice it gets, and whose number it returns; if that is 0,
    /// adds none. For one socket as [`Gathering::add`].
    pub fn add_copy(&mut self, socket: BorrowedFd<'s>, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let len = fill(self.batch.pieces.free_scratch());
        if len > 0 {
            self.batch.begin(socket.as_raw_fd());
            self.batch.pieces.take_scratch(len);
        }
        len
    }

    /// The switch, and memory for what is encrypted of it.
    pub fn plaintext(&mut self) -> (&'s Switch, &mut Pieces) {
        (self.switch, &mut self.batch.plaintext)
    }

    /// Whether it should be submitted before another connection is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// Sends what was gathered, through the batch's own ring if it has one. Returns for each send, in the order they were added,
    /// how many octets the kernel took.
    pub fn submit(self) -> &'b [io::Result<usize>] {
        // SAFETY: the switch keeps its pieces where they are while it is borrowed, and the sockets are borrowed too.
        unsafe { self.batch.submit() }
    }

    /// The same through the ring of a shell.
    pub fn submit_to(self, ring: &mut Ring) -> &'b [io::Result<usize>] {
        // SAFETY: as above.
        unsafe { self.batch.submit_to(ring) }
    }
}

/// The submission queue entry of a send. Most sends are one piece, because small pieces are copied side by side. That takes a plain
/// send: the kernel reads no message header and no list of pieces, which saves a twentieth of a small one.
fn entry(send: &Send, message: &libc::msghdr, iovecs: &[libc::iovec]) -> squeue::Entry {
    let fd = types::Fd(send.fd);
    match &iovecs[send.first..][..send.count] {
        [piece] if u32::try_from(piece.iov_len).is_ok() => {
            opcode::Send::new(fd, piece.iov_base.cast_const().cast(), piece.iov_len as u32)
                .flags(FLAGS.bits() as i32)
                .build()
        }
        _ => opcode::SendMsg::new(fd, message).flags(FLAGS.bits()).build(),
    }
}

/// Sends at once, without a ring.
///
/// # Safety
/// The descriptor is open, and what the pieces point to is there.
unsafe fn send_now(send: &Send, iovecs: &[libc::iovec]) -> io::Result<usize> {
    // SAFETY: as the caller says.
    let (socket, pieces) = unsafe { (BorrowedFd::borrow_raw(send.fd), slices(&iovecs[send.first..][..send.count])) };
    loop {
        match send_nowait(socket, pieces) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests;
