//! The ring that a shard waits in, and everything it waits for.
//!
//! One system call submits what has been queued, sends, runs what the kernel has put off for this thread, and waits. What is
//! queued here points to nothing, but for sends, which are complete when [`Ring::send`] returns.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use bytes::Bytes;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slotmap::{Key, KeyData};

use super::buffers::{Buffers, GROUP};
use crate::ids::ConnectionId;
use crate::limits::CONNECTIONS_PER_SHARD_MAX;

/// Completions that have room before the kernel has to put them on a list of its own.
const COMPLETIONS_MIN: u32 = 4096;
/// Do not try to receive at once: wait for something to come first.
const POLL_FIRST: u16 = 1;

/// `IORING_ENTER_GETEVENTS`.
const GET_EVENTS: u32 = 1;

/// Listeners of one ring: one without TLS and one with it.
pub const LISTENERS: usize = 2;

/// Something that was waited for.
#[derive(Debug)]
pub enum Arrival {
    /// A connection of one of the listeners, or why there is none; after an error nobody listens there until [`Ring::accept`]
    /// is called again.
    Accepted(usize, io::Result<OwnedFd>),
    /// A connection that was being made is there, or has failed.
    Connected(u32),
    /// What a connection's receive has brought. There is no other until [`Ring::receive`] is called again.
    Received(ConnectionId, Received),
    /// A connection's socket has room again, or has failed.
    Writable(ConnectionId),
    /// Another thread has written to the eventfd.
    Woken,
}

/// What a receive has brought.
#[derive(Debug)]
pub enum Received {
    /// Octets, and the buffer that they are in, which has to be returned by [`Ring::give_back`].
    Bytes {
        /// The octets.
        bytes: Bytes,
        /// Where they are.
        buffer: u16,
        /// More is there already.
        more: bool,
    },
    /// The peer has said its last, or the connection has failed.
    Over,
    /// Nothing: all buffers were in use. What has come is still in the socket.
    Again,
}

/// What a completion is about; it travels in the upper bits of the slot.
const SEND: u64 = 0;
const ACCEPT: u64 = 1;
const RECEIVE: u64 = 2;
const WRITABLE: u64 = 3;
const WAKE: u64 = 4;
const CONNECT: u64 = 5;
const KIND_SHIFT: u32 = 28;
const KIND_MASK: u64 = 0xf << KIND_SHIFT;

const _: () = assert!((CONNECTIONS_PER_SHARD_MAX as u64) < (1 << KIND_SHIFT) - 1, "a slot leaves room for the kind");

/// A ring with its buffers. It belongs to the thread that made it.
pub struct Ring {
    ring: IoUring,
    buffers: Buffers,
    /// What has arrived and was not handled yet.
    arrived: VecDeque<Arrival>,
    /// Buffers that were returned while somebody still referred to them.
    lent: Vec<u16>,
    listeners: [RawFd; LISTENERS],
    wake: RawFd,
    spin: Duration,
    /// How long the last wait took.
    waited: Duration,
}

impl Ring {
    /// A ring that takes `entries` at once, receives into `buffers` buffers, and polls for up to `spin` before it sleeps, where
    /// the last wait says that this may be enough.
    ///
    /// # Errors
    /// The kernel has none, refuses it, or is older than 5.19.
    pub fn new(entries: u32, buffers: u16, spin: Duration) -> io::Result<Self> {
        let ring = build(entries)?;
        let mut buffers = Buffers::new(buffers);
        buffers.register(&ring)?;
        Ok(Self {
            ring,
            buffers,
            arrived: VecDeque::new(),
            lent: Vec::new(),
            listeners: [-1; LISTENERS],
            wake: -1,
            spin,
            waited: Duration::ZERO,
        })
    }

    /// Accepts connections of a listener from now on. `which` numbers it, below [`LISTENERS`].
    pub fn accept(&mut self, which: usize, listener: RawFd) {
        self.listeners[which] = listener;
        let entry = opcode::AcceptMulti::new(types::Fd(listener)).flags(libc::SOCK_CLOEXEC).build();
        self.push(&entry.user_data(which as u64 | ACCEPT << KIND_SHIFT));
    }

