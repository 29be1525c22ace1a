//! Requests that begin dialogs, for as long as they may come again by another way (RFC 3261 §8.2.2.2).

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

use crate::focus::tag::Tag;
use crate::transaction::Transactions;
use parlor_proto::sip::{HeaderName, Hop, Method, Request, cseq_number, tag};

/// Call-ID, From tag and CSeq, its method included, of a request that begins a dialog: another one with the same is the same, come by
/// another way.
/// A digest of 128 bits under a key of ours stands for them, so that what they are long costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey(u64, u64);

impl RequestKey {
    pub fn of(request: &Request, keys: (u64, u64)) -> Option<Self> {
        Self::of_method(request, &request.method, keys)
    }

    /// The same of the request of another method that a CANCEL is about.
    pub fn of_method(request: &Request, method: &Method, keys: (u64, u64)) -> Option<Self> {
        let call_id = request.headers.value(&HeaderName::CallId)?;
        let from_tag = tag(&request.headers, &HeaderName::From);
        let mut hasher = SipHasher13::new_with_keys(keys.0, keys.1);
        (call_id, from_tag, cseq_number(&request.headers)?, method.as_bytes()).hash(&mut hasher);
        let Hash128 { h1, h2 } = hasher.finish128();
        Some(Self(h1, h2))
    }
}

/// How long a request may be merged: for as long as its transaction lasts. Over a stream that is over with the answer, but for an
/// accepted INVITE (RFC 6026 §7.1); what was forked to us may come by two streams at about the same time.
pub fn merge_window(method: &Method, hop: Hop) -> Duration {
    if hop.transport.is_reliable() && *method != Method::Invite { Transactions::t1() } else { 64 * Transactions::t1() }
}

/// The requests that have begun a dialog lately, and which. As many as were accepted within their time: the transactions, which are
/// bounded, last as long.
#[derive(Debug, Default)]
pub struct MergedRequests {
    by_origin: HashMap<RequestKey, (Tag, Instant)>,
    ends: BTreeSet<(Instant, RequestKey)>,
}

impl MergedRequests {
    /// A request has begun a dialog; it may be merged until then.
    pub fn begin(&mut self, origin: RequestKey, tag: Tag, now: Instant, until: Instant) {
        self.forget_old(now);
        self.forget(origin);
        self.by_origin.insert(origin, (tag, until));
        self.ends.insert((until, origin));
    }

    /// Whether a request is one that has come already, and whose transaction goes on.
    pub fn has(&self, origin: RequestKey, now: Instant) -> bool {
        self.by_origin.get(&origin).is_some_and(|(_, until)| now < *until)
    }

    /// The dialog that a request has begun.
    pub fn begun_by(&self, origin: RequestKey) -> Option<Tag> {
        self.by_origin.get(&origin).map(|(tag, _)| *tag)
    }

    /// It was refused after all.
    pub fn forget(&mut self, origin: RequestKey) {
        if let Some((_, until)) = self.by_origin.remove(&origin) {
            self.ends.remove(&(until, origin));
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((_, origin)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.forget(origin);
        }
        if self.by_origin.capacity() > 4096 && self.by_origin.len() < self.by_origin.capacity() / 8 {
            self.by_origin.shrink_to(2 * self.by_origin.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_forgotten_in_any_order() {
        let (mut merged, now) = (MergedRequests::default(), Instant::now());
        let (one, two) = (RequestKey(1, 1), RequestKey(2, 2));
        merged.begin(one, Tag(1), now, now + Duration::from_secs(32));
        merged.begin(two, Tag(2), now, now + Duration::from_secs(1));
        assert!(merged.has(one, now) && merged.has(two, now));
        let later = now + Duration::from_secs(1);
        assert!(merged.has(one, later) && !merged.has(two, later));
        merged.begin(two, Tag(3), later, later + Duration::from_secs(9));
        assert_eq!((merged.begun_by(two), merged.ends.len()), (Some(Tag(3)), 2));
        merged.begin(RequestKey(4, 4), Tag(4), now + Duration::from_secs(32), now + Duration::from_secs(40));
        assert_eq!((merged.by_origin.len(), merged.ends.len()), (1, 1));
    }
}
