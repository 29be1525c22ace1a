//! REFER to a room: a user is invited or removed, or the room is closed (RFC 3515, RFC 4579 §5.5, §5.11).

use crate::call::{Caller, Dialog, asks_for_sips};
use crate::focus::context::Context;
use crate::focus::headers::{ALLOW, EVENTS};
use crate::focus::lifecycle::room;
use crate::focus::refusal::Refusal;
use crate::focus::store::call_state::ByeReason;
use crate::focus::store::merged::RequestKey;
use crate::focus::store::subscription::{SubscriptionDialog, SubscriptionId};
use crate::focus::tag::Tag;
use crate::focus::uac::report::Origin;
use crate::focus::uac::{bye, cancel, report};
use crate::focus::uas::referral::{Outcome, Referral, is_false};
use crate::focus::uas::{admit, claims, referral};
use crate::focus::{dialogs, headers, responses};
use crate::shares::Claim;
use crate::transaction::TransactionId;
use parlor_proto::sip::{HeaderName, Hop, Request, cseq_number, text};

/// A REFER, within a call or outside of any. It is refused at once, or a subscription reports its outcome.
pub fn handle(
    cx: &mut Context<'_>,
    id: &TransactionId,
    request: &Request,
    caller: &Caller,
    within: Option<Tag>,
    hop: Hop,
) {
    let tag = within.unwrap_or_else(|| dialogs::new_tag(cx));
    let claim = match within {
        Some(tag) => claims::claim_in(cx, tag, request, hop),
        None => claims::claim_of(cx, request, caller, hop),
    };
    let silent = text(&request.headers, &HeaderName::ReferSub).is_some_and(|value| is_false(&value));
    let may_report = if silent { Ok(()) } else { report::check(cx, tag, &claim) };
    let accepted = may_report.and_then(|()| accept_refer(cx, request, caller, within, tag, hop, &claim));
    let (dialog, referral) = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => return responses::refuse(cx, id, request, &refusal),
    };
    let name = cx.rooms.get(referral.room).map(|room| room.name.clone());
    let contact = match within.and_then(|tag| dialogs::contact_in(cx, tag)) {
        Some(contact) => Ok(contact),
        None => headers::contact(&cx.core.settings, name.as_deref(), asks_for_sips(request), hop),
    };
    let outcome = contact.and_then(|contact| Ok((referral::carry_out(cx, &referral, request)?, contact)));
    let (outcome, contact) = match outcome {
        Ok(outcome) => outcome,
        Err(refusal) => {
            room::close_if_empty(cx, referral.room);
            return responses::refuse(cx, id, request, &refusal);
        }
    };
    let builder = responses::builder(&cx.core.settings, request, 202, &tag.to_string())
        .header(HeaderName::Contact, contact.clone());
    let builder = builder
        .header(HeaderName::Allow, ALLOW)
        .header(HeaderName::Supported, headers::supported(&cx.core.settings))
        .header(HeaderName::AllowEvents, EVENTS)
        .echo(request, &HeaderName::RecordRoute);
    // RFC 4488 §4: no subscription where none is wanted, and the answer says so.
    let builder = if silent { builder.header(HeaderName::ReferSub, "false") } else { builder };
    cx.core.transactions.respond(id, builder.empty());
    if dialog.is_some() {
        admit::begin_merging(cx, request, tag, hop);
    }
    let report = (!silent).then(|| {
        let origin = match dialog {
            Some(dialog) => {
                let (sent_by, account) = (headers::sent_by(&cx.core.settings, hop), referral.account.clone());
                let vouched = matches!(caller, Caller::Asserted(_));
                Origin::Own(Box::new(SubscriptionDialog { dialog, contact, sent_by, account, vouched }))
            }
            None => Origin::Call { number: number_of_refer(cx, tag, request) },
        };
        report::open(cx, tag, origin, &claim)
    });
    finish(cx, outcome, report);
}

/// What a REFER requests, and the dialog that it begins outside of a call.
#[allow(clippy::too_many_arguments)]
fn accept_refer(
    cx: &mut Context<'_>,
    request: &Request,
    caller: &Caller,
    within: Option<Tag>,
    tag: Tag,
    hop: Hop,
    claim: &Claim,
) -> Result<(Option<Dialog>, Referral), Refusal> {
    if within.is_some() {
        return Ok((None, referral::referral(cx, request, caller, within, claim)?));
    }
    if RequestKey::of(request, cx.core.tag_keys).is_some_and(|origin| cx.admission.merged.has(origin, cx.now)) {
        return Err(Refusal::new(482).because("Merged Request"));
    }
    let dialog = Dialog::called(request, &tag.to_string(), hop)?;
    Ok((Some(dialog), referral::referral(cx, request, caller, None, claim)?))
}

/// From the second on, REFERs of a call are told apart by their number (RFC 3515 §2.4.6).
fn number_of_refer(cx: &mut Context<'_>, tag: Tag, request: &Request) -> Option<u32> {
    let call = cx.calls.get_mut(tag)?;
    call.refers += 1;
    (call.refers > 1).then(|| cseq_number(&request.headers)).flatten()
}

fn finish(cx: &mut Context<'_>, outcome: Outcome, report: Option<SubscriptionId>) {
    match outcome {
        // It may have failed by now.
        Outcome::Called(tag) => match (cx.outgoing.get_mut(tag), report) {
            (Some(outgoing), report) => outgoing.invitation.report = report,
            (None, Some(report)) => report::finish(cx, report, 503, "Service Unavailable"),
            (None, None) => {}
        },
        Outcome::Removed(tags) => {
            for tag in tags {
                if cx.calls.contains(tag) {
                    let reason = ByeReason { cause: 403, text: "A moderator has ended it" };
                    bye::refuse_or_end(cx, tag, &Refusal::new(403), reason);
                } else {
                    // An invitation that was not answered is cancelled (RFC 3261 §9.1).
                    cancel::give_up(cx, tag);
                }
            }
            if let Some(report) = report {
                report::finish(cx, report, 200, "OK");
            }
        }
    }
}
