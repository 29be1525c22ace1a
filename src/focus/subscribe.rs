//! SUBSCRIBE: who may watch a room, and for how long (RFC 6665 §4.2.1, RFC 4575 §3).

use std::time::{Duration, Instant};

use super::Focus;
use super::calls::{Call, Tag};
use super::conference_event::PACKAGE;
use super::face::Alarm;
use super::merged::InviteOrigin;
use super::refusal::Refusal;
use super::replies::{ALLOW, EVENTS};
use super::report::REFER;
use super::subscriptions::{Leg, Package, Place, SubscriptionId, Watch};
use crate::call::{Caller, Dialog, EventName, Identity, Subscription, asks_for_sips};
use crate::facts::Subscribers;
use crate::ids::RoomId;
use crate::limits::{
    REPORT_SECONDS_MAX, SUBSCRIPTION_SECONDS_MAX, SUBSCRIPTION_SECONDS_MIN, SUBSCRIPTIONS_PER_DIALOG_MAX,
    SUBSCRIPTIONS_PER_USER_MAX,
};
use crate::shares::Claim;
use crate::transaction::TransactionId;
use parlor_proto::conference_info::MEDIA_TYPE;
use parlor_proto::sip::{HeaderName, Hop, Request, accepts_media_type, body_is_optional, text};
use parlor_proto::uri::Aor;

/// What a SUBSCRIBE asks for.
struct Wish {
    event: EventName,
    granted: Duration,
}

impl Focus {
    /// A SUBSCRIBE that begins a dialog.
    pub(super) fn handle_subscribe(
        &mut self,
        id: &TransactionId,
        request: &Request,
        caller: &Caller,
        hop: Hop,
        now: Instant,
    ) {
        let claim = self.claim_of(request, caller, hop);
        match self.admit_subscriber(request, caller, hop, &claim, now) {
            Err(refusal) => self.refuse(id, request, &refusal),
            Ok((tag, leg, watch, wish)) => {
                self.begin_merging(request, tag, hop, now);
                self.subscriptions.keep(tag, leg);
                self.begin_watching(id, request, tag, (wish, watch), &claim, now);
            }
        }
    }

    /// Answers a SUBSCRIBE, and begins what it asks for.
    fn begin_watching(
        &mut self,
        id: &TransactionId,
        request: &Request,
        tag: Tag,
        (wish, watch): (Wish, Watch),
        claim: &Claim,
        now: Instant,
    ) {
        self.grant(id, request, tag, &wish);
        let subscription = Subscription::new(wish.event, wish.granted, now);
        self.open_subscription(tag, subscription, Package::Conference(watch), claim, now);
    }

    fn admit_subscriber(
        &mut self,
        request: &Request,
        caller: &Caller,
        hop: Hop,
        claim: &Claim,
        now: Instant,
    ) -> Result<(Tag, Leg, Watch, Wish), Refusal> {
        self.check_load(claim, now)?;
        let name = self.locate(request)?.ok_or(Refusal::new(404))?;
        let wish = wish_of(request)?;
        let origin = InviteOrigin::of(request, self.tag_keys).ok_or(Refusal::new(400))?;
        if self.merged.has(origin, now) {
            return Err(Refusal::new(482).because("Merged Request"));
        }
        let tag = self.new_tag();
        let dialog = Dialog::called(request, &tag.to_string(), hop)?;
        let contact = self.contact(Some(&name), asks_for_sips(request), hop)?;
        let who = self.identity(request, caller, &name)?;
        self.check_room_patterns(&name, &who)?;
        let room = self.rooms.find(&name).filter(|room| room.open).map(|room| room.id);
        let known = room.and_then(|room| self.user_within(room, &who, hop));
        let user = known.clone().unwrap_or(who.member.user);
        let room = self.watchable(&name, room, known.is_some())?;
        let watch = self.watch(room, user, claim)?;
        let sent_by = self.sent_by(hop);
        let vouched = matches!(caller, Caller::Asserted(_));
        let leg = Leg { dialog, contact, sent_by, account: who.account, vouched };
        Ok((tag, leg, watch, wish))
    }

