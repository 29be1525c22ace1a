//! When the changes of a roster are told.

use crate::focus::context::Context;
use crate::focus::timer::Timer;
use crate::focus::uac::notify;
use crate::ids::RoomId;

/// Sees to it that the changes of a room are told within its `notify_interval`, those of one interval together.
pub fn schedule(cx: &mut Context<'_>, id: RoomId) {
    let watched = cx.subscriptions.is_watched(id);
    let Some(room) = cx.rooms.get_mut(id).filter(|room| room.roster.is_dirty()) else { return };
    if !watched {
        room.roster.publish();
    } else if !std::mem::replace(&mut room.publishing, true) {
        cx.core.timers.set(Timer::Publish(id), cx.now + room.policy.notify_interval);
    }
}

/// The interval of a room is over: whoever has not heard of its changes is told.
pub fn publish(cx: &mut Context<'_>, id: RoomId) {
    let Some(room) = cx.rooms.get_mut(id) else { return };
    room.publishing = false;
    room.roster.publish();
    let published = room.roster.published();
    for id in cx.subscriptions.of_room(id) {
        let Some(held) = cx.subscriptions.get_mut(id) else { continue };
        let behind = held.watch().is_some_and(|watch| watch.place.seen < published);
        if behind && !held.subscription.is_ending() {
            held.subscription.tell();
            cx.subscriptions.enqueue(id);
        }
    }
    if !cx.core.timers.is_set(&Timer::NotifyBurst) {
        notify::send_burst(cx);
    }
}
