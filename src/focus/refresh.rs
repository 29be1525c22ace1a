//! Session timers in calls (RFC 4028): agreed on in every 2xx, kept by UPDATE where the peer takes it and else by re-INVITE.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Focus;
use super::asked::Asked;
use super::calls::{Call, Goodbye, Phase, Tag};
use super::face::Alarm;
use super::refusal::Refusal;
use super::replies::{ALLOW, EVENTS};
use crate::call::{INTERVAL_MIN, SessionTimer, TIMER_TAG, TooBrief, min_se};
use parlor_proto::sip::{
    HeaderName, Headers, Hop, Message, Method, Request, RequestBuilder, Response, ResponseBuilder, cseq_number,
    option_tags, seconds,
};

/// What a call knows about its session timer and its peer's ways of refreshing.
#[derive(Debug, Default)]
pub(super) struct Timing {
    timer: Option<SessionTimer>,
    /// When the session is over without a refresh.
    expires: Option<Instant>,
    /// The largest Min-SE that came from the peer or from proxies on the way to it.
    floor: Option<Duration>,
    /// The peer has said that it takes UPDATE.
    updates: bool,
    /// A refresh of ours has no answer yet.
    in_flight: bool,
    /// Our re-INVITE has no answer yet, and with it our offer.
    pub(super) offering: bool,
    /// The ACK of our re-INVITE, for a 200 that comes again, under the number of both.
    acknowledged: Option<(u32, Hop, Bytes)>,
    /// The Call-ID is ours: we made the call.
    pub(super) caller: bool,
}

impl Timing {
    /// Of a call that we make.
    pub(super) fn of_caller() -> Self {
        Self { caller: true, ..Self::default() }
    }

    /// A 422 says what would be long enough; `false` where it says nothing new.
    pub(super) fn is_told(&mut self, headers: &Headers) -> bool {
        let before = self.floor;
        self.learn(headers);
        self.floor > before
    }

    fn learn(&mut self, headers: &Headers) {
        if headers.get(&HeaderName::Allow).is_some() {
            let methods = option_tags(headers, &HeaderName::Allow);
            self.updates = methods.iter().any(|method| method == "UPDATE");
        }
        self.floor = self.floor.max(min_se(headers));
    }
}

impl Focus {
    /// Refuses an interval that is too short (RFC 4028 §9).
    pub(super) fn check_interval(&self, request: &Request) -> Result<(), Refusal> {
        if self.settings.session_expires.is_zero() {
            return Ok(());
        }
        SessionTimer::answer(&request.headers, self.settings.session_expires)
            .map(|_| ())
            .map_err(|TooBrief| Refusal::new(422).with(HeaderName::MinSe, INTERVAL_MIN.as_secs().to_string()))
    }

    /// A request of the peer is answered with 200: agrees on the timer, and says so in the answer.
    pub(super) fn keep_time(
        &mut self,
        tag: Tag,
        request: &Request,
        reply: ResponseBuilder,
        now: Instant,
    ) -> ResponseBuilder {
        let wish = self.settings.session_expires;
        let Some(call) = self.calls.get_mut(tag) else { return reply };
        call.timing.learn(&request.headers);
        let timer = if wish.is_zero() { Ok(None) } else { SessionTimer::answer(&request.headers, wish) };
        let timer = timer.ok().flatten();
        self.wind(tag, timer, now);
        let Some(timer) = timer else { return reply };
        let reply = reply.header(HeaderName::SessionExpires, timer.of_answer());
        // MUST where the peer refreshes, SHOULD where it knows what it is told (RFC 4028 §9).
        if timer.known { reply.header(HeaderName::Require, TIMER_TAG) } else { reply }
    }

