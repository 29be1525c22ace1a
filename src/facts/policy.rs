//! The policy of a room (RFC 7701 §4.1), as `[rooms.*]` of the config sets it.

use std::time::Duration;

/// The entry of `moderators` that stands for the creator of the room.
pub const CREATOR: &str = "creator";

/// The settings of a room. The defaults are those of the config.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomPolicy {
    /// Whether members may have nicknames.
    pub nicknames: bool,
    /// Where a nickname must be unique: in the room or on the server.
    pub nickname_scope: NicknameScope,
    /// How long a nickname stays reserved for its last holder.
    pub nickname_quarantine: Duration,
    /// Nicknames that are refused to all users.
    pub reserved_nicknames: Vec<String>,
    /// Whether nicknames that look alike are refused (RFC 7701 §7.1).
    pub confusable_nicknames: Confusable,
    /// Whether an unquoted Use-Nickname is accepted; otherwise it is 424.
    pub unquoted_nicknames: bool,
    /// Whether members may send private messages.
    pub private_messages: bool,
    /// Whether private messages also go to members whose SDP has no `private-messages` token.
    pub private_messages_to_unaware: bool,
    /// When the room is deleted.
    pub delete: Delete,
    /// Whether a user may be in the room with several sessions.
    pub simultaneous_access: bool,
    /// Whether MSRP sessions must use TLS.
    pub force_tls: bool,
    /// The longest time to wait for the next chunk of a message.
    pub chunk_reception_timeout: Duration,
    /// Media types that members may send, as `accept-wrapped-types` lists them.
    pub wrapped_types: Vec<String>,
    /// Messages up to this size in octets are forwarded as one chunk, larger ones piece by piece as they arrive.
    pub forward_whole_up_to: usize,
    /// The largest message in octets; 0: no limit.
    pub max_message_size: u64,
    /// The largest number of users at a time; 0: no limit.
    pub max_participants: usize,
    /// How long, in any 10 s, a slow member may pause the senders of streams to it.
    pub congestion_patience: Duration,
    /// Which messages a congested member still gets (RFC 7701 §6.4).
    pub congested: Congested,
    /// The largest message in octets that a congested member still gets, with [`Congested::Limit`].
    pub congested_max_message_size: u64,
    /// How long a member may be congested before its session and call are ended; zero: no limit.
    pub congestion_timeout: Duration,
    /// Whether a member without `a=chatroom` is sent a notice about the room (RFC 7701 §11).
    pub notice_to_unaware: bool,
    /// The Failure-Report header of forwarded messages.
    pub failure_report: FailureReport,
    /// Roster changes within this time are sent in one NOTIFY.
    pub notify_interval: Duration,
    /// Who may subscribe to the roster.
    pub subscribers: Subscribers,
    /// URI patterns of users who may add and remove participants and close the room; `creator` is the creator of the room.
    pub moderators: Vec<String>,
    /// URI patterns of users who may join; empty: everyone.
    pub allow: Vec<String>,
    /// URI patterns of users who may not join.
    pub deny: Vec<String>,
    /// The room's subject, if it has one.
    pub subject: Option<String>,
    /// The room's display text, if it has one.
    pub display_text: Option<String>,
}

impl Default for RoomPolicy {
    fn default() -> Self {
        Self {
            nicknames: true,
            nickname_scope: NicknameScope::Room,
            nickname_quarantine: Duration::from_secs(60),
            reserved_nicknames: Vec::new(),
            confusable_nicknames: Confusable::Allow,
            unquoted_nicknames: true,
            private_messages: true,
            private_messages_to_unaware: false,
            delete: Delete::WhenEmpty,
            simultaneous_access: true,
            force_tls: false,
            chunk_reception_timeout: Duration::from_secs(9 * 60),
            wrapped_types: vec!["*".into()],
            forward_whole_up_to: 64 * 1024,
            max_message_size: 0,
            max_participants: 0,
            congestion_patience: Duration::from_millis(200),
            congested: Congested::Discard,
            congested_max_message_size: 4 * 1024,
            congestion_timeout: Duration::from_secs(120),
            notice_to_unaware: true,
            failure_report: FailureReport::No,
            notify_interval: Duration::from_millis(250),
            subscribers: Subscribers::Participants,
            moderators: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            subject: None,
            display_text: None,
        }
    }
}

impl RoomPolicy {
    /// Whether a nickname that looks like another's is refused.
    #[must_use]
    pub fn strict_nicknames(&self) -> bool {
        self.confusable_nicknames == Confusable::Refuse
    }

    /// Whether a message of `len` octets goes to congested members too.
    #[must_use]
    pub fn bypasses_congestion(&self, len: u64) -> bool {
        self.congested == Congested::Limit && len <= self.congested_max_message_size
    }
}

/// Where a nickname is one user's alone (RFC 7701 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicknameScope {
    /// In its room.
    Room,
    /// In all rooms of the server that say so.
    Server,
}

/// What a member that cannot keep up still gets of regular messages (RFC 7701 §6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Congested {
    /// Nothing.
    Discard,
    /// Small ones.
    Limit,
}

/// What becomes of a nickname that looks like another's (RFC 7701 §7.1, UTS 39).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confusable {
    /// It is taken.
    Allow,
    /// It is answered 425.
    Refuse,
}

/// When a room is deleted (RFC 7701 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// When its last member has left.
    WhenEmpty,
    /// When whoever made it leaves; the others get a BYE.
    WhenCreatorLeaves,
    /// Never.
    Never,
}

/// `Failure-Report` of the copies (RFC 7701 §6.3 leaves it to the switch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReport {
    /// Recipients answer nothing: half the packets.
    No,
    /// Recipients answer errors only.
    Partial,
    /// Recipients answer every chunk.
    Yes,
}

/// Who may subscribe to a room's roster (RFC 4575 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribers {
    /// Those who are in the room, for as long as they are.
    Participants,
    /// Everyone who may join.
    Everyone,
}
