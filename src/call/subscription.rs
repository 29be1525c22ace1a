//! One subscription as its notifier keeps it (RFC 6665 §4.2), whatever its event package.
//!
//! What it is told and what follows:
//!
//! | state | on | then |
//! |---|---|---|
//! | idle | [`Subscription::tell`], [`Subscription::mark_all`], [`Subscription::end`] | due |
//! | due | [`Subscription::sent`] | waiting for the answer to that NOTIFY; what is told meanwhile is due behind it |
//! | waiting | [`Subscription::answered`] | idle, due, or over |
//! | any | its time runs out | ended: one last NOTIFY is due |
//! | ended | [`Subscription::answered`] for the last NOTIFY | over |
//!
//! One NOTIFY at a time is under way, so a subscriber meets them in order, and one that is slow gets what has changed meanwhile
//! in one. The NOTIFY itself, its body and its dialog are the owner's.

use std::fmt;
use std::time::{Duration, Instant};

use crate::limits::REFUSED_NOTIFIES_MAX;
use parlor_proto::sip::{HeaderName, Headers, text};

/// An event package, and the id that tells subscriptions to it in one dialog apart (RFC 6665 §8.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventName {
    /// The package, as it was written: it is compared octet by octet.
    pub package: String,
    /// The id, if there is one.
    pub id: Option<String>,
}

impl EventName {
    /// Reads the Event header; `None` where there is none, several, or one that names nothing.
    #[must_use]
    pub fn of(headers: &Headers) -> Option<Self> {
        if headers.count(&HeaderName::Event) != 1 {
            return None;
        }
        let value = text(headers, &HeaderName::Event)?;
        let mut parts = value.split(';').map(str::trim);
        let package = parts.next().filter(|package| is_token(package))?.to_owned();
        let mut id = None;
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if name.trim().eq_ignore_ascii_case("id") && is_token(value.trim()) {
                id = Some(value.trim().to_owned());
            }
        }
        Some(Self { package, id })
    }
}

impl fmt::Display for EventName {
    /// As it stands in the Event header of a NOTIFY.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.package)?;
        self.id.as_ref().map_or(Ok(()), |id| write!(f, ";id={id}"))
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

/// Why a subscription has ended (RFC 6665 §4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfSubscription {
    /// The server goes away: another one may take it.
    Deactivated,
    /// It is not allowed any more.
    Rejected,
    /// Its time has run out, or its subscriber has ended it.
    Timeout,
    /// What it is about is no more.
    NoResource,
}

/// What the NOTIFY that is due has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// What has changed since the last one.
    Changes,
    /// The whole state: the subscriber has asked, or has missed something.
    Everything,
    /// That it is over, and nothing else has to be said.
    Ending,
}

/// Whether a subscription continues after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It continues.
    Continues,
    /// It has ended.
    Terminated,
}

/// One subscription.
#[derive(Debug)]
pub struct Subscription {
    event: EventName,
    expires_at: Instant,
    due: Option<Due>,
    /// What the NOTIFY told that is under way.
    in_flight: Option<Due>,
    end: Option<EndOfSubscription>,
    /// The last NOTIFY has been sent.
    ended: bool,
    /// The subscriber has missed something: the next change is told with everything else.
    stale: bool,
    refused: u8,
    /// No NOTIFY before: its Retry-After is not over.
    not_before: Option<Instant>,
}

impl Subscription {
    /// A subscription that was granted for a while. Zero is a fetch: one NOTIFY with everything, which is the last (§4.4.3). Its
    /// first NOTIFY is due at once (§4.2.1.2).
    #[must_use]
    pub fn new(event: EventName, granted: Duration, now: Instant) -> Self {
        let mut subscription = Self {
            event,
            expires_at: now,
            due: None,
            in_flight: None,
            end: None,
            ended: false,
            stale: false,
            refused: 0,
            not_before: None,
        };
        subscription.refresh(granted, now);
        subscription
    }

    /// What it is a subscription to.
    #[must_use]
    pub fn event(&self) -> &EventName {
        &self.event
    }

    /// Its subscriber has asked for so long from now, or for its end with zero. Either is answered by the whole state.
    pub fn refresh(&mut self, granted: Duration, now: Instant) {
        self.expires_at = now + granted;
        self.not_before = None;
        if granted.is_zero() {
            self.end(EndOfSubscription::Timeout);
        }
        self.mark_all();
    }

    /// Its state has changed.
    pub fn mark_changed(&mut self) {
        if self.stale {
            return self.mark_all();
        }
        self.due = match self.due {
            None | Some(Due::Ending) => Some(Due::Changes),
            due => due,
        };
    }

    /// The whole state is to be told.
    pub fn mark_all(&mut self) {
        self.stale = false;
        self.due = Some(Due::Everything);
    }

