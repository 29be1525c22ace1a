//! How calls leave their rooms.

use crate::facts::Command;
use crate::focus::change::Change;
use crate::focus::context::Context;
use crate::focus::lifecycle::{nickname, room};
use crate::focus::roster::{membership, watching};
use crate::focus::store::call::Call;
use crate::focus::store::call_state::ByeReason;
use crate::focus::store::room::Left;
use crate::focus::store::session_state::Departure;
use crate::focus::store::subscription::SubscriptionDialog;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;

/// Takes a call out of its room and ends its session. Its dialog may outlive that.
pub fn detach(cx: &mut Context<'_>, tag: Tag) {
    leave(cx, tag, Departure::Close);
}

pub fn leave(cx: &mut Context<'_>, tag: Tag, departure: Departure) {
    let Some(call) = cx.calls.get_mut(tag).filter(|call| call.session_state.is_in_room()) else { return };
    let (session, shard, room, user) = (call.session, call.shard, call.room, call.member.user.clone());
    let (account, anonymous) = (call.account.clone(), call.member.anonymous);
    match call.session_state.advance(|state| state.left(departure)) {
        Some(Departure::Suspend) => cx.core.command(shard, Command::SuspendSession { session }),
        Some(Departure::Close) => cx.core.command(shard, Command::CloseSession { session }),
        None => {}
    }
    nickname::leave(cx, session, &user, room);
    cx.shards.session_closed(shard);
    if let (Some(account), Some(room)) = (account, cx.rooms.get_mut(room)) {
        room.leave_account(&account);
        if anonymous {
            room.remember_alias(&account, &user);
        }
    }
    membership::left(cx, tag, room);
    let left = cx.rooms.get_mut(room).map(|room| room.leave(&user));
    if cx.rooms.get(room).is_some_and(|room| !room.has(&user)) {
        room::cancel_invitations(cx, Some(room), Some(&user));
    }
    match left {
        Some(Left::Empty) => room::close(cx, room),
        Some(Left::Dissolved) => {
            for other in cx.calls.tags(Some(room)).into_iter().filter(|&other| other != tag) {
                let reason = ByeReason { cause: 410, text: "Whoever made the room has left" };
                cx.core.changes.push_back(Change::EndCall(other, reason));
            }
        }
        Some(Left::Others) | None => {}
    }
    cx.subscriptions.call_ended(tag, room, &user);
    watching::end_of_user(cx, room, &user);
}

pub fn remove(cx: &mut Context<'_>, tag: Tag) -> Option<Call> {
    for timer in [Timer::Retransmit200(tag), Timer::AckTimeout(tag), Timer::ShardAnswer(tag), Timer::Session(tag)] {
        cx.core.timers.clear(&timer);
    }
    let mut call = cx.calls.remove(tag)?;
    if call.session_state.take_suspended() {
        cx.core.command(call.shard, Command::CloseSession { session: call.session });
    }
    keep_dialog(cx, tag, &call);
    Some(call)
}

/// A call has ended, and its dialog stays for the subscriptions in it (RFC 6665 §4.5.2).
fn keep_dialog(cx: &mut Context<'_>, tag: Tag, call: &Call) {
    if !cx.subscriptions.of_dialog(tag).is_empty() {
        let (dialog, contact, sent_by) = (call.dialog.clone(), call.contact.clone(), call.sent_by.clone());
        let (account, vouched) = (call.account.clone(), call.vouched);
        cx.subscriptions.keep_dialog(tag, SubscriptionDialog { dialog, contact, sent_by, account, vouched });
    }
}
