//! Extensions of SIP that requests may require, and those that we tell of.

use super::Focus;
use super::refusal::Refusal;
use parlor_proto::sip::{HeaderName, Request, option_tags, tag};

/// An INVITE brings a list of others (RFC 5366).
pub(super) const LIST_TAG: &str = "recipient-list-invite";

const WITH_TIMER: &str = "timer, norefersub, recipient-list-invite";
const WITHOUT_TIMER: &str = "norefersub, recipient-list-invite";

impl Focus {
    /// The option tags for Supported (RFC 3261 §20.37).
    pub(super) fn supported(&self) -> &'static str {
        if self.settings.session_expires.is_zero() { WITHOUT_TIMER } else { WITH_TIMER }
    }

    /// What is required and not there is named (RFC 3261 §8.2.2.3).
    pub(super) fn check_extensions(&self, request: &Request) -> Result<(), Refusal> {
        // In a call a list has no meaning (RFC 5366 §5.1).
        let in_call = tag(&request.headers, &HeaderName::To).is_some();
        let known = self.supported().split(", ").filter(|known| !(in_call && *known == LIST_TAG));
        let mut missing = option_tags(&request.headers, &HeaderName::Require);
        missing.retain(|tag| !known.clone().any(|known| known.eq_ignore_ascii_case(tag)));
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(420).with(HeaderName::Unsupported, missing.join(", ")))
    }
}
