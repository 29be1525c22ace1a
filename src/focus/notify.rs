//! NOTIFYs: when they are sent, over what, and what their answers mean (RFC 6665 §4.2.2).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Focus;
use super::calls::{Call, Tag};
use super::face::Alarm;
use super::report::SIPFRAG;
use super::subscriptions::{Leg, Package, SubscriptionId};
use crate::call::{Dialog, Due, EndOfSubscription, Standing};
use crate::limits::{DATAGRAM_REQUEST_BYTES_MAX, NOTIFIES_PER_BURST_MAX, NOTIFY_RETRY_SECONDS_MAX};
use crate::shares::network;
use crate::transaction::TransactionId;
use parlor_proto::conference_info::MEDIA_TYPE;
use parlor_proto::sip::{HeaderName, Method, Response, text};

/// How soon the next burst of NOTIFYs follows: a large room must not drown its subscribers' answers.
const BURST_INTERVAL: Duration = Duration::from_millis(5);

impl Focus {
    /// Sends the NOTIFY of a subscription that is due, if one is. It waits in the queue where its connection has enough to answer.
    pub(super) fn notify_due(&mut self, id: SubscriptionId, now: Instant) {
        if self.is_crowded(id) {
            self.subscriptions.enqueue(id);
            if !self.alarms.is_set(&Alarm::Burst) {
                self.alarms.set(Alarm::Burst, now + BURST_INTERVAL);
            }
            return;
        }
        let Some(held) = self.subscriptions.get_mut(id) else { return };
        let Some(due) = held.subscription.due(now) else { return };
        let body = self.body_of(id, due);
        let Some(held) = self.subscriptions.get_mut(id) else { return };
        let state = held.subscription.sent(now);
        let (tag, event, datagrams_only) = (held.tag, held.subscription.event().to_string(), held.datagrams_only);
        self.tell_the_rest(id);
        let branch = self.branch();
        let (software, supported) = (self.settings.software.clone(), self.supported());
        let Some((dialog, contact, sent_by)) = self.way_of(tag) else { return self.forget_subscription(id) };
        // RFC 3261 §18.1.1: what is large goes over a stream.
        let own = contact.len() + software.len() + supported.len();
        let large =
            body.as_ref().map_or(0, |(_, body)| body.len()) + dialog.weight() + own > DATAGRAM_REQUEST_BYTES_MAX;
        let (ask, hop) = match large && !datagrams_only {
            true => dialog.large_request(Method::Notify, sent_by, &branch),
            false => dialog.request(Method::Notify, sent_by, &branch),
        };
        let ask = ask
            .header(HeaderName::Contact, contact.to_owned())
            .header(HeaderName::Event, event)
            .header(HeaderName::SubscriptionState, state)
            .header(HeaderName::Supported, supported)
            .header(HeaderName::UserAgent, software);
        let notify = match body {
            Some((media_type, body)) => ask.body(media_type, body),
            None => ask.empty(),
        };
        let octets = notify.body().len();
        match self.transactions.request(notify, hop) {
            Some(transaction) => self.subscriptions.under_way.insert(transaction, id, hop.connection, octets),
            None => self.forget_subscription(id),
        }
    }

    fn is_crowded(&mut self, id: SubscriptionId) -> bool {
        let tag = self.subscriptions.get_mut(id).map(|held| held.tag);
        let way = tag.and_then(|tag| self.dialog_mut(tag)).map(|dialog| dialog.hop().connection);
        way.flatten().is_some_and(|connection| self.subscriptions.under_way.is_crowded(connection))
    }

    /// The body of a NOTIFY that is due, with its type, if it has one.
    fn body_of(&mut self, id: SubscriptionId, due: Due) -> Option<(&'static str, Bytes)> {
        match &self.subscriptions.get_mut(id)?.package {
            // Every one of its NOTIFYs has a body (RFC 3515 §2.4.4).
            Package::Refer(progress) => Some((SIPFRAG, progress.told())),
            Package::Conference(_) => self.conference_document(id, due).map(|document| (MEDIA_TYPE, document)),
        }
    }

    /// The dialog of a subscription, our Contact in it and where we await answers.
    fn way_of(&mut self, tag: Tag) -> Option<(&mut Dialog, &str, &str)> {
        if let Some(Call { dialog, contact, sent_by, .. }) = self.calls.get_mut(tag) {
            return Some((dialog, contact, sent_by));
        }
        let Leg { dialog, contact, sent_by, .. } = self.subscriptions.leg_mut(tag)?;
        Some((dialog, contact, sent_by))
    }

    /// Our Contact in a dialog.
    pub(super) fn contact_in(&mut self, tag: Tag) -> Option<String> {
        self.way_of(tag).map(|(_, contact, _)| contact.to_owned())
    }

    pub(super) fn dialog_mut(&mut self, tag: Tag) -> Option<&mut Dialog> {
        self.way_of(tag).map(|(dialog, ..)| dialog)
    }

