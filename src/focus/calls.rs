//! The calls there are, and by what they are found.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::refresh::Timing;
use super::subscriptions::forget;
use crate::call::Dialog;
use crate::facts::{Member, Terms};
use crate::ids::{RoomId, SessionId, ShardId};
use crate::limits::{CALLS_MAX, PARTS_KEPT_FOR_OTHERS};
use crate::shares::{Claim, Share, Shares};
use crate::transaction::TransactionId;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::{Description, MessageMedia, Origin};
use parlor_proto::sip::{HeaderName, Hop, Recipient, Request, SipConnection, tag};
use parlor_proto::uri::Aor;

/// A call, by our tag of its dialog: 64 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Tag(pub(super) u64);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Tag {
    /// Our tag in a request of the peer.
    pub(super) fn of(request: &Request) -> Option<Self> {
        Self::parse(&tag(&request.headers, &HeaderName::To)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let legal = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        legal.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) dialog: Dialog,
    pub(super) room: RoomId,
    pub(super) shard: ShardId,
    pub(super) session: SessionId,
    pub(super) member: Member,
    /// Who it is, as far as anybody knows; its other requests have to be of the same. The others must not see it.
    pub(super) account: Option<Aor>,
    /// The anonymous user that it was when it was here before, until the shard is told.
    pub(super) formerly: Option<Box<Aor>>,
    /// It was a trusted peer that vouched.
    pub(super) vouched: bool,
    /// The client knows chat rooms though its SDP does not say so.
    pub(super) aware: bool,
    /// Our path.
    pub(super) path: Path,
    /// Our Contact, and the host and port in our Via.
    pub(super) contact: String,
    pub(super) sent_by: String,
    pub(super) described: Described,
    pub(super) timing: Timing,
    pub(super) phase: Phase,
    /// What is in force, once an answer settled it.
    pub(super) terms: Option<Terms>,
    /// The shard can take the session's connection.
    pub(super) ready: bool,
    /// The shard was told that the ACK has come.
    pub(super) expected: bool,
    /// It counts in its room and on its shard.
    pub(super) present: bool,
    /// It has left its room, and its session ends when its BYE is answered.
    pub(super) suspended: bool,
    /// It ends as soon as our 200 is acknowledged.
    pub(super) goodbye: Option<Goodbye>,
    /// Whom it wants to be invited too, until they are.
    pub(super) listed: Vec<Recipient>,
    /// The URI of whoever asked for it, where we have made the call.
    pub(super) brought_by: Option<String>,
    /// It has sent a REFER.
    pub(super) referred: bool,
    /// What it counts for whoever has it.
    pub(super) share: Option<Share>,
}

impl Call {
    /// Whether its INVITE was answered with 200, and it has not left its room since.
    pub(super) fn has_joined(&self) -> bool {
        self.present && !matches!(self.phase, Phase::Opening(_))
    }
}

/// What a call waits for.
#[derive(Debug)]
pub(super) enum Phase {
    /// The shard's word.
    Opening(Box<Opening>),
    /// The ACK.
    Answered(Box<Unacknowledged>),
    /// Nothing.
    Confirmed,
}

/// An INVITE that waits for the shard.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) invite: TransactionId,
    pub(super) request: Request,
    pub(super) offer: Description,
    pub(super) taken: MessageMedia,
}

/// A 200 that waits for its ACK.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub(super) response: Bytes,
    pub(super) hop: Hop,
    pub(super) sequence: u32,
    pub(super) interval: Duration,
    /// It has our offer: the ACK carries the answer.
    pub(super) awaits_answer: bool,
}

/// Why we end a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goodbye {
    pub(super) cause: u16,
    pub(super) text: &'static str,
}

/// The descriptions we have sent in a call: the version grows with every change (RFC 3264 §8).
#[derive(Debug)]
pub(super) struct Described {
    origin: Origin,
    last: String,
    /// Both have said `a=msrp-cema` (RFC 6714).
    pub(super) cema: bool,
}

impl Described {
    pub(super) fn new(id: u64) -> Self {
        // Some clients read it into a signed number.
        Self { origin: Origin { id: id >> 1, version: 1 }, last: String::new(), cema: false }
    }

    /// The last one, if there is one.
    pub(super) fn last(&self) -> Option<Description> {
        Description::parse(self.last.as_bytes()).ok()
    }

    /// The next description, which `write` makes for an o= line.
    pub(super) fn next(&mut self, write: impl Fn(Origin) -> String) -> String {
        let mut next = write(self.origin);
        if next != self.last && !self.last.is_empty() {
            self.origin.version += 1;
            next = write(self.origin);
        }
        self.last.clone_from(&next);
        next
    }
}

