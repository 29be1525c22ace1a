//! The calls of one SIP socket and what each waits for.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::Token;

use crate::client::pipes::Pipes;
use crate::client::sip::{Agent, Remote, SipMessage, Transport};

/// How calls are made.
#[derive(Debug, Clone, Copy)]
pub struct CallOptions {
    /// What carries them.
    pub transport: Transport,
    /// Sessions that share one MSRP connection; 0: sessions stay unbound.
    pub sessions_per_connection: usize,
    /// Whether each subscribes to the roster.
    pub subscribe: bool,
    /// Whether MSRP goes over TLS.
    pub tls: bool,
}

impl CallOptions {
    /// Each with a connection of its own and no subscription.
    #[must_use]
    pub fn talking(transport: Transport) -> Self {
        Self { transport, sessions_per_connection: 1, subscribe: false, tls: false }
    }
}

/// What became of a call, and how long after it was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The INVITE was answered 200.
    Answered(Duration),
    /// The session is bound.
    Bound(Duration),
    /// The BYE was answered.
    Left(Duration),
    /// The server has ended it.
    Ended,
    /// Something was answered otherwise.
    Refused(u16),
}

/// What is known of them.
pub struct CallTable {
    pub agent: Agent,
    pub options: CallOptions,
    pub pipes: Pipes,
    pub calls: Vec<Call>,
    /// Calls that wait for an answer.
    pub waiting: BTreeSet<usize>,
    pub steps: VecDeque<(usize, Step)>,
    /// Calls whose sessions are to be bound.
    pub answered: Vec<usize>,
    /// What is to be sent.
    pub out: Vec<String>,
    pub notifies: u64,
    pub subscribed: u64,
    pub resent: u64,
}

pub struct Call {
    pub room: Rc<str>,
    pub state: State,
    /// When what it waits for was to begin.
    pub since: Instant,
    /// When what was sent last goes again, over UDP.
    pub again: Instant,
    pub remote: Remote,
    /// The server's path.
    pub path: String,
    pub pipe: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Inviting,
    Answered,
    Binding,
    Up,
    Leaving,
    Over,
}

/// RFC 3261 §17.1.1.2, T1: when a request goes again over UDP.
pub const RESEND: Duration = Duration::from_millis(500);

impl CallTable {
    pub fn new(agent: Agent, options: CallOptions, pipes: Pipes) -> Self {
        Self {
            agent,
            options,
            pipes,
            calls: Vec::new(),
            waiting: BTreeSet::new(),
            steps: VecDeque::new(),
            answered: Vec::new(),
            out: Vec::new(),
            notifies: 0,
            subscribed: 0,
            resent: 0,
        }
    }

    /// Handles a message from the server.
    pub fn handle_message(&mut self, message: &SipMessage<'_>) {
        let Some(status) = message.status() else {
            self.notifies += u64::from(message.method() == "NOTIFY");
            if message.method() != "ACK" {
                self.out.push(self.agent.ok(message));
            }
            if let ("BYE", Some((number, _))) = (message.method(), message.call()) {
                self.ended(number);
            }
            return;
        };
        let Some((number, of_subscription)) = message.call() else { return };
        if status < 200 || number >= self.calls.len() {
            return;
        }
        match message.method() {
            "SUBSCRIBE" if of_subscription => self.subscribed += u64::from(status < 300),
            "INVITE" => self.invited(number, status, message),
            "BYE" => self.left(number, status),
            _ => {}
        }
    }

    fn invited(&mut self, number: usize, status: u16, message: &SipMessage<'_>) {
        let call = &mut self.calls[number];
        if call.remote.tag.is_empty() {
            call.remote = message.remote();
        }
        // A final response that comes again wants its ACK again.
        self.out.push(match status {
            ..300 => self.agent.within("ACK", 1, number, &call.room, &call.remote),
            _ => self.agent.refused(number, &call.room, &call.remote.tag),
        });
        if call.state != State::Inviting {
            return;
        }
        self.waiting.remove(&number);
        if status >= 300 {
            call.state = State::Over;
            self.steps.push_back((number, Step::Refused(status)));
            return;
        }
        call.state = if self.options.sessions_per_connection > 0 { State::Answered } else { State::Up };
        call.path = message.path().unwrap_or_default().to_owned();
        self.steps.push_back((number, Step::Answered(call.since.elapsed())));
        if self.options.subscribe {
            self.out.push(self.agent.subscribe(number, &call.room));
        }
        if call.state == State::Answered {
            self.waiting.insert(number);
            self.answered.push(number);
        }
    }

    fn left(&mut self, number: usize, status: u16) {
        let call = &mut self.calls[number];
        if call.state != State::Leaving {
            return;
        }
        call.state = State::Over;
        self.waiting.remove(&number);
        let step = if status < 300 { Step::Left(call.since.elapsed()) } else { Step::Refused(status) };
        self.steps.push_back((number, step));
        if let Some(pipe) = call.pipe.take() {
            self.pipes.release(pipe);
        }
    }

    /// The server has ended a call.
    fn ended(&mut self, number: usize) {
        let Some(call) = self.calls.get_mut(number).filter(|call| call.state != State::Over) else { return };
        call.state = State::Over;
        self.waiting.remove(&number);
        self.steps.push_back((number, Step::Ended));
        if let Some(pipe) = call.pipe.take() {
            self.pipes.release(pipe);
        }
    }

    pub fn bind_what_was_answered(&mut self) -> io::Result<()> {
        for number in std::mem::take(&mut self.answered) {
            let call = &mut self.calls[number];
            call.state = State::Binding;
            call.pipe = Some(self.pipes.bind(number, &call.path, &self.agent.path(number))?);
        }
        Ok(())
    }

    pub fn bound(&mut self, token: Token) -> io::Result<()> {
        let Self { pipes, calls, steps, waiting, .. } = self;
        pipes.handle(token.0, |number, status| {
            let Some(call) = calls.get_mut(number).filter(|call| call.state == State::Binding) else { return };
            waiting.remove(&number);
            let step = if status == 200 { Step::Bound(call.since.elapsed()) } else { Step::Refused(status) };
            call.state = State::Up;
            steps.push_back((number, step));
        })
    }

    /// Sends again what has had no answer over UDP for a while.
    pub fn resend(&mut self, now: Instant) {
        let late: Vec<usize> = self.waiting.iter().copied().filter(|number| self.calls[*number].again <= now).collect();
        for number in late {
            let call = &mut self.calls[number];
            call.again = now + RESEND;
            if matches!(call.state, State::Inviting | State::Leaving) {
                let request = self.request(number);
                self.out.push(request);
                self.resent += 1;
            }
        }
    }

    /// What a call waits for the answer to.
    pub fn request(&self, number: usize) -> String {
        let call = &self.calls[number];
        match call.state {
            State::Leaving => self.agent.within("BYE", 2, number, &call.room, &call.remote),
            _ => self.agent.invite(number, &call.room),
        }
    }
}
