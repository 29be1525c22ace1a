//! The ring that a shard waits in, and the operations that it waits for.
//!
//! One system call submits what has been queued, sends, runs what the kernel has deferred to this thread, and waits. Of what is
//! queued only sends point to memory, and they are complete when [`Ring::send`] returns. Other operations hold their descriptors
//! (`operations`).

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue, squeue, types};
use rustix::io::Errno;
use smallvec::SmallVec;

use super::abort::AbortOnUnwind;
use super::arrival::{Arrival, Received};
use super::buffers::{Buffers, GROUP, Taken};
use super::operations::{OperationKey, Operations, Receive, Waiting, What, key_of};
use crate::ids::ConnectionId;

/// Entries of the completion queue. What is more the kernel keeps on a list of its own.
const COMPLETIONS_MIN: u32 = 4096;

/// `IORING_ENTER_GETEVENTS`.
const GET_EVENTS: u32 = 1;

/// A ring with its buffers. It belongs to the thread that made it.
pub struct Ring {
    // Dropped in this order: what was queued and not submitted must be gone before the descriptors are.
    ring: IoUring,
    operations: Operations,
    buffers: Buffers,
    /// Receives that there was no buffer for.
    waiting: Waiting,
    /// What has arrived and was not handled yet.
    arrived: VecDeque<Arrival>,
    /// Buffers that were returned while something still referred to them.
    lent: Vec<Taken>,
    spin: Duration,
    /// How long the last wait took.
    waited: Duration,
}

impl Ring {
    /// A ring with a queue of `entries`. Its number of receive buffers follows the load within `buffers`, both ends powers of two.
    /// It polls for up to `spin` before it sleeps, if the last wait was no longer than that.
    ///
    /// # Errors
    /// Returns an error if the kernel has no io_uring, refuses a ring, or is older than 5.19.
    pub fn new(entries: u32, buffers: RangeInclusive<u16>, spin: Duration) -> io::Result<Self> {
        let ring = build(entries)?;
        let mut buffers = Buffers::new(buffers);
        buffers.register(&ring)?;
        Ok(Self {
            ring,
            operations: Operations::default(),
            buffers,
            waiting: Waiting::default(),
            arrived: VecDeque::new(),
            lent: Vec::new(),
            spin,
            waited: Duration::ZERO,
        })
    }

    /// Accepts connections of listener number `which` from now on.
    pub fn accept(&mut self, which: usize, listener: &Rc<OwnedFd>) {
        self.start(What::Accept(which), listener);
    }

    /// Polls a socket that connects: [`Arrival::Connected`] with `number` follows when it is connected or has failed.
    pub fn connecting(&mut self, number: u32, socket: &Rc<OwnedFd>) {
        self.start(What::Connect(number), socket);
    }

    /// Polls an eventfd from now on: [`Arrival::Woken`] follows each write, one before this call too.
    pub fn watch_eventfd(&mut self, event: &Rc<OwnedFd>) {
        self.start(What::Wake, event);
    }

    /// Polls a connection's socket: [`Arrival::Writable`] follows when it has room.
    pub fn writable(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>) {
        self.start(What::Writable(id), socket);
    }

    /// Receives once on a connection. `more` says that octets may be there already. If other receives wait for a buffer, this one
    /// waits behind them.
    pub fn receive(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>, more: bool) {
        let mut receive = Receive { id, more, ticket: None };
        if self.waiting.is_empty() {
            self.start(What::Receive(receive), socket);
        } else {
            let key = self.operations.insert(What::Receive(receive), socket.clone());
            self.wait_for_buffer(key, &mut receive);
        }
    }

    fn start(&mut self, what: What, socket: &Rc<OwnedFd>) {
        let key = self.operations.insert(what, socket.clone());
        self.queue(key);
    }

    /// Takes the next arrival off the queue.
    pub fn poll(&mut self) -> Option<Arrival> {
        self.arrived.pop_front()
    }

    /// How many arrivals are in the queue.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Returns the buffer of octets that were handled. The receive that has waited longest for one gets it.
    pub fn give_back(&mut self, buffer: Taken) {
        match self.buffers.give_back(buffer) {
            Ok(()) => self.retry_receives(1),
            Err(buffer) => self.lent.push(buffer),
        }
    }

