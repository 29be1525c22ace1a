//! Sends for several connections in one system call.

use std::io;
use std::os::fd::RawFd;

use io_uring::{IoUring, opcode, squeue, types};

use super::Ring;
use crate::switch::{Mark, PieceSink};

/// Sends for several connections, gathered and then submitted at once.
///
/// The pieces that are not copied are pointed to, so between the first [`PieceSink::push`] and the end of [`Batch::submit`]
/// nothing may touch the outboxes they stand in; the flusher keeps the switch borrowed for that time.
pub struct Batch {
    ring: Option<IoUring>,
    scratch: Box<[u8]>,
    /// Octets of the scratch that this batch has taken.
    used: usize,
    stays: Stays,
    iovecs: Vec<libc::iovec>,
    messages: Vec<libc::msghdr>,
    sends: Vec<Send>,
    results: Vec<io::Result<usize>>,
    sends_max: usize,
    copy_below: usize,
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
            stays: Stays::default(),
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

    /// Begins the send on the next connection; what is pushed now goes there. Never twice for one socket in a batch: a ring
    /// does not keep their order.
    pub fn begin(&mut self, fd: RawFd) {
        self.sends.push(Send { fd, first: self.iovecs.len(), count: 0 });
    }

    /// Whether it should be submitted before another connection is begun.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.sends.len() >= self.sends_max || self.used >= SCRATCH_BYTES_MAX / 2
    }

    /// Sends what was gathered, through the batch's own ring if it has one. Answers, for each connection in the order they were
    /// begun, how many octets the kernel took.
    pub fn submit(&mut self) -> &[io::Result<usize>] {
        self.prepare();
        let through_ring = self.sends.len() > 1
            && self
                .ring
                .as_mut()
                .is_some_and(|ring| submit_to_ring(ring, &self.sends, &self.messages, &self.iovecs, &mut self.results));
        if !through_ring {
            if self.sends.len() > 1 {
                // What it has refused still stands in its queue, and must never be submitted.
                self.ring = None;
            }
            let sends = self.sends.iter().zip(&self.messages);
            self.results.extend(sends.map(|(send, message)| send_now(send.fd, message)));
        }
        self.clear();
        &self.results
    }

    /// Sends what was gathered through the ring of a shell.
    pub fn submit_to<'a>(&'a mut self, ring: &mut Ring) -> &'a [io::Result<usize>] {
        self.prepare();
        let sends = self.sends.iter().zip(&self.messages);
        // SAFETY: the messages and the copied pieces are ours, and the others stand in outboxes that the flusher keeps borrowed.
        unsafe { ring.send(sends.map(|(send, message)| entry(send, message, &self.iovecs)), &mut self.results) };
        self.clear();
        &self.results
    }

    fn prepare(&mut self) {
        self.results.clear();
        self.messages.clear();
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
        self.iovecs.clear();
        self.used = 0;
        self.stays.turn();
    }
}

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

impl PieceSink for Batch {
    fn push(&mut self, piece: &[u8]) {
        if self.is_copied(piece) {
            let at = self.used;
            self.scratch[at..][..piece.len()].copy_from_slice(piece);
            self.point_into_scratch(piece.len());
        } else {
            self.iovecs.push(libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() });
        }
    }

    fn push_marked(&mut self, piece: &[u8], mark: Mark) {
        if !self.is_copied(piece) {
            return self.push(piece);
        }
        let at = self.used;
        if !self.stays.has(Stay { at, len: piece.len(), mark }) {
            self.scratch[at..][..piece.len()].copy_from_slice(piece);
        }
        self.point_into_scratch(piece.len());
    }
}

impl Batch {
    fn is_copied(&self, piece: &[u8]) -> bool {
        piece.len() < self.copy_below && piece.len() <= self.scratch.len() - self.used
    }

