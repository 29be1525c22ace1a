//! Which clients know chat rooms though they do not say so (RFC 7701 §8).

use parlor_proto::sip::{HeaderName, Headers, text_rows};

/// Clients that know nicknames and private messages though their descriptions have no `a=chatroom`.
const AWARE_AGENTS: [&str; 2] = ["sipsimple", "blink"];

/// Whether a message is of a client that is known to know chat rooms: it says what it is in User-Agent or, in a response, in Server
/// (RFC 3261 §20.35, §20.41).
pub fn is_of_aware(headers: &Headers) -> bool {
    let known = |agent: &String| AWARE_AGENTS.iter().any(|name| agent.to_ascii_lowercase().contains(name));
    [HeaderName::UserAgent, HeaderName::Server].iter().any(|name| text_rows(headers, name).iter().any(known))
}
