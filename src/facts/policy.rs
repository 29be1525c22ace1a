//! The policy of a room (RFC 7701 §4.1), as `[rooms.*]` of the config sets it.

use std::time::Duration;

/// Among the moderators of a room: whoever made it.
pub const CREATOR: &str = "creator";

/// Everything about a room that an operator decides. The defaults are those of the config.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomPolicy {
    /// Whether members may have nicknames.
    pub nicknames: bool,
    /// Where a nickname must be one user's alone.
    pub nickname_scope: NicknameScope,
    /// How long a nickname stays its last holder's.
    pub nickname_quarantine: Duration,
    /// Nicknames nobody may have.
    pub reserved_nicknames: Vec<String>,
    /// Whether nicknames that look alike are refused (RFC 7701 §7.1).
    pub confusable_nicknames: Confusable,
    /// Whether an unquoted Use-Nickname is taken as well; else it is 424.
    pub unquoted_nicknames: bool,
    /// Whether members may send private messages.
    pub private_messages: bool,
    /// Whether private messages also go to members whose SDP has no `private-messages` token.
    pub private_messages_to_unaware: bool,
    /// When the room is deleted.
    pub delete: Delete,
    /// Whether a user may be in the room with several sessions.
    pub simultaneous_access: bool,
    /// Whether messages have to go over TLS.
    pub force_tls: bool,
    /// How long the rest of a message may take to come.
    pub chunk_reception_timeout: Duration,
    /// Media types that members may send, as `accept-wrapped-types` lists them.
    pub wrapped_types: Vec<String>,
    /// Messages up to this many octets leave as one chunk, larger ones as they arrive.
    pub forward_whole_up_to: usize,
    /// Octets of the largest message; 0 is no limit.
    pub max_message_size: u64,
    /// Users at a time; 0 is no limit.
    pub max_participants: usize,
    /// How long, in any 10 s, a slow member may hold streams to it back.
    pub congestion_patience: Duration,
    /// What a congested member still gets (RFC 7701 §6.4).
    pub congested: Congested,
    /// Octets of the largest message that a congested member still gets, with [`Congested::Limit`].
    pub congested_max_message_size: u64,
    /// How long a member may be congested before its session and call are ended; zero is for ever.
    pub congestion_timeout: Duration,
    /// Whether a member whose client knows nothing of chat rooms is told where it is (RFC 7701 §11).
    pub notice_to_unaware: bool,
    /// What the copies ask of their recipients.
    pub failure_report: FailureReport,
    /// Roster changes within it are told in one NOTIFY.
    pub notify_interval: Duration,
    /// Who may subscribe to the roster.
    pub subscribers: Subscribers,
    /// URI patterns of who may bring others in and send them away; `creator` is whoever made the room.
    pub moderators: Vec<String>,
    /// URI patterns of who may join; empty is everyone.
    pub allow: Vec<String>,
    /// URI patterns of who may not.
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
