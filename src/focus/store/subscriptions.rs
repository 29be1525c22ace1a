//! The subscriptions there are, whatever they are to, and by what they are found.

use std::collections::{BTreeSet, HashMap, VecDeque};

use smallvec::SmallVec;

use crate::call::{EventName, Subscription};
use crate::focus::store::in_flight::InFlight;
use crate::focus::store::index::remove_from;
use crate::focus::store::subscription::{Package, SubscriptionDialog, SubscriptionEntry, SubscriptionId, Watch};
use crate::focus::tag::Tag;
use crate::ids::RoomId;
use crate::limits::{PARTS_KEPT_FOR_OTHERS, SUBSCRIPTIONS_MAX};
use crate::shares::{Claim, Shares};
use parlor_proto::sip::{Hop, Request, SipConnection};
use parlor_proto::uri::Aor;

/// The subscriptions to a room.
#[derive(Debug, Default)]
struct Watchers {
    ids: BTreeSet<SubscriptionId>,
    of_user: HashMap<Aor, SmallVec<[SubscriptionId; 1]>>,
}

/// All subscriptions.
#[derive(Debug)]
pub struct Subscriptions {
    pub shares: Shares,
    by_id: HashMap<SubscriptionId, SubscriptionEntry>,
    by_tag: HashMap<Tag, SmallVec<[SubscriptionId; 1]>>,
    by_room: HashMap<RoomId, Watchers>,
    dialogs: HashMap<Tag, SubscriptionDialog>,
    /// NOTIFYs without a final response.
    pub in_flight: InFlight<SubscriptionId>,
    /// Those with a NOTIFY to send, in their order.
    queue: VecDeque<SubscriptionId>,
    last: u64,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            shares: Shares::new(SUBSCRIPTIONS_MAX, PARTS_KEPT_FOR_OTHERS),
            by_id: HashMap::new(),
            by_tag: HashMap::new(),
            by_room: HashMap::new(),
            dialogs: HashMap::new(),
            in_flight: InFlight::default(),
            queue: VecDeque::new(),
            last: 0,
        }
    }
}

impl Subscriptions {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Those that a drain waits for. Takes time for each.
    pub fn awaited(&self) -> usize {
        self.by_id.values().filter(|entry| !entry.call_ended).count()
    }

    /// Where a kept dialog leads.
    pub fn hop(&self, tag: Tag) -> Option<Hop> {
        self.dialogs.get(&tag).map(|dialog| dialog.dialog.hop())
    }

    /// No subscription is waited for any more.
    pub fn stop_awaiting(&mut self) {
        self.by_id.values_mut().for_each(|entry| entry.call_ended = true);
    }

    /// The call that a user was in has ended: its own subscriptions, in the call's dialog or to its room, go with it.
    pub fn call_ended(&mut self, tag: Tag, room: RoomId, user: &Aor) {
        let of_dialog = self.by_tag.get(&tag).into_iter().flatten();
        let of_user = self.by_room.get(&room).and_then(|watchers| watchers.of_user.get(user)).into_iter().flatten();
        for id in of_dialog.chain(of_user) {
            if let Some(entry) = self.by_id.get_mut(id) {
                entry.call_ended = true;
            }
        }
    }

    /// The connections that subscriptions outside of calls go over.
    pub fn connections(&self) -> impl Iterator<Item = SipConnection> {
        self.dialogs.values().filter_map(|dialog| dialog.dialog.hop().connection)
    }

    pub fn insert(&mut self, tag: Tag, subscription: Subscription, package: Package, claim: &Claim) -> SubscriptionId {
        self.last += 1;
        let id = SubscriptionId(self.last);
        self.by_tag.entry(tag).or_default().push(id);
        if let Some(watch) = package.watch() {
            let watchers = self.by_room.entry(watch.room).or_default();
            watchers.ids.insert(id);
            watchers.of_user.entry(watch.user.clone()).or_default().push(id);
        }
        let share = Some(self.shares.take(claim, 1));
        self.by_id.insert(
            id,
            SubscriptionEntry {
                tag,
                subscription,
                package,
                datagrams_only: false,
                call_ended: false,
                queued: false,
                share,
            },
        );
        id
    }

