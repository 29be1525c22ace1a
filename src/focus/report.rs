//! What becomes of a REFER, told to whoever sent it (RFC 3515 §2.4.4): "100 Trying" at once, and the outcome at the end.
//!
//! The REFER makes a subscription like one that a SUBSCRIBE makes: in the dialog of its call, or in one of its own. A SUBSCRIBE
//! may prolong it or end it, but none begins one.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Focus;
use super::calls::Tag;
use super::refusal::Refusal;
use super::subscriptions::{Leg, Package, SubscriptionId};
use crate::call::{EndOfSubscription, EventName, Subscription};
use crate::limits::{REPORT_SECONDS_MAX, REPORTS_PER_DIALOG_MAX};
use crate::shares::Claim;

/// The event package.
pub(super) const REFER: &str = "refer";
/// The type of what is told.
pub(super) const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// How far it has come with what a REFER has asked for.
#[derive(Debug)]
pub(super) struct Progress {
    status: u16,
    phrase: String,
}

impl Progress {
    /// A status line, and nothing else of what was answered (RFC 3515 §2.4.5, §5.2).
    pub(super) fn told(&self) -> Bytes {
        format!("SIP/2.0 {} {}\r\n", self.status, self.phrase).into()
    }
}

/// Where a REFER has come from.
#[derive(Debug)]
pub(super) enum Origin {
    /// A call, and the number that tells it from others there (RFC 3515 §2.4.6).
    Call { number: Option<u32> },
    /// Outside of any.
    Own(Box<Leg>),
}

impl Focus {
    /// Whether there is place for one more report in a dialog.
    pub(super) fn check_reports(&self, tag: Tag, claim: &Claim) -> Result<(), Refusal> {
        let full = !self.subscriptions.shares.has_room(claim, 1)
            || self.subscriptions.of_dialog(tag).len() >= REPORTS_PER_DIALOG_MAX;
        if full { Err(Refusal::later(10)) } else { Ok(()) }
    }

    /// A REFER was accepted: says that something is being done about it.
    pub(super) fn open_report(&mut self, tag: Tag, origin: Origin, claim: &Claim, now: Instant) -> SubscriptionId {
        let number = match origin {
            Origin::Call { number } => number,
            Origin::Own(leg) => {
                self.subscriptions.keep(tag, *leg);
                None
            }
        };
        let event = EventName { package: REFER.to_owned(), id: number.map(|number| number.to_string()) };
        let trying = Progress { status: 100, phrase: "Trying".to_owned() };
        let lasts = Duration::from_secs(REPORT_SECONDS_MAX);
        self.open_subscription(tag, Subscription::new(event, lasts, now), Package::Refer(trying), claim, now)
    }

    /// The outcome. It goes out when the NOTIFY before it was answered, so that it cannot overtake that. Nobody is told who has
    /// ended the subscription; what the REFER has asked for went on (RFC 3515 §2.4.4).
    pub(super) fn report_last(&mut self, id: SubscriptionId, status: u16, phrase: &str, now: Instant) {
        let Some(held) = self.subscriptions.get_mut(id) else { return };
        held.package = Package::Refer(Progress { status, phrase: phrase.to_owned() });
        // RFC 3515 §2.4.7.
        self.end_subscription(id, EndOfSubscription::NoResource, now);
    }
}
