//! Sends for several connections in one system call.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use io_uring::{IoUring, opcode, squeue, types};

use super::{AbortOnUnwind, Ring};
use crate::ids::ConnectionId;
use crate::limits::SEND_PIECES_MAX;
use crate::switch::{Mark, PieceSink, Switch};

/// The memory of sends for several connections, which are gathered and then submitted at once: see [`Batch::gather`].
pub struct Batch {
    ring: Option<IoUring>,
    scratch: Box<[u8]>,
    /// Octets of the scratch that this batch has taken.
    used: usize,
    cache: ScratchCache,
    pieces: Vec<Piece>,
    iovecs: Vec<libc::iovec>,
    messages: Vec<libc::msghdr>,
    sends: Vec<Send>,
    results: Vec<io::Result<usize>>,
    sends_max: usize,
    copy_below: usize,
}

/// Octets of a send.
#[derive(Debug, Clone, Copy)]
enum Piece {
    /// Copied.
    Scratch { at: usize, len: usize },
    /// In an outbox.
    Outbox { start: *const u8, len: usize },
}

#[derive(Debug, Clone, Copy)]
struct Send {
    fd: RawFd,
    first: usize,
    count: usize,
}

/// Octets that are copied for one submission: what stays in a core's second-level cache.
const SCRATCH_BYTES_MAX: usize = 256 * 1024;
const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl Batch {
    /// A batch of up to `sends_max` connections, with a ring of this thread's own if `with_ring` and the machine lets it.
    /// Pieces below `copy_below` octets are copied.
    #[must_use]
    pub fn new(sends_max: usize, copy_below: usize, with_ring: bool) -> Self {
        Self {
            ring: if with_ring { send_ring(sends_max) } else { None },
            scratch: vec![0; SCRATCH_BYTES_MAX].into(),
            used: 0,
            cache: ScratchCache::default(),
            pieces: Vec::new(),
            iovecs: Vec::new(),
            messages: Vec::new(),
            sends: Vec::new(),
            results: Vec::new(),
            sends_max: sends_max.max(1),
            copy_below,
        }
    }

    /// Whether sends go through a ring.
    #[must_use]
    pub fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    /// Begins to gather what waits in a switch.
    pub fn gather<'b, 's>(&'b mut self, switch: &'s Switch) -> Gathering<'b, 's> {
        if !self.sends.is_empty() {
            // Of one before that was not submitted.
            self.clear();
        }
        Gathering { batch: self, switch, sockets: PhantomData }
    }

    fn begin(&mut self, fd: RawFd) {
        self.sends.push(Send { fd, first: self.pieces.len(), count: 0 });
    }

    fn is_full(&self) -> bool {
        self.sends.len() >= self.sends_max || self.used >= SCRATCH_BYTES_MAX / 2
    }

    /// # Safety
    /// The pieces that were not copied are still there, and the descriptors are open.
    unsafe fn submit(&mut self) -> &[io::Result<usize>] {
        self.prepare();
        let through_ring = self.sends.len() > 1
            && self
                .ring
                .as_mut()
                // SAFETY: as the caller says, and the messages were just made of the pieces.
                .is_some_and(|ring| unsafe {
                    submit_to_ring(ring, &self.sends, &self.messages, &self.iovecs, &mut self.results)
                });
        if !through_ring {
            if self.sends.len() > 1 {
                // What it has refused still stands in its queue, and must never be submitted.
                self.ring = None;
            }
            let sends = self.sends.iter().zip(&self.messages);
            // SAFETY: the messages were just made, of pieces that are there as the caller says.
            self.results.extend(sends.map(|(send, message)| unsafe { send_now(send.fd, message) }));
        }
        self.clear();
        &self.results
    }

    /// # Safety
    /// As [`Batch::submit`].
    unsafe fn submit_to(&mut self, ring: &mut Ring) -> &[io::Result<usize>] {
        self.prepare();
        let sends = self.sends.iter().zip(&self.messages);
        // SAFETY: the messages and the copied pieces are ours, and untouched until then; the rest is as the caller says.
        unsafe { ring.send(sends.map(|(send, message)| entry(send, message, &self.iovecs)), &mut self.results) };
        self.clear();
        &self.results
    }

    fn prepare(&mut self) {
        self.results.clear();
        self.messages.clear();
        self.iovecs.clear();
        let scratch = &self.scratch;
        self.iovecs.extend(self.pieces.iter().map(|piece| {
            let (start, len) = match *piece {
                Piece::Scratch { at, len } => (scratch[at..][..len].as_ptr(), len),
                Piece::Outbox { start, len } => (start, len),
            };
            // A send does not write through it.
            libc::iovec { iov_base: start.cast_mut().cast(), iov_len: len }
        }));
        for at in 0..self.sends.len() {
            let end = self.sends.get(at + 1).map_or(self.iovecs.len(), |next| next.first);
            self.sends[at].count = end - self.sends[at].first;
        }
        for send in &self.sends {
            // SAFETY: all zeroes is a valid msghdr.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_iov = self.iovecs[send.first..].as_ptr().cast_mut();
            message.msg_iovlen = send.count;
            self.messages.push(message);
        }
    }

    fn clear(&mut self) {
        self.sends.clear();
        self.pieces.clear();
        self.used = 0;
        self.cache.turn();
    }
}

