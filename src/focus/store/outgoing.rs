//! Calls that the focus is making, and by what they are found.

use std::collections::HashMap;

use crate::facts::Member;
use crate::focus::store::local_description::LocalDescription;
use crate::focus::store::outgoing_state::OutgoingState;
use crate::focus::store::subscription::SubscriptionId;
use crate::focus::store::timing::Timing;
use crate::focus::tag::Tag;
use crate::ids::{RoomId, SessionId, ShardId};
use crate::limits::{OUTGOING_CALLS_MAX, PARTS_KEPT_FOR_OTHERS};
use crate::shares::{Claim, Share, Shares};
use parlor_proto::msrp::Path;
use parlor_proto::sip::{Hop, Transport, Uri};
use parlor_proto::uri::Aor;

/// Who is invited into which room, and by whom.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub room: RoomId,
    pub target: Uri,
    pub member: Member,
    /// The inviting user, and the holder that the call counts for.
    pub by: Aor,
    pub claim: Claim,
    /// The Referred-By of the REFER (RFC 3892).
    pub referred_by: Option<String>,
    pub replaces: Option<String>,
    /// The recipient-list history for the invited user (RFC 5366 §5).
    pub history: Option<String>,
    pub report: Option<SubscriptionId>,
}

/// One call that the focus is making.
#[derive(Debug)]
pub struct OutgoingCall {
    pub invitation: Invitation,
    pub shard: ShardId,
    pub session: SessionId,
    pub path: Path,
    pub local_description: LocalDescription,
    pub timing: Timing,
    pub contact: String,
    pub sent_by: String,
    pub call_id: String,
    /// The number of the last INVITE, which is how often one has gone out.
    pub sequence: u32,
    /// Whether a stream is tried because of the size alone; `None` after it could not be had.
    pub stream: Option<bool>,
    /// Where to, once that is known.
    pub route: Option<Route>,
    pub state: OutgoingState,
    /// What it takes of a common limit, and for which holder.
    pub share: Option<Share>,
}

/// Request-URI, Route and hop.
#[derive(Debug, Clone)]
pub struct Route {
    pub target: Uri,
    pub routes: Vec<String>,
    pub hop: Hop,
}

impl OutgoingCall {
    /// The stream that was tried because of the size could not be had: a datagram then (RFC 3261 §18.1.1).
    pub fn fall_back_to_datagram(&mut self) -> bool {
        let tried = self.stream == Some(true);
        if tried {
            self.stream = None;
            // Nobody has had it: it is the same request still.
            self.sequence -= 1;
        }
        tried
    }

    /// The Call-ID of its INVITEs.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// How often it has gone out.
    pub fn tries(&self) -> u32 {
        self.sequence
    }
}

/// All calls that are being made, by our tag in them.
#[derive(Debug)]
pub struct OutgoingCalls {
    pub shares: Shares,
    by_tag: HashMap<Tag, OutgoingCall>,
    by_session: HashMap<SessionId, Tag>,
    /// Those whose host is looked up, with the port and transport that it is to be called at.
    pub lookups: HashMap<Tag, (u16, Transport)>,
}

impl Default for OutgoingCalls {
    fn default() -> Self {
        let shares = Shares::new(OUTGOING_CALLS_MAX, PARTS_KEPT_FOR_OTHERS);
        Self { shares, by_tag: HashMap::new(), by_session: HashMap::new(), lookups: HashMap::new() }
    }
}

impl OutgoingCalls {
    pub fn len(&self) -> usize {
        self.by_tag.len()
    }

    pub fn insert(&mut self, tag: Tag, mut outgoing: OutgoingCall) {
        outgoing.share = Some(self.shares.take(&outgoing.invitation.claim, 1));
        self.by_session.insert(outgoing.session, tag);
        self.by_tag.insert(tag, outgoing);
    }

    pub fn remove(&mut self, tag: Tag) -> Option<OutgoingCall> {
        let mut outgoing = self.by_tag.remove(&tag)?;
        outgoing.share.take().into_iter().for_each(|share| self.shares.give_back(share));
        self.by_session.remove(&outgoing.session);
        Some(outgoing)
    }

    pub fn contains(&self, tag: Tag) -> bool {
        self.by_tag.contains_key(&tag)
    }

    pub fn get(&self, tag: Tag) -> Option<&OutgoingCall> {
        self.by_tag.get(&tag)
    }

    pub fn get_mut(&mut self, tag: Tag) -> Option<&mut OutgoingCall> {
        self.by_tag.get_mut(&tag)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Tag, &OutgoingCall)> {
        self.by_tag.iter().map(|(tag, outgoing)| (*tag, outgoing))
    }

    /// The call of a session. Shards report sessions that have just ended, too, so this is no search.
    pub fn of_session(&self, session: SessionId) -> Option<Tag> {
        self.by_session.get(&session).copied()
    }
}