    /// Sends what waits in the queue, a burst at a time.
    pub(super) fn notify_burst(&mut self, now: Instant) {
        for _ in 0..NOTIFIES_PER_BURST_MAX {
            let Some(id) = self.subscriptions.dequeue() else { return };
            self.notify_due(id, now);
        }
        if self.subscriptions.has_queue() {
            self.alarms.set(Alarm::Burst, now + BURST_INTERVAL);
        }
    }

    /// A NOTIFY was answered; `false` where the transaction is none of ours.
    pub(super) fn notify_answered(&mut self, transaction: &TransactionId, response: &Response, now: Instant) -> bool {
        if !response.status.is_final() {
            return self.subscriptions.under_way.get(transaction).is_some();
        }
        let Some(id) = self.subscriptions.under_way.remove(transaction) else { return false };
        let sent_to = self.transactions.hop(transaction).map(|hop| hop.remote.ip());
        // Nobody needs the transaction any more: a response that comes again is dropped without it.
        self.transactions.forget(transaction);
        // It shows that the subscriber is where it has called from only if it was sent there.
        let tag = self.subscriptions.get_mut(id).map(|held| held.tag);
        let at = tag.and_then(|tag| self.dialog_mut(tag)).map(|dialog| dialog.hop().remote.ip());
        if at.zip(sent_to).is_some_and(|(at, sent_to)| network(at) == network(sent_to)) {
            self.subscriptions.prove(id);
        }
        let Some(held) = self.subscriptions.get_mut(id) else { return true };
        let status = response.status.code();
        let retry_after = text(&response.headers, &HeaderName::RetryAfter).and_then(|value| seconds(&value));
        match held.subscription.answered(
            status,
            retry_after.map(|after| after.min(Duration::from_secs(NOTIFY_RETRY_SECONDS_MAX))),
            now,
        ) {
            Standing::Over => {
                if status >= 300 {
                    tracing::info!(subscription = %held.tag, status, "a subscriber refuses a NOTIFY");
                }
                self.forget_subscription(id);
            }
            Standing::Stands => {
                if let Some(at) = held.subscription.not_before() {
                    self.alarms.set(Alarm::Patience(id), at);
                }
                self.notify_due(id, now);
            }
        }
        true
    }

    /// A NOTIFY was not answered in time, or its connection is over: whoever does not answer is no subscriber any more
    /// (RFC 6665 §4.2.2).
    pub(super) fn notify_lost(&mut self, transaction: &TransactionId) {
        let Some(id) = self.subscriptions.under_way.remove(transaction) else { return };
        if let Some(held) = self.subscriptions.get_mut(id) {
            tracing::info!(subscription = %held.tag, "a subscriber does not answer");
        }
        self.forget_subscription(id);
    }

    /// A NOTIFY could not be sent. Where it took a stream for its size only, it goes in a datagram (RFC 3261 §18.1.1).
    pub(super) fn notify_unsent(&mut self, transaction: &TransactionId, number: Option<u32>, now: Instant) {
        let Some(id) = self.subscriptions.under_way.get(transaction) else { return };
        let Some(held) = self.subscriptions.get_mut(id) else { return };
        let tag = held.tag;
        let may = !held.datagrams_only;
        let Some(dialog) = self.dialog_mut(tag).filter(|dialog| may && !dialog.is_reliable()) else {
            return self.notify_lost(transaction);
        };
        number.into_iter().for_each(|number| dialog.unsent(number));
        self.subscriptions.under_way.remove(transaction);
        if let Some(held) = self.subscriptions.get_mut(id) {
            held.datagrams_only = true;
            held.subscription.unsent();
            if let Some(watch) = held.watch_mut() {
                watch.place = watch.before;
            }
        }
        self.notify_due(id, now);
    }

    /// Ends a subscription; its last NOTIFY says why.
    pub(super) fn end_subscription(&mut self, id: SubscriptionId, why: EndOfSubscription, now: Instant) {
        let Some(held) = self.subscriptions.get_mut(id) else { return };
        held.subscription.end(why);
        self.set_expiry(id);
        self.notify_due(id, now);
    }

    pub(super) fn forget_subscription(&mut self, id: SubscriptionId) {
        self.alarms.clear(&Alarm::Expiry(id));
        self.alarms.clear(&Alarm::Patience(id));
        self.subscriptions.remove(id);
    }

    /// A call has ended, and its dialog stays for the subscriptions in it (RFC 6665 §4.5.2).
    pub(super) fn leave_dialog_to_subscriptions(&mut self, tag: Tag, call: &Call) {
        if !self.subscriptions.of_dialog(tag).is_empty() {
            let (dialog, contact, sent_by) = (call.dialog.clone(), call.contact.clone(), call.sent_by.clone());
            let (account, vouched) = (call.account.clone(), call.vouched);
            self.subscriptions.keep(tag, Leg { dialog, contact, sent_by, account, vouched });
        }
    }
}

/// The seconds of a Retry-After, whose comment and parameters may follow.
fn seconds(value: &str) -> Option<Duration> {
    let digits: String = value.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_secs)
}
