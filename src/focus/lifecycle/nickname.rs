//! Nicknames with the scope of the server (RFC 7701 §7; `nickname_scope = "server"`): each room asks the focus before it grants one.

use std::sync::Arc;

use crate::facts::{Command, NicknameScope};
use crate::focus::context::Context;
use crate::focus::timer::Timer;
use crate::ids::{RoomId, SessionId};
use parlor_proto::uri::Aor;

/// A member requests a nickname with the scope of the server; its shard waits for the decision.
pub fn decide(cx: &mut Context<'_>, session: SessionId, nickname: &Arc<str>) {
    let Some(call) = cx.calls.of_session(session).and_then(|tag| cx.calls.get_mut(tag)) else { return };
    // A call that has left takes no nickname: nothing would give it back. Its shard has dropped the request.
    if !call.session_state.is_in_room() {
        return;
    }
    let Some(room) = cx.rooms.get_mut(call.room) else { return };
    let (shard, user, strict) = (call.shard, &call.member.user, room.policy.strict_nicknames());
    // A policy that changed meanwhile leaves the decision to the room.
    let granted =
        room.policy.nickname_scope == NicknameScope::Room || cx.nicknames.take(session, user, nickname, strict, cx.now);
    cx.core.command(shard, Command::DecideNickname { session, granted });
}

/// A session has left a room. Its nickname goes into quarantine with the last session of its user.
pub fn leave(cx: &mut Context<'_>, session: SessionId, user: &Aor, room: RoomId) {
    let Some(room) = cx.rooms.get(room) else { return };
    if let Some(ends) = cx.nicknames.leave(session, user, room.policy.nickname_quarantine, cx.now) {
        cx.core.timers.set_earliest(Timer::Nicknames, ends);
    }
}

/// Forgets the nicknames whose quarantine has ended.
pub fn expire(cx: &mut Context<'_>) {
    match cx.nicknames.expire(cx.now) {
        Some(at) => cx.core.timers.set(Timer::Nicknames, at),
        None => cx.core.timers.clear(&Timer::Nicknames),
    }
}