    /// Says when a connection that is being made is there, or has failed. `number` is below 2^28.
    pub fn connecting(&mut self, number: u32, fd: RawFd) {
        let entry = opcode::PollAdd::new(types::Fd(fd), libc::POLLOUT as u32).build();
        self.push(&entry.user_data(u64::from(number) | CONNECT << KIND_SHIFT));
    }

    /// Hears what is written to an eventfd from now on, and before.
    pub fn hear(&mut self, event: RawFd) {
        self.wake = event;
        let entry = opcode::PollAdd::new(types::Fd(event), libc::POLLIN as u32).multi(true).build();
        self.push(&entry.user_data(WAKE << KIND_SHIFT));
    }

    /// Receives once on a connection. `more`: something may be there already.
    pub fn receive(&mut self, id: ConnectionId, fd: RawFd, more: bool) {
        let entry = opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), 0)
            .buf_group(GROUP)
            .ioprio(if more { 0 } else { POLL_FIRST })
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        self.push(&entry.user_data(tag(RECEIVE, id)));
    }

    /// Says when a connection's socket has room.
    pub fn writable(&mut self, id: ConnectionId, fd: RawFd) {
        let entry = opcode::PollAdd::new(types::Fd(fd), libc::POLLOUT as u32).build();
        self.push(&entry.user_data(tag(WRITABLE, id)));
    }

    /// The next thing that has arrived.
    pub fn poll(&mut self) -> Option<Arrival> {
        self.arrived.pop_front()
    }

    /// How many things have arrived.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Returns the buffer of octets that were handled.
    pub fn give_back(&mut self, buffer: u16) {
        if !self.buffers.give_back(buffer) {
            self.lent.push(buffer);
        }
    }

    /// Provides for the buffers that were returned and are still referred to. At the end of a turn nearly none are: what they
    /// held has been sent.
    pub fn replace_lent(&mut self) {
        while let Some(buffer) = self.lent.pop() {
            self.buffers.replace(buffer);
        }
    }

    /// Submits what is queued, and waits until something has arrived or `timeout` has passed.
    pub fn wait(&mut self, timeout: Option<Duration>) {
        if !self.arrived.is_empty() {
            return;
        }
        if self.spin.is_zero() {
            self.enter(1, timeout);
        } else {
            let started = Instant::now();
            if self.waited <= self.spin {
                self.poll_busily(started, timeout.map_or(self.spin, |timeout| timeout.min(self.spin)));
            }
            self.enter(1, timeout.map(|timeout| timeout.saturating_sub(started.elapsed())));
            self.waited = started.elapsed();
        }
        self.reap(&mut []);
    }

    /// Submits what is queued and takes what has arrived, without waiting.
    pub fn look(&mut self) {
        self.glance();
        self.reap(&mut []);
    }

    /// Sends, each on a socket of its own, and says what became of each.
    pub(super) fn send(&mut self, sends: impl Iterator<Item = squeue::Entry>, results: &mut Vec<io::Result<usize>>) {
        results.clear();
        for entry in sends {
            self.push(&entry.user_data(results.len() as u64));
            results.push(Err(io::ErrorKind::WouldBlock.into()));
        }
        let mut left = results.len();
        while left > 0 {
            self.enter(left, None);
            left -= self.reap(results);
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: a descriptor that is no longer open fails, and so does one that has become another's: ids tell them apart. Receives
        // go into buffers of the ring. What a send points to lives until `send` has its completion.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.enter(0, None);
        }
    }

    /// Every look is a system call: a thread that only watches memory may hold up what else the kernel has to do on its core.
    fn poll_busily(&mut self, started: Instant, limit: Duration) {
        while self.ring.completion().is_empty() && started.elapsed() < limit {
            self.glance();
        }
    }

    /// Submits what is queued, and lets the kernel do what it has put off for this thread. Asked for no completion, a plain
    /// submission leaves that undone.
    fn glance(&mut self) {
        let queued = self.ring.submission().len() as u32;
        // SAFETY: there is no argument; what is queued is as `push` says.
        let outcome = unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, GET_EVENTS, None) };
        went_on(outcome);
    }

    fn enter(&mut self, want: usize, timeout: Option<Duration>) {
        let outcome = match timeout {
            None => self.ring.submitter().submit_and_wait(want),
            Some(timeout) => {
                let time = types::Timespec::from(timeout);
                self.ring.submitter().submit_with_args(want, &types::SubmitArgs::new().timespec(&time))
            }
        };
        went_on(outcome);
    }

    /// Takes what has completed: sends into `results`, everything else to what has arrived. Answers how many sends.
    fn reap(&mut self, results: &mut [io::Result<usize>]) -> usize {
        let mut sends = 0;
        let (mut accepts, mut hears) = ([true; LISTENERS], true);
        for completion in self.ring.completion() {
            match (completion.user_data() & KIND_MASK) >> KIND_SHIFT {
                SEND => {
                    sends += 1;
                    if let Some(result) = results.get_mut(completion.user_data() as usize) {
                        *result = outcome(&completion);
                    }
                }
                ACCEPT => {
                    // After an error it is the shell that begins again, when it thinks fit.
                    let which = (completion.user_data() & !KIND_MASK) as usize % LISTENERS;
                    accepts[which] = completion.result() < 0 || cqueue::more(completion.flags());
                    self.arrived.push_back(Arrival::Accepted(which, accepted(&completion)));
                }
                RECEIVE => self.arrived.push_back(received(&completion, &mut self.buffers)),
                WRITABLE => self.arrived.push_back(Arrival::Writable(connection(&completion))),
                CONNECT => {
                    let number = (completion.user_data() & !KIND_MASK) as u32;
                    self.arrived.push_back(Arrival::Connected(number));
                }
                _ => {
                    hears = cqueue::more(completion.flags());
                    self.arrived.push_back(Arrival::Woken);
                }
            }
        }
        for (which, _) in accepts.iter().enumerate().filter(|(_, accepts)| !**accepts) {
            self.accept(which, self.listeners[which]);
        }
        if !hears {
            self.hear(self.wake);
        }
        sends
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // From here on the kernel knows no buffer of ours, however long it takes to end the ring.
        let _ = self.ring.submitter().unregister_buf_ring(GROUP);
    }
}