    /// The user in a room who subscribes: one is from its 200 on. One who is hidden there is known by who it is; of whom nobody
    /// knows that, the place that the call came from tells.
    fn user_within(&self, room: RoomId, who: &Identity, hop: Hop) -> Option<Aor> {
        if self.calls.has_joined(&who.member.user, room) {
            return Some(who.member.user.clone());
        }
        let room = self.rooms.get(room)?;
        if who.account.as_ref().is_some_and(|account| !room.has_account(account)) {
            return None;
        }
        let mut calls = room.roster.calls().filter_map(|tag| self.calls.get(tag)).filter(|call| call.has_joined());
        let same = |call: &&Call| match &who.account {
            Some(account) => call.account.as_ref() == Some(account),
            None => {
                let at = call.dialog.hop();
                let hidden = call.member.anonymous && call.account.is_none();
                hidden && (at.remote, at.connection) == (hop.remote, hop.connection)
            }
        };
        calls.find(same).map(|call| call.member.user.clone())
    }

    /// The room, if whoever is in it or not may watch it.
    fn watchable(&self, name: &str, room: Option<RoomId>, present: bool) -> Result<RoomId, Refusal> {
        let policy = self.settings.rooms.policy(name).or_else(|| self.rooms.find(name).map(|room| &room.policy));
        if !present && policy.is_none_or(|policy| policy.subscribers == Subscribers::Participants) {
            return Err(Refusal::new(403).because("Only Participants May Subscribe"));
        }
        room.ok_or(Refusal::new(480).because("Nobody Is In The Room"))
    }

    /// A new watch on a room, unless there are too many.
    fn watch(&mut self, room: RoomId, user: Aor, claim: &Claim) -> Result<Watch, Refusal> {
        if !self.subscriptions.shares.has_room(claim, 1) {
            return Err(Refusal::later(10));
        }
        if self.subscriptions.of_user(room, &user).len() >= SUBSCRIPTIONS_PER_USER_MAX {
            return Err(Refusal::new(403).because("Too Many Subscriptions"));
        }
        let name = self.rooms.get(room).map(|room| room.name.clone()).ok_or(Refusal::new(480))?;
        let entity = self.room_uri(&name).into();
        Ok(Watch { room, entity, user, place: Place::default(), before: Place::default() })
    }

    /// A SUBSCRIBE within a dialog: a call's (RFC 6665 §4.5.2), or one that a SUBSCRIBE or a REFER made.
    pub(super) fn handle_subscribe_in_dialog(
        &mut self,
        id: &TransactionId,
        request: &Request,
        tag: Tag,
        hop: Hop,
        now: Instant,
    ) {
        let outcome = wish_of_known(request).and_then(|event| match self.subscriptions.find(tag, &event) {
            Some(known) => self.resubscribe(known, request, tag, hop, now).map(|granted| (event, granted, Some(known))),
            None => wish_of(request).map(|wish| (wish.event, wish.granted, None)),
        });
        let (event, granted, known) = match outcome {
            Ok(outcome) => outcome,
            Err(refusal) => return self.refuse(id, request, &refusal),
        };
        let wish = Wish { event, granted };
        if let Some(known) = known {
            self.grant(id, request, tag, &wish);
            self.set_expiry(known);
            return self.notify_due(known, now);
        }
        let claim = self.claim_in(tag, request, hop);
        match self.admit_in_dialog(tag, &claim) {
            Ok(watch) => self.begin_watching(id, request, tag, (wish, watch), &claim, now),
            Err(refusal) => self.refuse(id, request, &refusal),
        }
    }

    fn resubscribe(
        &mut self,
        id: SubscriptionId,
        request: &Request,
        tag: Tag,
        hop: Hop,
        now: Instant,
    ) -> Result<Duration, Refusal> {
        let held = self.subscriptions.get_mut(id).ok_or(Refusal::new(481))?;
        let (over, default) = match held.package {
            Package::Conference(_) => (Refusal::new(481), SUBSCRIPTION_SECONDS_MAX),
            Package::Refer(_) => (not_by_subscribe(), REPORT_SECONDS_MAX),
        };
        let granted = granted(request, default)?;
        if held.subscription.is_ending() {
            return Err(over);
        }
        held.subscription.refresh(granted, now);
        // It is a target refresh request (RFC 6665 §4.4.1, RFC 3261 §12.2.2).
        if let Some(dialog) = self.dialog_mut(tag) {
            dialog.refresh(request, hop);
        }
        Ok(granted)
    }