    /// It ends, from our side or by its subscriber's wish. The first reason counts.
    pub fn end(&mut self, why: EndOfSubscription) {
        if self.end.is_none() {
            self.end = Some(why);
            self.due = self.due.or(Some(Due::Ending));
        }
    }

    /// Whether it is to end with the next NOTIFY, or has ended.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.end.is_some()
    }

    /// What the NOTIFY tells that is to be sent now; `None` where there is nothing to tell, where one is under way, and where
    /// its Retry-After is not over.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Due> {
        let early = self.not_before.is_some_and(|at| at > now) && self.end.is_none();
        if self.in_flight.is_some() || self.ended || early { None } else { self.due }
    }

    /// The NOTIFY that was due is sent: gives its Subscription-State (§4.2.2).
    pub fn sent(&mut self, now: Instant) -> String {
        self.in_flight = self.due.take();
        self.ended = self.end.is_some();
        match self.end {
            None => format!("active;expires={}", self.remaining(now).as_secs()),
            Some(EndOfSubscription::Deactivated) => "terminated;reason=deactivated".into(),
            Some(EndOfSubscription::Rejected) => "terminated;reason=rejected".into(),
            Some(EndOfSubscription::Timeout) => "terminated;reason=timeout".into(),
            Some(EndOfSubscription::NoResource) => "terminated;reason=noresource".into(),
        }
    }

    /// How much of its time is left.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Duration {
        self.expires_at.saturating_duration_since(now)
    }

    /// When its time runs out; `None` where it is ending anyway.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        self.end.is_none().then_some(self.expires_at)
    }

    /// When a NOTIFY that the subscriber does not take yet may be sent.
    #[must_use]
    pub fn not_before(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.due.is_some() && self.in_flight.is_none())
    }

    /// The NOTIFY under way was answered finally (§4.2.2). `retry_after` is what the answer said of it.
    pub fn answered(&mut self, status: u16, retry_after: Option<Duration>, now: Instant) -> Outcome {
        if self.in_flight.take().is_none() {
            return Outcome::Continues;
        }
        if self.ended || is_fatal(status) {
            return Outcome::Terminated;
        }
        if (200..300).contains(&status) {
            self.refused = 0;
            return Outcome::Continues;
        }
        self.refused += 1;
        if self.refused >= REFUSED_NOTIFIES_MAX {
            return Outcome::Terminated;
        }
        // What that one told is lost. A refusal makes no other NOTIFY (§4.2.2): the next change does, or the time that the
        // subscriber has named.
        self.stale = true;
        self.not_before = retry_after.map(|after| now + after);
        if self.due.is_some() || retry_after.is_some() {
            self.mark_changed();
        }
        Outcome::Continues
    }

    /// The NOTIFY under way was not sent after all, and may be sent another way: it is due again.
    pub fn unsent(&mut self) {
        let Some(told) = self.in_flight.take() else { return };
        self.ended = false;
        self.due = Some(match (self.due, told) {
            (Some(Due::Everything), _) | (_, Due::Everything) => Due::Everything,
            (Some(due), _) => due,
            (None, told) => told,
        });
    }
}

