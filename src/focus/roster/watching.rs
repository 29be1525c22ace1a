//! When subscriptions to a room end with what happens in it.

use crate::call::EndOfSubscription;
use crate::facts::Subscribers;
use crate::focus::change::Change;
use crate::focus::context::Context;
use crate::focus::roster::membership;
use crate::ids::RoomId;
use parlor_proto::uri::Aor;

/// A room has another policy: its description is published, and subscriptions that it does not allow end.
pub fn room_described(cx: &mut Context<'_>, id: RoomId) {
    let Some(room) = cx.rooms.get_mut(id) else { return };
    room.roster.description_changed();
    membership::changed(cx, id);
    for subscription in cx.subscriptions.of_room(id) {
        let watch = cx.subscriptions.get_mut(subscription).and_then(|entry| entry.watch());
        let Some(user) = watch.map(|watch| watch.user.clone()) else { continue };
        end_of_user(cx, id, &user);
    }
}

/// A user has left a room: its subscriptions end where only participants may subscribe.
pub fn end_of_user(cx: &mut Context<'_>, id: RoomId, user: &Aor) {
    let Some(room) = cx.rooms.get_mut(id) else { return };
    if room.has(user) || room.policy.subscribers != Subscribers::Participants {
        return;
    }
    let own = cx.subscriptions.of_user(id, user).iter();
    cx.core.changes.extend(own.map(|&id| Change::EndSubscription(id, EndOfSubscription::Rejected)));
}

/// A room is no more (RFC 4575 §3.3).
pub fn end_of_room(cx: &mut Context<'_>, id: RoomId) {
    let all = cx.subscriptions.of_room(id).into_iter();
    cx.core.changes.extend(all.map(|id| Change::EndSubscription(id, EndOfSubscription::NoResource)));
}
