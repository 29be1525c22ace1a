//! The outcome of a REFER, reported to its sender (RFC 3515 §2.4.4): "100 Trying" at once, and the outcome at the end.
//!
//! The REFER makes a subscription like one that a SUBSCRIBE makes: in the dialog of its call, or in one of its own. A SUBSCRIBE
//! may prolong it or end it, but none begins one.

use std::time::Duration;

use crate::call::{EndOfSubscription, EventName, Subscription};
use crate::focus::context::Context;
use crate::focus::refusal::Refusal;
use crate::focus::store::subscription::{Package, Progress, REFER, SubscriptionDialog, SubscriptionId};
use crate::focus::tag::Tag;
use crate::focus::uac::subscription;
use crate::limits::{REPORT_SECONDS_MAX, REPORTS_PER_DIALOG_MAX};
use crate::shares::Claim;

/// Where a REFER has come from.
#[derive(Debug)]
pub enum Origin {
    /// A call, and the number that tells it from others there (RFC 3515 §2.4.6).
    Call { number: Option<u32> },
    /// Outside of any.
    Own(Box<SubscriptionDialog>),
}

/// Checks the limits for another report in a dialog.
pub fn check(cx: &Context<'_>, tag: Tag, claim: &Claim) -> Result<(), Refusal> {
    let full =
        !cx.subscriptions.shares.has_room(claim, 1) || cx.subscriptions.of_dialog(tag).len() >= REPORTS_PER_DIALOG_MAX;
    if full { Err(Refusal::later(10)) } else { Ok(()) }
}

/// A REFER was accepted: opens its subscription, which reports "100 Trying".
pub fn open(cx: &mut Context<'_>, tag: Tag, origin: Origin, claim: &Claim) -> SubscriptionId {
    let number = match origin {
        Origin::Call { number } => number,
        Origin::Own(dialog) => {
            cx.subscriptions.keep_dialog(tag, *dialog);
            None
        }
    };
    let event = EventName { package: REFER.to_owned(), id: number.map(|number| number.to_string()) };
    let trying = Progress { status: 100, phrase: "Trying".to_owned() };
    let lasts = Duration::from_secs(REPORT_SECONDS_MAX);
    let subscription = Subscription::new(event, lasts, cx.now);
    subscription::open(cx, tag, subscription, Package::Refer(trying), claim)
}

/// Reports the outcome. Its NOTIFY goes out when the one before was answered, so that it cannot overtake that. A subscription
/// that was ended gets none (RFC 3515 §2.4.4).
pub fn finish(cx: &mut Context<'_>, id: SubscriptionId, status: u16, phrase: &str) {
    let Some(entry) = cx.subscriptions.get_mut(id) else { return };
    entry.package = Package::Refer(Progress { status, phrase: phrase.to_owned() });
    // RFC 3515 §2.4.7.
    subscription::end(cx, id, EndOfSubscription::NoResource);
}
