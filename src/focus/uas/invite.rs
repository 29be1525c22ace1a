//! An INVITE to a room, until it is answered.
//!
//! It is admitted, and its call is put into the room ([`handle`]). Where it brings an offer, its session is opened, and the shard's
//! word is awaited ([`on_session_ready`], [`on_session_refused`], [`on_shard_timeout`]). Then the 200 goes out ([`answer`]), with
//! our answer or, at once, with our offer. The ACK is `ack.rs`'s.

use crate::call::{Caller, Dialog, Identity, SessionTimer, asks_for_sips};
use crate::facts::{Member, Refusal as ShardRefusal};
use crate::focus::awareness::is_of_aware;
use crate::focus::context::Context;
use crate::focus::lifecycle::{room, session, session_timer};
use crate::focus::media::description::{our_media, setup_of};
use crate::focus::media::negotiation;
use crate::focus::media::offer::Offer;
use crate::focus::refusal::Refusal;
use crate::focus::roster::membership;
use crate::focus::store::call::Call;
use crate::focus::store::call_state::{CallState, Opening};
use crate::focus::store::local_description::LocalDescription;
use crate::focus::store::session_state::SessionState;
use crate::focus::store::timing::Timing;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use crate::focus::uac::bye;
use crate::focus::uas::accept::Acceptance;
use crate::focus::uas::{accept, admit, claims, identity, recipient_list};
use crate::focus::{access, dialogs, headers, responses};
use crate::ids::{RoomId, SessionId, ShardId};
use crate::shares::Claim;
use crate::transaction::TransactionId;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::Setup;
use parlor_proto::sip::{Hop, Recipient, Request};
use parlor_proto::uri::Aor;

/// A call that may come in.
#[derive(Debug)]
struct Admitted {
    tag: Tag,
    room: String,
    dialog: Dialog,
    /// Our Contact in it.
    contact: String,
    identity: Identity,
    vouched: bool,
    offer: Option<Offer>,
    timer: Option<SessionTimer>,
    /// Who is charged with it.
    claim: Claim,
    /// The other users that the caller invites.
    listed: Vec<Recipient>,
}

/// Where a call has its place.
struct Place {
    room: RoomId,
    shard: ShardId,
    session: SessionId,
    path: Path,
}

/// An INVITE that begins a dialog.
pub fn handle(cx: &mut Context<'_>, id: TransactionId, request: Request, caller: &Caller, hop: Hop) {
    let placed = admit(cx, &request, caller, hop).and_then(|admitted| Ok((place(cx, &admitted, hop)?, admitted)));
    let (place, admitted) = match placed {
        Ok(placed) => placed,
        Err(refusal) => return responses::refuse(cx, &id, &request, &refusal),
    };
    let tag = admitted.tag;
    admit::begin_merging(cx, &request, tag, hop);
    insert_call(cx, id, request, admitted, place, hop);
    open_session(cx, tag);
}

fn admit(cx: &mut Context<'_>, request: &Request, caller: &Caller, hop: Hop) -> Result<Admitted, Refusal> {
    if cx.admission.descriptors_short {
        return Err(Refusal::later(10).because("No Connections Left"));
    }
    let claim = claims::claim_of(cx, request, caller, hop);
    admit::check_load(cx, &claim)?;
    let room = admit::locate(cx, request)?.ok_or(Refusal::new(404))?;
    admit::check_merged(cx, request)?;
    let tag = dialogs::new_tag(cx);
    let dialog = Dialog::called(request, &tag.to_string(), hop)?;
    let contact = headers::contact(&cx.core.settings, Some(&room), asks_for_sips(request), hop)?;
    let timer = session_timer::negotiate(&cx.core.settings, request)?;
    let offer = negotiation::offer_of(cx, request, &room, hop)?;
    let identity = identity::identity(cx, request, caller, &room)?;
    let (member, account) = (&identity.member, identity.account.as_ref());
    access::check_room(cx, &room, member, account, Some(&claim))?;
    let listed = recipient_list::listed(cx, request, &room, &member.user, account)?;
    let vouched = matches!(caller, Caller::Asserted(_));
    Ok(Admitted { tag, room, dialog, contact, identity, vouched, offer, timer, claim, listed })
}

/// Enters the room, which is made where it has to be, and gives the call a session there.
fn place(cx: &mut Context<'_>, admitted: &Admitted, hop: Hop) -> Result<Place, Refusal> {
    let Identity { member, account } = &admitted.identity;
    let (room, shard) = room::find_or_make(cx, &admitted.room, &admitted.claim)?;
    cx.shards.session_opened(shard);
    if let Some(room) = cx.rooms.get_mut(room) {
        room.enter(&member.user);
        account.iter().for_each(|account| room.enter_account(account));
        cx.nicknames.enter(&member.user);
    }
    let session = cx.core.new_session_id(shard);
    let secure = match &admitted.offer {
        Some(offer) => offer.media.secure,
        None => negotiation::offers_tls(cx, &admitted.room, hop.transport),
    };
    Ok(Place { room, shard, session, path: negotiation::path(cx, shard, session, secure)? })
}

