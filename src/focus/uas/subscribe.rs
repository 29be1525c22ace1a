//! SUBSCRIBE: who may watch a room, and for how long (RFC 6665 §4.2.1, RFC 4575 §3).

use std::time::Duration;

use crate::call::{Caller, Dialog, Identity, Subscription, asks_for_sips};
use crate::facts::Subscribers;
use crate::focus::context::Context;
use crate::focus::headers::{ALLOW, EVENTS};
use crate::focus::refusal::Refusal;
use crate::focus::store::call::Call;
use crate::focus::store::subscription::{Package, Position, SubscriptionDialog, SubscriptionId, Watch};
use crate::focus::tag::Tag;
use crate::focus::uac::{notify, subscription};
use crate::focus::uas::subscribe_request::{self, SubscribeRequest};
use crate::focus::uas::{admit, claims, identity};
use crate::focus::{access, dialogs, headers, responses};
use crate::ids::RoomId;
use crate::limits::{
    REPORT_SECONDS_MAX, SUBSCRIPTION_SECONDS_MAX, SUBSCRIPTIONS_PER_DIALOG_MAX, SUBSCRIPTIONS_PER_USER_MAX,
};
use crate::shares::Claim;
use crate::transaction::TransactionId;
use parlor_proto::sip::{HeaderName, Hop, Request};
use parlor_proto::uri::Aor;

/// A SUBSCRIBE that begins a dialog.
pub fn handle(cx: &mut Context<'_>, id: &TransactionId, request: &Request, caller: &Caller, hop: Hop) {
    let claim = claims::claim_of(cx, request, caller, hop);
    match admit_subscriber(cx, request, caller, hop, &claim) {
        Err(refusal) => responses::refuse(cx, id, request, &refusal),
        Ok((tag, dialog, watch, wanted)) => {
            admit::begin_merging(cx, request, tag, hop);
            cx.subscriptions.keep_dialog(tag, dialog);
            begin_watching(cx, id, request, tag, (wanted, watch), &claim);
        }
    }
}

/// Answers a SUBSCRIBE and begins its subscription.
fn begin_watching(
    cx: &mut Context<'_>,
    id: &TransactionId,
    request: &Request,
    tag: Tag,
    (wanted, watch): (SubscribeRequest, Watch),
    claim: &Claim,
) {
    grant(cx, id, request, tag, &wanted);
    let subscription = Subscription::new(wanted.event, wanted.granted, cx.now);
    subscription::open(cx, tag, subscription, Package::Conference(watch), claim);
}

fn admit_subscriber(
    cx: &mut Context<'_>,
    request: &Request,
    caller: &Caller,
    hop: Hop,
    claim: &Claim,
) -> Result<(Tag, SubscriptionDialog, Watch, SubscribeRequest), Refusal> {
    admit::check_load(cx, claim)?;
    let name = admit::locate(cx, request)?.ok_or(Refusal::new(404))?;
    let wanted = subscribe_request::parse(request)?;
    admit::check_merged(cx, request)?;
    let tag = dialogs::new_tag(cx);
    let dialog = Dialog::called(request, &tag.to_string(), hop)?;
    let contact = headers::contact(&cx.core.settings, Some(&name), asks_for_sips(request), hop)?;
    let who = identity::identity(cx, request, caller, &name)?;
    access::check_room_patterns(cx, &name, &who)?;
    let room = cx.rooms.find(&name).filter(|room| room.open).map(|room| room.id);
    let known = room.and_then(|room| participant_of(cx, room, &who, hop));
    let user = known.clone().unwrap_or(who.member.user);
    let room = check_may_watch(cx, &name, room, known.is_some())?;
    let watch = new_watch(cx, room, user, claim)?;
    let sent_by = headers::sent_by(&cx.core.settings, hop);
    let vouched = matches!(caller, Caller::Asserted(_));
    let dialog = SubscriptionDialog { dialog, contact, sent_by, account: who.account, vouched };
    Ok((tag, dialog, watch, wanted))
}

