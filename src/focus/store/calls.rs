//! The calls there are, and by what they are found.

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use crate::focus::store::call::Call;
use crate::focus::store::call_state::CallState;
use crate::focus::store::index::remove_from;
use crate::focus::tag::Tag;
use crate::ids::{RoomId, SessionId};
use crate::limits::{CALLS_MAX, PARTS_KEPT_FOR_OTHERS};
use crate::shares::{Claim, Shares};
use crate::transaction::TransactionId;
use parlor_proto::sip::{Request, SipConnection};
use parlor_proto::uri::Aor;

/// All calls.
#[derive(Debug)]
pub struct Calls {
    pub shares: Shares,
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
    pub fn len(&self) -> usize {
        self.by_tag.len()
    }

    /// A call that begins now.
    pub fn insert(&mut self, tag: Tag, call: Call) {
        self.by_session.insert(call.session, tag);
        self.by_user.entry(call.member.user.clone()).or_default().push(tag);
        self.by_room.entry(call.room).or_default().insert(tag);
        if let Some(opening) = call.state.opening() {
            self.by_invite.insert(opening.invite.clone(), tag);
        }
        self.by_tag.insert(tag, Box::new(call));
    }

    pub fn remove(&mut self, tag: Tag) -> Option<Call> {
        let mut call = self.by_tag.remove(&tag)?;
        call.share.take().into_iter().for_each(|share| self.shares.give_back(share));
        self.by_session.remove(&call.session);
        remove_from(&mut self.by_user, &call.member.user, tag);
        if let Some(others) = self.by_room.get_mut(&call.room) {
            others.remove(&tag);
            if others.is_empty() {
                self.by_room.remove(&call.room);
            }
        }
        if let Some(opening) = call.state.opening() {
            self.by_invite.remove(&opening.invite);
        }
        Some(*call)
    }

    /// The holder that a call counts for.
    pub fn claim(&self, tag: Tag) -> Option<&Claim> {
        self.by_tag.get(&tag)?.share.as_ref().map(|share| &share.claim)
    }

    /// The peer of a call has sent what only it can know: its address is not forged.
    pub fn prove(&mut self, tag: Tag) {
        if let Some(share) = self.by_tag.get_mut(&tag).and_then(|call| call.share.as_mut()) {
            self.shares.prove(share);
        }
    }

    /// Passes an input to the state of a call, and gives what comes of it.
    pub fn advance<T>(&mut self, tag: Tag, input: impl FnOnce(CallState) -> (CallState, T)) -> Option<T> {
        let call = self.by_tag.get_mut(&tag)?;
        if let Some(opening) = call.state.opening() {
            self.by_invite.remove(&opening.invite);
        }
        let (next, outcome) = input(std::mem::replace(&mut call.state, CallState::Established));
        if let Some(opening) = next.opening() {
            self.by_invite.insert(opening.invite.clone(), tag);
        }
        call.state = next;
        Some(outcome)
    }

    pub fn get_mut(&mut self, tag: Tag) -> Option<&mut Call> {
        self.by_tag.get_mut(&tag).map(|call| &mut **call)
    }

    pub fn get(&self, tag: Tag) -> Option<&Call> {
        self.by_tag.get(&tag).map(|call| &**call)
    }

    pub fn contains(&self, tag: Tag) -> bool {
        self.by_tag.contains_key(&tag)
    }

    /// The call that a request of the peer belongs to (RFC 3261 §12.2.2).
    pub fn owner(&self, request: &Request) -> Option<Tag> {
        let tag = Tag::of(request)?;
        self.by_tag.get(&tag)?.dialog.owns(request).then_some(tag)
    }

    /// The account of a call, as far as it is known.
    pub fn account(&self, tag: Tag) -> Option<&Aor> {
        self.by_tag.get(&tag)?.account.as_ref()
    }

    /// Whether a trusted peer vouched for a call.
    pub fn is_vouched(&self, tag: Tag) -> bool {
        self.by_tag.get(&tag).is_some_and(|call| call.vouched)
    }

    /// One of a user's calls, always the same.
    pub fn of_user(&self, user: &Aor) -> Option<&Call> {
        let own = self.by_user.get(user)?.iter().filter_map(|tag| Some((tag, self.by_tag.get(tag)?)));
        own.filter(|(_, call)| matches!(call.state, CallState::Established))
            .min_by_key(|(tag, _)| **tag)
            .map(|(_, call)| &**call)
    }

    pub fn of_session(&self, session: SessionId) -> Option<Tag> {
        self.by_session.get(&session).copied()
    }

    pub fn of_invite(&self, invite: &TransactionId) -> Option<Tag> {
        self.by_invite.get(invite).copied()
    }

    /// Whether a user has had its 200 to an INVITE to a room, and is still there.
    pub fn has_joined(&self, user: &Aor, room: RoomId) -> bool {
        let mut own = self.by_user.get(user).into_iter().flatten().filter_map(|tag| self.get(*tag));
        own.any(|call| call.room == room && call.has_joined())
    }

    /// The connections that calls go over.
    pub fn connections(&self) -> impl Iterator<Item = SipConnection> {
        self.by_tag.values().filter_map(|call| call.dialog.hop().connection)
    }

    /// Every call, or those of one room, in a fixed order.
    pub fn tags(&self, room: Option<RoomId>) -> Vec<Tag> {
        if let Some(room) = room {
            return self.by_room.get(&room).into_iter().flatten().copied().collect();
        }
        let mut tags: Vec<Tag> = self.by_tag.keys().copied().collect();
        tags.sort();
        tags
    }
}