/// Sends that are being gathered. Until they have been submitted, and with that completed, the switch and the sockets stay
/// borrowed: the pieces that were not copied stand in outboxes, which nothing changes before.
pub struct Gathering<'b, 's> {
    batch: &'b mut Batch,
    switch: &'s Switch,
    sockets: PhantomData<BorrowedFd<'s>>,
}

impl<'b, 's> Gathering<'b, 's> {
    /// Adds what waits for a connection, `max` octets at most, and no more than one send takes. Answers how many. Never twice for one
    /// socket: a ring does not keep their order.
    pub fn add(&mut self, socket: BorrowedFd<'s>, id: ConnectionId, max: usize) -> usize {
        self.batch.begin(socket.as_raw_fd());
        self.switch.gather(id, &mut Sink(self.batch), max)
    }

    /// Whether it should be submitted before another connection is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// Sends what was gathered, through the batch's own ring if it has one. Answers, for each connection in the order they were
    /// added, how many octets the kernel took.
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

/// Takes the pieces of the last send that was begun.
struct Sink<'a>(&'a mut Batch);

/// The send of a connection. One piece, which is what copying makes of most, takes a plain send: the kernel reads no message
/// header and no list then, which is worth a twentieth of a small one. What it points to belongs to the batch and to the outboxes.
fn entry(send: &Send, message: &libc::msghdr, iovecs: &[libc::iovec]) -> squeue::Entry {
    let fd = types::Fd(send.fd);
    match &iovecs[send.first..][..send.count] {
        [piece] if u32::try_from(piece.iov_len).is_ok() => {
            opcode::Send::new(fd, piece.iov_base.cast_const().cast(), piece.iov_len as u32).flags(FLAGS).build()
        }
        _ => opcode::SendMsg::new(fd, message).flags(FLAGS as u32).build(),
    }
}

impl PieceSink for Sink<'_> {
    fn room(&self) -> usize {
        self.0.sends.last().map_or(0, |send| SEND_PIECES_MAX - (self.0.pieces.len() - send.first))
    }

    fn push(&mut self, piece: &[u8]) {
        let batch = &mut *self.0;
        if batch.is_copied(piece) {
            batch.scratch[batch.used..][..piece.len()].copy_from_slice(piece);
            batch.take_scratch(piece.len());
        } else {
            batch.pieces.push(Piece::Outbox { start: piece.as_ptr(), len: piece.len() });
        }
    }

    fn push_marked(&mut self, piece: &[u8], mark: Mark) {
        let batch = &mut *self.0;
        if !batch.is_copied(piece) {
            return self.push(piece);
        }
        let at = batch.used;
        if !batch.cache.has(Span { at, len: piece.len(), mark }) {
            batch.scratch[at..][..piece.len()].copy_from_slice(piece);
        }
        batch.take_scratch(piece.len());
    }
}

impl Batch {
    fn is_copied(&self, piece: &[u8]) -> bool {
        piece.len() < self.copy_below && piece.len() <= self.scratch.len() - self.used
    }

