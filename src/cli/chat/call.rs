//! The call that joins a room, on the caller's side: INVITE, ACK, CANCEL and BYE (RFC 3261 §9, §13, §15), and the subscription to the
//! roster. No sockets.

use std::time::Instant;

use bytes::Bytes;
use rand_core::Rng;

use super::call_transactions::CallTransactions;
use super::digest_client::DigestClient;
use super::headers::{reason_text, refusal_text};
use super::parties::Parties;
use super::request_template::RequestTemplate;
use super::subscription::Subscription;
use super::target::Target;
use crate::transaction::{Arrival, TransactionId};
use parlor_proto::sip::{
    Header, HeaderName, Hop, Message, Method, Request, Response, ResponseBuilder, Uri, reason_phrase, text,
};

/// What happened to the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEvent {
    /// The call was accepted, with this session description.
    Answered(Bytes),
    /// The call was refused: status and reason.
    Refused(u16, String),
    /// The INVITE timed out.
    TimedOut,
    /// The room has ended the call, with the text of its Reason header.
    Ended(Option<String>),
    /// The BYE was answered or timed out.
    HungUp,
}

/// One outgoing call.
pub struct Call {
    transactions: CallTransactions,
    requests: RequestTemplate,
    sequence: u32,
    room: Uri,
    anonymous: bool,
    digest: DigestClient,
    offer: String,
    /// The credentials of the last INVITE, which its ACK repeats (RFC 3261 §22.1).
    credentials: Option<(HeaderName, String)>,
    invite: Option<TransactionId>,
    invite_state: InviteState,
    /// The call is to end, whatever the response to the INVITE is.
    hanging_up: bool,
    bye: Option<TransactionId>,
    /// The remote target; `None` before the answer and after the end.
    target: Option<Target>,
    subscription: Option<Subscription>,
    /// The remote target of the BYE, which is sent again after a challenge.
    bye_target: Option<Target>,
}

/// The state of the INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InviteState {
    /// No response was received.
    Calling,
    /// A provisional response was received: it can be cancelled (RFC 3261 §9.1).
    Proceeding,
    /// The final response was received, or no INVITE was sent.
    Completed,
}

const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, NOTIFY";

impl Call {
    /// A call over `hop`, without an INVITE yet.
    pub fn new(parties: &Parties, hop: Hop, rng: &mut impl Rng) -> Self {
        Self {
            transactions: CallTransactions::new(hop),
            requests: RequestTemplate::new(parties, hop, rng),
            sequence: 0,
            room: parties.room.clone(),
            anonymous: parties.anonymous,
            digest: DigestClient::new(parties.password.clone(), rng.next_u64()),
            offer: String::new(),
            credentials: None,
            invite: None,
            invite_state: InviteState::Completed,
            hanging_up: false,
            bye: None,
            target: None,
            subscription: None,
            bye_target: None,
        }
    }

    /// Subscribes to the roster of the room (RFC 4575).
    pub fn subscribe_roster(&mut self, parties: &Parties, rng: &mut impl Rng, now: Instant) {
        self.subscription = Some(Subscription::new(parties, self.requests.contact.clone(), rng, now));
        self.subscribe();
        self.transactions.drain(now);
    }

    /// Whether the first roster is still expected.
    pub fn awaits_roster(&self, now: Instant) -> bool {
        self.subscription.as_ref().is_some_and(|subscription| subscription.awaits_roster(now))
    }

    /// Whether the call has ended.
    pub fn has_ended(&self) -> bool {
        self.target.is_none() && self.bye.is_none() && self.invite_state == InviteState::Completed
    }

    /// The subscription to the roster.
    pub fn subscription(&mut self) -> Option<&mut Subscription> {
        self.subscription.as_mut()
    }

