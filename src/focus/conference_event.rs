//! The conference event package (RFC 4575): what happens in a room becomes what its subscribers are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Focus;
use super::calls::Tag;
use super::face::Alarm;
use super::roster::{Device, gone};
use super::subscriptions::SubscriptionId;
use crate::call::{Due, EndOfSubscription};
use crate::facts::{Direction, RoomPolicy, Subscribers};
use crate::ids::{RoomId, SessionId};
use parlor_proto::conference_info::{Description, JoiningMethod, MediaStatus};
use parlor_proto::datetime::rfc3339;
use parlor_proto::sip::escape_user;
use parlor_proto::uri::Aor;

/// The name of the package (RFC 4575 §3.1).
pub(super) const PACKAGE: &str = "conference";

impl Focus {
    /// Says what time it is in the world at a moment: the roster tells when people came. Without, it does not.
    pub fn tell_time(&mut self, now: Instant, since_1970: Duration) {
        self.world_time = Some((now, since_1970));
    }

    /// A room's own URI.
    pub(super) fn room_uri(&self, name: &str) -> String {
        let domain = self.settings.domains.first().map_or("localhost", String::as_str);
        format!("sip:{}@{domain}", escape_user(name))
    }

    /// A session has come in: it can be bound.
    pub(super) fn roster_joined(&mut self, tag: Tag, now: Instant) {
        let joined_at = self
            .world_time
            .map(|(then, since_1970)| rfc3339(since_1970.saturating_add(now.saturating_duration_since(then))));
        let Some(call) = self.calls.get_mut(tag) else { return };
        let direction = call.terms.as_ref().map(|terms| terms.direction);
        let device = Device {
            call: tag,
            display_name: call.member.display_name.clone(),
            joining_method: if call.timing.caller { JoiningMethod::DialedOut } else { JoiningMethod::DialedIn },
            joined_at,
            brought_by: call.brought_by.clone(),
            media: direction.map_or(MediaStatus::SendRecv, media_status),
        };
        let (id, uri, user, account) =
            (call.room, call.member.uri.clone(), call.member.user.clone(), call.account.clone());
        // Users are told apart by what others see of them: who hides is not to be recognised by a second session.
        let key = Aor::parse(uri.as_bytes()).ok().filter(|key| *key != user).unwrap_or_else(|| user.clone());
        let Some(room) = self.rooms.get_mut(id) else { return };
        let role = role_of(room.is_moderated_by(&user, account.as_ref()));
        room.roster.join(&key, &uri, role, device);
        self.roster_changed(id);
    }

    /// Other people may moderate a room: its roster says who.
    pub(super) fn roster_roles(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        for tag in room.roster.calls().collect::<Vec<_>>() {
            let Some(call) = self.calls.get(tag) else { continue };
            let role = role_of(room.is_moderated_by(&call.member.user, call.account.as_ref()));
            room.roster.set_role(tag, role);
        }
        self.roster_changed(id);
    }

    /// A session has another nickname.
    pub(super) fn roster_nickname(&mut self, session: SessionId, nickname: Option<Arc<str>>) {
        let Some(tag) = self.calls.of_session(session) else { return };
        let Some(room) = self.calls.get_mut(tag).map(|call| call.room) else { return };
        if let Some(room) = self.rooms.get_mut(room) {
            room.roster.set_nickname(tag, nickname);
        }
        self.roster_changed(room);
    }