    /// The next octets of the scratch belong to the last send.
    fn point_into_scratch(&mut self, len: usize) {
        let base = self.scratch[self.used..].as_ptr();
        self.used += len;
        let fresh = self.sends.last().is_some_and(|send| send.first == self.iovecs.len());
        if let Some(last) = self.iovecs.last_mut().filter(|_| !fresh)
            && last.iov_base.cast_const().cast::<u8>().wrapping_add(last.iov_len) == base
        {
            last.iov_len += len;
        } else {
            self.iovecs.push(libc::iovec { iov_base: base.cast_mut().cast(), iov_len: len });
        }
    }
}

/// What the batch before this one has left in the scratch, where that is something that several connections get.
///
/// Those who follow a room get the same octets but for their path lines. Where these are equally long, and the batch before had as
/// many connections, all but the path lines stands in its place already.
#[derive(Debug, Default)]
struct Stays {
    before: Vec<Stay>,
    /// Which of them is next; what lies before it has been written over.
    next: usize,
    now: Vec<Stay>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stay {
    at: usize,
    len: usize,
    mark: Mark,
}

impl Stays {
    /// Whether these octets stand in the scratch. From now on they do. Every one lies behind what was written before.
    fn has(&mut self, stay: Stay) -> bool {
        while self.before.get(self.next).is_some_and(|before| before.at < stay.at) {
            self.next += 1;
        }
        self.now.push(stay);
        self.before.get(self.next) == Some(&stay)
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
fn submit_to_ring(
    ring: &mut IoUring,
    sends: &[Send],
    messages: &[libc::msghdr],
    iovecs: &[libc::iovec],
    results: &mut Vec<io::Result<usize>>,
) -> bool {
    for (at, (send, message)) in sends.iter().zip(messages).enumerate() {
        let entry = entry(send, message, iovecs).user_data(at as u64);
        // SAFETY: the message, its pieces and the descriptor live until the completions below are in.
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
    true
}

fn send_now(fd: RawFd, message: &libc::msghdr) -> io::Result<usize> {
    loop {
        // SAFETY: the message and its pieces live until the call returns, and the kernel keeps nothing of them.
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
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener as StdListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (sender, listener.accept().unwrap().0)
    }

    fn sends_everything(with_ring: bool) {
        let mut batch = Batch::new(8, 16, with_ring);
        let large = vec![b'x'; 1000];
        let mut pairs: Vec<_> = (0..8).map(|_| pair()).collect();
        for (n, (sender, _)) in pairs.iter().enumerate() {
            batch.begin(sender.as_raw_fd());
            batch.push(format!("<{n}>").as_bytes());
            batch.push(b"small");
            batch.push(&large);
            batch.push(b"end");
        }
        assert!(batch.is_full());
        let sent: Vec<_> = batch.submit().iter().map(|result| *result.as_ref().unwrap()).collect();
        assert_eq!(sent, [3 + 5 + 1000 + 3; 8]);
        for (n, (_, receiver)) in pairs.iter_mut().enumerate() {
            let mut text = vec![0; 1011];
            receiver.read_exact(&mut text).unwrap();
            assert_eq!(&text[..8], format!("<{n}>small").as_bytes());
            assert!(text.ends_with(b"xend"));
        }
    }

    #[test]
    fn a_batch_reaches_every_socket() {
        sends_everything(false);
        sends_everything(true);
    }

    /// What the flusher relies on: no send is left in flight, whatever becomes of it.
    #[test]
    fn full_and_dead_sockets_complete_within_the_submission() {
        let mut batch = Batch::new(8, 16, true);
        assert!(batch.has_ring(), "no ring on this machine");
        let (full, _keep) = pair();
        full.set_nonblocking(true).unwrap();
        let fill = vec![0; 1 << 20];
        while io::Write::write(&mut &full, &fill).is_ok() {}
        let (dead, peer) = pair();
        drop(peer);
        dead.shutdown(std::net::Shutdown::Write).unwrap();
        let (alive, mut receiver) = pair();
        for socket in [&full, &dead, &alive] {
            batch.begin(socket.as_raw_fd());
            batch.push(b"hello");
        }
        let results = batch.submit();
        assert_eq!(results[0].as_ref().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!(results[1].as_ref().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(*results[2].as_ref().unwrap(), 5);
        let mut text = [0; 5];
        receiver.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"hello");
    }

    /// What stays in the scratch from batch to batch is what would be copied, whatever comes in between.
    #[test]
    fn octets_that_others_have_got_are_the_same_for_the_next() {
        let pages = [b"one|two|three|".as_slice(), b"ONE|TWO|THREE|".as_slice()];
        let mut batch = Batch::new(2, 16, false);
        let mut pairs = [pair(), pair()];
        let mut found = 0;
        // Page, where the second piece begins, and the path lines of both: the same again, other lines, longer ones, another cut,
        // another page, and back.
        let turns = [
            (0, 4, ["<a>", "<b>"]),
            (0, 4, ["<c>", "<d>"]),
            (0, 4, ["<c>", "<longer>"]),
            (0, 4, ["<longer>", "<e>"]),
            (0, 8, ["<f>", "<g>"]),
            (1, 8, ["<f>", "<g>"]),
            (1, 8, ["<h>", "<i>"]),
            (0, 8, ["<h>", "<i>"]),
        ];
        for (page, cut, paths) in turns {
            let octets = pages[page];
            let mark = |at| Mark { page: page as u64, at };
            for ((sender, _), path) in pairs.iter().zip(paths) {
                batch.begin(sender.as_raw_fd());
                batch.push_marked(&octets[..cut], mark(0));
                batch.push(path.as_bytes());
                batch.push_marked(&octets[cut..], mark(cut));
            }
            found += batch.stays.now.iter().filter(|stay| batch.stays.before.contains(stay)).count();
            assert!(batch.submit().iter().all(Result::is_ok));
            for ((_, receiver), path) in pairs.iter_mut().zip(paths) {
                let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
                let expected = text(&octets[..cut]) + path + &text(&octets[cut..]);
                let mut got = vec![0; expected.len()];
                receiver.read_exact(&mut got).unwrap();
                assert_eq!(text(&got), expected);
            }
        }
        assert_eq!(found, 4 + 3 + 2 + 4, "what stays is used");
    }

    /// The kernel refuses a ring whose one submitter is another thread, and never sees what was queued for it.
    #[test]
    fn a_ring_that_is_refused_is_done_without() {
        let ring = std::thread::spawn(|| send_ring(8)).join().unwrap().expect("no ring on this machine");
        let mut batch = Batch::new(8, 16, false);
        batch.ring = Some(ring);
        let mut pairs = [pair(), pair()];
        for text in ["first", "other"] {
            for (sender, _) in &pairs {
                batch.begin(sender.as_raw_fd());
                batch.push(text.as_bytes());
            }
            assert!(batch.submit().iter().all(|result| matches!(result, Ok(5))));
            assert!(!batch.has_ring());
            for (_, receiver) in &mut pairs {
                let mut got = [0; 5];
                receiver.read_exact(&mut got).unwrap();
                assert_eq!(&got, text.as_bytes());
            }
        }
        for (sender, mut receiver) in pairs {
            drop(sender);
            assert_eq!(receiver.read(&mut [0]).unwrap(), 0, "something came twice");
        }
    }

    #[test]
    fn a_large_send_is_taken_in_part() {
        let mut batch = Batch::new(8, 16, true);
        let (sender, _keep) = pair();
        let (other, _keep_too) = pair();
        let large = vec![0; 64 << 20];
        batch.begin(sender.as_raw_fd());
        batch.push(&large);
        batch.begin(other.as_raw_fd());
        batch.push(b"x");
        let results = batch.submit();
        assert!(*results[0].as_ref().unwrap() < large.len());
        assert_eq!(*results[1].as_ref().unwrap(), 1);
    }
}
