//! Extensions of SIP that requests may require, and those that we tell of.

use super::Focus;
use super::refusal::Refusal;
use crate::call::TIMER_TAG;
use crate::sip::{HeaderName, Request, option_tags, tag};

/// An INVITE brings a list of others (RFC 5366).
pub(super) const LIST_TAG: &str = "recipient-list-invite";

impl Focus {
    /// The option tags for Supported (RFC 3261 §20.37).
    pub(super) fn supported(&self) -> String {
        self.extensions().join(", ")
    }

    fn extensions(&self) -> Vec<&'static str> {
        let timer = !self.settings.session_expires.is_zero();
        timer.then_some(TIMER_TAG).into_iter().chain(["norefersub", LIST_TAG]).collect()
    }

    /// What is required and not there is named (RFC 3261 §8.2.2.3).
    pub(super) fn check_extensions(&self, request: &Request) -> Result<(), Refusal> {
        let mut known = self.extensions();
        // In a call a list has no meaning (RFC 5366 §5.1).
        if tag(&request.headers, &HeaderName::To).is_some() {
            known.retain(|known| *known != LIST_TAG);
        }
        let mut missing = option_tags(&request.headers, &HeaderName::Require);
        missing.retain(|tag| !known.iter().any(|known| known.eq_ignore_ascii_case(tag)));
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(420).with(HeaderName::Unsupported, missing.join(", ")))
    }
}
