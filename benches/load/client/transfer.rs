//! One file on its way: from a sender to all receivers, each octet looked at when it arrives.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream as StdStream;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::client::poll::ignore_interrupted;
use crate::client::wire::Member;
use crate::interrupt::{NOTICED_WITHIN, interrupted};
use crate::result::outcome::{Measured, Watch};
use parlor_proto::msrp::{ByteRange, ChunkParser, Continuation, Event, FailureReport, Start, encode};

/// A room that files go through; the last of its connections sends.
pub struct Transfer {
    poll: Poll,
    receivers: Vec<Receiver>,
    sender: TcpStream,
    answers: ChunkParser,
    content: Content,
    pattern: Vec<u8>,
    size: u64,
    chunk: usize,
    /// Files so far.
    number: u64,
    buffer: Vec<u8>,
}

/// What goes over the wire.
pub enum Content {
    /// The octets alone.
    Raw,
    /// A wrapped message, with To-Path and From-Path.
    Msrp {
        /// The wrapper.
        head: Vec<u8>,
        /// To-Path and From-Path.
        paths: (String, String),
    },
}

struct Receiver {
    stream: TcpStream,
    parser: ChunkParser,
    /// Octets of the present file that have come.
    got: u64,
    done: bool,
}

/// What is being sent.
struct Outgoing {
    /// Octets of the file, its wrapper included, that are in `out` or gone.
    taken: u64,
    out: Vec<u8>,
    sent: usize,
}

const READ_BYTES_MAX: usize = 256 * 1024;
/// A length that no chunk is a multiple of, so that an octet in the wrong place shows.
const PATTERN_BYTES: usize = 65_521;
/// How long nothing may move.
const PATIENCE: Duration = Duration::from_secs(20);

impl Transfer {
    /// Through a room of Parlor's.
    ///
    /// # Errors
    /// Returns an error if a socket fails.
    pub fn of_members(members: Vec<Member>, size: u64, chunk: usize) -> io::Result<Self> {
        let sender = members.last().ok_or_else(|| io::Error::other("the room has no members"))?;
        let head = format!(
            "From: <{}>\r\nTo: <{}>\r\n\r\nContent-Type: application/octet-stream\r\n\r\n",
            sender.from, sender.room
        );
        let content = Content::Msrp { head: head.into_bytes(), paths: sender.paths.clone() };
        let streams = members.into_iter().map(|member| member.stream.into_plain()).collect::<io::Result<_>>()?;
        Self::new(streams, content, size, chunk)
    }

