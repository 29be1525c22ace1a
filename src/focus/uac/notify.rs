//! NOTIFYs: when they are sent, and over what (RFC 6665 §4.2.2).

use std::time::Duration;

use bytes::Bytes;

use crate::call::Due;
use crate::focus::context::Context;
use crate::focus::roster::document;
use crate::focus::store::subscription::SIPFRAG;
use crate::focus::store::subscription::{Package, SubscriptionId};
use crate::focus::timer::Timer;
use crate::focus::{dialogs, headers};
use crate::limits::{DATAGRAM_REQUEST_BYTES_MAX, NOTIFIES_PER_BURST_MAX};
use parlor_proto::conference_info::MEDIA_TYPE;
use parlor_proto::sip::{HeaderName, Method};

/// How soon the next burst of NOTIFYs follows: a large room must not drown its subscribers' answers.
const BURST_INTERVAL: Duration = Duration::from_millis(5);

/// Sends the NOTIFY of a subscription that is due, if one is. It waits in the queue where its connection has enough to answer.
pub fn send_due(cx: &mut Context<'_>, id: SubscriptionId) {
    if is_congested(cx, id) {
        cx.subscriptions.enqueue(id);
        if !cx.core.timers.is_set(&Timer::NotifyBurst) {
            cx.core.timers.set(Timer::NotifyBurst, cx.now + BURST_INTERVAL);
        }
        return;
    }
    let Some(entry) = cx.subscriptions.get_mut(id) else { return };
    let Some(due) = entry.subscription.due(cx.now) else { return };
    let body = body_of(cx, id, due);
    let Some(entry) = cx.subscriptions.get_mut(id) else { return };
    let state = entry.subscription.sent(cx.now);
    let (tag, event, datagrams_only) = (entry.tag, entry.subscription.event().to_string(), entry.datagrams_only);
    document::queue_rest(cx, id);
    let branch = cx.core.branch();
    let (software, supported) = (cx.core.settings.software.clone(), headers::supported(&cx.core.settings));
    let Some((dialog, contact, sent_by)) = dialogs::parts_of(cx, tag) else { return forget(cx, id) };
    // RFC 3261 §18.1.1: what is large goes over a stream.
    let own = contact.len() + software.len() + supported.len();
    let large = body.as_ref().map_or(0, |(_, body)| body.len()) + dialog.weight() + own > DATAGRAM_REQUEST_BYTES_MAX;
    let (builder, hop) = match large && !datagrams_only {
        true => dialog.large_request(Method::Notify, sent_by, &branch),
        false => dialog.request(Method::Notify, sent_by, &branch),
    };
    let builder = builder
        .header(HeaderName::Contact, contact.to_owned())
        .header(HeaderName::Event, event)
        .header(HeaderName::SubscriptionState, state)
        .header(HeaderName::Supported, supported)
        .header(HeaderName::UserAgent, software);
    let notify = match body {
        Some((media_type, body)) => builder.body(media_type, body),
        None => builder.empty(),
    };
    let octets = notify.body().len();
    match cx.core.transactions.request(notify, hop) {
        Some(transaction) => cx.subscriptions.in_flight.insert(transaction, id, hop.connection, octets),
        None => forget(cx, id),
    }
}

fn is_congested(cx: &mut Context<'_>, id: SubscriptionId) -> bool {
    let tag = cx.subscriptions.get_mut(id).map(|entry| entry.tag);
    let route = tag.and_then(|tag| dialogs::dialog_mut(cx, tag)).map(|dialog| dialog.hop().connection);
    route.flatten().is_some_and(|connection| cx.subscriptions.in_flight.is_congested(connection))
}

/// The body of a NOTIFY that is due, with its type, if it has one.
fn body_of(cx: &mut Context<'_>, id: SubscriptionId, due: Due) -> Option<(&'static str, Bytes)> {
    match &cx.subscriptions.get_mut(id)?.package {
        // Every one of its NOTIFYs has a body (RFC 3515 §2.4.4).
        Package::Refer(progress) => Some((SIPFRAG, progress.body())),
        Package::Conference(_) => document::next_document(cx, id, due).map(|document| (MEDIA_TYPE, document)),
    }
}

/// Sends what waits in the queue, a burst at a time.
pub fn send_burst(cx: &mut Context<'_>) {
    for _ in 0..NOTIFIES_PER_BURST_MAX {
        let Some(id) = cx.subscriptions.dequeue() else { return };
        send_due(cx, id);
    }
    if cx.subscriptions.has_queue() {
        cx.core.timers.set(Timer::NotifyBurst, cx.now + BURST_INTERVAL);
    }
}

pub fn forget(cx: &mut Context<'_>, id: SubscriptionId) {
    cx.core.timers.clear(&Timer::Expiry(id));
    cx.core.timers.clear(&Timer::RetryAfter(id));
    cx.subscriptions.remove(id);
}
