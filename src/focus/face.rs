//! What a driver calls.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use siphasher::sip::SipHasher13;

use super::asked::AskedFor;
use super::byes::Byes;
use super::calls::{Calls, Tag};
use super::diallings::Diallings;
use super::fence::Fence;
use super::hosts::Hosts;
use super::merged::Merged;
use super::nicknames::ServerNicknames;
use super::refusal::Refusal;
use super::rooms::Rooms;
use super::shards::Shards;
use super::subscriptions::{SubscriptionId, Subscriptions};
use super::throttle::Throttle;
use super::{RoomSettings, Settings};
use crate::call::{Alarms, Authenticator, EndOfSubscription, Users};
use crate::facts::{Command, Event, Refusal as ShardRefusal, Terms};
use crate::ids::{RoomId, SessionId, ShardId};
use crate::transaction::Arrival;
use crate::transaction::{TransactionId, TransactionOutput, TransactionTimer, Transactions};
use parlor_proto::sip::{
    HeaderName, Headers, Hop, MalformedRequest, Message, Method, Request, RequestError, ResponseBuilder,
};
use parlor_proto::sip::{
    SipConnection, TopVia, Transport, add_received, check_request, cseq_number, parse_datagram, response_hop,
};

/// What the focus wants done.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes there.
    Send {
        /// Where to.
        hop: Hop,
        /// One SIP message.
        message: Bytes,
    },
    /// Give this to a shard. Commands to one shard must not overtake one another, and only [`Command::OpenSession`] may be
    /// given back, by [`Focus::handle_full`].
    Command {
        /// Which shard.
        shard: ShardId,
        /// What.
        command: Command,
    },
    /// Look up the addresses of a name and give them to [`Focus::handle_looked_up`].
    LookUp {
        /// To be given back.
        query: u64,
        /// Whose addresses.
        name: String,
    },
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls.
    pub calls: usize,
    /// Rooms, closing ones included.
    pub rooms: usize,
    /// SIP server transactions.
    pub transactions: usize,
    /// Subscriptions.
    pub subscriptions: usize,
}

/// What a drain waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Awaited {
    /// Calls.
    pub calls: usize,
    /// Calls of ours that nobody has answered.
    pub invitations: usize,
    /// BYEs that nobody has answered.
    pub byes: usize,
    /// Subscriptions whose last NOTIFY nobody has answered.
    pub subscriptions: usize,
}

/// What is due at some time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Alarm {
    Transaction(TransactionId, TransactionTimer),
    /// Our 200 is to be sent again.
    Resend(Tag),
    /// Our 200 was not acknowledged.
    GiveUp(Tag),
    /// A quarantine ends.
    Nicknames,
    /// A session timer: it is time to refresh, or the session has expired.
    Session(Tag),
    /// A call that is being made takes too long.
    Dialling(Tag),
    /// The answers to an INVITE of ours are all there.
    Forget(TransactionId),
    /// A shard has not said whether the session can be bound.
    Silence(Tag),
    /// A subscription's time runs out.
    Expiry(SubscriptionId),
    /// A subscriber that asked for patience takes NOTIFYs again.
    Patience(SubscriptionId),
    /// A room's changes are to be told.
    Publish(RoomId),
    /// The next NOTIFYs in the queue are to be sent.
    Burst,
    /// A drain has waited long enough for those who only watch.
    LastNotify,
}

/// How long a drain waits until those who only watch have answered their last NOTIFY: enough to send it again twice.
const LAST_NOTIFY_PATIENCE: Duration = Duration::from_secs(2);

/// The focus. See the module for how it is driven.
#[derive(Debug)]
pub struct Focus {
    pub(super) settings: Settings,
    pub(super) hosts: Hosts,
    pub(super) rng: ChaCha20Rng,
    pub(super) transactions: Transactions,
    pub(super) alarms: Alarms<Alarm>,
    pub(super) calls: Calls,
    /// The requests that have begun a dialog lately.
    pub(super) merged: Merged,
    pub(super) rooms: Rooms,
    pub(super) shards: Shards,
    pub(super) nicknames: ServerNicknames,
    pub(super) throttle: Throttle,
    /// `None`: nobody is asked for a password.
    pub(super) authenticator: Option<Authenticator>,
    /// Our BYEs that nobody has answered yet.
    pub(super) byes: Byes,
    /// What else of ours nobody has answered yet.
    pub(super) asked: AskedFor,
    /// Calls that are being made.
    pub(super) dialling: Diallings,
    /// Those of them whose host is looked up, with the port and transport that it is to be called at.
    pub(super) lookups: HashMap<Tag, (u16, Transport)>,
    /// Those that nobody wants any more.
    pub(super) unwanted: Vec<Tag>,
    pub(super) draining: bool,
    /// There are no descriptors for the connections of another call.
    pub(super) descriptors_short: bool,
    pub(super) subscriptions: Subscriptions,
    /// Rooms whose rosters may have changed with this input.
    pub(super) changed_rooms: Vec<RoomId>,
    /// Subscriptions that end with this input, in order.
    pub(super) ending_subscriptions: Vec<(SubscriptionId, EndOfSubscription)>,
    /// A moment, and what time it was in the world then.
    pub(super) world_time: Option<(Instant, Duration)>,
    outputs: VecDeque<Output>,
    fence: Fence,
    /// What is made of something a peer has sent, so that it cannot foresee it, is hashed under these.
    pub(super) tag_keys: (u64, u64),
}

