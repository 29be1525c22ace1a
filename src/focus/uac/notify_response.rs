//! What the answers to NOTIFYs mean (RFC 6665 §4.2.2).

use std::time::Duration;

use crate::call::Outcome;
use crate::focus::context::Context;
use crate::focus::dialogs;
use crate::focus::timer::Timer;
use crate::focus::uac::notify;
use crate::limits::NOTIFY_RETRY_SECONDS_MAX;
use crate::shares::network;
use crate::transaction::TransactionId;
use parlor_proto::sip::{HeaderName, Response, text};

/// A NOTIFY was answered; `false` where the transaction is none of ours.
pub fn on_response(cx: &mut Context<'_>, transaction: &TransactionId, response: &Response) -> bool {
    if !response.status.is_final() {
        return cx.subscriptions.in_flight.get(transaction).is_some();
    }
    let Some(id) = cx.subscriptions.in_flight.remove(transaction) else { return false };
    let sent_to = cx.core.transactions.hop(transaction).map(|hop| hop.remote.ip());
    // The transaction is not needed any more: a retransmitted response is dropped without it.
    cx.core.transactions.forget(transaction);
    // It shows that the subscriber is where it has called from only if it was sent there.
    let tag = cx.subscriptions.get_mut(id).map(|entry| entry.tag);
    let at = tag.and_then(|tag| dialogs::dialog_mut(cx, tag)).map(|dialog| dialog.hop().remote.ip());
    if at.zip(sent_to).is_some_and(|(at, sent_to)| network(at) == network(sent_to)) {
        cx.subscriptions.prove(id);
    }
    let Some(entry) = cx.subscriptions.get_mut(id) else { return true };
    let status = response.status.code();
    let retry_after = text(&response.headers, &HeaderName::RetryAfter).and_then(|value| seconds(&value));
    match entry.subscription.answered(
        status,
        retry_after.map(|after| after.min(Duration::from_secs(NOTIFY_RETRY_SECONDS_MAX))),
        cx.now,
    ) {
        Outcome::Terminated => {
            if status >= 300 {
                tracing::info!(subscription = %entry.tag, status, "a subscriber refuses a NOTIFY");
            }
            notify::forget(cx, id);
        }
        Outcome::Continues => {
            if let Some(at) = entry.subscription.not_before() {
                cx.core.timers.set(Timer::RetryAfter(id), at);
            }
            notify::send_due(cx, id);
        }
    }
    true
}

/// A NOTIFY was not answered in time, or its connection is closed: the subscription is removed
/// (RFC 6665 §4.2.2).
pub fn on_failure(cx: &mut Context<'_>, transaction: &TransactionId) {
    let Some(id) = cx.subscriptions.in_flight.remove(transaction) else { return };
    if let Some(entry) = cx.subscriptions.get_mut(id) {
        tracing::info!(subscription = %entry.tag, "a subscriber does not answer");
    }
    notify::forget(cx, id);
}

/// A NOTIFY could not be sent. Where it took a stream for its size only, it goes in a datagram (RFC 3261 §18.1.1).
pub fn on_unsent(cx: &mut Context<'_>, transaction: &TransactionId, number: Option<u32>) {
    let Some(id) = cx.subscriptions.in_flight.get(transaction) else { return };
    let Some(entry) = cx.subscriptions.get_mut(id) else { return };
    let tag = entry.tag;
    let may = !entry.datagrams_only;
    let Some(dialog) = dialogs::dialog_mut(cx, tag).filter(|dialog| may && !dialog.is_reliable()) else {
        return on_failure(cx, transaction);
    };
    number.into_iter().for_each(|number| dialog.unsent(number));
    cx.subscriptions.in_flight.remove(transaction);
    if let Some(entry) = cx.subscriptions.get_mut(id) {
        entry.datagrams_only = true;
        entry.subscription.unsent();
        if let Some(watch) = entry.watch_mut() {
            watch.position = watch.before;
        }
    }
    notify::send_due(cx, id);
}

/// The seconds of a Retry-After, whose comment and parameters may follow.
fn seconds(value: &str) -> Option<Duration> {
    let digits: String = value.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_secs)
}