    /// The next octets of the scratch belong to the last send.
    fn take_scratch(&mut self, len: usize) {
        let used = self.used;
        self.used += len;
        let fresh = self.sends.last().is_some_and(|send| send.first == self.pieces.len());
        match self.pieces.last_mut() {
            Some(Piece::Scratch { at, len: last }) if !fresh && *at + *last == used => *last += len,
            _ => self.pieces.push(Piece::Scratch { at: used, len }),
        }
    }
}

/// What the batch before this one has left in the scratch, where that is something that several connections get.
///
/// Those who follow a room get the same octets but for their path lines. Where these are equally long, and the batch before had as
/// many connections, all but the path lines stands in its place already.
#[derive(Debug, Default)]
struct ScratchCache {
    before: Vec<Span>,
    /// Which of them is next; what lies before it has been written over.
    next: usize,
    now: Vec<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    at: usize,
    len: usize,
    mark: Mark,
}

impl ScratchCache {
    /// Whether these octets stand in the scratch. From now on they do. Every one lies behind what was written before.
    fn has(&mut self, span: Span) -> bool {
        while self.before.get(self.next).is_some_and(|before| before.at < span.at) {
            self.next += 1;
        }
        self.now.push(span);
        self.before.get(self.next) == Some(&span)
    }

    /// The next batch begins.
    fn turn(&mut self) {
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.clear();
        self.next = 0;
    }
}

/// `None` where the machine refuses one: plain sends do the same.
fn send_ring(sends_max: usize) -> Option<IoUring> {
    let entries = u32::try_from(sends_max).ok()?.next_power_of_two().clamp(1, 4096);
    let build = |builder: &mut io_uring::Builder| builder.build(entries);
    build(IoUring::builder().setup_submit_all().setup_single_issuer().setup_defer_taskrun())
        .or_else(|_| build(IoUring::builder().setup_submit_all()))
        .ok()
}

/// Sends that do not wait are complete when the submission returns, so nothing outlives this call. `false`: the kernel has refused
/// all of them, and they still stand in the ring's queue.
///
/// # Safety
/// What the messages and pieces point to is there, and the descriptors are open.
unsafe fn submit_to_ring(
    ring: &mut IoUring,
    sends: &[Send],
    messages: &[libc::msghdr],
    iovecs: &[libc::iovec],
    results: &mut Vec<io::Result<usize>>,
) -> bool {
    let guard = AbortOnUnwind;
    for (at, (send, message)) in sends.iter().zip(messages).enumerate() {
        let entry = entry(send, message, iovecs).user_data(at as u64);
        // SAFETY: the message, its pieces and the descriptor are there, as the caller says, until the completions below are in;
        // where they do not come in, the process ends.
        let pushed = unsafe { ring.submission().push(&entry) };
        if pushed.is_err() {
            break;
        }
    }
    results.extend(sends.iter().map(|_| Err(io::ErrorKind::WouldBlock.into())));
    let expected = ring.submission().len();
    let mut done = 0;
    while done < expected {
        match ring.submit_and_wait(expected - done) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Nothing of the batch can be in flight: the kernel has refused the call itself.
            Err(_) if ring.submission().len() == expected => {
                results.clear();
                std::mem::forget(guard);
                return false;
            }
            Err(error) => panic!("the send ring failed in the middle of a batch: {error}"),
        }
        for completion in ring.completion() {
            let outcome = match completion.result() {
                n if n >= 0 => Ok(n as usize),
                error => Err(io::Error::from_raw_os_error(-error)),
            };
            if let Some(result) = results.get_mut(completion.user_data() as usize) {
                *result = outcome;
            }
            done += 1;
        }
    }
    std::mem::forget(guard);
    true
}

/// # Safety
/// What the message points to is there.
unsafe fn send_now(fd: RawFd, message: &libc::msghdr) -> io::Result<usize> {
    loop {
        // SAFETY: as the caller says, and the kernel keeps nothing of it.
        let n = unsafe { libc::sendmsg(fd, message, FLAGS) };
        if n >= 0 {
            return Ok(n as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests;
