//! When the changes of a roster are sent to its subscribers.

use crate::focus::context::Context;
use crate::focus::timer::Timer;
use crate::focus::uac::notify;
use crate::ids::RoomId;

/// Schedules the NOTIFYs about a room's changes: those within one `notify_interval` are sent together.
pub fn schedule(cx: &mut Context<'_>, id: RoomId) {
    let watched = cx.subscriptions.is_watched(id);
    let Some(room) = cx.rooms.get_mut(id).filter(|room| room.roster.is_dirty()) else { return };
    if !watched {
        room.roster.publish();
    } else if !std::mem::replace(&mut room.publishing, true) {
        cx.core.timers.set(Timer::Publish(id), cx.now + room.policy.notify_interval);
    }
}

/// The interval of a room is over: subscribers that have not seen its changes get a NOTIFY.
pub fn publish(cx: &mut Context<'_>, id: RoomId) {
    let Some(room) = cx.rooms.get_mut(id) else { return };
    room.publishing = false;
    room.roster.publish();
    let published = room.roster.published();
    for id in cx.subscriptions.of_room(id) {
        let Some(entry) = cx.subscriptions.get_mut(id) else { continue };
        let behind = entry.watch().is_some_and(|watch| watch.position.seen < published);
        if behind && !entry.subscription.is_ending() {
            entry.subscription.mark_changed();
            cx.subscriptions.enqueue(id);
        }
    }
    if !cx.core.timers.is_set(&Timer::NotifyBurst) {
        notify::send_burst(cx);
    }
}