    fn admit_in_dialog(&mut self, tag: Tag, claim: &Claim) -> Result<Watch, Refusal> {
        if self.draining {
            return Err(Refusal::later(60).because("Server Is Ending"));
        }
        if self.subscriptions.watches_in(tag).count() >= SUBSCRIPTIONS_PER_DIALOG_MAX {
            return Err(Refusal::new(403).because("Too Many Subscriptions"));
        }
        if let Some(call) = self.calls.get_mut(tag) {
            let (room, user, present) = (call.room, call.member.user.clone(), call.present);
            return if present { self.watch(room, user, claim) } else { Err(Refusal::new(481)) };
        }
        let watch = self.subscriptions.watches_in(tag).next().ok_or(Refusal::new(481))?;
        let (room, user) = (watch.room, watch.user.clone());
        self.watch(room, user, claim)
    }

    /// The 200 to a SUBSCRIBE; its NOTIFY follows at once (RFC 6665 §4.2.1.2).
    fn grant(&mut self, id: &TransactionId, request: &Request, tag: Tag, wish: &Wish) {
        let contact = self.contact_in(tag).unwrap_or_default();
        let response = self
            .reply(request, 200, &tag.to_string())
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Expires, wish.granted.as_secs().to_string())
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, "")
            .header(HeaderName::AllowEvents, EVENTS)
            .echo(request, &HeaderName::RecordRoute)
            .empty();
        tracing::info!(subscription = %tag, event = %wish.event, seconds = wish.granted.as_secs(), "a subscription");
        self.transactions.respond(id, response);
    }

    /// Opens a subscription in a dialog, a call's or a kept one, and sends its first NOTIFY.
    pub(super) fn open_subscription(
        &mut self,
        tag: Tag,
        subscription: Subscription,
        package: Package,
        claim: &Claim,
        now: Instant,
    ) -> SubscriptionId {
        let id = self.subscriptions.insert(tag, subscription, package, claim);
        self.set_expiry(id);
        self.notify_due(id, now);
        id
    }

    pub(super) fn set_expiry(&mut self, id: SubscriptionId) {
        let at = self.subscriptions.get_mut(id).and_then(|held| held.subscription.expires_at());
        match at {
            Some(at) => self.alarms.set(Alarm::Expiry(id), at),
            None => self.alarms.clear(&Alarm::Expiry(id)),
        }
    }
}

/// The event of a SUBSCRIBE; 489 without one, or with several (RFC 6665 §4.2.1.1, §4.2.3).
fn wish_of_known(request: &Request) -> Result<EventName, Refusal> {
    EventName::of(&request.headers).ok_or_else(bad_event)
}

/// What a new subscription is to be.
fn wish_of(request: &Request) -> Result<Wish, Refusal> {
    let event = wish_of_known(request)?;
    if event.package == REFER {
        return Err(not_by_subscribe());
    }
    if event.package != PACKAGE {
        return Err(bad_event());
    }
    if request.headers.get(&HeaderName::Accept).is_some() && !accepts_media_type(&request.headers, MEDIA_TYPE) {
        return Err(Refusal::new(406).with(HeaderName::Accept, MEDIA_TYPE));
    }
    // No filter is known (RFC 4575 §3.2, RFC 3261 §8.2.3).
    if !request.body().is_empty() && !body_is_optional(&request.headers) {
        return Err(Refusal::new(415).with(HeaderName::Accept, ""));
    }
    Ok(Wish { event, granted: granted(request, SUBSCRIPTION_SECONDS_MAX)? })
}

fn bad_event() -> Refusal {
    Refusal::new(489).with(HeaderName::AllowEvents, EVENTS)
}

/// REFER alone begins a subscription to what becomes of it (RFC 3515 §2.4.4).
fn not_by_subscribe() -> Refusal {
    Refusal::new(403).because("Only REFER Subscribes To It")
}

/// For how long: `default` seconds where nothing is asked, never longer than asked, and 423 for less than is worth it
/// (RFC 6665 §4.2.1.1).
fn granted(request: &Request, default: u64) -> Result<Duration, Refusal> {
    let asked = match text(&request.headers, &HeaderName::Expires) {
        None => default,
        Some(value) => {
            let digits = value.trim();
            let legal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if !legal {
                return Err(Refusal::new(400).because("Bad Expires"));
            }
            digits.parse().unwrap_or(u64::MAX)
        }
    };
    if (1..SUBSCRIPTION_SECONDS_MIN).contains(&asked) {
        return Err(Refusal::new(423).with(HeaderName::MinExpires, SUBSCRIPTION_SECONDS_MIN.to_string()));
    }
    Ok(Duration::from_secs(asked.min(SUBSCRIPTION_SECONDS_MAX)))
}