/// A ring that needs no locks where the kernel is 6.1 or newer, and one that does with fewer interrupts before it.
fn build(entries: u32) -> io::Result<IoUring> {
    let builder = || {
        let mut builder = IoUring::builder();
        builder.setup_submit_all().setup_taskrun_flag().setup_clamp().setup_cqsize(COMPLETIONS_MIN.max(2 * entries));
        builder
    };
    let newer = builder().setup_single_issuer().setup_defer_taskrun().build(entries);
    newer.or_else(|_| builder().setup_coop_taskrun().build(entries))
}

/// Whether there is a way on after a call.
fn went_on(outcome: io::Result<usize>) {
    match outcome.map_err(|error| error.raw_os_error()) {
        // Interrupted, too late, or too many completions that nobody has taken yet: whoever calls looks, and calls again.
        Ok(_) | Err(Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN)) => {}
        // What was queued may be half done and points to what would go: there is no way on.
        Err(error) => panic!("the ring of a shard failed: {error:?}"),
    }
}

fn tag(kind: u64, id: ConnectionId) -> u64 {
    id.data().as_ffi() | kind << KIND_SHIFT
}

fn connection(completion: &cqueue::Entry) -> ConnectionId {
    ConnectionId::from(KeyData::from_ffi(completion.user_data() & !KIND_MASK))
}

fn outcome(completion: &cqueue::Entry) -> io::Result<usize> {
    usize::try_from(completion.result()).map_err(|_| io::Error::from_raw_os_error(-completion.result()))
}

fn accepted(completion: &cqueue::Entry) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor was made by the accept, and nobody else has it.
    let own = |fd: usize| unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    outcome(completion).map(own)
}

fn received(completion: &cqueue::Entry, buffers: &mut Buffers) -> Arrival {
    let buffer = cqueue::buffer_select(completion.flags());
    let what = match (completion.result(), buffer) {
        (n @ 1.., Some(buffer)) => {
            let more = cqueue::sock_nonempty(completion.flags());
            Received::Bytes { bytes: buffers.take(buffer, n as usize), buffer, more }
        }
        (error, Some(buffer)) => {
            buffers.replace(buffer);
            over(error)
        }
        (error, None) => over(error),
    };
    Arrival::Received(connection(completion), what)
}

fn over(error: i32) -> Received {
    match -error {
        libc::ENOBUFS | libc::EAGAIN | libc::EINTR => Received::Again,
        _ => Received::Over,
    }
}
