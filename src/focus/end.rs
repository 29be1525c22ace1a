//! How calls and rooms end.

use std::time::Instant;

use super::Focus;
use super::byes::Ending;
use super::calls::{Call, Goodbye, Phase, Tag};
use super::face::Alarm;
use super::refusal::Refusal;
use super::rooms::{Left, Room};
use crate::facts::{Command, EndReason};
use crate::ids::{RoomId, SessionId};
use crate::transaction::TransactionId;
use parlor_proto::sip::{Method, Request};

/// What becomes of the session of a call that has left its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterLeaving {
    /// It ends.
    Close,
    /// It takes no part any more and keeps its connection: a BYE is to be sent.
    Suspend,
}

impl Focus {
    /// The peer hangs up (RFC 3261 §15.1.2).
    pub(super) fn handle_bye(&mut self, id: &TransactionId, request: &Request, tag: Tag) {
        let response = self.reply(request, 200, &tag.to_string()).empty();
        self.transactions.respond(id, response);
        if let Some(call) = self.calls.get(tag) {
            let room = self.rooms.get(call.room).map(|room| tracing::field::display(&room.name));
            tracing::info!(call = %tag, room, user = %call.member.user, "the peer hung up");
        }
        self.detach(tag);
        self.remove(tag);
    }

    /// The shard says that a session is over.
    pub(super) fn session_ended(&mut self, session: SessionId, why: EndReason, now: Instant) {
        let Some(tag) = self.calls.of_session(session) else {
            return self.dialling.of_session(session).into_iter().for_each(|tag| self.give_up_dialling(tag, now));
        };
        tracing::info!(call = %tag, session = session.short(), why = why.text(), "a session ended");
        let cause = match why {
            EndReason::BindTimeout => 408,
            EndReason::ConnectionLost | EndReason::Congested | EndReason::Unreachable | EndReason::BindRefused => 480,
            EndReason::Certificate => 488,
            EndReason::ProtocolError => 400,
        };
        self.detach(tag);
        self.end(tag, Goodbye { cause, text: why.text() });
    }

    /// Nobody acknowledged our 200: the call ends all the same (RFC 3261 §13.3.1.4).
    pub(super) fn give_up(&mut self, tag: Tag) {
        let before = self.calls.get_mut(tag).and_then(|call| call.goodbye);
        self.calls.set_phase(tag, Phase::Confirmed);
        self.end(tag, before.unwrap_or(Goodbye { cause: 408, text: "No ACK" }));
    }

    /// Everybody is sent away.
    pub(super) fn end_everybody(&mut self) {
        self.no_longer_wanted(None, None);
        for tag in self.calls.tags(None) {
            match self.calls.get_mut(tag).map(|call| &call.phase) {
                Some(Phase::Opening(_)) => self.unopened(tag, &Refusal::later(60)),
                _ => self.end(tag, Goodbye { cause: 503, text: "The server is ending" }),
            }
        }
    }

    /// The session did not come to be: the INVITE is refused, or, where it was answered already, the call ends.
    pub(super) fn unopened(&mut self, tag: Tag, refusal: &Refusal) {
        let opening = self.calls.get_mut(tag).is_some_and(|call| matches!(call.phase, Phase::Opening(_)));
        if !opening {
            return self.end(tag, Goodbye { cause: refusal.status, text: "The session could not be opened" });
        }
        self.detach(tag);
        if let Some(Phase::Opening(opening)) = self.remove(tag).map(|call| call.phase) {
            self.refuse_opening(&opening, refusal, tag);
        }
    }

    /// Ends a call from our side: it leaves its room at once, its dialog ends as soon as our 200 is acknowledged (RFC 3261 §15), and
    /// its session when the BYE is answered, or its time is out (RFC 4975 §5.4).
    pub(super) fn end(&mut self, tag: Tag, goodbye: Goodbye) {
        let at_once = self.calls.get(tag).is_some_and(|call| matches!(call.phase, Phase::Opening(_)));
        self.leave_room(tag, if at_once { AfterLeaving::Close } else { AfterLeaving::Suspend });
        let Some(call) = self.calls.get_mut(tag) else { return };
        match call.phase {
            Phase::Confirmed => self.send_bye(tag, goodbye),
            Phase::Answered(_) => call.goodbye = Some(goodbye),
            // An INVITE that has no answer yet is refused, not hung up.
            Phase::Opening(_) => {
                if let Some(Phase::Opening(opening)) = self.remove(tag).map(|call| call.phase) {
                    let refusal = Refusal::new(480).because(goodbye.text);
                    self.refuse_opening(&opening, &refusal, tag);
                }
            }
        }
    }

    pub(super) fn send_bye(&mut self, tag: Tag, goodbye: Goodbye) {
        let branch = self.branch();
        let Some(call) = self.calls.get_mut(tag) else { return };
        let (ask, hop) = call.dialog.request(Method::Bye, &call.sent_by, &branch);
        let session = std::mem::take(&mut call.suspended).then_some((call.shard, call.session));
        let ending = Ending { tag, dialog: call.dialog.clone(), session };
        let (user, room) = (call.member.user.clone(), call.room);
        let room = self.rooms.get(room).map(|room| tracing::field::display(room.name.clone()));
        self.remove(tag);
        tracing::info!(call = %tag, room, user = %user, reason = goodbye.text, "hanging up");
        if !self.say_goodbye(ask, hop, goodbye, Some(ending))
            && let Some((shard, session)) = session
        {
            self.command(shard, Command::CloseSession { session });
        }
    }