/// All calls.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) shares: Shares,
    /// Boxed, because a table has more places than calls.
    by_tag: HashMap<Tag, Box<Call>>,
    by_session: HashMap<SessionId, Tag>,
    by_invite: HashMap<TransactionId, Tag>,
    by_user: HashMap<Aor, SmallVec<[Tag; 1]>>,
    by_room: HashMap<RoomId, BTreeSet<Tag>>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            shares: Shares::new(CALLS_MAX, PARTS_KEPT_FOR_OTHERS),
            by_tag: HashMap::new(),
            by_session: HashMap::new(),
            by_invite: HashMap::new(),
            by_user: HashMap::new(),
            by_room: HashMap::new(),
        }
    }
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.by_tag.len()
    }

    /// A call that begins now.
    pub(super) fn insert(&mut self, tag: Tag, call: Call) {
        self.by_session.insert(call.session, tag);
        self.by_user.entry(call.member.user.clone()).or_default().push(tag);
        self.by_room.entry(call.room).or_default().insert(tag);
        if let Phase::Opening(opening) = &call.phase {
            self.by_invite.insert(opening.invite.clone(), tag);
        }
        self.by_tag.insert(tag, Box::new(call));
    }

    pub(super) fn remove(&mut self, tag: Tag) -> Option<Call> {
        let mut call = self.by_tag.remove(&tag)?;
        call.share.take().into_iter().for_each(|share| self.shares.give_back(share));
        self.by_session.remove(&call.session);
        forget(&mut self.by_user, &call.member.user, tag);
        if let Some(others) = self.by_room.get_mut(&call.room) {
            others.remove(&tag);
            if others.is_empty() {
                self.by_room.remove(&call.room);
            }
        }
        if let Phase::Opening(opening) = &call.phase {
            self.by_invite.remove(&opening.invite);
        }
        Some(*call)
    }

    /// Who has a call.
    pub(super) fn claim(&self, tag: Tag) -> Option<&Claim> {
        self.by_tag.get(&tag)?.share.as_ref().map(|share| &share.claim)
    }

    /// Whoever has a call has sent what only it can know.
    pub(super) fn prove(&mut self, tag: Tag) {
        if let Some(share) = self.by_tag.get_mut(&tag).and_then(|call| call.share.as_mut()) {
            self.shares.prove(share);
        }
    }

    /// The INVITE of a call was answered: `phase` is what it waits for now. Gives what it waited for.
    pub(super) fn set_phase(&mut self, tag: Tag, phase: Phase) -> Option<Phase> {
        let call = self.by_tag.get_mut(&tag)?;
        let before = std::mem::replace(&mut call.phase, phase);
        if let Phase::Opening(opening) = &before {
            self.by_invite.remove(&opening.invite);
        }
        Some(before)
    }

    pub(super) fn get_mut(&mut self, tag: Tag) -> Option<&mut Call> {
        self.by_tag.get_mut(&tag).map(|call| &mut **call)
    }

    pub(super) fn get(&self, tag: Tag) -> Option<&Call> {
        self.by_tag.get(&tag).map(|call| &**call)
    }

    pub(super) fn contains(&self, tag: Tag) -> bool {
        self.by_tag.contains_key(&tag)
    }

    /// The call that a request of the peer belongs to (RFC 3261 §12.2.2).
    pub(super) fn owner(&self, request: &Request) -> Option<Tag> {
        let tag = Tag::of(request)?;
        self.by_tag.get(&tag)?.dialog.owns(request).then_some(tag)
    }

    /// Who a call is of, as far as anybody knows.
    pub(super) fn account(&self, tag: Tag) -> Option<&Aor> {
        self.by_tag.get(&tag)?.account.as_ref()
    }

    /// Whether a trusted peer vouched for a call.
    pub(super) fn is_vouched(&self, tag: Tag) -> bool {
        self.by_tag.get(&tag).is_some_and(|call| call.vouched)
    }

    /// One of a user's calls, always the same.
    pub(super) fn of_user(&self, user: &Aor) -> Option<&Call> {
        let own = self.by_user.get(user)?.iter().filter_map(|tag| Some((tag, self.by_tag.get(tag)?)));
        own.filter(|(_, call)| matches!(call.phase, Phase::Confirmed))
            .min_by_key(|(tag, _)| **tag)
            .map(|(_, call)| &**call)
    }

    pub(super) fn of_session(&self, session: SessionId) -> Option<Tag> {
        self.by_session.get(&session).copied()
    }

    pub(super) fn of_invite(&self, invite: &TransactionId) -> Option<Tag> {
        self.by_invite.get(invite).copied()
    }

    /// Whether a user has had its 200 to an INVITE to a room, and is still there.
    pub(super) fn has_joined(&self, user: &Aor, room: RoomId) -> bool {
        let mut own = self.by_user.get(user).into_iter().flatten().filter_map(|tag| self.get(*tag));
        own.any(|call| call.room == room && call.has_joined())
    }

    /// The connections that calls go over.
    pub(super) fn connections(&self) -> impl Iterator<Item = SipConnection> {
        self.by_tag.values().filter_map(|call| call.dialog.hop().connection)
    }

    /// Every call, or those of one room, in a fixed order.
    pub(super) fn tags(&self, room: Option<RoomId>) -> Vec<Tag> {
        if let Some(room) = room {
            return self.by_room.get(&room).into_iter().flatten().copied().collect();
        }
        let mut tags: Vec<Tag> = self.by_tag.keys().copied().collect();
        tags.sort();
        tags
    }
}