    fn subscribe(&mut self) {
        let Some(subscription) = &mut self.subscription else { return };
        let branch = self.requests.branch();
        let mut request = subscription.request(self.transactions.hop(), &branch);
        if let Some((name, value)) = self.digest.credentials("SUBSCRIBE", &request.uri.clone())
            && let Ok(header) = Header::build(name, value)
        {
            request.headers.push(header);
        }
        let transaction = self.transactions.request(request.clone());
        subscription.sent(transaction, request);
    }

    /// Sends the INVITE with an offer.
    pub fn invite(&mut self, offer: String, now: Instant) {
        self.offer = offer;
        self.send_invite();
        self.transactions.drain(now);
    }

    fn send_invite(&mut self) {
        self.sequence += 1;
        let room = self.room.clone();
        self.credentials = self.digest.credentials("INVITE", &room);
        let mut request = self.requests.request(Method::Invite, room, self.sequence, &[]);
        if self.anonymous {
            request = request.header(HeaderName::Privacy, "id");
        }
        if let Some((name, value)) = self.credentials.clone() {
            request = request.header(name, value);
        }
        let request =
            request.header(HeaderName::Contact, self.requests.contact.clone()).header(HeaderName::Allow, ALLOW);
        let invite = request.body("application/sdp", self.offer.clone());
        self.invite = self.transactions.request(invite);
        self.invite_state = if self.invite.is_some() { InviteState::Calling } else { InviteState::Completed };
    }

    /// Ends the call: with a BYE after the answer, before it with a CANCEL once there is a provisional response (RFC 3261 §9.1).
    pub fn hang_up(&mut self, now: Instant) {
        match self.target.take() {
            Some(target) => {
                self.bye_target = Some(target);
                self.send_bye();
            }
            None if self.invite_state == InviteState::Proceeding && !self.hanging_up => self.cancel(),
            None => {}
        }
        self.hanging_up = true;
        self.transactions.drain(now);
    }

    /// Forgets the call after its socket has failed: no BYE can be sent.
    pub fn abandon(&mut self) {
        (self.target, self.invite_state) = (None, InviteState::Completed);
    }

    fn cancel(&mut self) {
        if let Some(invite) = &self.invite {
            self.transactions.cancel(invite);
        }
    }

    fn send_bye(&mut self) {
        let Some(target) = self.bye_target.take() else { return };
        self.sequence += 1;
        let credentials = self.digest.credentials("BYE", &target.uri);
        let mut request = self.requests.request(Method::Bye, target.uri.clone(), self.sequence, &target.route);
        if let Some((name, value)) = credentials {
            request = request.header(name, value);
        }
        self.bye = self.transactions.request(request.empty());
        self.bye_target = Some(target);
    }

    /// Handles a received message.
    pub fn handle_message(&mut self, message: Message, now: Instant) -> Option<CallEvent> {
        let arrival = self.transactions.receive(message);
        let event = arrival.and_then(|arrival| self.handle_arrival(arrival, now));
        self.transactions.drain(now);
        event
    }