    /// Replaces buffers that were returned while something still refers to them. To be called at the end of a turn, when what most
    /// of them held has been sent.
    pub fn replace_lent(&mut self) {
        while let Some(buffer) = self.lent.pop() {
            self.buffers.replace(buffer);
            self.retry_receives(1);
        }
    }

    /// Submits what is queued, and waits until something has arrived or `timeout` has passed.
    pub fn wait(&mut self, timeout: Option<Duration>) {
        if !self.arrived.is_empty() {
            return;
        }
        self.retry_receives(usize::MAX);
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

    /// Submits what is queued and takes completions, without waiting.
    pub fn poll_nowait(&mut self) {
        if self.arrived.is_empty() {
            self.retry_receives(usize::MAX);
        }
        self.submit_nowait();
        self.reap(&mut []);
    }

    /// Submits sends, each on a socket of its own, and waits for all of them. `results` gets how many octets the kernel took of
    /// each. If a panic keeps this from returning, the process ends.
    ///
    /// # Safety
    /// What the entries point to, and their descriptors, must stay as they are until this returns.
    pub unsafe fn send(&mut self, sends: impl Iterator<Item = squeue::Entry>, results: &mut Vec<io::Result<usize>>) {
        let guard = AbortOnUnwind;
        results.clear();
        for entry in sends {
            // SAFETY: as the caller says: this does not return before the send has completed.
            unsafe { self.push(&entry.user_data(results.len() as u64)) };
            results.push(Err(io::ErrorKind::WouldBlock.into()));
        }
        let mut left = results.len();
        while left > 0 {
            self.enter(left, None);
            left -= self.reap(results);
        }
        std::mem::forget(guard);
    }

    /// Lets up to `count` receives that wait for a buffer try again.
    fn retry_receives(&mut self, count: usize) {
        for _ in 0..count {
            let Some(key) = self.waiting.pop() else { return };
            self.queue(key);
        }
    }

    fn wait_for_buffer(&mut self, key: OperationKey, receive: &mut Receive) {
        self.waiting.push(key, receive);
        if let Some(operation) = self.operations.get_mut(key) {
            operation.what = What::Receive(*receive);
        }
    }

    /// Queues an operation, to be submitted with the next call.
    fn queue(&mut self, key: OperationKey) {
        let Some(entry) = self.operations.entry(key) else { return };
        // SAFETY: the operation holds its descriptor until it has completed. A receive goes into a buffer of the ring, and no other
        // operation points to memory.
        unsafe { self.push(&entry) };
    }

    /// # Safety
    /// What the entry points to, and its descriptor, must stay as they are until it has completed.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: as the caller says.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.enter(0, None);
        }
    }

    /// Polls by system calls: a thread that only reads memory may hold up what else the kernel has to do on its core.
    fn poll_busily(&mut self, started: Instant, limit: Duration) {
        while self.ring.completion().is_empty() && started.elapsed() < limit {
            self.submit_nowait();
        }
    }

    /// Submits what is queued, and runs the work that the kernel has deferred to this thread, which a plain submission that waits for
    /// no completion leaves undone.
    fn submit_nowait(&mut self) {
        let queued = self.ring.submission().len() as u32;
        // SAFETY: there is no argument, which would be a signal mask; what is queued is as `push` says.
        let outcome = unsafe { self.ring.submitter().enter::<u64>(queued, 0, GET_EVENTS, None) };
        check_enter(outcome);
    }

    fn enter(&mut self, want: usize, timeout: Option<Duration>) {
        let outcome = match timeout {
            None => self.ring.submitter().submit_and_wait(want),
            Some(timeout) => {
                let time = types::Timespec::from(timeout);
                self.ring.submitter().submit_with_args(want, &types::SubmitArgs::new().timespec(&time))
            }
        };
        check_enter(outcome);
    }

    /// Takes completions: those of sends into `results`, all others into the queue of arrivals. Returns how many sends those were.
    fn reap(&mut self, results: &mut [io::Result<usize>]) -> usize {
        let mut sends = 0;
        let mut again: SmallVec<[OperationKey; 4]> = SmallVec::new();
        let mut starved = false;
        for completion in self.ring.completion() {
            let Some(key) = key_of(completion.user_data()) else {
                sends += 1;
                if let Some(result) = results.get_mut(completion.user_data() as usize) {
                    *result = outcome(&completion);
                }
                continue;
            };
            let Some(operation) = self.operations.get_mut(key) else { continue };
            let mut ended = !cqueue::more(completion.flags());
            let arrival = match &mut operation.what {
                What::Receive(receive) => match received(&completion, receive.id, &mut self.buffers) {
                    Ok(arrival) => arrival,
                    Err(Retry::WithBuffer) => {
                        receive.more = true;
                        self.waiting.push(key, receive);
                        starved = true;
                        continue;
                    }
                    Err(Retry::AtOnce) => {
                        again.push(key);
                        continue;
                    }
                },
                What::Accept(which) => {
                    // After an error it is the shell that begins again, when it thinks fit.
                    if ended && completion.result() >= 0 {
                        ended = false;
                        again.push(key);
                    }
                    Arrival::Accepted(*which, accepted(&completion))
                }
                What::Connect(number) => Arrival::Connected(*number),
                What::Writable(id) => Arrival::Writable(*id),
                What::Wake => {
                    if std::mem::take(&mut ended) {
                        again.push(key);
                    }
                    Arrival::Woken
                }
            };
            self.arrived.push_back(arrival);
            if ended {
                self.operations.remove(key);
            }
        }
        again.into_iter().for_each(|key| self.queue(key));
        if starved {
            let fresh = self.buffers.grow();
            self.retry_receives(fresh.into());
        }
        sends
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Afterwards the kernel writes to no buffer of ours, however long it takes to end the ring.
        if self.ring.submitter().unregister_buf_ring(GROUP).is_err() {
            self.buffers.leak();
        }
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

/// Panics if a call has failed for good.
fn check_enter(outcome: io::Result<usize>) {
    match outcome.map_err(|error| Errno::from_io_error(&error)) {
        // Interrupted, timed out, or too many completions in the queue: the caller takes them, and calls again.
        Ok(_) | Err(Some(Errno::INTR | Errno::TIME | Errno::BUSY | Errno::AGAIN)) => {}
        // What was queued may be half done and points to memory that an error would free.
        Err(error) => panic!("the ring of a shard failed: {error:?}"),
    }
}

fn outcome(completion: &cqueue::Entry) -> io::Result<usize> {
    usize::try_from(completion.result()).map_err(|_| io::Error::from_raw_os_error(-completion.result()))
}

fn accepted(completion: &cqueue::Entry) -> io::Result<OwnedFd> {
    // SAFETY: the accept has opened the descriptor, and this is its only owner.
    let own = |fd: usize| unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    outcome(completion).map(own)
}

/// When a receive has to be tried again.
enum Retry {
    /// When there is a buffer again: all were in use. What has come is still in the socket.
    WithBuffer,
    /// At once: it was interrupted.
    AtOnce,
}

fn received(completion: &cqueue::Entry, id: ConnectionId, buffers: &mut Buffers) -> Result<Arrival, Retry> {
    let what = match (completion.result(), cqueue::buffer_select(completion.flags())) {
        (n @ 1.., Some(buffer)) => {
            let (bytes, buffer) = buffers.take(buffer, n as usize);
            Received::Bytes { bytes, buffer: Some(buffer), more: cqueue::sock_nonempty(completion.flags()) }
        }
        (result, buffer) => {
            if let Some(buffer) = buffer {
                let taken = buffers.take_empty(buffer);
                buffers.replace(taken);
            }
            match (result < 0).then(|| Errno::from_raw_os_error(-result)) {
                Some(Errno::NOBUFS) => return Err(Retry::WithBuffer),
                Some(Errno::AGAIN | Errno::INTR) => return Err(Retry::AtOnce),
                _ => Received::Over,
            }
        }
    };
    Ok(Arrival::Received(id, what))
}

#[cfg(test)]
mod tests;
