//! How subscriptions begin and end.

use crate::call::{EndOfSubscription, Subscription};
use crate::focus::context::Context;
use crate::focus::store::subscription::{Package, SubscriptionId};
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use crate::focus::uac::notify;
use crate::shares::Claim;

/// Opens a subscription in a dialog, a call's or a kept one, and sends its first NOTIFY.
pub fn open(
    cx: &mut Context<'_>,
    tag: Tag,
    subscription: Subscription,
    package: Package,
    claim: &Claim,
) -> SubscriptionId {
    let id = cx.subscriptions.insert(tag, subscription, package, claim);
    arm_expiry(cx, id);
    notify::send_due(cx, id);
    id
}

pub fn arm_expiry(cx: &mut Context<'_>, id: SubscriptionId) {
    let at = cx.subscriptions.get_mut(id).and_then(|entry| entry.subscription.expires_at());
    match at {
        Some(at) => cx.core.timers.set(Timer::Expiry(id), at),
        None => cx.core.timers.clear(&Timer::Expiry(id)),
    }
}

/// Ends a subscription; its last NOTIFY says why.
pub fn end(cx: &mut Context<'_>, id: SubscriptionId, why: EndOfSubscription) {
    let Some(entry) = cx.subscriptions.get_mut(id) else { return };
    entry.subscription.end(why);
    arm_expiry(cx, id);
    notify::send_due(cx, id);
}

/// The server goes away: another one may take them (RFC 6665 §4.4.2). What a REFER has asked for ends with it, and its report
/// with that.
pub fn end_all(cx: &mut Context<'_>) {
    for id in cx.subscriptions.all() {
        if cx.subscriptions.get_mut(id).is_some_and(|entry| entry.watch().is_some()) {
            end(cx, id, EndOfSubscription::Deactivated);
        }
    }
}

/// Ends a subscription after a change of its room. Where the room is closed that is the reason, whatever else was.
pub fn end_with_room(cx: &mut Context<'_>, id: SubscriptionId, why: EndOfSubscription) {
    let watch = cx.subscriptions.get_mut(id).and_then(|entry| entry.watch());
    let open = watch.is_some_and(|watch| cx.rooms.get(watch.room).is_some_and(|room| room.open));
    end(cx, id, if open { why } else { EndOfSubscription::NoResource });
}