    /// Over these connections, of which the last one sends.
    ///
    /// # Errors
    /// Returns an error if a socket fails.
    pub fn new(mut streams: Vec<StdStream>, content: Content, size: u64, chunk: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let sender = streams.pop().ok_or_else(|| io::Error::other("the room has no members"))?;
        let register = |stream: StdStream, at: usize, interest| -> io::Result<TcpStream> {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(at), interest)?;
            Ok(stream)
        };
        let sender = register(sender, streams.len(), Interest::READABLE | Interest::WRITABLE)?;
        let receiver = |(at, stream)| -> io::Result<Receiver> {
            let stream = register(stream, at, Interest::READABLE)?;
            Ok(Receiver { stream, parser: ChunkParser::new(), got: 0, done: false })
        };
        let receivers = streams.into_iter().enumerate().map(receiver).collect::<io::Result<_>>()?;
        // No octet of it can begin an end-line.
        let pattern = (0..PATTERN_BYTES).map(|at| b'0' + (at * 31 % 73) as u8).collect();
        let (answers, buffer) = (ChunkParser::new(), vec![0; READ_BYTES_MAX]);
        Ok(Self { poll, receivers, sender, answers, content, pattern, size, chunk: chunk.max(1), number: 0, buffer })
    }

    /// Octets of a file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Sends one file to all, and calls `tick` as often as `watch` wants to be told.
    ///
    /// # Errors
    /// Returns an error if a socket fails, the server refuses the file, an octet arrives changed, or `watch` is interrupted.
    pub fn run(
        &mut self,
        measured: &mut Measured,
        watch: &mut dyn Watch,
        mut tick: impl FnMut(&mut Measured, &mut dyn Watch),
    ) -> io::Result<()> {
        self.number += 1;
        measured.messages += 1;
        for receiver in &mut self.receivers {
            (receiver.got, receiver.done) = (0, false);
        }
        let start = Instant::now();
        let (mut moved, mut told) = (start, start);
        let mut outgoing = Outgoing { taken: 0, out: Vec::new(), sent: 0 };
        let mut events = Events::with_capacity(1024);
        while measured.deliveries < self.receivers.len() as u64 && measured.lost == 0 {
            self.send(&mut outgoing)?;
            self.poll.poll(&mut events, Some(NOTICED_WITHIN)).or_else(ignore_interrupted)?;
            if watch.is_interrupted() {
                return Err(interrupted());
            }
            let now = Instant::now();
            if !events.is_empty() {
                moved = now;
            }
            for event in &events {
                match event.token().0 {
                    at if at == self.receivers.len() => self.read_responses()?,
                    at => self.receive(at, start, measured)?,
                }
            }
            if watch.interval().is_some_and(|interval| now >= told + interval) {
                told = now;
                tick(measured, watch);
            }
            if now > moved + PATIENCE {
                measured.lost = self.receivers.len() as u64 - measured.deliveries;
            }
        }
        Ok(())
    }

    /// Octets that a receiver gets of one file.
    fn total(&self) -> u64 {
        self.size + self.head().len() as u64
    }

    fn head(&self) -> &[u8] {
        match &self.content {
            Content::Raw => &[],
            Content::Msrp { head, .. } => head,
        }
    }

    fn send(&mut self, outgoing: &mut Outgoing) -> io::Result<()> {
        loop {
            while outgoing.sent < outgoing.out.len() {
                match self.sender.write(&outgoing.out[outgoing.sent..]) {
                    Ok(n) => outgoing.sent += n,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            outgoing.out.clear();
            outgoing.sent = 0;
            if outgoing.taken == self.total() {
                return Ok(());
            }
            self.next_chunk(outgoing);
        }
    }

    fn next_chunk(&self, outgoing: &mut Outgoing) {
        let (start, total) = (outgoing.taken, self.total());
        let end = total.min(start + self.chunk as u64);
        outgoing.taken = end;
        let mut body = Vec::with_capacity((end - start) as usize);
        each_piece(self.head(), &self.pattern, start, end, |piece| body.extend_from_slice(piece));
        let Content::Msrp { paths, .. } = &self.content else {
            outgoing.out = body;
            return;
        };
        let tid = format!("f{:03}c{start:012}", self.number);
        let id = format!("file{:03}", self.number);
        encode::send(
            &mut outgoing.out,
            &encode::Send {
                tid: tid.as_bytes(),
                to_path: paths.0.as_bytes(),
                from_path: paths.1.as_bytes(),
                message_id: id.as_bytes(),
                byte_range: ByteRange { start: start + 1, end: Some(end), total: Some(total) },
                success_report: false,
                failure_report: FailureReport::Yes,
                body: Some((b"message/cpim", &body)),
                continuation: if end == total { Continuation::Complete } else { Continuation::More },
            },
        );
    }

    /// The sender's own input: whether the server takes what is sent.
    fn read_responses(&mut self) -> io::Result<()> {
        while let Some(n) = read(&mut self.sender, &mut self.buffer)? {
            let mut input = &self.buffer[..n];
            while let Some(event) = self.answers.next(&mut input).map_err(io::Error::other)? {
                let Event::Head(head) = event else { continue };
                if let Start::Response(status, _) = head.start
                    && status.0 != 200
                {
                    return Err(io::Error::other(format!("the server refuses the file: {}", status.0)));
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, at: usize, start: Instant, measured: &mut Measured) -> io::Result<()> {
        let total = self.total();
        let Self { receivers, buffer, content, pattern, .. } = self;
        let receiver = &mut receivers[at];
        while let Some(n) = read(&mut receiver.stream, buffer)? {
            let mut input = &buffer[..n];
            match content {
                Content::Raw => receiver.take(&[], pattern, input)?,
                Content::Msrp { head, .. } => {
                    while let Some(event) = receiver.parser.next(&mut input).map_err(io::Error::other)? {
                        let Event::Body { piece, end } = event else { continue };
                        measured.lost += u64::from(end == Some(Continuation::Abort));
                        check(head, pattern, receiver.got, piece)?;
                        receiver.got += piece.len() as u64;
                    }
                }
            }
            if receiver.got >= total && !receiver.done {
                receiver.done = true;
                measured.deliveries += 1;
                measured.record(start.elapsed());
            }
        }
        Ok(())
    }
}

impl Receiver {
    fn take(&mut self, head: &[u8], pattern: &[u8], octets: &[u8]) -> io::Result<()> {
        check(head, pattern, self.got, octets)?;
        self.got += octets.len() as u64;
        Ok(())
    }
}

/// Reads once. `None`: nothing is there.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match stream.read(buffer) {
        Ok(0) => Err(io::Error::other("the server has closed a connection")),
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The octets `start..end` of a file, piece by piece.
fn each_piece(head: &[u8], pattern: &[u8], start: u64, end: u64, mut each: impl FnMut(&[u8])) {
    let mut at = start;
    while at < end {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let rest = match usize::try_from(at).ok().and_then(|at| head.get(at..)).filter(|rest| !rest.is_empty()) {
            Some(rest) => rest,
            None => &pattern[((at - head.len() as u64) % pattern.len() as u64) as usize..],
        };
        let piece = &rest[..rest.len().min(left)];
        each(piece);
        at += piece.len() as u64;
    }
}

/// Whether `octets` are those that stand at `at`.
fn check(head: &[u8], pattern: &[u8], at: u64, octets: &[u8]) -> io::Result<()> {
    let (mut rest, mut same) = (octets, true);
    each_piece(head, pattern, at, at + octets.len() as u64, |piece| {
        let (these, others) = rest.split_at(piece.len());
        same &= these == piece;
        rest = others;
    });
    if same { Ok(()) } else { Err(io::Error::other(format!("a received file differs from octet {at} on"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_octet_in_the_wrong_place_is_found() {
        let (head, pattern) = (b"head".as_slice(), b"abcdefg".as_slice());
        let mut whole = Vec::new();
        each_piece(head, pattern, 0, 20, |piece| whole.extend_from_slice(piece));
        assert_eq!(whole, b"headabcdefgabcdefgab");
        for (from, to) in [(0, 20), (2, 9), (4, 5), (11, 18), (20, 20)] {
            assert!(check(head, pattern, from as u64, &whole[from..to]).is_ok(), "{from}..{to}");
        }
        assert!(check(head, pattern, 1, &whole[..5]).is_err());
        whole[15] ^= 1;
        assert!(check(head, pattern, 0, &whole).is_err());
    }
}