    /// What a request of ours says about timers (RFC 4028 §7.1, §7.4).
    pub(super) fn ask_for_time(&self, ask: RequestBuilder, timing: &Timing) -> RequestBuilder {
        let wish = self.settings.session_expires;
        if wish.is_zero() {
            return ask;
        }
        let floor = timing.floor.unwrap_or(INTERVAL_MIN);
        let expires = match timing.timer {
            Some(timer) => SessionTimer { interval: timer.interval.max(floor), ..timer }.of_request(),
            None => wish.max(floor).as_secs().to_string(),
        };
        let ask = ask.header(HeaderName::SessionExpires, expires);
        match timing.floor {
            Some(floor) => ask.header(HeaderName::MinSe, floor.as_secs().to_string()),
            None => ask,
        }
    }

    /// A 2xx to a request of ours says what holds from now on.
    pub(super) fn settle_time(&mut self, tag: Tag, response: &Response, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        call.timing.learn(&response.headers);
        let timer =
            if self.settings.session_expires.is_zero() { None } else { SessionTimer::settled(&response.headers) };
        self.wind(tag, timer, now);
    }

    fn wind(&mut self, tag: Tag, timer: Option<SessionTimer>, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        call.timing.timer = timer;
        call.timing.expires = timer.map(|timer| now + timer.interval);
        match timer {
            Some(timer) => self.alarms.set(Alarm::Session(tag), now + timer.turn()),
            None => self.alarms.clear(&Alarm::Session(tag)),
        }
    }

    /// It is time to refresh, or too late.
    pub(super) fn session_is_due(&mut self, tag: Tag, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        let (Some(timer), Some(expires)) = (call.timing.timer, call.timing.expires) else { return };
        if !timer.ours || now >= expires {
            return self.end(tag, Goodbye { cause: 408, text: "The session has expired" });
        }
        if call.timing.in_flight {
            return self.alarms.set(Alarm::Session(tag), expires);
        }
        // Not two INVITEs at a time (RFC 3261 §14.1).
        if !call.timing.updates && !matches!(call.phase, Phase::Confirmed) {
            return self.alarms.set(Alarm::Session(tag), now + Duration::from_secs(2));
        }
        self.alarms.set(Alarm::Session(tag), expires);
        self.refresh(tag);
    }

    /// Without an offer in an UPDATE; in a re-INVITE with one that changes nothing (RFC 4028 §7.4). It says `a=setup:actpass`, as every
    /// offer (RFC 6135 §4.2.2), so that it differs from an answer of ours that came before, and its version from that one's (RFC 3264 §8).
    fn refresh(&mut self, tag: Tag) {
        let branch = self.branch();
        let Some(call) = self.calls.get(tag) else { return };
        let direction = call.terms.as_ref().map(|terms| terms.direction).unwrap_or_default();
        let offer = if call.timing.updates { None } else { self.describe_offer(tag, direction) };
        let Some(call) = self.calls.get_mut(tag) else { return };
        call.timing.in_flight = true;
        call.timing.offering = !call.timing.updates;
        let method = if call.timing.updates { Method::Update } else { Method::Invite };
        let (ask, hop) = call.dialog.request(method, &call.sent_by, &branch);
        let contact = call.contact.clone();
        let Some(call) = self.calls.get(tag) else { return };
        let ask = self.ask_for_time(self.introduce(ask, contact), &call.timing);
        let request = match offer {
            Some(offer) => ask.body("application/sdp", offer),
            None => ask.empty(),
        };
        self.ask(request, hop, Asked::Refresh(tag));
    }

