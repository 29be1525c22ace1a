//! The call that joins a room: an INVITE, its ACK, and a BYE, from the caller's side (RFC 3261 §13, §15). No sockets.

use std::time::Instant;

use bytes::Bytes;
use rand_core::Rng;

use super::login::{Login, Password};
use super::requests::Requests;
use super::target::{Target, reason_text};
use super::watch::Watch;
use super::wire::Wire;
use crate::transaction::{Arrival, TransactionId};
use parlor_proto::sip::{
    Header, HeaderName, Hop, Message, Method, Request, Response, ResponseBuilder, Uri, reason_phrase, text,
};

/// Who calls whom.
#[derive(Debug, Clone)]
pub(super) struct Parties {
    /// The caller's URI, without parameters.
    pub caller: String,
    /// The room's URI, as it was given.
    pub room: Uri,
    /// The caller does not want to be known, and its URI is an anonymous one (RFC 3323 §4.1).
    pub anonymous: bool,
    /// What challenges are answered with.
    pub password: Option<Password>,
}

/// What happened to the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallNews {
    /// The room takes the call; its session description.
    Answered(Bytes),
    /// It does not: status and reason.
    Refused(u16, String),
    /// Nobody answered.
    Unanswered,
    /// The room has ended the call, with a reason if it gave one.
    Ended(Option<String>),
    /// Our BYE was answered, or nobody cares.
    Over,
}

/// One outgoing call.
pub(super) struct Call {
    wire: Wire,
    requests: Requests,
    sequence: u32,
    room: Uri,
    anonymous: bool,
    login: Login,
    offer: String,
    /// What the last INVITE had: its ACK has it too (RFC 3261 §22.1).
    credentials: Option<(HeaderName, String)>,
    invite: Option<TransactionId>,
    /// How far the INVITE has come.
    progress: Progress,
    /// It is to end, whatever its INVITE is answered.
    given_up: bool,
    bye: Option<TransactionId>,
    /// Where requests within the call go, and through whom; there once it was answered.
    target: Option<Target>,
    /// The subscription to the roster, once it was asked for.
    watch: Option<Watch>,
    /// What we are leaving, should the BYE have to be sent again.
    left: Option<Target>,
}

/// How far an INVITE has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing was heard of it.
    Unheard,
    /// Somebody has it: it can be cancelled (RFC 3261 §9.1).
    Ringing,
    /// It was answered finally, or there is none.
    Settled,
}

const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY";

impl Call {
    /// A call over `hop`, not made yet.
    pub(super) fn new(parties: &Parties, hop: Hop, rng: &mut impl Rng) -> Self {
        Self {
            wire: Wire::new(hop),
            requests: Requests::new(parties, hop, rng),
            sequence: 0,
            room: parties.room.clone(),
            anonymous: parties.anonymous,
            login: Login::new(parties.password.clone(), rng.next_u64()),
            offer: String::new(),
            credentials: None,
            invite: None,
            progress: Progress::Settled,
            given_up: false,
            bye: None,
            target: None,
            watch: None,
            left: None,
        }
    }

    /// Subscribes to the roster of the room.
    pub(super) fn watch(&mut self, parties: &Parties, rng: &mut impl Rng, now: Instant) {
        self.watch = Some(Watch::new(parties, self.requests.contact.clone(), rng, now));
        self.subscribe();
        self.wire.settle(now);
    }

    /// Whether it is not worth waiting any longer to hear who is there.
    pub(super) fn is_told_who_is_there(&self, now: Instant) -> bool {
        self.watch.as_ref().is_none_or(|watch| !watch.is_awaited(now))
    }

    /// Whether nothing of the call is left.
    pub(super) fn has_ended(&self) -> bool {
        self.target.is_none() && self.bye.is_none() && self.progress == Progress::Settled
    }

    /// What is known of the roster.
    pub(super) fn roster(&mut self) -> Option<&mut Watch> {
        self.watch.as_mut()
    }

