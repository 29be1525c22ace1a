//! The 200 to an INVITE (RFC 3261 §13.3.1.4).

use std::time::Instant;

use crate::call::SessionTimer;
use crate::focus::context::Context;
use crate::focus::core::Core;
use crate::focus::lifecycle::session_timer;
use crate::focus::responses;
use crate::focus::store::call_state::Unacknowledged;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use crate::transaction::{TransactionId, Transactions};
use parlor_proto::sip::{HeaderName, Hop, Request, cseq_number, response_hop};

/// An INVITE that is answered with 200, and what the 200 says.
pub struct Acceptance<'a> {
    pub invite: &'a TransactionId,
    pub request: &'a Request,
    pub tag: Tag,
    /// Our Contact.
    pub contact: &'a str,
    /// Where the dialog's requests come from.
    pub arrival: Hop,
    pub timer: Option<SessionTimer>,
    pub body: String,
    /// The body is our offer: the ACK carries the answer.
    pub offers: bool,
}

/// Sends a 200 with a description, and again until its ACK comes.
pub fn send(core: &mut Core, acceptance: Acceptance<'_>, now: Instant) -> Unacknowledged {
    let Acceptance { invite, request, tag, contact, arrival, timer, body, offers } = acceptance;
    let builder = responses::ok(&core.settings, request, &tag.to_string(), contact.to_owned());
    let response = session_timer::response_headers(builder, timer)
        .echo(request, &HeaderName::RecordRoute)
        .body("application/sdp", body);
    core.timers.set(Timer::Retransmit200(tag), now + Transactions::t1());
    core.timers.set(Timer::AckTimeout(tag), now + 64 * Transactions::t1());
    Unacknowledged {
        response: core.transactions.respond(invite, response),
        hop: response_hop(&request.headers, arrival),
        sequence: cseq_number(&request.headers).unwrap_or_default(),
        interval: Transactions::t1(),
        awaits_answer: offers,
    }
}

/// Answers an INVITE within a call.
pub fn send_in_dialog(
    cx: &mut Context<'_>,
    (invite, request): (&TransactionId, &Request),
    tag: Tag,
    timer: Option<SessionTimer>,
    body: String,
    offers: bool,
) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let (contact, arrival) = (&call.contact, call.dialog.hop());
    let acceptance = Acceptance { invite, request, tag, contact, arrival, timer, body, offers };
    let unacknowledged = send(cx.core, acceptance, cx.now);
    call.timing.learn(&request.headers);
    session_timer::arm(cx.core, &mut call.timing, tag, timer, cx.now);
    cx.calls.advance(tag, |state| (state.answered(unacknowledged), ()));
}
