//! An INVITE with a list of other users to invite (RFC 5366).

use std::collections::HashSet;

use crate::call::matches_any;
use crate::facts::{CREATOR, Member};
use crate::focus::context::Context;
use crate::focus::headers::LIST_TAG;
use crate::focus::refusal::Refusal;
use crate::focus::store::outgoing::Invitation;
use crate::focus::tag::Tag;
use crate::focus::uac::outgoing;
use parlor_proto::sip::{
    CopyControl, HeaderName, Recipient, Request, address_text, aor, option_tags, recipient_list, recipients,
    recipients_history, request_uri, uri,
};
use parlor_proto::uri::Aor;

/// The users that an INVITE lists; none without a list, or with an optional one that the
/// caller may not use.
pub fn listed(
    cx: &Context<'_>,
    request: &Request,
    room: &str,
    user: &Aor,
    account: Option<&Aor>,
) -> Result<Vec<Recipient>, Refusal> {
    let required = option_tags(&request.headers, &HeaderName::Require).iter().any(|tag| tag == LIST_TAG);
    let Some(body) = recipient_list(&request.headers, request.body())? else {
        return if required { Err(Refusal::new(400).because("No Recipient List")) } else { Ok(Vec::new()) };
    };
    if !may_bring_others(cx, room, user, account) {
        tracing::info!(room, user = %user, required, "a recipient list of a user who may not invite");
        return if required { Err(Refusal::new(403).because("Not A Moderator")) } else { Ok(Vec::new()) };
    }
    Ok(recipients(&body)?)
}

/// A caller whose call creates the room counts as its creator.
fn may_bring_others(cx: &Context<'_>, name: &str, user: &Aor, account: Option<&Aor>) -> bool {
    if let Some(room) = cx.rooms.find(name).filter(|room| room.open && room.has_creator()) {
        return room.is_moderated_by(user, account);
    }
    let policy = cx.core.settings.rooms.policy(name);
    let moderators = policy.map(|policy| policy.moderators.as_slice()).unwrap_or_default();
    moderators.iter().any(|name| name == CREATOR)
        || matches_any(moderators.iter().map(String::as_str), account.unwrap_or(user))
}

/// The session of a caller with a list is ready: invites each listed user once.
pub fn invite_all(cx: &mut Context<'_>, tag: Tag) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let listed = std::mem::take(&mut call.listed);
    let (room, by) = (call.room, call.member.user.clone());
    let Some(claim) = call.share.as_ref().map(|share| share.claim.clone()) else { return };
    let mut met = HashSet::from([by.clone()]);
    let history = recipients_history(&listed);
    for recipient in listed {
        let Some((target, member)) = member_of(&recipient) else {
            tracing::info!(call = %tag, uri = recipient.uri, "a listed address cannot be invited");
            continue;
        };
        let there = cx.rooms.get(room).is_some_and(|room| room.has(&member.user));
        if there || !met.insert(member.user.clone()) {
            continue;
        }
        let user = member.user.clone();
        // A blind-copied user does not see the others either.
        let history = history.clone().filter(|_| recipient.copy != CopyControl::Bcc);
        let invitation = Invitation {
            room,
            target,
            member,
            by: by.clone(),
            claim: claim.clone(),
            referred_by: None,
            replaces: None,
            history,
            report: None,
        };
        if let Err(refusal) = outgoing::start(cx, invitation) {
            tracing::info!(call = %tag, user = %user, status = refusal.status, "a listed user is not invited");
        }
    }
}

fn member_of(recipient: &Recipient) -> Option<(parlor_proto::sip::Uri, Member)> {
    let target = request_uri(uri(&recipient.uri)?);
    let user = aor(&target).ok()?;
    let display_name = recipient.display_name.as_deref().map(Into::into);
    let identities = [user.clone()].into();
    let member = Member { user, uri: address_text(&target).into(), display_name, identities, anonymous: false };
    Some((target, member))
}
