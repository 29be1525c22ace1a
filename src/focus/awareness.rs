//! Who knows chat rooms (RFC 7701 §8): whoever says so with `a=chatroom`, and clients that are known to.

use super::calls::Call;
use crate::facts::ChatroomTokens;
use parlor_proto::sdp::MessageMedia;
use parlor_proto::sip::{HeaderName, Headers, text_rows};

/// Clients that know nicknames and private messages though their descriptions have no `a=chatroom`.
const AWARE_AGENTS: [&str; 2] = ["sipsimple", "blink"];

/// Whether a message is of a client that is known to know chat rooms: it says what it is in User-Agent or, in a response, in Server
/// (RFC 3261 §20.35, §20.41).
pub(super) fn is_of_aware(headers: &Headers) -> bool {
    let known = |agent: &String| AWARE_AGENTS.iter().any(|name| agent.to_ascii_lowercase().contains(name));
    [HeaderName::UserAgent, HeaderName::Server].iter().any(|name| text_rows(headers, name).iter().any(known))
}

impl Call {
    /// Takes notice of what a message of the peer says that it is. What was known stays known: proxies may leave it out later.
    pub(super) fn learn_agent(&mut self, headers: &Headers) {
        self.aware |= is_of_aware(headers);
    }

    /// What the peer knows of chat rooms.
    pub(super) fn chatroom_of(&self, media: &MessageMedia) -> Option<ChatroomTokens> {
        media.chatroom.or(self.aware.then_some(ChatroomTokens { nickname: true, private_messages: true }))
    }
}