fn transactions(rng: &mut ChaCha20Rng, bytes_max: usize) -> Transactions {
    let mut transactions = Transactions::new((rng.next_u64(), rng.next_u64()));
    transactions.set_max_bytes(bytes_max);
    transactions
}

impl Focus {
    /// A focus without rooms. Everything that must not be guessed is made of `seed`.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut nonce_key = [0; 32];
        rng.fill_bytes(&mut nonce_key);
        let authenticator = settings.users.clone().map(|users| Authenticator::new(users, nonce_key));
        Self {
            authenticator,
            hosts: Hosts::new(&settings),
            tag_keys: (rng.next_u64(), rng.next_u64()),
            transactions: transactions(&mut rng, settings.transaction_bytes_max),
            rng,
            alarms: Alarms::default(),
            calls: Calls::default(),
            merged: Merged::default(),
            rooms: Rooms::new(settings.rooms.max_rooms),
            shards: Shards::new(&settings.shards),
            nicknames: ServerNicknames::default(),
            throttle: Throttle::new(settings.max_calls_per_second),
            byes: Byes::default(),
            asked: AskedFor::new(),
            dialling: Diallings::default(),
            lookups: HashMap::new(),
            unwanted: Vec::new(),
            draining: false,
            descriptors_short: false,
            subscriptions: Subscriptions::default(),
            changed_rooms: Vec::new(),
            ending_subscriptions: Vec::new(),
            world_time: None,
            outputs: VecDeque::new(),
            fence: Fence::default(),
            settings,
        }
    }

    /// A SIP message has come; `hop` says how, its remote end being the source.
    pub fn handle_message(&mut self, message: Message, hop: Hop, now: Instant) {
        let arrival = match message {
            Message::Request(request) => self.receive_request(request, hop, now),
            Message::Response(response) => self.transactions.receive(Message::Response(response), hop),
        };
        self.handle_arrival(arrival, hop, now);
        self.pump(now);
    }

    /// A request has come that cannot be read: it is refused without state (RFC 3261 §18.3, RFC 4475 §3.1.2).
    pub fn handle_malformed(&mut self, mut broken: MalformedRequest, hop: Hop) {
        tracing::debug!(peer = %hop.remote, why = %broken.error, "a request that cannot be read");
        add_received(&mut broken.headers, hop.remote);
        let tag = self.stateless_tag(&broken.headers);
        let reply =
            ResponseBuilder::for_headers(&broken.headers, broken.status(), &tag).reason(&broken.reason_phrase());
        let response = reply.header(HeaderName::Server, self.settings.software.clone()).empty();
        self.send(response_hop(&broken.headers, hop), Message::Response(response).to_bytes());
    }

    /// Something happened on a shard.
    pub fn handle_event(&mut self, shard: ShardId, event: Event, now: Instant) {
        match event {
            Event::SessionReady { session } => self.session_ready(session, now),
            Event::SessionRefused { session, why } => self.session_refused(session, why, now),
            Event::SessionEnded { session, why } => self.session_ended(session, why, now),
            Event::SessionChanged { session } => self.outputs.extend(self.fence.confirmed(session)),
            Event::RoomClosed { room } => self.room_closed(room),
            Event::Load { deliveries_per_second } => self.shards.set_load(shard, deliveries_per_second),
            Event::NicknameAsked { session, nickname } => self.decide_nickname(session, &nickname, now),
            Event::Nickname { session, nickname } => {
                if nickname.is_none() {
                    self.nicknames.release(session);
                }
                self.roster_nickname(session, nickname);
            }
            // A session is told of from its answer: whoever has not bound it in time leaves again.
            Event::SessionBound { .. } => {}
        }
        self.pump(now);
    }

    /// A message of ours could not be sent. Nobody waits for the answer to it then (RFC 3261 §17.1.4).
    pub fn handle_unsent(&mut self, message: &[u8], now: Instant) {
        if let Ok(Some(Message::Request(request))) = parse_datagram(message)
            && let Some(Arrival::TimedOut(id)) = self.transactions.unsent(&request)
        {
            self.bye_is_over(&id);
            self.notify_unsent(&id, cseq_number(&request.headers), now);
            self.unanswered(&id, 503, now);
        }
        self.pump(now);
    }

    /// A connection is over: what was asked on it will not be answered.
    pub fn handle_closed(&mut self, connection: SipConnection, now: Instant) {
        let lost =
            |id: &&TransactionId| self.transactions.hop(id).is_some_and(|hop| hop.connection == Some(connection));
        let lost: Vec<TransactionId> =
            self.byes.ids().filter(lost).chain(self.subscriptions.under_way.over(connection)).cloned().collect();
        for id in lost {
            self.transactions.fail(&id);
            self.bye_is_over(&id);
            self.notify_lost(&id);
        }
        self.unanswered_on(connection, now);
        self.pump(now);
    }

    /// A shard's queue had no room for a session.
    pub fn handle_full(&mut self, session: SessionId, now: Instant) {
        self.session_refused(session, ShardRefusal::Full, now);
        self.pump(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(alarm) = self.alarms.pop_due(now) {
            match alarm {
                Alarm::Transaction(id, timer) => {
                    if let Some(Arrival::TimedOut(id)) = self.transactions.fire(&id, timer) {
                        self.bye_is_over(&id);
                        self.notify_lost(&id);
                        self.unanswered(&id, 408, now);
                    }
                }
                Alarm::Session(tag) => self.session_is_due(tag, now),
                Alarm::Dialling(tag) => self.dialling_is_late(tag, now),
                Alarm::Forget(id) => drop(self.asked.remove(&id)),
                Alarm::Resend(tag) => self.resend(tag, now),
                Alarm::GiveUp(tag) => self.give_up(tag),
                Alarm::Silence(tag) => self.shard_is_silent(tag),
                Alarm::Nicknames => self.settle_nicknames(now),
                Alarm::Expiry(id) => self.end_subscription(id, EndOfSubscription::Timeout, now),
                Alarm::Patience(id) => self.notify_due(id, now),
                Alarm::Publish(id) => self.publish(id, now),
                Alarm::Burst => self.notify_burst(now),
                Alarm::LastNotify => self.subscriptions.wait_no_more(),
            }
            self.pump(now);
        }
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.alarms.next()
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes nobody in any more and sends everybody away. [`Self::is_drained`] says when all are gone.
    pub fn drain(&mut self, now: Instant) {
        self.draining = true;
        self.alarms.set(Alarm::LastNotify, now + LAST_NOTIFY_PATIENCE);
        self.end_all_subscriptions(now);
        self.end_everybody();
        self.pump(now);
    }

    /// The connections that a call or a subscription goes over. Takes time for each of them.
    #[must_use]
    pub fn connections_in_use(&self) -> HashSet<SipConnection> {
        self.calls.connections().chain(self.subscriptions.connections()).collect()
    }

    /// Says whether there are descriptors for the connections of another call. Where there are none, calls are 503.
    pub fn set_descriptors_short(&mut self, short: bool) {
        if short && !self.descriptors_short {
            tracing::warn!("calls are answered 503: there are no descriptors for their connections");
        }
        self.descriptors_short = short;
    }

    /// What a drain waits for.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        Awaited {
            calls: self.calls.len(),
            invitations: self.dialling.len(),
            byes: self.byes.len(),
            subscriptions: self.subscriptions.awaited(),
        }
    }

    /// Whether there is nothing that a drain waits for any more: no call, no BYE without an answer, and no subscription, those of
    /// whoever was in a call aside.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.awaited() == Awaited::default()
    }

    /// Puts other rooms and policies in force. Those who are in a room stay there, on what they have negotiated.
    pub fn replace_rooms(&mut self, rooms: RoomSettings, now: Instant) {
        self.rooms.set_max(rooms.max_rooms);
        self.settings.rooms = rooms;
        self.reopen_changed_rooms();
        self.pump(now);
    }

    /// Puts other users in force, for everything that comes from now on; `None` asks nobody for a password any more.
    pub fn replace_users(&mut self, users: Option<Arc<Users>>) {
        match (users, &mut self.authenticator) {
            (Some(users), Some(authenticator)) => authenticator.replace_users(users),
            (users, authenticator) => {
                // Another key each time: what was answered under the last one is not taken again.
                let mut key = [0; 32];
                self.rng.fill_bytes(&mut key);
                *authenticator = users.map(|users| Authenticator::new(users, key));
            }
        }
    }

    /// How much there is of everything.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            calls: self.calls.len(),
            rooms: self.rooms.len(),
            transactions: self.transactions.servers(),
            subscriptions: self.subscriptions.len(),
        }
    }

    /// Looks at what every request must have, and passes it to its transaction. What is wrong is answered without one.
    fn receive_request(&mut self, mut request: Request, hop: Hop, now: Instant) -> Option<Arrival> {
        add_received(&mut request.headers, hop.remote);
        let back = response_hop(&request.headers, hop);
        let claim = self.claim_of_source(&request, hop);
        let refusal = match check_request(&request) {
            Err(RequestError::Unanswerable) => return None,
            Err(RequestError::Refused(status, phrase)) => Some(Refusal::new(status).because(phrase)),
            Ok(()) if self.transactions.knows(&request) => None,
            // What ends a transaction is no load.
            Ok(()) if self.transactions.cancelled(&request).is_some() => None,
            // Nor is what ends a call: whoever forges the address of a proxy cannot keep its users from hanging up.
            Ok(()) if self.hangs_up(&request, hop) => None,
            Ok(()) if !self.transactions.has_room(&request, &claim) => Some(Refusal::later(5)),
            Ok(()) => self.is_unasked(&request, hop).then(|| self.challenge(false, hop, now)),
        };
        match refusal {
            None => self.transactions.receive_request(request, back, &claim),
            // RFC 3261 §8.2.7.
            Some(_) if matches!(request.method, Method::Ack | Method::Cancel) => None,
            Some(refusal) => {
                self.refuse_without_state(&request, back, &refusal);
                None
            }
        }
    }

    fn handle_arrival(&mut self, arrival: Option<Arrival>, hop: Hop, now: Instant) {
        match arrival {
            Some(Arrival::Request { id, request }) => self.handle_request(id, *request, hop, now),
            Some(Arrival::Ack(ack)) => self.handle_ack(&ack, now),
            Some(Arrival::Response { id, response }) => {
                let of_notify = self.notify_answered(&id, &response, now);
                if !of_notify && response.status.is_final() {
                    self.bye_is_over(&id);
                }
                self.answered(&id, &response, hop, now);
            }
            Some(Arrival::TimedOut(id)) => self.unanswered(&id, 408, now),
            None => {}
        }
    }

    fn refuse_without_state(&mut self, request: &Request, hop: Hop, refusal: &Refusal) {
        let tag = self.stateless_tag(&request.headers);
        let response = self.refusal(request, refusal, &tag);
        self.send(hop, Message::Response(response).to_bytes());
    }

    /// A tag that a request sent again gets again (RFC 3261 §8.2.7).
    pub(super) fn stateless_tag(&self, headers: &Headers) -> String {
        let mut hasher = SipHasher13::new_with_keys(self.tag_keys.0, self.tag_keys.1);
        hasher.write(&headers.value(&HeaderName::CallId).unwrap_or_default());
        hasher.write(TopVia::of(headers).as_ref().and_then(TopVia::branch).unwrap_or_default());
        format!("{:016x}", hasher.finish())
    }

    /// Sees to subscribers and to calls that nobody wants any more, and carries out what the transactions want.
    pub(super) fn pump(&mut self, now: Instant) {
        while let Some(tag) = self.unwanted.pop() {
            self.give_up_dialling(tag, now);
        }
        if self.nicknames_unsettled() {
            self.settle_nicknames(now);
        }
        self.schedule_notifies(now);
        while let Some(output) = self.transactions.poll_output() {
            match output {
                TransactionOutput::Send { hop, message } => self.send(hop, message),
                TransactionOutput::SetTimer { id, timer, after } => {
                    self.alarms.set(Alarm::Transaction(id, timer), now + after);
                }
                TransactionOutput::ClearTimer { id, timer } => self.alarms.clear(&Alarm::Transaction(id, timer)),
            }
        }
        self.fence.close(&mut self.outputs);
    }

    pub(super) fn send(&mut self, hop: Hop, message: Bytes) {
        self.outputs.push_back(Output::Send { hop, message });
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn command(&mut self, shard: ShardId, command: Command) {
        self.outputs.push_back(Output::Command { shard, command });
    }

    /// Changes a session. What this input still sends leaves when the shard knows.
    pub(super) fn change_session(&mut self, shard: ShardId, session: SessionId, terms: Terms) {
        self.command(shard, Command::ChangeSession { session, terms: Box::new(terms) });
        self.fence.begin(session, &self.outputs);
    }

    pub(super) fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A new branch for a request of ours (RFC 3261 §8.1.1.7).
    pub(super) fn branch(&mut self) -> String {
        format!("z9hG4bK{:016x}", self.random())
    }
}
