//! Reading `[rooms]`, `[rooms.defaults]` and the rooms by name.

use std::time::Duration;

use super::section::{Read, Section};
use super::tables::RoomsConfig;
use super::values::{boolean, duration, line, media_range, number, one_of, size, uri_pattern};
use crate::facts::{CREATOR, Confusable, Congested, Delete, FailureReport, NicknameScope, RoomPolicy, Subscribers};
use crate::limits::{HELD_BYTES_PER_SESSION_MAX, ROOMS_MAX};
use crate::nickname::NicknameKey;

const DAY: Duration = Duration::from_secs(24 * 3600);
const DELETE: &[(&str, Delete)] =
    &[("when-empty", Delete::WhenEmpty), ("when-creator-leaves", Delete::WhenCreatorLeaves), ("never", Delete::Never)];
const CONFUSABLE: &[(&str, Confusable)] = &[("allow", Confusable::Allow), ("refuse", Confusable::Refuse)];
const SCOPE: &[(&str, NicknameScope)] = &[("room", NicknameScope::Room), ("server", NicknameScope::Server)];
const CONGESTED: &[(&str, Congested)] = &[("discard", Congested::Discard), ("limit", Congested::Limit)];
const SUBSCRIBERS: &[(&str, Subscribers)] =
    &[("participants", Subscribers::Participants), ("everyone", Subscribers::Everyone)];
const FAILURE_REPORT: &[(&str, FailureReport)] =
    &[("no", FailureReport::No), ("partial", FailureReport::Partial), ("yes", FailureReport::Yes)];

impl RoomsConfig {
    /// Reads the section.
    pub fn read(&mut self, mut section: Section<'_, '_>) {
        section.value("on_demand", &mut self.on_demand, boolean);
        section.value("max_rooms", &mut self.max_rooms, number(1..=ROOMS_MAX));
        section.table("defaults", |mut section| {
            read_policy(&mut self.defaults, &mut section);
            section.finish();
        });
        section.remaining_tables(|name, mut section| {
            let mut policy = self.defaults.clone();
            read_policy(&mut policy, &mut section);
            section.value("subject", &mut policy.subject, line);
            section.value("display_text", &mut policy.display_text, line);
            section.finish();
            self.named.insert(name.to_owned(), policy);
        });
        section.finish();
    }
}

fn read_policy(policy: &mut RoomPolicy, section: &mut Section<'_, '_>) {
    read_members(policy, section);
    read_messages(policy, section);
}

fn read_members(policy: &mut RoomPolicy, section: &mut Section<'_, '_>) {
    section.value("nicknames", &mut policy.nicknames, boolean);
    section.value("nickname_scope", &mut policy.nickname_scope, one_of(SCOPE));
    section.value("nickname_quarantine", &mut policy.nickname_quarantine, duration(Duration::ZERO..=DAY));
    section.list("reserved_nicknames", &mut policy.reserved_nicknames, nickname);
    section.value("unquoted_nicknames", &mut policy.unquoted_nicknames, boolean);
    section.value("confusable_nicknames", &mut policy.confusable_nicknames, one_of(CONFUSABLE));
    section.value("delete", &mut policy.delete, one_of(DELETE));
    section.value("force_tls", &mut policy.force_tls, boolean);
    section.value("simultaneous_access", &mut policy.simultaneous_access, boolean);
    section.value("max_participants", &mut policy.max_participants, number(0..=usize::MAX));
    let interval = duration(Duration::ZERO..=Duration::from_secs(3600));
    section.value("notify_interval", &mut policy.notify_interval, interval);
    section.value("subscribers", &mut policy.subscribers, one_of(SUBSCRIBERS));
    section.list("moderators", &mut policy.moderators, moderator);
    section.list("allow", &mut policy.allow, uri_pattern);
    section.list("deny", &mut policy.deny, uri_pattern);
}

fn read_messages(policy: &mut RoomPolicy, section: &mut Section<'_, '_>) {
    section.value("private_messages", &mut policy.private_messages, boolean);
    section.value("private_messages_to_unaware", &mut policy.private_messages_to_unaware, boolean);
    let timeout = duration(Duration::from_secs(1)..=DAY);
    section.value("chunk_reception_timeout", &mut policy.chunk_reception_timeout, timeout);
    section.list("wrapped_types", &mut policy.wrapped_types, media_range);
    // A message held until it is complete must fit into the limit of its session.
    section.value("forward_whole_up_to", &mut policy.forward_whole_up_to, size(0..=HELD_BYTES_PER_SESSION_MAX));
    section.value("max_message_size", &mut policy.max_message_size, size(0..=u64::MAX));
    let patience = duration(Duration::ZERO..=Duration::from_secs(10));
    section.value("congestion_patience", &mut policy.congestion_patience, patience);
    section.value("congested", &mut policy.congested, one_of(CONGESTED));
    section.value("congested_max_message_size", &mut policy.congested_max_message_size, size(0..=u64::MAX));
    section.value("congestion_timeout", &mut policy.congestion_timeout, duration(Duration::ZERO..=DAY));
    section.value("notice_to_unaware", &mut policy.notice_to_unaware, boolean);
    section.value("failure_report", &mut policy.failure_report, one_of(FAILURE_REPORT));
}

fn moderator(text: &str) -> Read<String> {
    if text == CREATOR { Ok(text.into()) } else { uri_pattern(text).map_err(|help| format!("{help}, or \"creator\"")) }
}

fn nickname(text: &str) -> Read<String> {
    NicknameKey::of(text).map(|_| text.to_owned()).map_err(|_| "expected a nickname (RFC 8266)".to_owned())
}
