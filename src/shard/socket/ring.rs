//! The ring that a shard waits in, and everything it waits for.
//!
//! One system call submits what has been queued, sends, runs what the kernel has put off for this thread, and waits. What is
//! queued here points to nothing, but for sends, which are complete when [`Ring::send`] returns, and holds its descriptors
//! (`operations`).

use std::collections::VecDeque;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use io_uring::{IoUring, cqueue, squeue, types};
use smallvec::SmallVec;

use super::abort::AbortOnUnwind;
use super::arrival::{Arrival, Received};
use super::buffers::{Buffers, GROUP, Taken};
use super::operations::{OperationKey, Operations, Receive, Waiting, What, key_of};
use crate::ids::ConnectionId;

/// Completions that have room before the kernel has to put them on a list of its own.
const COMPLETIONS_MIN: u32 = 4096;

/// `IORING_ENTER_GETEVENTS`.
const GET_EVENTS: u32 = 1;

/// A ring with its buffers. It belongs to the thread that made it.
pub struct Ring {
    // The order counts: what was queued and not submitted must be gone before the descriptors are.
    ring: IoUring,
    operations: Operations,
    buffers: Buffers,
    /// Receives that there was no buffer for.
    waiting: Waiting,
    /// What has arrived and was not handled yet.
    arrived: VecDeque<Arrival>,
    /// Buffers that were returned while somebody still referred to them.
    lent: Vec<Taken>,
    spin: Duration,
    /// How long the last wait took.
    waited: Duration,
}

impl Ring {
    /// A ring that takes `entries` at once, receives into as many buffers as the load needs, within `buffers` (powers of two), and
    /// polls for up to `spin` before it sleeps, where the last wait says that this may be enough.
    ///
    /// # Errors
    /// The kernel has none, refuses it, or is older than 5.19.
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

    /// Accepts connections of a listener from now on. `which` numbers it.
    pub fn accept(&mut self, which: usize, listener: &Rc<OwnedFd>) {
        self.start(What::Accept(which), listener);
    }

    /// Says when a connection that is being made is there, or has failed.
    pub fn connecting(&mut self, number: u32, socket: &Rc<OwnedFd>) {
        self.start(What::Connect(number), socket);
    }

    /// Says what is written to an eventfd from now on, and before.
    pub fn watch_eventfd(&mut self, event: &Rc<OwnedFd>) {
        self.start(What::Wake, event);
    }

    /// Says when a connection's socket has room.
    pub fn writable(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>) {
        self.start(What::Writable(id), socket);
    }

    /// Receives once on a connection. `more`: something may be there already. Where others wait for a buffer it does so behind
    /// them.
    pub fn receive(&mut self, id: ConnectionId, socket: &Rc<OwnedFd>, more: bool) {
        let mut receive = Receive { id, more, turn: None };
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

    /// The next thing that has arrived.
    pub fn poll(&mut self) -> Option<Arrival> {
        self.arrived.pop_front()
    }

    /// How many things have arrived.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Returns the buffer of octets that were handled, to whoever has waited for one the longest.
    pub fn give_back(&mut self, buffer: Taken) {
        match self.buffers.give_back(buffer) {
            Ok(()) => self.feed(1),
            Err(buffer) => self.lent.push(buffer),
        }
    }

    /// Provides for the buffers that were returned and are still referred to. At the end of a turn nearly none are: what they
    /// held has been sent.
    pub fn replace_lent(&mut self) {
        while let Some(buffer) = self.lent.pop() {
            self.buffers.replace(buffer);
            self.feed(1);
        }
    }

    /// Submits what is queued, and waits until something has arrived or `timeout` has passed.
    pub fn wait(&mut self, timeout: Option<Duration>) {
        if !self.arrived.is_empty() {
            return;
        }
        self.feed(usize::MAX);
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
    pub fn poll_nowait(&mut self) {
        if self.arrived.is_empty() {
            self.feed(usize::MAX);
        }
        self.submit_nowait();
        self.reap(&mut []);
    }

    /// Sends, each on a socket of its own, and says what became of each. No send is left under way when this returns, and where
    /// it cannot return the process ends.
    ///
    /// # Safety
    /// What the entries point to, and their descriptors, must stay as they are until this returns.
    pub(super) unsafe fn send(
        &mut self,
        sends: impl Iterator<Item = squeue::Entry>,
        results: &mut Vec<io::Result<usize>>,
    ) {
        let guard = AbortOnUnwind;
        results.clear();
        for entry in sends {
            // SAFETY: see above.
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

    /// Lets so many receives try again.
    fn feed(&mut self, many: usize) {
        for _ in 0..many {
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
        // SAFETY: the operation holds its descriptor until it has completed. A receive goes into a buffer of the ring, and nothing
        // else points anywhere.
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

    /// Every look is a system call: a thread that only watches memory may hold up what else the kernel has to do on its core.
    fn poll_busily(&mut self, started: Instant, limit: Duration) {
        while self.ring.completion().is_empty() && started.elapsed() < limit {
            self.submit_nowait();
        }
    }

    /// Submits what is queued, and lets the kernel do what it has put off for this thread. Asked for no completion, a plain
    /// submission leaves that undone.
    fn submit_nowait(&mut self) {
        let queued = self.ring.submission().len() as u32;
        // SAFETY: there is no argument; what is queued is as `push` says.
        let outcome = unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, GET_EVENTS, None) };
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

    /// Takes what has completed: sends into `results`, everything else to what has arrived. Answers how many sends.
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
                    Err(NotYet::NoBuffer) => {
                        receive.more = true;
                        self.waiting.push(key, receive);
                        starved = true;
                        continue;
                    }
                    Err(NotYet::Interrupted) => {
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
            self.feed(fresh.into());
        }
        sends
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // From here on the kernel knows no buffer of ours, however long it takes to end the ring.
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

/// Whether there is a way on after a call.
fn check_enter(outcome: io::Result<usize>) {
    match outcome.map_err(|error| error.raw_os_error()) {
        // Interrupted, too late, or too many completions that nobody has taken yet: whoever calls looks, and calls again.
        Ok(_) | Err(Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN)) => {}
        // What was queued may be half done and points to what would go: there is no way on.
        Err(error) => panic!("the ring of a shard failed: {error:?}"),
    }
}

fn outcome(completion: &cqueue::Entry) -> io::Result<usize> {
    usize::try_from(completion.result()).map_err(|_| io::Error::from_raw_os_error(-completion.result()))
}

fn accepted(completion: &cqueue::Entry) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor was made by the accept, and nobody else has it.
    let own = |fd: usize| unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    outcome(completion).map(own)
}

/// Why a receive has to be tried again.
enum NotYet {
    /// All buffers were in use. What has come is still in the socket.
    NoBuffer,
    Interrupted,
}

fn received(completion: &cqueue::Entry, id: ConnectionId, buffers: &mut Buffers) -> Result<Arrival, NotYet> {
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
            match -result {
                libc::ENOBUFS => return Err(NotYet::NoBuffer),
                libc::EAGAIN | libc::EINTR => return Err(NotYet::Interrupted),
                _ => Received::Over,
            }
        }
    };
    Ok(Arrival::Received(id, what))
}

#[cfg(test)]
mod tests;
