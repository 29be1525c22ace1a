//! What a call knows about its session timer (RFC 4028).

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::call::{SessionTimer, min_se};
use parlor_proto::sip::{HeaderName, Headers, Hop, option_tags};

/// What a call knows about its session timer and its peer's ways of refreshing.
#[derive(Debug, Default)]
pub struct Timing {
    pub timer: Option<SessionTimer>,
    /// When the session is over without a refresh.
    pub expires: Option<Instant>,
    /// The largest Min-SE that came from the peer or from proxies on the way to it.
    pub min_se: Option<Duration>,
    /// The peer has said that it takes UPDATE.
    pub updates: bool,
    /// The refresh of ours that has no answer yet.
    pub refresh: Refresh,
    /// The ACK of our re-INVITE, for a 200 that comes again, under the number of both.
    pub acknowledged: Option<(u32, Hop, Bytes)>,
    /// We made the call: the Call-ID is ours.
    pub caller: bool,
}

/// A refresh of a session by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// None is awaited.
    #[default]
    None,
    /// An UPDATE without an offer.
    Update,
    /// A re-INVITE with our offer.
    Invite,
}

impl Timing {
    /// Of a call that we make.
    pub fn of_caller() -> Self {
        Self { caller: true, ..Self::default() }
    }

    /// A 422 says what would be long enough; `false` where it says nothing new.
    pub fn learn_min_se(&mut self, headers: &Headers) -> bool {
        let before = self.min_se;
        self.learn(headers);
        self.min_se > before
    }

    pub fn learn(&mut self, headers: &Headers) {
        if headers.get(&HeaderName::Allow).is_some() {
            let methods = option_tags(headers, &HeaderName::Allow);
            self.updates = methods.iter().any(|method| method == "UPDATE");
        }
        self.min_se = self.min_se.max(min_se(headers));
    }
}
