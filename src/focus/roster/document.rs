//! The documents of the conference event package (RFC 4575).

use bytes::Bytes;

use crate::call::Due;
use crate::facts::RoomPolicy;
use crate::focus::context::Context;
use crate::focus::store::roster::gone;
use crate::focus::store::subscription::SubscriptionId;
use parlor_proto::conference_info::Description;

/// The name of the package (RFC 4575 §3.1).
pub const PACKAGE: &str = "conference";

/// The document of a NOTIFY that is due, if it has one. Moves the subscriber to where that takes it.
pub fn next(cx: &mut Context<'_>, id: SubscriptionId, due: Due) -> Option<Bytes> {
    let watch = cx.subscriptions.get_mut(id)?.watch_mut()?;
    watch.before = watch.place;
    let room = cx.rooms.get_mut(watch.room).filter(|room| room.open);
    let Some(room) = room else {
        watch.place.version = watch.place.version.saturating_add(1);
        return Some(gone(&watch.entity, watch.place.version));
    };
    if due == Due::Ending {
        return None;
    }
    let description = describe(&room.policy, &watch.entity);
    let begins = due == Due::Everything || !room.roster.can_continue(watch.place.seen);
    watch.place.version = match watch.place.version {
        0 => room.roster.first_version(),
        version => version.saturating_add(1),
    };
    let document = if begins {
        room.roster.everything(&watch.entity, &description, watch.place.version)
    } else {
        room.roster.changes_since(watch.place.seen, &watch.entity, &description, watch.place.version)
    };
    watch.place.seen = document.reaches;
    Some(document.body)
}

/// Makes the next part due, where the one that is sent was not all.
pub fn queue_rest(cx: &mut Context<'_>, id: SubscriptionId) {
    let Some(held) = cx.subscriptions.get_mut(id) else { return };
    let Some(watch) = held.watch() else { return };
    let Some(room) = cx.rooms.get_mut(watch.room) else { return };
    let cut_short = watch.place.seen < room.roster.published() && room.open;
    if cut_short && !held.subscription.is_ending() {
        held.subscription.tell();
    }
}

fn describe(policy: &RoomPolicy, entity: &str) -> Description {
    Description {
        display_text: policy.display_text.clone(),
        subject: policy.subject.clone(),
        uris: vec![entity.to_owned()],
        maximum_user_count: (policy.max_participants > 0)
            .then(|| u32::try_from(policy.max_participants).unwrap_or(u32::MAX)),
    }
}
