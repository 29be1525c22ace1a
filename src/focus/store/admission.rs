//! What decides whether anything new is taken.

use std::sync::Arc;

use crate::call::{Authenticator, Users};
use crate::focus::settings::Settings;
use crate::focus::store::merged::MergedRequests;
use crate::focus::store::throttle::Throttle;

/// Passwords, rates, and the state of the server.
#[derive(Debug)]
pub struct Admission {
    /// `None`: no authentication.
    pub authenticator: Option<Authenticator>,
    /// The requests that have begun a dialog lately.
    pub merged: MergedRequests,
    pub throttle: Throttle,
    /// The server is ending.
    pub draining: bool,
    /// There are no descriptors for the connections of another call.
    pub descriptors_short: bool,
}

impl Admission {
    /// Nonces are made with `nonce_key`.
    pub fn new(settings: &Settings, nonce_key: [u8; 32]) -> Self {
        Self {
            authenticator: settings.users.clone().map(|users| Authenticator::new(users, nonce_key)),
            merged: MergedRequests::default(),
            throttle: Throttle::new(settings.max_calls_per_second),
            draining: false,
            descriptors_short: false,
        }
    }

    /// Puts other users in force. Where nobody was asked for a password before, nonces are made with a new key: what was answered
    /// under an old one is not taken again.
    pub fn replace_users(&mut self, users: Option<Arc<Users>>, nonce_key: impl FnOnce() -> [u8; 32]) {
        match (users, &mut self.authenticator) {
            (Some(users), Some(authenticator)) => authenticator.replace_users(users),
            (users, authenticator) => *authenticator = users.map(|users| Authenticator::new(users, nonce_key())),
        }
    }
}