    /// What a session may do has changed.
    pub(super) fn roster_media(&mut self, tag: Tag) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        let Some(direction) = call.terms.as_ref().map(|terms| terms.direction) else { return };
        let id = call.room;
        if let Some(room) = self.rooms.get_mut(id) {
            room.roster.set_media(tag, media_status(direction));
        }
        self.roster_changed(id);
    }

    /// A session has left.
    pub(super) fn roster_left(&mut self, tag: Tag, id: RoomId) {
        if let Some(room) = self.rooms.get_mut(id) {
            room.roster.leave(tag);
        }
        self.roster_changed(id);
    }

    /// Notes a room whose roster may have changed, to be seen to when the input that changed it is done with.
    pub(super) fn roster_changed(&mut self, id: RoomId) {
        self.changed_rooms.push(id);
    }

    /// Sees to it that changes are told within the room's `notify_interval`, those of one interval together.
    pub(super) fn schedule_notifies(&mut self, now: Instant) {
        while let Some(id) = self.changed_rooms.pop() {
            let watched = self.subscriptions.is_watched(id);
            let Some(room) = self.rooms.get_mut(id).filter(|room| room.roster.is_dirty()) else { continue };
            if !watched {
                room.roster.publish();
            } else if !std::mem::replace(&mut room.publishing, true) {
                let at = now + room.policy.notify_interval;
                self.alarms.set(Alarm::Publish(id), at);
            }
        }
        for (id, why) in std::mem::take(&mut self.ending_subscriptions) {
            // Who leaves a room that ends with it is told that.
            let why = if self.is_about_an_open_room(id) { why } else { EndOfSubscription::NoResource };
            self.end_subscription(id, why, now);
        }
    }

    fn is_about_an_open_room(&mut self, id: SubscriptionId) -> bool {
        let watch = self.subscriptions.get_mut(id).and_then(|held| held.watch());
        watch.is_some_and(|watch| self.rooms.get(watch.room).is_some_and(|room| room.open))
    }

    /// The interval of a room is over: whoever has not heard of its changes is told.
    pub(super) fn publish(&mut self, id: RoomId, now: Instant) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        room.publishing = false;
        room.roster.publish();
        let published = room.roster.published();
        for id in self.subscriptions.of_room(id) {
            let Some(held) = self.subscriptions.get_mut(id) else { continue };
            let behind = held.watch().is_some_and(|watch| watch.place.seen < published);
            if behind && !held.subscription.is_ending() {
                held.subscription.tell();
                self.subscriptions.enqueue(id);
            }
        }
        if !self.alarms.is_set(&Alarm::Burst) {
            self.notify_burst(now);
        }
    }

    /// The document of a NOTIFY that is due, if it has one. Moves the subscriber to where that takes it.
    pub(super) fn conference_document(&mut self, id: SubscriptionId, due: Due) -> Option<Bytes> {
        let watch = self.subscriptions.get_mut(id)?.watch_mut()?;
        watch.before = watch.place;
        let room = self.rooms.get_mut(watch.room).filter(|room| room.open);
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
    pub(super) fn tell_the_rest(&mut self, id: SubscriptionId) {
        let Some(held) = self.subscriptions.get_mut(id) else { return };
        let Some(watch) = held.watch() else { return };
        let Some(room) = self.rooms.get_mut(watch.room) else { return };
        let cut_short = watch.place.seen < room.roster.published() && room.open;
        if cut_short && !held.subscription.is_ending() {
            held.subscription.tell();
        }
    }

    /// A room has another policy: what describes it is told, and whoever may not watch it any more is sent away.
    pub(super) fn roster_described(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        room.roster.describe_again();
        self.roster_changed(id);
        for subscription in self.subscriptions.of_room(id) {
            let watch = self.subscriptions.get_mut(subscription).and_then(|held| held.watch());
            let Some(user) = watch.map(|watch| watch.user.clone()) else { continue };
            self.end_subscriptions_of(id, &user);
        }
    }

    /// Somebody has left a room: where only participants may watch it, that was it.
    pub(super) fn end_subscriptions_of(&mut self, id: RoomId, user: &Aor) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        if room.has(user) || room.policy.subscribers != Subscribers::Participants {
            return;
        }
        let ended = self.subscriptions.of_user(id, user).iter().map(|&id| (id, EndOfSubscription::Rejected));
        self.ending_subscriptions.extend(ended);
    }

    /// A room is no more (RFC 4575 §3.3).
    pub(super) fn end_subscriptions_to(&mut self, id: RoomId) {
        let ended = self.subscriptions.of_room(id).into_iter().map(|id| (id, EndOfSubscription::NoResource));
        self.ending_subscriptions.extend(ended);
    }

    /// The server goes away: another one may take them (RFC 6665 §4.4.2). What a REFER has asked for ends with it, and its report
    /// with that.
    pub(super) fn end_all_subscriptions(&mut self, now: Instant) {
        for id in self.subscriptions.all() {
            if self.subscriptions.get_mut(id).is_some_and(|held| held.watch().is_some()) {
                self.end_subscription(id, EndOfSubscription::Deactivated, now);
            }
        }
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

/// What somebody is in a room (RFC 4575 §5.6.4).
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
