//! The calls there are, and by what they are found.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use bytes::Bytes;
use siphasher::sip128::{Hash128, Hasher128, SipHasher13};
use smallvec::SmallVec;

use super::refresh::Timing;
use super::subscriptions::forget;
use crate::call::Dialog;
use crate::facts::{Member, Terms};
use crate::ids::{RoomId, SessionId, ShardId};
use crate::limits::CALLS_MAX;
use crate::msrp::Path;
use crate::sdp::{Description, MessageMedia, Origin};
use crate::sip::{HeaderName, Hop, Method, Recipient, Request, SipConnection, TransactionId, sequence, tag};
use crate::uri::Aor;

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
    /// What its first INVITE is told from merged ones by.
    pub(super) origin: InviteOrigin,
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
}

impl Described {
    pub(super) fn new(id: u64) -> Self {
        // Some clients read it into a signed number.
        Self { origin: Origin { id: id >> 1, version: 1 }, last: String::new() }
    }

    /// The last one.
    pub(super) fn last(&self) -> &str {
        &self.last
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

/// Call-ID, From tag and CSeq, its method included, of a request that begins a dialog: another one with the same is the same, come by
/// another way (RFC 3261 §8.2.2.2).
/// A digest of 128 bits under a key of ours stands for them, so that what they are long costs nothing for as long as a call lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct InviteOrigin(u64, u64);

impl InviteOrigin {
    pub(super) fn of(request: &Request, keys: (u64, u64)) -> Option<Self> {
        Self::of_method(request, &request.method, keys)
    }

    /// The same of the request of another method that a CANCEL is about.
    pub(super) fn of_method(request: &Request, method: &Method, keys: (u64, u64)) -> Option<Self> {
        let call_id = request.headers.value(&HeaderName::CallId)?;
        let from_tag = tag(&request.headers, &HeaderName::From);
        let mut hasher = SipHasher13::new_with_keys(keys.0, keys.1);
        (call_id, from_tag, sequence(&request.headers)?, method.as_bytes()).hash(&mut hasher);
        let Hash128 { h1, h2 } = hasher.finish128();
        Some(Self(h1, h2))
    }
}

/// How long a request that begins a dialog may come again by another way: as long as its transaction lasts over UDP (RFC 6026 §7.1).
pub(super) const MERGED_WITHIN: Duration = Duration::from_secs(32);

/// Forgets how a dialog began, unless another one has begun with the same since.
pub(super) fn forget_origin(origins: &mut HashMap<InviteOrigin, (Tag, Instant)>, origin: InviteOrigin, tag: Tag) {
    if origins.get(&origin).is_some_and(|(own, _)| *own == tag) {
        origins.remove(&origin);
    }
}

/// All calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Places that count as taken without anything in them; none but in tests, which could not fill so many.
    pub(super) reserved: usize,
    /// Boxed, because a table has more places than calls.
    by_tag: HashMap<Tag, Box<Call>>,
    by_session: HashMap<SessionId, Tag>,
    by_origin: HashMap<InviteOrigin, (Tag, Instant)>,
    by_invite: HashMap<TransactionId, Tag>,
    by_user: HashMap<Aor, SmallVec<[Tag; 1]>>,
}

impl Calls {
    /// Whether there are as many as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.len() + self.reserved >= CALLS_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.by_tag.len()
    }

    /// A call that begins now.
    pub(super) fn insert(&mut self, tag: Tag, call: Call, now: Instant) {
        self.by_session.insert(call.session, tag);
        self.by_user.entry(call.member.user.clone()).or_default().push(tag);
        self.by_origin.insert(call.origin, (tag, now + MERGED_WITHIN));
        if let Phase::Opening(opening) = &call.phase {
            self.by_invite.insert(opening.invite.clone(), tag);
        }
        self.by_tag.insert(tag, Box::new(call));
    }

    pub(super) fn remove(&mut self, tag: Tag) -> Option<Call> {
        let call = self.by_tag.remove(&tag)?;
        self.by_session.remove(&call.session);
        forget(&mut self.by_user, &call.member.user, tag);
        forget_origin(&mut self.by_origin, call.origin, tag);
        if let Phase::Opening(opening) = &call.phase {
            self.by_invite.remove(&opening.invite);
        }
        Some(*call)
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

    /// Whether an INVITE is one that has come already, and whose transaction goes on (RFC 3261 §8.2.2.2).
    pub(super) fn merges(&self, origin: &InviteOrigin, now: Instant) -> bool {
        self.by_origin.get(origin).is_some_and(|(_, until)| now < *until)
    }

    /// The call that an INVITE has begun.
    pub(super) fn begun_by(&self, origin: &InviteOrigin) -> Option<Tag> {
        self.by_origin.get(origin).map(|(tag, _)| *tag)
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
        let wanted = |call: &Call| room.is_none_or(|room| call.room == room);
        let mut tags: Vec<Tag> = self.by_tag.iter().filter(|(_, call)| wanted(call)).map(|(tag, _)| *tag).collect();
        tags.sort();
        tags
    }
}
