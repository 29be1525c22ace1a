//! Session timers in calls (RFC 4028): agreed on in every 2xx.

use std::time::Instant;

use crate::call::{INTERVAL_MIN, IntervalTooSmall, SessionTimer, TIMER_TAG};
use crate::focus::context::Context;
use crate::focus::core::Core;
use crate::focus::refusal::Refusal;
use crate::focus::settings::Settings;
use crate::focus::store::timing::Timing;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use parlor_proto::sip::{HeaderName, Request, RequestBuilder, Response, ResponseBuilder};

/// What the 200 to a request of the peer agrees on; 422 for an interval that is too short (RFC 4028 §9).
pub fn negotiate(settings: &Settings, request: &Request) -> Result<Option<SessionTimer>, Refusal> {
    if settings.session_expires.is_zero() {
        return Ok(None);
    }
    SessionTimer::answer(&request.headers, settings.session_expires)
        .map_err(|IntervalTooSmall| Refusal::new(422).with(HeaderName::MinSe, INTERVAL_MIN.as_secs().to_string()))
}

/// What the 200 to a request of the peer says about a timer.
pub fn response_headers(builder: ResponseBuilder, timer: Option<SessionTimer>) -> ResponseBuilder {
    let Some(timer) = timer else { return builder };
    let builder = builder.header(HeaderName::SessionExpires, timer.response_value());
    // MUST where the peer refreshes, SHOULD where it knows what it is told (RFC 4028 §9).
    if timer.peer_supports { builder.header(HeaderName::Require, TIMER_TAG) } else { builder }
}

/// What a request of ours says about timers (RFC 4028 §7.1, §7.4).
pub fn request_headers(settings: &Settings, builder: RequestBuilder, timing: &Timing) -> RequestBuilder {
    let wanted = settings.session_expires;
    if wanted.is_zero() {
        return builder;
    }
    let floor = timing.min_se.unwrap_or(INTERVAL_MIN);
    let expires = match timing.timer {
        Some(timer) => SessionTimer { interval: timer.interval.max(floor), ..timer }.request_value(),
        None => wanted.max(floor).as_secs().to_string(),
    };
    let builder = builder.header(HeaderName::SessionExpires, expires);
    match timing.min_se {
        Some(floor) => builder.header(HeaderName::MinSe, floor.as_secs().to_string()),
        None => builder,
    }
}

/// A 2xx to a request of ours says what holds from now on.
pub fn apply(cx: &mut Context<'_>, tag: Tag, response: &Response) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    call.timing.learn(&response.headers);
    let off = cx.core.settings.session_expires.is_zero();
    let timer = if off { None } else { SessionTimer::from_response(&response.headers) };
    arm(cx.core, &mut call.timing, tag, timer, cx.now);
}

/// Starts the time of a session anew.
pub fn arm(core: &mut Core, timing: &mut Timing, tag: Tag, timer: Option<SessionTimer>, now: Instant) {
    timing.timer = timer;
    timing.expires = timer.map(|timer| now + timer.interval);
    match timer {
        Some(timer) => core.timers.set(Timer::Session(tag), now + timer.time_to_act()),
        None => core.timers.clear(&Timer::Session(tag)),
    }
}