    /// What requests of ours that are about a session have in common.
    pub(super) fn introduce(&self, ask: RequestBuilder, contact: String) -> RequestBuilder {
        ask.header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, self.supported())
            .header(HeaderName::Accept, "application/sdp")
            .header(HeaderName::AllowEvents, EVENTS)
            .header(HeaderName::UserAgent, self.settings.software.clone())
    }

    pub(super) fn refresh_answered(&mut self, tag: Tag, response: &Response, now: Instant) {
        if !response.status.is_final() {
            return;
        }
        let Some(call) = self.calls.get_mut(tag) else { return };
        let was_offer = std::mem::take(&mut call.timing.offering);
        let first = std::mem::take(&mut call.timing.in_flight);
        match response.status.code() {
            200..=299 if first => self.refreshed(tag, response, was_offer, now),
            200..=299 => self.acknowledge_again(tag, response),
            // RFC 4028 §10.
            408 | 481 => self.end(tag, Goodbye { cause: 408, text: "A session refresh was not answered" }),
            status => self.refresh_refused(tag, status, response, was_offer, now),
        }
    }

    fn refreshed(&mut self, tag: Tag, response: &Response, was_offer: bool, now: Instant) {
        if let Some(call) = self.calls.get_mut(tag) {
            call.learn_agent(&response.headers);
        }
        if was_offer {
            let number = cseq_number(&response.headers).unwrap_or_default();
            self.acknowledge(tag, number);
            let way = self.calls.get(tag).map(|call| (call.dialog.hop(), call.described.cema));
            match way.and_then(|(hop, cema)| self.answer_in(response, &self.room_of(tag), hop, cema)) {
                Some((media, to)) => self.change_terms(tag, &media, to, now),
                None => tracing::info!(call = %tag, "the answer to a refresh changes nothing"),
            }
        }
        if let Some(call) = self.calls.get_mut(tag) {
            call.dialog.retarget(&response.headers);
        }
        self.settle_time(tag, response, now);
    }

    /// The ACK of a 200 to an INVITE of ours in a dialog (RFC 3261 §13.2.2.4).
    pub(super) fn acknowledge(&mut self, tag: Tag, number: u32) {
        let branch = self.branch();
        let Some(call) = self.calls.get_mut(tag) else { return };
        let (ask, hop) = call.dialog.ack(number, &call.sent_by, &branch);
        let bytes = Message::Request(ask.empty()).to_bytes();
        call.timing.acknowledged = Some((number, hop, bytes.clone()));
        self.send(hop, bytes);
    }

    /// A 200 that comes again wants its ACK again.
    pub(super) fn acknowledge_again(&mut self, tag: Tag, response: &Response) {
        let again = self.calls.get_mut(tag).and_then(|call| call.timing.acknowledged.clone());
        if let Some((number, hop, ack)) = again
            && cseq_number(&response.headers) == Some(number)
        {
            self.send(hop, ack);
        }
    }

    /// What can be done about it is tried once more; else the session lasts until it expires.
    fn refresh_refused(&mut self, tag: Tag, status: u16, response: &Response, was_offer: bool, now: Instant) {
        let glare = self.glare_delay(tag);
        let Some(call) = self.calls.get_mut(tag) else { return };
        let floor = call.timing.floor;
        call.timing.learn(&response.headers);
        let Some(expires) = call.timing.expires else { return };
        let left = expires.saturating_duration_since(now);
        let wait = match status {
            422 if call.timing.floor > floor => Duration::ZERO,
            405 | 420 | 501 if !was_offer => {
                call.timing.updates = false;
                Duration::ZERO
            }
            491 => glare,
            _ => seconds(&response.headers, &HeaderName::RetryAfter).unwrap_or(left / 2).max(Duration::from_secs(5)),
        };
        tracing::info!(call = %tag, status, "a session refresh was refused");
        self.alarms.set(Alarm::Session(tag), expires.min(now + wait));
    }

    /// How long to wait after a glare: whoever made the call waits longer (RFC 3261 §14.1).
    fn glare_delay(&mut self, tag: Tag) -> Duration {
        let caller = self.calls.get_mut(tag).is_some_and(|call| call.timing.caller);
        let step = self.random();
        let tens = if caller { 210 + step % 191 } else { step % 201 };
        Duration::from_millis(10 * tens)
    }

    /// Nobody there any more (RFC 4028 §10).
    pub(super) fn refresh_unanswered(&mut self, tag: Tag) {
        self.end(tag, Goodbye { cause: 408, text: "A session refresh was not answered" });
    }
}

impl Call {
    /// Whether an offer of ours waits for its answer, so that none of the peer's can be taken (RFC 3264 §4).
    pub(super) fn is_offering(&self) -> bool {
        self.timing.offering || matches!(&self.phase, Phase::Answered(waiting) if waiting.awaits_answer)
    }
}