/// The participant that subscribes: a user is one from its 200 on. An anonymous one is found by its account, or, without
/// one, by the address that its call came from.
fn participant_of(cx: &Context<'_>, room: RoomId, who: &Identity, hop: Hop) -> Option<Aor> {
    if cx.calls.has_joined(&who.member.user, room) {
        return Some(who.member.user.clone());
    }
    let room = cx.rooms.get(room)?;
    if who.account.as_ref().is_some_and(|account| !room.has_account(account)) {
        return None;
    }
    let mut calls = room.roster.calls().filter_map(|tag| cx.calls.get(tag)).filter(|call| call.has_joined());
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

/// The room, if the user may subscribe to it.
fn check_may_watch(cx: &Context<'_>, name: &str, room: Option<RoomId>, present: bool) -> Result<RoomId, Refusal> {
    let policy = cx.core.settings.rooms.policy(name).or_else(|| cx.rooms.find(name).map(|room| &room.policy));
    if !present && policy.is_none_or(|policy| policy.subscribers == Subscribers::Participants) {
        return Err(Refusal::new(403).because("Only Participants May Subscribe"));
    }
    room.ok_or(Refusal::new(480).because("Room Is Empty"))
}

/// A new watch on a room, unless there are too many.
fn new_watch(cx: &mut Context<'_>, room: RoomId, user: Aor, claim: &Claim) -> Result<Watch, Refusal> {
    if !cx.subscriptions.shares.has_room(claim, 1) {
        return Err(Refusal::later(10));
    }
    if cx.subscriptions.of_user(room, &user).len() >= SUBSCRIPTIONS_PER_USER_MAX {
        return Err(Refusal::new(403).because("Too Many Subscriptions"));
    }
    let name = cx.rooms.get(room).map(|room| room.name.clone()).ok_or(Refusal::new(480))?;
    let entity = headers::room_uri(&cx.core.settings, &name).into();
    Ok(Watch { room, entity, user, position: Position::default(), before: Position::default() })
}

/// A SUBSCRIBE within a dialog: a call's (RFC 6665 §4.5.2), or one that a SUBSCRIBE or a REFER made.
pub fn handle_in_dialog(cx: &mut Context<'_>, id: &TransactionId, request: &Request, tag: Tag, hop: Hop) {
    let outcome = subscribe_request::event_of(request).and_then(|event| match cx.subscriptions.find(tag, &event) {
        Some(known) => resubscribe(cx, known, request, tag, hop).map(|granted| (event, granted, Some(known))),
        None => subscribe_request::parse(request).map(|wanted| (wanted.event, wanted.granted, None)),
    });
    let (event, granted, known) = match outcome {
        Ok(outcome) => outcome,
        Err(refusal) => return responses::refuse(cx, id, request, &refusal),
    };
    let wanted = SubscribeRequest { event, granted };
    if let Some(known) = known {
        grant(cx, id, request, tag, &wanted);
        subscription::arm_expiry(cx, known);
        return notify::send_due(cx, known);
    }
    let claim = claims::claim_in(cx, tag, request, hop);
    match admit_in_dialog(cx, tag, &claim) {
        Ok(watch) => begin_watching(cx, id, request, tag, (wanted, watch), &claim),
        Err(refusal) => responses::refuse(cx, id, request, &refusal),
    }
}

fn resubscribe(
    cx: &mut Context<'_>,
    id: SubscriptionId,
    request: &Request,
    tag: Tag,
    hop: Hop,
) -> Result<Duration, Refusal> {
    let entry = cx.subscriptions.get_mut(id).ok_or(Refusal::new(481))?;
    let (over, default) = match entry.package {
        Package::Conference(_) => (Refusal::new(481), SUBSCRIPTION_SECONDS_MAX),
        Package::Refer(_) => (subscribe_request::not_by_subscribe(), REPORT_SECONDS_MAX),
    };
    let granted = subscribe_request::granted(request, default)?;
    if entry.subscription.is_ending() {
        return Err(over);
    }
    entry.subscription.refresh(granted, cx.now);
    // It is a target refresh request (RFC 6665 §4.4.1, RFC 3261 §12.2.2).
    if let Some(dialog) = dialogs::dialog_mut(cx, tag) {
        dialog.refresh(request, hop);
    }
    Ok(granted)
}

fn admit_in_dialog(cx: &mut Context<'_>, tag: Tag, claim: &Claim) -> Result<Watch, Refusal> {
    if cx.admission.draining {
        return Err(Refusal::later(60).because("Server Is Ending"));
    }
    if cx.subscriptions.watches_in(tag).count() >= SUBSCRIPTIONS_PER_DIALOG_MAX {
        return Err(Refusal::new(403).because("Too Many Subscriptions"));
    }
    if let Some(call) = cx.calls.get_mut(tag) {
        let (room, user, present) = (call.room, call.member.user.clone(), call.session_state.is_in_room());
        return if present { new_watch(cx, room, user, claim) } else { Err(Refusal::new(481)) };
    }
    let watch = cx.subscriptions.watches_in(tag).next().ok_or(Refusal::new(481))?;
    let (room, user) = (watch.room, watch.user.clone());
    new_watch(cx, room, user, claim)
}

/// The 200 to a SUBSCRIBE; its NOTIFY follows at once (RFC 6665 §4.2.1.2).
fn grant(cx: &mut Context<'_>, id: &TransactionId, request: &Request, tag: Tag, wanted: &SubscribeRequest) {
    let contact = dialogs::contact_in(cx, tag).unwrap_or_default();
    let response = responses::builder(&cx.core.settings, request, 200, &tag.to_string())
        .header(HeaderName::Contact, contact)
        .header(HeaderName::Expires, wanted.granted.as_secs().to_string())
        .header(HeaderName::Allow, ALLOW)
        .header(HeaderName::Supported, "")
        .header(HeaderName::AllowEvents, EVENTS)
        .echo(request, &HeaderName::RecordRoute)
        .empty();
    tracing::info!(subscription = %tag, event = %wanted.event, seconds = wanted.granted.as_secs(), "subscription accepted");
    cx.core.transactions.respond(id, response);
}