    /// Handles expired timers.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<CallEvent> {
        if self.subscription.as_ref().is_some_and(|subscription| subscription.is_due(now)) {
            self.subscribe();
            self.transactions.drain(now);
        }
        let event = self.transactions.handle_timeout(now).and_then(|arrival| self.handle_arrival(arrival, now));
        self.transactions.drain(now);
        event
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let subscription = self.subscription.as_ref().and_then(|subscription| subscription.poll_timeout(now));
        self.transactions.poll_timeout().into_iter().chain(subscription).min()
    }

    /// The next message to send.
    pub fn poll_outgoing(&mut self) -> Option<Bytes> {
        self.transactions.poll_outgoing()
    }

    fn handle_arrival(&mut self, arrival: Arrival, now: Instant) -> Option<CallEvent> {
        match arrival {
            Arrival::Response { id, response } if self.is_subscribe(&id) => {
                if self.digest.handle_challenge(&response) {
                    self.subscribe();
                    return None;
                }
                let hop = self.transactions.hop();
                self.subscription.iter_mut().for_each(|subscription| subscription.handle_response(&response, hop, now));
                None
            }
            Arrival::TimedOut(id) if self.is_subscribe(&id) => {
                self.subscription.iter_mut().for_each(Subscription::handle_request_timeout);
                None
            }
            Arrival::Response { id, response } if Some(&id) == self.invite.as_ref() => {
                self.handle_invite_response(&response, now)
            }
            Arrival::Response { id, response } if Some(&id) == self.bye.as_ref() => {
                if self.digest.handle_challenge(&response) {
                    self.send_bye();
                    return None;
                }
                response.status.is_final().then_some(CallEvent::HungUp)
            }
            Arrival::TimedOut(id) if Some(&id) == self.invite.as_ref() => {
                self.invite_state = InviteState::Completed;
                Some(CallEvent::TimedOut)
            }
            Arrival::TimedOut(id) if Some(&id) == self.bye.as_ref() => Some(CallEvent::HungUp),
            Arrival::Request { id, request } => self.handle_request(&id, &request, now),
            _ => None,
        }
    }

    fn handle_invite_response(&mut self, response: &Response, now: Instant) -> Option<CallEvent> {
        if !response.status.is_final() {
            let first = std::mem::replace(&mut self.invite_state, InviteState::Proceeding) == InviteState::Calling;
            if first && self.hanging_up {
                self.cancel();
            }
            return None;
        }
        self.invite_state = InviteState::Completed;
        if !self.hanging_up && self.digest.handle_challenge(response) {
            self.send_invite();
            return None;
        }
        if !response.status.is_success() {
            return Some(CallEvent::Refused(response.status.code(), refusal_text(response)));
        }
        // A retransmitted 2xx gets its ACK again (RFC 3261 §13.2.2.4).
        let again = self.target.is_some() || self.bye_target.is_some();
        if !again {
            self.requests.to = text(&response.headers, &HeaderName::To)?;
            self.target = Some(Target::of_response(&response.headers, self.sequence)?);
        }
        self.acknowledge();
        if self.hanging_up && !again {
            // The 2xx has crossed the CANCEL.
            self.hang_up(now);
            return None;
        }
        (!again).then(|| CallEvent::Answered(response.body().clone()))
    }

    fn acknowledge(&mut self) {
        let Some(target) = self.target.as_ref().or(self.bye_target.as_ref()) else { return };
        let mut ack = self.requests.request(Method::Ack, target.uri.clone(), target.ack_sequence, &target.route);
        if let Some((name, value)) = self.credentials.clone() {
            ack = ack.header(name, value);
        }
        self.transactions.acknowledge(ack.empty());
    }

    fn is_subscribe(&self, id: &TransactionId) -> bool {
        self.subscription.as_ref().is_some_and(|subscription| subscription.is_pending(id))
    }

    fn handle_request(&mut self, id: &TransactionId, request: &Request, now: Instant) -> Option<CallEvent> {
        let ours = text(&request.headers, &HeaderName::CallId).as_deref() == Some(&self.requests.call_id);
        let status = match request.method {
            Method::Options => 200,
            Method::Notify => match &mut self.subscription {
                Some(subscription) if subscription.matches(request) => subscription.handle_notify(request, now),
                _ => 481,
            },
            _ if !ours => 481,
            Method::Bye => 200,
            Method::Cancel => 481,
            // The session cannot be changed.
            Method::Invite => 488,
            _ => 405,
        };
        let reply = ResponseBuilder::new(request, status, "parlor")
            .reason(reason_phrase(status))
            .header(HeaderName::Allow, ALLOW);
        self.transactions.respond(id, reply.empty());
        (ours && request.method == Method::Bye).then(|| {
            self.target = None;
            CallEvent::Ended(text(&request.headers, &HeaderName::Reason).and_then(|reason| reason_text(&reason)))
        })
    }
}

#[cfg(test)]
mod tests;
