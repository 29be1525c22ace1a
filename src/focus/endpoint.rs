//! Public API of the focus.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::call::Users;
use crate::facts::{Event, Fingerprint, Refusal as ShardRefusal};
use crate::focus::context::{Context, Stores};
use crate::focus::core::Core;
use crate::focus::lifecycle::room;
use crate::focus::output::{Awaited, Counts, Output};
use crate::focus::settings::{RoomSettings, Settings};
use crate::focus::timer::{LAST_NOTIFY_PATIENCE, Timer};
use crate::focus::{dispatch, uac, uas};
use crate::ids::{SessionId, ShardId};
use crate::transaction::{Arrival, TransactionId};
use parlor_proto::sip::{Hop, MalformedRequest, Message, SipConnection, cseq_number, parse_datagram};

/// The focus. See the module for how it is driven.
#[derive(Debug)]
pub struct Focus {
    pub(super) core: Core,
    pub(super) stores: Stores,
}

impl Focus {
    /// A focus without rooms. Everything that must not be guessed is made of `seed`.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut nonce_key = [0; 32];
        rng.fill_bytes(&mut nonce_key);
        let stores = Stores::new(&settings, nonce_key);
        Self { core: Core::new(settings, rng), stores }
    }

    /// A SIP message has come; `hop` says how, its remote end being the source.
    pub fn handle_message(&mut self, message: Message, hop: Hop, now: Instant) {
        self.handle(now, |cx| {
            let arrival = match message {
                Message::Request(request) => uas::request::receive(cx, request, hop),
                Message::Response(response) => cx.core.transactions.receive(Message::Response(response), hop),
            };
            dispatch::on_arrival(cx, arrival, hop);
        });
    }

    /// A request has come that cannot be read: it is refused without state (RFC 3261 §18.3, RFC 4475 §3.1.2).
    pub fn handle_malformed(&mut self, malformed: MalformedRequest, hop: Hop) {
        uas::request::refuse_malformed(&mut self.core, malformed, hop);
    }

    /// Something happened on a shard.
    pub fn handle_event(&mut self, shard: ShardId, event: Event, now: Instant) {
        self.handle(now, |cx| dispatch::on_event(cx, shard, event));
    }

    /// A message of ours could not be sent: a request fails (RFC 3261 §17.1.4).
    pub fn handle_unsent(&mut self, message: &[u8], now: Instant) {
        self.handle(now, |cx| {
            if let Ok(Some(Message::Request(request))) = parse_datagram(message)
                && let Some(Arrival::TimedOut(id)) = cx.core.transactions.unsent(&request)
            {
                uac::bye::on_final_response(cx, &id);
                uac::notify_response::on_unsent(cx, &id, cseq_number(&request.headers));
                uac::response::on_failure(cx, &id, 503);
            }
        });
    }

    /// A connection is closed: the requests that were sent on it fail.
    pub fn handle_closed(&mut self, connection: SipConnection, now: Instant) {
        self.handle(now, |cx| {
            let transactions = &cx.core.transactions;
            let on = |id: &&TransactionId| transactions.hop(id).is_some_and(|hop| hop.connection == Some(connection));
            let notifies = cx.subscriptions.in_flight.over(connection);
            let lost: Vec<TransactionId> = cx.byes.ids().filter(on).chain(notifies).cloned().collect();
            for id in lost {
                cx.core.transactions.fail(&id);
                dispatch::on_unanswered(cx, &id);
            }
            uac::response::on_closed(cx, connection);
        });
    }

    /// A shard's queue had no room for a session.
    pub fn handle_full(&mut self, session: SessionId, now: Instant) {
        self.handle(now, |cx| dispatch::on_session_refused(cx, session, ShardRefusal::Full));
    }

    /// The addresses of a name were looked up; none where there are none.
    pub fn handle_looked_up(&mut self, query: u64, addresses: &[IpAddr], now: Instant) {
        self.handle(now, |cx| uac::outgoing::on_looked_up(cx, query, addresses));
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.core.timers.pop_due(now) {
            self.handle(now, |cx| dispatch::on_timer(cx, timer));
        }
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.core.timers.next()
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.core.outputs.pop()
    }

    /// Refuses new calls and ends all others. [`Self::is_drained`] says when all have ended.
    pub fn drain(&mut self, now: Instant) {
        self.handle(now, |cx| {
            cx.admission.draining = true;
            cx.core.timers.set(Timer::DrainNotify, now + LAST_NOTIFY_PATIENCE);
            uac::subscription::end_all(cx);
            uac::bye::end_all(cx);
        });
    }

    /// What a drain waits for.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        Awaited {
            calls: self.stores.calls.len(),
            invitations: self.stores.outgoing.len(),
            byes: self.stores.byes.len(),
            subscriptions: self.stores.subscriptions.awaited(),
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
        self.handle(now, |cx| {
            cx.rooms.set_max(rooms.max_rooms);
            cx.core.settings.rooms = rooms;
            room::reopen_changed(cx);
        });
    }

    /// Replaces the users, for all requests from now on; `None` turns authentication off.
    pub fn replace_users(&mut self, users: Option<Arc<Users>>) {
        self.stores.admission.replace_users(users, || self.core.random_key());
    }

    /// Puts another certificate's fingerprints into what is described from now on.
    pub fn replace_fingerprints(&mut self, fingerprints: Vec<Fingerprint>) {
        self.core.settings.fingerprints = fingerprints;
    }

    /// Sets the wall-clock time (since 1970) at `now`, for the joining times in rosters. Without, they have none.
    pub fn set_wall_clock(&mut self, now: Instant, since_1970: Duration) {
        self.core.clock_anchor = Some((now, since_1970));
    }

    /// Says whether there are descriptors for the connections of another call. Where there are none, calls are 503.
    pub fn set_descriptors_short(&mut self, short: bool) {
        let admission = &mut self.stores.admission;
        if short && !admission.descriptors_short {
            tracing::warn!("calls are answered 503: there are no descriptors for their connections");
        }
        admission.descriptors_short = short;
    }

    /// The connections that a call or a subscription goes over. Takes time for each of them.
    #[must_use]
    pub fn connections_in_use(&self) -> HashSet<SipConnection> {
        self.stores.calls.connections().chain(self.stores.subscriptions.connections()).collect()
    }

    /// How much there is of everything.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            calls: self.stores.calls.len(),
            rooms: self.stores.rooms.len(),
            transactions: self.core.transactions.servers(),
            subscriptions: self.stores.subscriptions.len(),
        }
    }

    /// Handles one input, and what follows from it.
    fn handle(&mut self, now: Instant, input: impl FnOnce(&mut Context<'_>)) {
        let mut cx = self.stores.context(&mut self.core, now);
        input(&mut cx);
        dispatch::finish(&mut cx);
    }
}
