//! What procedures work on.

use std::time::Instant;

use crate::focus::core::Core;
use crate::focus::settings::Settings;
use crate::focus::store::admission::Admission;
use crate::focus::store::byes::Byes;
use crate::focus::store::calls::Calls;
use crate::focus::store::nicknames::ServerNicknames;
use crate::focus::store::outgoing::OutgoingCalls;
use crate::focus::store::pending::PendingRequests;
use crate::focus::store::rooms::Rooms;
use crate::focus::store::shards::Shards;
use crate::focus::store::subscriptions::Subscriptions;

/// Everything that there is.
#[derive(Debug)]
pub struct Stores {
    pub calls: Calls,
    /// Calls that the focus is making.
    pub outgoing: OutgoingCalls,
    /// Our BYEs without a final response.
    pub byes: Byes,
    /// Our other requests without a final response, NOTIFYs aside.
    pub pending: PendingRequests,
    pub rooms: Rooms,
    pub shards: Shards,
    pub nicknames: ServerNicknames,
    pub subscriptions: Subscriptions,
    pub admission: Admission,
}

impl Stores {
    /// Empty ones. Nonces are made with `nonce_key`.
    pub fn new(settings: &Settings, nonce_key: [u8; 32]) -> Self {
        Self {
            calls: Calls::default(),
            outgoing: OutgoingCalls::default(),
            byes: Byes::default(),
            pending: PendingRequests::new(),
            rooms: Rooms::new(settings.rooms.max_rooms),
            shards: Shards::new(&settings.shards),
            nicknames: ServerNicknames::default(),
            subscriptions: Subscriptions::default(),
            admission: Admission::new(settings, nonce_key),
        }
    }

    /// What a procedure is given.
    pub fn context<'a>(&'a mut self, core: &'a mut Core, now: Instant) -> Context<'a> {
        Context {
            core,
            calls: &mut self.calls,
            outgoing: &mut self.outgoing,
            byes: &mut self.byes,
            pending: &mut self.pending,
            rooms: &mut self.rooms,
            shards: &mut self.shards,
            nicknames: &mut self.nicknames,
            subscriptions: &mut self.subscriptions,
            admission: &mut self.admission,
            now,
        }
    }
}

/// The parts of the focus while it handles one input, and the time of that.
#[derive(Debug)]
pub struct Context<'a> {
    pub core: &'a mut Core,
    pub calls: &'a mut Calls,
    pub outgoing: &'a mut OutgoingCalls,
    pub byes: &'a mut Byes,
    pub pending: &'a mut PendingRequests,
    pub rooms: &'a mut Rooms,
    pub shards: &'a mut Shards,
    pub nicknames: &'a mut ServerNicknames,
    pub subscriptions: &'a mut Subscriptions,
    pub admission: &'a mut Admission,
    pub now: Instant,
}