/// Answers to a NOTIFY that end the subscription (RFC 6665 §4.2.2), and 408, which ends the dialog (RFC 3261 §12.2.1.2).
fn is_fatal(status: u16) -> bool {
    matches!(status, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::headers;

    const HOUR: Duration = Duration::from_secs(3600);

    fn event(value: &str) -> Option<EventName> {
        EventName::of(&headers(&[(HeaderName::Event, value)]))
    }

    fn subscription(granted: Duration) -> (Subscription, Instant) {
        let now = Instant::now();
        (Subscription::new(event("conference").unwrap(), granted, now), now)
    }

    /// One whose first NOTIFY was answered.
    fn settled() -> (Subscription, Instant) {
        let (mut subscription, now) = subscription(HOUR);
        subscription.sent(now);
        assert_eq!(subscription.answered(200, None, now), Outcome::Continues);
        (subscription, now)
    }

    #[test]
    fn an_event_has_a_package_and_perhaps_an_id() {
        let name = |package: &str, id: Option<&str>| EventName { package: package.into(), id: id.map(Into::into) };
        assert_eq!(event("conference"), Some(name("conference", None)));
        assert_eq!(event("conference ; ID = 7;x=y"), Some(name("conference", Some("7"))));
        assert_eq!(event("Conference.winfo;id=\"a b\""), Some(name("Conference.winfo", None)));
        assert_eq!(event("refer;id=93809824").unwrap().to_string(), "refer;id=93809824");
        assert!(event("").is_none() && event("a b").is_none() && event(";id=1").is_none());
        let two = headers(&[(HeaderName::Event, "conference"), (HeaderName::Event, "refer")]);
        assert_eq!((EventName::of(&two), EventName::of(&Headers::new())), (None, None));
    }

    #[test]
    fn the_first_notify_tells_everything_and_one_is_under_way_at_a_time() {
        let (mut subscription, now) = subscription(HOUR);
        assert_eq!(subscription.due(now), Some(Due::Everything));
        assert_eq!(subscription.sent(now), "active;expires=3600");
        subscription.mark_changed();
        subscription.mark_changed();
        assert_eq!(subscription.due(now), None);
        let later = now + Duration::from_secs(100);
        assert_eq!(subscription.answered(200, None, later), Outcome::Continues);
        assert_eq!(subscription.due(later), Some(Due::Changes));
        assert_eq!(subscription.sent(later), "active;expires=3500");
        subscription.answered(200, None, later);
        assert_eq!(subscription.due(later), None);
        assert_eq!(subscription.answered(404, None, later), Outcome::Continues, "nothing was under way");
    }

    #[test]
    fn a_refresh_moves_the_end_and_asks_for_everything() {
        let (mut subscription, now) = settled();
        subscription.mark_changed();
        subscription.refresh(2 * HOUR, now + HOUR / 2);
        assert_eq!(subscription.expires_at(), Some(now + HOUR / 2 + 2 * HOUR));
        assert_eq!(subscription.due(now), Some(Due::Everything));
    }

    #[test]
    fn a_fetch_is_one_notify_with_everything_and_then_over() {
        let (mut subscription, now) = subscription(Duration::ZERO);
        assert_eq!((subscription.due(now), subscription.expires_at()), (Some(Due::Everything), None));
        assert_eq!(subscription.sent(now), "terminated;reason=timeout");
        subscription.mark_changed();
        assert_eq!(subscription.due(now), None, "nothing follows the last one");
        assert_eq!(subscription.answered(200, None, now), Outcome::Terminated);
    }

    #[test]
    fn an_end_waits_for_the_answer_under_way_and_its_first_reason_counts() {
        for (why, state) in [
            (EndOfSubscription::Deactivated, "terminated;reason=deactivated"),
            (EndOfSubscription::Rejected, "terminated;reason=rejected"),
            (EndOfSubscription::Timeout, "terminated;reason=timeout"),
            (EndOfSubscription::NoResource, "terminated;reason=noresource"),
        ] {
            let (mut subscription, now) = subscription(HOUR);
            subscription.sent(now);
            subscription.end(why);
            subscription.end(EndOfSubscription::Timeout);
            assert_eq!(subscription.due(now), None);
            assert_eq!(subscription.answered(200, None, now), Outcome::Continues);
            assert_eq!(subscription.due(now), Some(Due::Ending));
            assert_eq!(subscription.sent(now), state);
            assert_eq!(subscription.answered(500, None, now), Outcome::Terminated);
        }
    }

    #[test]
    fn fatal_answers_end_it_and_others_make_the_next_one_whole() {
        for status in [404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604] {
            let (mut subscription, now) = subscription(HOUR);
            subscription.sent(now);
            assert_eq!(subscription.answered(status, None, now), Outcome::Terminated, "{status}");
        }
        let (mut subscription, now) = settled();
        const OTHERS: [u16; REFUSED_NOTIFIES_MAX as usize - 1] = [400, 500];
        for status in OTHERS {
            subscription.mark_changed();
            subscription.sent(now);
            assert_eq!(subscription.answered(status, None, now), Outcome::Continues);
            assert_eq!(subscription.due(now), None, "a refusal makes no NOTIFY");
            subscription.mark_changed();
            assert_eq!(subscription.due(now), Some(Due::Everything));
        }
        subscription.sent(now);
        assert_eq!(subscription.answered(500, None, now), Outcome::Terminated, "refused once too often");
    }

    #[test]
    fn a_subscriber_that_asks_for_patience_gets_everything_when_it_is_over() {
        let (mut subscription, now) = settled();
        let minute = Duration::from_secs(60);
        subscription.mark_changed();
        subscription.sent(now);
        subscription.answered(503, Some(minute), now);
        assert_eq!((subscription.due(now), subscription.not_before()), (None, Some(now + minute)));
        assert_eq!(subscription.due(now + minute), Some(Due::Everything));
        subscription.end(EndOfSubscription::NoResource);
        assert_eq!(subscription.due(now), Some(Due::Everything), "the end does not wait");
    }

    #[test]
    fn what_was_not_sent_is_due_again() {
        let (mut subscription, now) = subscription(Duration::ZERO);
        subscription.sent(now);
        subscription.unsent();
        assert_eq!(subscription.due(now), Some(Due::Everything));
        assert_eq!(subscription.sent(now), "terminated;reason=timeout");
        let (mut subscription, now) = settled();
        subscription.mark_changed();
        subscription.sent(now);
        subscription.mark_changed();
        subscription.unsent();
        subscription.unsent();
        assert_eq!(subscription.due(now), Some(Due::Changes));
    }
}