fn insert_call(
    cx: &mut Context<'_>,
    invite: TransactionId,
    request: Request,
    admitted: Admitted,
    place: Place,
    hop: Hop,
) {
    let Place { room, shard, session, path } = place;
    let Admitted { tag, identity: Identity { account, member }, offer, timer, .. } = admitted;
    // A Call-ID may have the name of the caller's machine in it.
    let call_id = Some(admitted.dialog.call_id()).filter(|_| !member.anonymous);
    tracing::info!(call = %tag, room = %admitted.room, user = %member.user, session = session.short(), call_id,
        method = %request.method, "call accepted");
    let mut local_description = LocalDescription::new(cx.core.random());
    local_description.cema = offer.as_ref().is_some_and(|offer| offer.media.accepts_cema());
    let call = Call {
        formerly: alias_of(cx, room, &member, account.as_ref()).map(Box::new),
        contact: admitted.contact,
        sent_by: headers::sent_by(&cx.core.settings, hop),
        local_description,
        timing: Timing::default(),
        dialog: admitted.dialog,
        room,
        shard,
        session,
        member,
        account,
        vouched: admitted.vouched,
        aware: is_of_aware(&request.headers),
        path,
        state: CallState::Opening(Box::new(Opening { invite, request, offer, timer })),
        session_state: SessionState::Unopened,
        listed: admitted.listed,
        brought_by: None,
        refers: 0,
        share: Some(cx.calls.shares.take(&admitted.claim, 1)),
    };
    cx.calls.insert(tag, call);
}

/// The alias that an anonymous user whom we know had here last.
fn alias_of(cx: &mut Context<'_>, room: RoomId, member: &Member, account: Option<&Aor>) -> Option<Aor> {
    let account = account.filter(|_| member.anonymous)?;
    cx.rooms.get_mut(room)?.take_alias(account)
}

/// Opens the session that was offered on its shard. Without an offer the INVITE is answered at once, with ours.
fn open_session(cx: &mut Context<'_>, tag: Tag) {
    let Some(call) = cx.calls.get(tag) else { return };
    match call.state.opening().and_then(|opening| opening.offer.as_ref()) {
        Some(offer) => {
            let terms = call.terms_for(&offer.media, offer.connect_to.clone());
            session::open(cx, tag, terms);
        }
        None => answer(cx, tag),
    }
}

/// The session can be bound: the INVITE is answered, or, where the answer came with the ACK, it may be bound.
pub fn on_session_ready(cx: &mut Context<'_>, tag: Tag) {
    cx.core.timers.clear(&Timer::ShardAnswer(tag));
    let Some(call) = cx.calls.get_mut(tag).filter(|call| call.session_state.is_in_room()) else { return };
    call.session_state.advance(|state| (state.ready(), ()));
    membership::joined(cx, tag);
    match cx.calls.get(tag).map(|call| &call.state) {
        Some(CallState::Opening(_)) => answer(cx, tag),
        Some(CallState::Established) => session::expect_binding(cx, tag),
        Some(CallState::Answered(_) | CallState::Ending(..)) | None => {}
    }
    recipient_list::invite_all(cx, tag);
}

/// Sends the 200: with the answer to the offer of the INVITE, or with our offer (RFC 3261 §13.3.1.4).
fn answer(cx: &mut Context<'_>, tag: Tag) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let (Some(opening), Some(room)) = (call.state.opening(), cx.rooms.get(call.room)) else { return };
    let Opening { invite, request, offer, timer } = opening;
    let (arrival, contact) = (call.dialog.hop(), call.contact.as_str());
    let setup = if offer.is_some() { setup_of(&call.session_state) } else { Setup::ActPass };
    let settings = &cx.core.settings;
    let Some(ours) = our_media(settings, &room.policy, &call.path, setup, arrival.remote.ip()) else { return };
    let body = call.local_description.next(|origin| match offer {
        Some(offer) => ours.answer(origin, &offer.description, &offer.media),
        None => ours.offer(origin),
    });
    let (timer, offers) = (*timer, offer.is_none());
    let acceptance = Acceptance { invite, request, tag, contact, arrival, timer, body, offers };
    let unacknowledged = accept::send(cx.core, acceptance, cx.now);
    call.timing.learn(&request.headers);
    session_timer::arm(cx.core, &mut call.timing, tag, timer, cx.now);
    cx.calls.advance(tag, |state| (state.answered(unacknowledged), ()));
}

/// The shard does not take the session.
pub fn on_session_refused(cx: &mut Context<'_>, tag: Tag, why: ShardRefusal) {
    cx.core.timers.clear(&Timer::ShardAnswer(tag));
    let refusal = match why {
        ShardRefusal::NoSuchRoom => Refusal::new(500),
        ShardRefusal::Full => Refusal::later(5),
        ShardRefusal::Draining => Refusal::later(60),
    };
    bye::on_session_failed(cx, tag, &refusal);
}

/// The shard does not answer.
pub fn on_shard_timeout(cx: &mut Context<'_>, tag: Tag) {
    tracing::warn!(call = %tag, "a shard has not answered");
    bye::on_session_failed(cx, tag, &Refusal::later(10));
}
