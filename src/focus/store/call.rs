//! One call.

use crate::call::Dialog;
use crate::facts::{ChatroomTokens, Member, Outward, Terms};
use crate::focus::awareness::is_of_aware;
use crate::focus::store::call_state::CallState;
use crate::focus::store::local_description::LocalDescription;
use crate::focus::store::session_state::SessionState;
use crate::focus::store::timing::{Refresh, Timing};
use crate::ids::{RoomId, SessionId, ShardId};
use crate::shares::Share;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::MessageMedia;
use parlor_proto::sip::{Headers, Recipient};
use parlor_proto::uri::Aor;

/// One call.
#[derive(Debug)]
pub struct Call {
    pub dialog: Dialog,
    pub room: RoomId,
    pub shard: ShardId,
    pub session: SessionId,
    pub member: Member,
    /// The account, as far as it is known; its other requests have to be of the same. Other members must not see it.
    pub account: Option<Aor>,
    /// The alias that it had in this room before, until the shard is told.
    pub formerly: Option<Box<Aor>>,
    /// A trusted peer has asserted the identity.
    pub vouched: bool,
    /// The client knows chat rooms though its SDP does not say so.
    pub aware: bool,
    /// Our path.
    pub path: Path,
    /// Our Contact, and the host and port in our Via.
    pub contact: String,
    pub sent_by: String,
    pub local_description: LocalDescription,
    pub timing: Timing,
    pub state: CallState,
    pub session_state: SessionState,
    /// The users that are to be invited with it, until they are.
    pub listed: Vec<Recipient>,
    /// The URI of the inviting user, where we have made the call.
    pub brought_by: Option<String>,
    /// How many REFERs it has sent.
    pub refers: u32,
    /// What it takes of a common limit, and for which holder.
    pub share: Option<Share>,
}

impl Call {
    /// Whether its INVITE was answered with 200, and it has not left its room since.
    pub fn has_joined(&self) -> bool {
        self.session_state.is_in_room() && self.state.opening().is_none()
    }

    /// Takes notice of what a message of the peer says that it is. What was known stays known: proxies may leave it out later.
    pub fn learn_agent(&mut self, headers: &Headers) {
        self.aware |= is_of_aware(headers);
    }

    /// What the peer knows of chat rooms.
    pub fn chatroom_of(&self, media: &MessageMedia) -> Option<ChatroomTokens> {
        media.chatroom.or(self.aware.then_some(ChatroomTokens { nickname: true, private_messages: true }))
    }

    /// What is in force between us once this media is taken.
    pub fn terms_for(&self, media: &MessageMedia, connect_to: Option<Outward>) -> Terms {
        Terms {
            local: self.path.clone(),
            remote: media.path.clone(),
            accept_wrapped_types: media.wrapped_types(),
            max_size: media.max_size,
            chatroom: self.chatroom_of(media),
            direction: media.direction,
            connect_to: connect_to.map(Box::new),
            fingerprints: media.fingerprints.as_slice().into(),
        }
    }

    /// Whether an offer of ours waits for its answer, so that none of the peer's can be taken (RFC 3264 §4).
    pub fn is_offering(&self) -> bool {
        self.timing.refresh == Refresh::Invite
            || self.state.unacknowledged().is_some_and(|response| response.awaits_answer)
    }
}
