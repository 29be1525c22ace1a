//! The documents of the conference event package (RFC 4575).

use bytes::Bytes;

use crate::call::Due;
use crate::facts::RoomPolicy;
use crate::focus::context::Context;
use crate::focus::store::roster::deleted_document;
use crate::focus::store::subscription::SubscriptionId;
use parlor_proto::conference_info::Description;

/// The name of the package (RFC 4575 §3.1).
pub const PACKAGE: &str = "conference";

/// The document of a NOTIFY that is due, if it has one. Moves the subscriber to where that takes it.
pub fn next_document(cx: &mut Context<'_>, id: SubscriptionId, due: Due) -> Option<Bytes> {
    let watch = cx.subscriptions.get_mut(id)?.watch_mut()?;
    watch.before = watch.position;
    let room = cx.rooms.get_mut(watch.room).filter(|room| room.open);
    let Some(room) = room else {
        watch.position.version = watch.position.version.saturating_add(1);
        return Some(deleted_document(&watch.entity, watch.position.version));
    };
    if due == Due::Ending {
        return None;
    }
    let description = describe(&room.policy, &watch.entity);
    let begins = due == Due::Everything || !room.roster.can_continue(watch.position.seen);
    watch.position.version = match watch.position.version {
        0 => room.roster.first_version(),
        version => version.saturating_add(1),
    };
    let document = if begins {
        room.roster.everything(&watch.entity, &description, watch.position.version)
    } else {
        room.roster.changes_since(watch.position.seen, &watch.entity, &description, watch.position.version)
    };
    watch.position.seen = document.reaches;
    Some(document.body)
}

/// Makes the next part due, where the one that is sent was not all.
pub fn queue_rest(cx: &mut Context<'_>, id: SubscriptionId) {
    let Some(entry) = cx.subscriptions.get_mut(id) else { return };
    let Some(watch) = entry.watch() else { return };
    let Some(room) = cx.rooms.get_mut(watch.room) else { return };
    let cut_short = watch.position.seen < room.roster.published() && room.open;
    if cut_short && !entry.subscription.is_ending() {
        entry.subscription.mark_changed();
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
