//! Changes of a room go into its roster.

use std::sync::Arc;

use crate::facts::Direction;
use crate::focus::change::Change;
use crate::focus::context::Context;
use crate::focus::store::participant::Device;
use crate::focus::tag::Tag;
use crate::ids::{RoomId, SessionId};
use parlor_proto::conference_info::{JoiningMethod, MediaStatus};
use parlor_proto::datetime::rfc3339;
use parlor_proto::uri::Aor;

/// A session has come in: it can be bound.
pub fn joined(cx: &mut Context<'_>, tag: Tag) {
    let joined_at = cx
        .core
        .clock_anchor
        .map(|(then, since_1970)| rfc3339(since_1970.saturating_add(cx.now.saturating_duration_since(then))));
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let direction = call.session_state.terms().map(|terms| terms.direction);
    let device = Device {
        call: tag,
        display_name: call.member.display_name.clone(),
        joining_method: if call.timing.caller { JoiningMethod::DialedOut } else { JoiningMethod::DialedIn },
        joined_at,
        brought_by: call.brought_by.clone(),
        media: direction.map_or(MediaStatus::SendRecv, media_status),
    };
    let (id, uri, user, account) = (call.room, call.member.uri.clone(), call.member.user.clone(), call.account.clone());
    // Users are told apart by what others see of them: who hides is not to be recognised by a second session.
    let key = Aor::parse(uri.as_bytes()).ok().filter(|key| *key != user).unwrap_or_else(|| user.clone());
    let Some(room) = cx.rooms.get_mut(id) else { return };
    let role = role_of(room.is_moderated_by(&user, account.as_ref()));
    room.roster.join(&key, &uri, role, device);
    changed(cx, id);
}

/// A session has left.
pub fn left(cx: &mut Context<'_>, tag: Tag, id: RoomId) {
    if let Some(room) = cx.rooms.get_mut(id) {
        room.roster.leave(tag);
    }
    changed(cx, id);
}

/// A session has another nickname.
pub fn set_nickname(cx: &mut Context<'_>, session: SessionId, nickname: Option<Arc<str>>) {
    let Some(tag) = cx.calls.of_session(session) else { return };
    let Some(room) = cx.calls.get_mut(tag).map(|call| call.room) else { return };
    if let Some(room) = cx.rooms.get_mut(room) {
        room.roster.set_nickname(tag, nickname);
    }
    changed(cx, room);
}

/// What a session may do has changed.
pub fn set_media(cx: &mut Context<'_>, tag: Tag) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let Some(direction) = call.session_state.terms().map(|terms| terms.direction) else { return };
    let id = call.room;
    if let Some(room) = cx.rooms.get_mut(id) {
        room.roster.set_media(tag, media_status(direction));
    }
    changed(cx, id);
}

/// Other people may moderate a room: its roster says who.
pub fn update_roles(cx: &mut Context<'_>, id: RoomId) {
    let Some(room) = cx.rooms.get_mut(id) else { return };
    for tag in room.roster.calls().collect::<Vec<_>>() {
        let Some(call) = cx.calls.get(tag) else { continue };
        let role = role_of(room.is_moderated_by(&call.member.user, call.account.as_ref()));
        room.roster.set_role(tag, role);
    }
    changed(cx, id);
}

/// Notes a room whose roster may have changed, to be seen to when the input that changed it is done with.
pub fn changed(cx: &mut Context<'_>, id: RoomId) {
    cx.core.changes.push_back(Change::Roster(id));
}

/// The role of a user in a room (RFC 4575 §5.6.4).
fn role_of(moderates: bool) -> &'static str {
    if moderates { "moderator" } else { "participant" }
}

fn media_status(direction: Direction) -> MediaStatus {
    match (direction.sends, direction.receives) {
        (true, true) => MediaStatus::SendRecv,
        (true, false) => MediaStatus::SendOnly,
        (false, true) => MediaStatus::RecvOnly,
        (false, false) => MediaStatus::Inactive,
    }
}