    fn subscribe(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        let branch = self.requests.branch();
        let mut request = watch.subscribe(self.wire.hop(), &branch);
        if let Some((name, value)) = self.login.credentials("SUBSCRIBE", &request.uri.clone())
            && let Ok(header) = Header::build(name, value)
        {
            request.headers.push(header);
        }
        let transaction = self.wire.request(request.clone());
        self.watch.iter_mut().for_each(|watch| watch.sent(transaction.clone(), request.clone()));
    }

    /// Makes the call with an offer.
    pub(super) fn invite(&mut self, offer: String, now: Instant) {
        self.offer = offer;
        self.send_invite();
        self.wire.settle(now);
    }

    fn send_invite(&mut self) {
        self.sequence += 1;
        let room = self.room.clone();
        self.credentials = self.login.credentials("INVITE", &room);
        let mut ask = self.requests.ask(Method::Invite, room, self.sequence, &[]);
        if self.anonymous {
            ask = ask.header(HeaderName::Privacy, "id");
        }
        if let Some((name, value)) = self.credentials.clone() {
            ask = ask.header(name, value);
        }
        let ask = ask.header(HeaderName::Contact, self.requests.contact.clone()).header(HeaderName::Allow, ALLOW);
        let invite = ask.body("application/sdp", self.offer.clone());
        self.invite = self.wire.request(invite);
        self.progress = if self.invite.is_some() { Progress::Unheard } else { Progress::Settled };
    }

    /// Ends the call, however far it has come: with a BYE once it was answered, before that with a CANCEL, as soon as somebody
    /// has said that they have the INVITE (RFC 3261 §9.1).
    pub(super) fn hang_up(&mut self, now: Instant) {
        match self.target.take() {
            Some(target) => {
                self.left = Some(target);
                self.send_bye();
            }
            None if self.progress == Progress::Ringing && !self.given_up => self.cancel(),
            None => {}
        }
        self.given_up = true;
        self.wire.settle(now);
    }

    /// The hop is gone: there is nobody to say goodbye to.
    pub(super) fn lose(&mut self) {
        (self.target, self.progress) = (None, Progress::Settled);
    }

    fn cancel(&mut self) {
        if let Some(invite) = &self.invite {
            self.wire.cancel(invite);
        }
    }

    fn send_bye(&mut self) {
        let Some(target) = self.left.take() else { return };
        self.sequence += 1;
        let credentials = self.login.credentials("BYE", &target.uri);
        let mut ask = self.requests.ask(Method::Bye, target.uri.clone(), self.sequence, &target.route);
        if let Some((name, value)) = credentials {
            ask = ask.header(name, value);
        }
        self.bye = self.wire.request(ask.empty());
        self.left = Some(target);
    }

    /// Takes a message from the network.
    pub(super) fn handle(&mut self, message: Message, now: Instant) -> Option<CallNews> {
        let arrival = self.wire.receive(message);
        let news = arrival.and_then(|arrival| self.arrived(arrival, now));
        self.wire.settle(now);
        news
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<CallNews> {
        if self.watch.as_ref().is_some_and(|watch| watch.is_due(now)) {
            self.subscribe();
            self.wire.settle(now);
        }
        let news = self.wire.handle_timeout(now).and_then(|arrival| self.arrived(arrival, now));
        self.wire.settle(now);
        news
    }

    /// When to call [`Self::handle_timeout`].
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let watch = self.watch.as_ref().and_then(|watch| watch.poll_timeout(now));
        self.wire.poll_timeout().into_iter().chain(watch).min()
    }

    /// The next message to send.
    pub(super) fn poll_outgoing(&mut self) -> Option<Bytes> {
        self.wire.poll_outgoing()
    }