    /// The peer's BYE has crossed ours: the dialog that both are about was there when it was sent (RFC 3261 §15.1.2).
    pub(super) fn handle_crossing_bye(&mut self, id: &TransactionId, request: &Request, tag: Tag) {
        let response = self.reply(request, 200, &tag.to_string()).empty();
        self.transactions.respond(id, response);
    }

    /// A BYE of ours was answered, or nobody will answer it: its session has nothing more to wait for.
    pub(super) fn bye_is_over(&mut self, id: &TransactionId) {
        if let Some((shard, session)) = self.byes.remove(id).and_then(|ending| ending.session) {
            self.command(shard, Command::CloseSession { session });
        }
    }

    /// Takes a call out of its room and ends its session. Its dialog may outlive that.
    pub(super) fn detach(&mut self, tag: Tag) {
        self.leave_room(tag, AfterLeaving::Close);
    }

    fn leave_room(&mut self, tag: Tag, then: AfterLeaving) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        if !std::mem::take(&mut call.present) {
            return;
        }
        let (session, shard, room, user) = (call.session, call.shard, call.room, call.member.user.clone());
        let (account, anonymous) = (call.account.clone(), call.member.anonymous);
        let ends = call.terms.is_some();
        call.suspended = ends && then == AfterLeaving::Suspend;
        match then {
            _ if !ends => {}
            AfterLeaving::Suspend => self.command(shard, Command::SuspendSession { session }),
            AfterLeaving::Close => self.command(shard, Command::CloseSession { session }),
        }
        if let Some(room) = self.rooms.get_mut(room) {
            self.nicknames.leave(session, &user, room.policy.nickname_quarantine);
        }
        self.shards.session_closed(shard);
        if let (Some(account), Some(room)) = (account, self.rooms.get_mut(room)) {
            room.leave_account(&account);
            if anonymous {
                room.put_mask(&account, &user);
            }
        }
        self.roster_left(tag, room);
        let left = self.rooms.get_mut(room).map(|room| room.leave(&user));
        if self.rooms.get(room).is_some_and(|room| !room.has(&user)) {
            self.no_longer_wanted(Some(room), Some(&user));
        }
        match left {
            Some(Left::Empty) => self.close_room(room),
            Some(Left::Dissolved) => {
                for other in self.calls.tags(Some(room)).into_iter().filter(|&other| other != tag) {
                    self.end(other, Goodbye { cause: 410, text: "Whoever made the room has left" });
                }
            }
            Some(Left::Others) | None => {}
        }
        self.subscriptions.call_ended(tag, room, &user);
        self.end_subscriptions_of(room, &user);
    }

    pub(super) fn remove(&mut self, tag: Tag) -> Option<Call> {
        for alarm in [Alarm::Resend(tag), Alarm::GiveUp(tag), Alarm::Silence(tag), Alarm::Session(tag)] {
            self.alarms.clear(&alarm);
        }
        let call = self.calls.remove(tag)?;
        if call.suspended {
            self.command(call.shard, Command::CloseSession { session: call.session });
        }
        self.leave_dialog_to_subscriptions(tag, &call);
        Some(call)
    }

    fn close_room(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        room.close();
        let shard = room.shard;
        tracing::info!(room = %room.name, "a room is empty");
        self.command(shard, Command::CloseRoom { room: id });
        self.end_subscriptions_to(id);
        self.no_longer_wanted(Some(id), None);
    }

    /// A room that nobody is in, and nobody is called into, goes, unless it is to stay.
    pub(super) fn close_if_empty(&mut self, id: RoomId) {
        let awaits = self.dialling.iter().any(|(_, dialling)| dialling.invitation.room == id);
        let empty = |room: &Room| room.open && room.users() == 0 && !room.is_to_stay();
        if !awaits && self.rooms.get(id).is_some_and(empty) {
            self.close_room(id);
        }
    }

    /// Nothing of a room is left on its shard. If it was opened again meanwhile, that was told later and stands.
    pub(super) fn room_closed(&mut self, id: RoomId) {
        if let Some(room) = self.rooms.forget(id) {
            self.shards.room_closed(room.shard);
        }
    }

    /// Tells the shards of rooms whose policy has changed.
    pub(super) fn reopen_changed_rooms(&mut self) {
        let rooms = &self.settings.rooms;
        let changed = self
            .rooms
            .iter_mut()
            .filter(|room| room.open && rooms.policy(&room.name).is_some_and(|policy| **policy != *room.policy));
        let changed: Vec<RoomId> = changed.map(|room| room.id).collect();
        for id in changed {
            self.open_room(id);
            self.roster_described(id);
            self.roster_roles(id);
        }
    }
}