    /// Removes a subscription, and its dialog where nothing else is in it (RFC 6665 §4.5.2).
    pub fn remove(&mut self, id: SubscriptionId) -> Option<SubscriptionEntry> {
        let mut entry = self.by_id.remove(&id)?;
        entry.share.take().into_iter().for_each(|share| self.shares.give_back(share));
        if let Some(watch) = entry.watch()
            && let Some(watchers) = self.by_room.get_mut(&watch.room)
        {
            watchers.ids.remove(&id);
            remove_from(&mut watchers.of_user, &watch.user, id);
            if watchers.ids.is_empty() {
                self.by_room.remove(&watch.room);
            }
        }
        remove_from(&mut self.by_tag, &entry.tag, id);
        if !self.by_tag.contains_key(&entry.tag) {
            self.dialogs.remove(&entry.tag);
        }
        Some(entry)
    }

    pub fn get_mut(&mut self, id: SubscriptionId) -> Option<&mut SubscriptionEntry> {
        self.by_id.get_mut(&id)
    }

    /// The holder that the subscriptions in a dialog count for.
    pub fn claim(&self, tag: Tag) -> Option<&Claim> {
        let first = self.of_dialog(tag).first()?;
        self.by_id.get(first)?.share.as_ref().map(|share| &share.claim)
    }

    /// A subscriber has answered a NOTIFY: its address is not forged.
    pub fn prove(&mut self, id: SubscriptionId) {
        if let Some(share) = self.by_id.get_mut(&id).and_then(|entry| entry.share.as_mut()) {
            self.shares.prove(share);
        }
    }

    pub fn all(&self) -> Vec<SubscriptionId> {
        let mut ids: Vec<SubscriptionId> = self.by_id.keys().copied().collect();
        ids.sort();
        ids
    }

    /// The subscriptions within a dialog.
    pub fn of_dialog(&self, tag: Tag) -> &[SubscriptionId] {
        self.by_tag.get(&tag).map_or(&[], SmallVec::as_slice)
    }

    /// The watches on rooms within a dialog.
    pub fn watches_in(&self, tag: Tag) -> impl Iterator<Item = &Watch> {
        self.of_dialog(tag).iter().filter_map(|id| self.by_id.get(id)?.watch())
    }

    /// The one that a request within a dialog is about (RFC 6665 §8.2.1).
    pub fn find(&self, tag: Tag, event: &EventName) -> Option<SubscriptionId> {
        let is = |id: &&SubscriptionId| self.by_id.get(id).is_some_and(|entry| entry.subscription.event() == event);
        self.of_dialog(tag).iter().find(is).copied()
    }

    /// The subscriptions to a room, oldest first.
    pub fn of_room(&self, room: RoomId) -> Vec<SubscriptionId> {
        self.by_room.get(&room).map(|watchers| watchers.ids.iter().copied().collect()).unwrap_or_default()
    }

    pub fn is_watched(&self, room: RoomId) -> bool {
        self.by_room.contains_key(&room)
    }

    /// The subscriptions of one user to a room.
    pub fn of_user(&self, room: RoomId, user: &Aor) -> &[SubscriptionId] {
        let watchers = self.by_room.get(&room);
        watchers.and_then(|watchers| watchers.of_user.get(user)).map_or(&[], SmallVec::as_slice)
    }

    /// Keeps a dialog for the subscriptions in it.
    pub fn keep_dialog(&mut self, tag: Tag, dialog: SubscriptionDialog) {
        self.dialogs.insert(tag, dialog);
    }

    pub fn dialog_mut(&mut self, tag: Tag) -> Option<&mut SubscriptionDialog> {
        self.dialogs.get_mut(&tag)
    }

    /// The kept dialog that a request belongs to.
    pub fn owner(&self, request: &Request) -> Option<Tag> {
        let tag = Tag::of(request)?;
        self.dialogs.get(&tag)?.dialog.owns(request).then_some(tag)
    }

    /// Whose a kept dialog is, where that is known.
    pub fn account(&self, tag: Tag) -> Option<&Aor> {
        self.dialogs.get(&tag)?.account.as_ref()
    }

    /// Whether a kept dialog began with the word of a trusted peer.
    pub fn is_vouched(&self, tag: Tag) -> bool {
        self.dialogs.get(&tag).is_some_and(|dialog| dialog.vouched)
    }

    /// Puts a subscription into the queue, where it is not there yet.
    pub fn enqueue(&mut self, id: SubscriptionId) {
        if let Some(entry) = self.by_id.get_mut(&id)
            && !std::mem::replace(&mut entry.queued, true)
        {
            self.queue.push_back(id);
        }
    }

    /// The next one in the queue.
    pub fn dequeue(&mut self) -> Option<SubscriptionId> {
        while let Some(id) = self.queue.pop_front() {
            if let Some(entry) = self.by_id.get_mut(&id) {
                entry.queued = false;
                return Some(id);
            }
        }
        None
    }

    pub fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }
}
