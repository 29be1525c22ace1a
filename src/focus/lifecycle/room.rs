//! How rooms open and close.

use crate::facts::{Command, OpenRoom};
use crate::focus::change::Change;
use crate::focus::context::Context;
use crate::focus::headers;
use crate::focus::refusal::Refusal;
use crate::focus::roster::{membership, watching};
use crate::focus::store::outgoing::OutgoingCall;
use crate::focus::store::room::Room;
use crate::ids::{RoomId, ShardId};
use crate::shares::Claim;
use parlor_proto::uri::Aor;

/// The room of a name, which is made or opened, at the expense of `maker`, where it has to be.
pub fn find_or_make(cx: &mut Context<'_>, name: &str, maker: &Claim) -> Result<(RoomId, ShardId), Refusal> {
    let known = cx.rooms.find(name).map(|room| (room.id, room.shard, room.open));
    let (id, shard, open) = match known {
        Some(known) => known,
        None => {
            if !cx.rooms.shares.has_room(maker, 1) {
                return Err(Refusal::later(60));
            }
            let shard = cx.shards.least_loaded().ok_or(Refusal::later(60))?;
            let policy = cx.core.settings.rooms.policy(name).ok_or(Refusal::new(404))?.clone();
            cx.shards.room_opened(shard);
            let room = cx.rooms.make(name, shard, policy, maker);
            (room.id, shard, false)
        }
    };
    if !open {
        cx.rooms.charge(id, maker);
        self::open(cx, id);
    }
    Ok((id, shard))
}

/// Opens a room on its shard, under the policy of the present settings.
pub fn open(cx: &mut Context<'_>, id: RoomId) {
    let Some(room) = cx.rooms.get_mut(id) else { return };
    room.open = true;
    if let Some(policy) = cx.core.settings.rooms.policy(&room.name) {
        room.policy = policy.clone();
    }
    let (name, shard, policy) = (room.name.clone(), room.shard, room.policy.clone());
    let uri = headers::room_uri(&cx.core.settings, &name).into();
    let names = cx.core.hosts.names(&name);
    cx.core.command(shard, Command::OpenRoom(Box::new(OpenRoom { room: id, uri, names, policy })));
}

/// Closes a room without users and invitations, unless it is permanent.
pub fn close_if_empty(cx: &mut Context<'_>, id: RoomId) {
    let awaits = cx.outgoing.iter().any(|(_, outgoing)| outgoing.invitation.room == id);
    let empty = |room: &Room| room.open && room.users() == 0 && !room.is_permanent();
    if !awaits && cx.rooms.get(id).is_some_and(empty) {
        close(cx, id);
    }
}

pub fn close(cx: &mut Context<'_>, id: RoomId) {
    let Some(room) = cx.rooms.get_mut(id) else { return };
    room.close();
    let shard = room.shard;
    tracing::info!(room = %room.name, "a room is empty");
    cx.core.command(shard, Command::CloseRoom { room: id });
    watching::end_of_room(cx, id);
    cancel_invitations(cx, Some(id), None);
}

/// A shard has closed a room. If it was opened again meanwhile, it stays open.
pub fn on_closed(cx: &mut Context<'_>, id: RoomId) {
    if let Some(room) = cx.rooms.forget(id) {
        cx.shards.room_closed(room.shard);
    }
}

/// Opens the rooms whose policy has changed again, under the new one.
pub fn reopen_changed(cx: &mut Context<'_>) {
    let rooms = &cx.core.settings.rooms;
    let changed = cx
        .rooms
        .iter_mut()
        .filter(|room| room.open && rooms.policy(&room.name).is_some_and(|policy| **policy != *room.policy));
    let changed: Vec<RoomId> = changed.map(|room| room.id).collect();
    for id in changed {
        open(cx, id);
        watching::room_described(cx, id);
        membership::update_roles(cx, id);
    }
}

/// Cancels the invitations into a room, or those of one user.
pub fn cancel_invitations(cx: &mut Context<'_>, room: Option<RoomId>, by: Option<&Aor>) {
    let concerned = |outgoing: &OutgoingCall| {
        let invitation = &outgoing.invitation;
        room.is_none_or(|room| invitation.room == room) && by.is_none_or(|by| invitation.by == *by)
    };
    let concerned =
        cx.outgoing.iter().filter(|(_, outgoing)| concerned(outgoing)).map(|(tag, _)| Change::CancelOutgoing(tag));
    cx.core.changes.extend(concerned);
}
