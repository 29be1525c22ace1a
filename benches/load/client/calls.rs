//! Many calls at a time: joining, binding, leaving, all on one thread and one SIP socket.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::client::call_table::{Call, CallOptions, CallTable, RESEND, State, Step};
use crate::client::link::Link;
use crate::client::pipes::Pipes;
use crate::client::poll::ignore_interrupted;
use crate::client::sip::{Agent, Remote, Transport};
use crate::client::timer::Timer;
use crate::client::tls::client_config;
use crate::client::wire::Member;
use crate::interrupt::{NOTICED_WITHIN, interrupted};
use crate::result::outcome::Watch;
use crate::subject::process::Addresses;

/// The calls of one socket.
pub struct Calls {
    poll: Poll,
    timer: Timer,
    link: Link,
    book: CallTable,
}

const SIP: Token = Token(0);
const ALARM: Token = Token(1);
const FIRST_PIPE: usize = 2;
const EVENTS_MAX: usize = 1024;
/// Calls that are joined at a time where nobody asks for more.
const JOINING_MAX: usize = 32;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Calls {
    /// Reaches a server.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn new(server: Addresses, options: CallOptions, run: u64) -> io::Result<Self> {
        let server = match options.transport {
            Transport::Tcp => server.tcp,
            Transport::Udp => server.udp,
            Transport::Tls => server.tls.ok_or_else(|| io::Error::other("the server takes no SIP over TLS"))?,
        };
        let poll = Poll::new()?;
        let timer = Timer::new(&poll, ALARM)?;
        let link = Link::new(server, options.transport, &poll, SIP)?;
        let host = match server {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let agent = Agent { run, transport: options.transport, local: link.local()?, host, tls: options.tls };
        let tls = options.tls.then(client_config).transpose()?;
        let pipes = Pipes::new(poll.registry().try_clone()?, FIRST_PIPE, options.sessions_per_connection, tls);
        Ok(Self { poll, timer, link, book: CallTable::new(agent, options, pipes) })
    }

    /// The URI of a room of this run.
    #[must_use]
    pub fn room(&self, name: &str) -> Rc<str> {
        self.book.agent.room(name).into()
    }

    /// Calls that were made, whatever became of them.
    #[must_use]
    pub fn made(&self) -> usize {
        self.book.calls.len()
    }

    /// Calls that wait for an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.book.waiting.len()
    }

    /// NOTIFYs that came.
    #[must_use]
    pub fn notifies(&self) -> u64 {
        self.book.notifies
    }

    /// SUBSCRIBEs that were taken.
    #[must_use]
    pub fn subscribed(&self) -> u64 {
        self.book.subscribed
    }

    /// Joins a room; that was to happen at `intended`. Answers the call's number.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn join(&mut self, room: &Rc<str>, intended: Instant) -> io::Result<usize> {
        let number = self.book.calls.len();
        self.book.calls.push(Call {
            room: room.clone(),
            state: State::Inviting,
            since: intended,
            again: Instant::now() + RESEND,
            remote: Remote::default(),
            path: String::new(),
            pipe: None,
        });
        self.book.waiting.insert(number);
        self.link.send(self.book.agent.invite(number, room).as_bytes())?;
        Ok(number)
    }

    /// Requests that had to be sent again.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.book.resent
    }

    /// Ends a call; that was to happen at `intended`. Answers whether there was any.
    ///
    /// # Errors
    /// Returns an error if the socket fails.
    pub fn leave(&mut self, number: usize, intended: Instant) -> io::Result<bool> {
        let call = &mut self.book.calls[number];
        if call.state != State::Up {
            return Ok(false);
        }
        (call.state, call.since, call.again) = (State::Leaving, intended, Instant::now() + RESEND);
        self.book.waiting.insert(number);
        let bye = self.book.request(number);
        self.link.send(bye.as_bytes())?;
        Ok(true)
    }

    /// What happened next.
    pub fn next_step(&mut self) -> Option<(usize, Step)> {
        self.book.steps.pop_front()
    }

    /// Waits until something happens, or `until`, but no longer than an interruption may go unnoticed.
    ///
    /// # Errors
    /// Returns an error if a socket fails.
    pub fn wait(&mut self, until: Instant) -> io::Result<()> {
        let now = Instant::now();
        let resends = self.book.options.transport == Transport::Udp && !self.book.waiting.is_empty();
        let wake = until.min(now + NOTICED_WITHIN);
        self.timer.set(wake, now)?;
        let mut events = Events::with_capacity(EVENTS_MAX);
        self.poll.poll(&mut events, None).or_else(ignore_interrupted)?;
        for event in &events {
            match event.token() {
                SIP => {
                    self.link.flush()?;
                    self.link.receive(|message| self.book.handle_message(message))?;
                }
                ALARM => {}
                token => self.book.bound(token)?,
            }
        }
        self.book.bind_what_was_answered()?;
        if resends {
            self.book.resend(Instant::now());
        }
        self.book.out.drain(..).try_for_each(|message| self.link.send(message.as_bytes()))
    }

    /// Joins members, a few at a time, each to the room that `room_of` says, and gives their connections away.
    ///
    /// # Errors
    /// Returns an error if a socket fails or the server refuses a call.
    pub fn gather(
        &mut self,
        count: usize,
        room_of: impl Fn(usize) -> Rc<str>,
        watch: &mut dyn Watch,
    ) -> io::Result<Vec<Member>> {
        let numbers = self.join_all(count, room_of, watch)?;
        numbers.into_iter().map(|number| self.take_member(number)).collect()
    }

    /// Joins members, a few at a time. Answers their calls' numbers.
    ///
    /// # Errors
    /// Returns an error if a socket fails, the server refuses a call, or `watch` is interrupted.
    pub fn join_all(
        &mut self,
        count: usize,
        room_of: impl Fn(usize) -> Rc<str>,
        watch: &mut dyn Watch,
    ) -> io::Result<Vec<usize>> {
        let mut numbers = Vec::with_capacity(count);
        let (last, mut up) = (if self.book.options.sessions_per_connection > 0 { 1 } else { 0 }, 0);
        while up < count {
            while numbers.len() < count && self.in_flight() < JOINING_MAX {
                numbers.push(self.join(&room_of(numbers.len()), Instant::now())?);
            }
            self.wait(Instant::now() + PATIENCE)?;
            if watch.is_interrupted() {
                return Err(interrupted());
            }
            while let Some((number, step)) = self.next_step() {
                match step {
                    Step::Refused(status) => return Err(refused(number, status)),
                    Step::Answered(_) if last == 0 => up += 1,
                    Step::Bound(_) => up += 1,
                    Step::Answered(_) | Step::Left(_) | Step::Ended => {}
                }
                if up % 50 == 0 {
                    watch.stage(&format!("joining, {up} of {count}"));
                }
            }
            self.check_patience()?;
        }
        Ok(numbers)
    }

    /// Refuses to wait for an answer for ever.
    ///
    /// # Errors
    /// Returns an error if a call has waited for longer than that.
    pub fn check_patience(&self) -> io::Result<()> {
        let slow = self.book.waiting.iter().find(|number| self.book.calls[**number].since.elapsed() > PATIENCE);
        slow.map_or(Ok(()), |number| Err(io::Error::other(format!("call {number} gets no answer"))))
    }

    fn take_member(&mut self, number: usize) -> io::Result<Member> {
        let book = &mut self.book;
        let call = &mut book.calls[number];
        let pipe = call.pipe.take().ok_or_else(|| io::Error::other("an unbound session"))?;
        let paths = (call.path.clone(), book.agent.path(number));
        let (room, from) = (call.room.to_string(), book.agent.member(number));
        Ok(Member { stream: book.pipes.take(pipe)?, room, from, paths })
    }
}

/// What a refused call is told as.
#[must_use]
pub fn refused(number: usize, status: u16) -> io::Error {
    io::Error::other(format!("call {number} was answered {status}"))
}