    fn arrived(&mut self, arrival: Arrival, now: Instant) -> Option<CallNews> {
        match arrival {
            Arrival::Response { id, response } if self.watch.as_ref().is_some_and(|watch| watch.has_asked(&id)) => {
                if self.login.take(&response) {
                    self.subscribe();
                    return None;
                }
                let hop = self.wire.hop();
                self.watch.iter_mut().for_each(|watch| watch.answered(&response, hop, now));
                None
            }
            Arrival::TimedOut(id) if self.watch.as_ref().is_some_and(|watch| watch.has_asked(&id)) => {
                self.watch.iter_mut().for_each(Watch::unanswered);
                None
            }
            Arrival::Response { id, response } if Some(&id) == self.invite.as_ref() => {
                self.invite_answered(&response, now)
            }
            Arrival::Response { id, response } if Some(&id) == self.bye.as_ref() => {
                if self.login.take(&response) {
                    self.send_bye();
                    return None;
                }
                response.status.is_final().then_some(CallNews::Over)
            }
            Arrival::TimedOut(id) if Some(&id) == self.invite.as_ref() => {
                self.progress = Progress::Settled;
                Some(CallNews::Unanswered)
            }
            Arrival::TimedOut(id) if Some(&id) == self.bye.as_ref() => Some(CallNews::Over),
            Arrival::Request { id, request } => self.asked(&id, &request, now),
            _ => None,
        }
    }

    fn invite_answered(&mut self, response: &Response, now: Instant) -> Option<CallNews> {
        if !response.status.is_final() {
            let first = std::mem::replace(&mut self.progress, Progress::Ringing) == Progress::Unheard;
            if first && self.given_up {
                self.cancel();
            }
            return None;
        }
        self.progress = Progress::Settled;
        if !self.given_up && self.login.take(response) {
            self.send_invite();
            return None;
        }
        if !response.status.is_success() {
            return Some(CallNews::Refused(response.status.code(), why_refused(response)));
        }
        // An answer that comes again wants its ACK again (RFC 3261 §13.2.2.4).
        let again = self.target.is_some() || self.left.is_some();
        if !again {
            self.requests.to = text(&response.headers, &HeaderName::To)?;
            self.target = Some(Target::of(&response.headers, self.sequence)?);
        }
        self.acknowledge();
        if self.given_up && !again {
            // The answer has crossed the CANCEL.
            self.hang_up(now);
            return None;
        }
        (!again).then(|| CallNews::Answered(response.body().clone()))
    }

    fn acknowledge(&mut self) {
        let Some(target) = self.target.as_ref().or(self.left.as_ref()) else { return };
        let mut ack = self.requests.ask(Method::Ack, target.uri.clone(), target.ack_sequence, &target.route);
        if let Some((name, value)) = self.credentials.clone() {
            ack = ack.header(name, value);
        }
        self.wire.acknowledge(ack.empty());
    }

    fn asked(&mut self, id: &TransactionId, request: &Request, now: Instant) -> Option<CallNews> {
        let ours = text(&request.headers, &HeaderName::CallId).as_deref() == Some(&self.requests.call_id);
        let status = match request.method {
            Method::Options => 200,
            Method::Notify => match &mut self.watch {
                Some(watch) if watch.owns(request) => watch.notified(request, now),
                _ => 481,
            },
            _ if !ours => 481,
            Method::Bye => 200,
            Method::Cancel => 481,
            // Nothing about the session can change.
            Method::Invite => 488,
            _ => 405,
        };
        let reply = ResponseBuilder::new(request, status, "parlor")
            .reason(reason_phrase(status))
            .header(HeaderName::Allow, ALLOW);
        self.wire.respond(id, reply.empty());
        (ours && request.method == Method::Bye).then(|| {
            self.target = None;
            CallNews::Ended(text(&request.headers, &HeaderName::Reason).and_then(|reason| reason_text(&reason)))
        })
    }
}

/// The phrase of a refusal, and what its Warning says besides (RFC 3261 §20.43).
fn why_refused(response: &Response) -> String {
    let phrase = String::from_utf8_lossy(&response.reason).into_owned();
    let warning = text(&response.headers, &HeaderName::Warning);
    match warning.as_deref().and_then(warning_text).filter(|warning| !warning.is_empty()) {
        Some(warning) => format!("{phrase} ({warning})"),
        None => phrase,
    }
}

/// What is between the quotes of the first Warning.
fn warning_text(header: &str) -> Option<String> {
    let mut quoted = header.split_once('"')?.1.chars();
    let mut text = String::new();
    loop {
        match quoted.next()? {
            '"' => return Some(text),
            '\\' => text.push(quoted.next()?),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests;
