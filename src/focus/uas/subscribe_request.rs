//! What a SUBSCRIBE requests.

use std::time::Duration;

use crate::call::EventName;
use crate::focus::headers::EVENTS;
use crate::focus::refusal::Refusal;
use crate::focus::roster::document::PACKAGE;
use crate::focus::store::subscription::REFER;
use crate::limits::{SUBSCRIPTION_SECONDS_MAX, SUBSCRIPTION_SECONDS_MIN};
use parlor_proto::conference_info::MEDIA_TYPE;
use parlor_proto::sip::{HeaderName, Request, accepts_media_type, body_is_optional, text};

/// The event of a SUBSCRIBE and how long its subscription lasts.
pub struct SubscribeRequest {
    pub event: EventName,
    pub granted: Duration,
}

/// The event of a SUBSCRIBE; 489 without one, or with several (RFC 6665 §4.2.1.1, §4.2.3).
pub fn event_of(request: &Request) -> Result<EventName, Refusal> {
    EventName::of(&request.headers).ok_or_else(bad_event)
}

/// Reads a SUBSCRIBE that begins a subscription.
pub fn parse(request: &Request) -> Result<SubscribeRequest, Refusal> {
    let event = event_of(request)?;
    if event.package == REFER {
        return Err(not_by_subscribe());
    }
    if event.package != PACKAGE {
        return Err(bad_event());
    }
    if request.headers.get(&HeaderName::Accept).is_some() && !accepts_media_type(&request.headers, MEDIA_TYPE) {
        return Err(Refusal::new(406).with(HeaderName::Accept, MEDIA_TYPE));
    }
    // No filter is known (RFC 4575 §3.2, RFC 3261 §8.2.3).
    if !request.body().is_empty() && !body_is_optional(&request.headers) {
        return Err(Refusal::new(415).with(HeaderName::Accept, ""));
    }
    Ok(SubscribeRequest { event, granted: granted(request, SUBSCRIPTION_SECONDS_MAX)? })
}

fn bad_event() -> Refusal {
    Refusal::new(489).with(HeaderName::AllowEvents, EVENTS)
}

/// REFER alone begins a subscription to what becomes of it (RFC 3515 §2.4.4).
pub fn not_by_subscribe() -> Refusal {
    Refusal::new(403).because("Event Needs A REFER")
}

/// The duration of a subscription: the requested one, or `default` seconds, up to [`SUBSCRIPTION_SECONDS_MAX`]
/// (RFC 6665 §4.2.1.1).
///
/// # Errors
/// Returns 423 if Expires is less than [`SUBSCRIPTION_SECONDS_MIN`] and not 0, 400 if it is malformed.
pub fn granted(request: &Request, default: u64) -> Result<Duration, Refusal> {
    let requested = match text(&request.headers, &HeaderName::Expires) {
        None => default,
        Some(value) => {
            let digits = value.trim();
            let legal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if !legal {
                return Err(Refusal::new(400).because("Bad Expires"));
            }
            digits.parse().unwrap_or(u64::MAX)
        }
    };
    if (1..SUBSCRIPTION_SECONDS_MIN).contains(&requested) {
        return Err(Refusal::new(423).with(HeaderName::MinExpires, SUBSCRIPTION_SECONDS_MIN.to_string()));
    }
    Ok(Duration::from_secs(requested.min(SUBSCRIPTION_SECONDS_MAX)))
}
