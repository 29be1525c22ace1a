//! Calls that the focus makes: a user is invited into a room (RFC 4579 §5.2).
//!
//! The shard takes the session first, so that the user can connect as soon as it has answered. Then its address is found, then the
//! INVITE is sent.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::facts::{Command, OpenSession, Terms};
use crate::focus::context::Context;
use crate::focus::lifecycle::session::SHARD_ANSWER_MAX;
use crate::focus::media::negotiation;
use crate::focus::output::Output;
use crate::focus::refusal::Refusal;
use crate::focus::store::local_description::LocalDescription;
use crate::focus::store::outgoing::{Invitation, OutgoingCall, Route};
use crate::focus::store::outgoing_state::OutgoingState;
use crate::focus::store::timing::Timing;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use crate::focus::uac::route::Direction;
use crate::focus::uac::{cancel, invite, route};
use crate::focus::{access, dialogs, headers};
use crate::limits::RINGING_SECONDS_MAX;
use parlor_proto::sip::{Transport, is_sips};

/// Begins a call. The caller has checked that the inviting user may.
pub fn start(cx: &mut Context<'_>, invitation: Invitation) -> Result<Tag, Refusal> {
    check_invitation(cx, &invitation)?;
    let direction = route::direction(cx, &invitation.target)?;
    let tag = dialogs::new_tag(cx);
    let room = cx.rooms.get_mut(invitation.room).ok_or(Refusal::new(404))?;
    let shard = room.shard;
    let session = cx.core.new_session_id(shard);
    let name = cx.rooms.get(invitation.room).map(|room| room.name.clone()).unwrap_or_default();
    let secure = negotiation::offers_tls(cx, &name, direction.transport());
    let path = negotiation::path(cx, shard, session, secure)?;
    let local_description = LocalDescription::new(cx.core.random());
    let call_id = {
        let (high, low) = (cx.core.random(), cx.core.random());
        format!("{high:016x}{low:016x}@{}", cx.core.settings.contact_host)
    };
    tracing::info!(call = %tag, user = %invitation.member.user, by = %invitation.by, session = session.short(), "inviting a user into a room");
    let (room, member, terms) = (invitation.room, invitation.member.clone(), Terms::unanswered(path.clone()));
    cx.shards.session_opened(shard);
    cx.core
        .command(shard, Command::OpenSession(Box::new(OpenSession { session, room, member, terms, formerly: None })));
    let outgoing = OutgoingCall {
        invitation,
        shard,
        session,
        path,
        local_description,
        timing: Timing::of_caller(),
        contact: String::new(),
        sent_by: String::new(),
        call_id,
        sequence: 0,
        stream: Some(false),
        route: None,
        state: OutgoingState::Preparing { ready: false },
        share: None,
    };
    cx.outgoing.insert(tag, outgoing);
    cx.core.timers.set(Timer::Outgoing(tag), cx.now + SHARD_ANSWER_MAX);
    match direction {
        Direction::Known(route) => set_route(cx, tag, *route),
        Direction::Named { name, port, transport } => look_up(cx, tag, name, port, transport),
    }
    Ok(tag)
}

fn check_invitation(cx: &Context<'_>, invitation: &Invitation) -> Result<(), Refusal> {
    if cx.admission.draining {
        return Err(Refusal::later(60).because("Server Is Ending"));
    }
    let claim = &invitation.claim;
    if !cx.outgoing.shares.has_room(claim, 1) || !cx.calls.shares.has_room(claim, 1) {
        return Err(Refusal::later(10));
    }
    let name = cx.rooms.get(invitation.room).map(|room| room.name.clone()).ok_or(Refusal::new(404))?;
    let (member, user) = (&invitation.member, &invitation.member.user);
    let called = |(_, other): (Tag, &OutgoingCall)| {
        other.invitation.room == invitation.room && other.invitation.member.user == *user
    };
    if cx.outgoing.iter().any(called) {
        return Err(Refusal::new(486).because("Already Being Called"));
    }
    access::check_room(cx, &name, member, Some(user), Some(claim))
}

fn look_up(cx: &mut Context<'_>, tag: Tag, name: String, port: u16, transport: Transport) {
    cx.outgoing.lookups.insert(tag, (port, transport));
    cx.core.outputs.push(Output::LookUp { query: tag.0, name });
}

/// The addresses of a name were looked up; none where there are none.
pub fn on_looked_up(cx: &mut Context<'_>, query: u64, addresses: &[IpAddr]) {
    let tag = Tag(query);
    let Some((port, transport)) = cx.outgoing.lookups.remove(&tag) else { return };
    let Some(outgoing) = cx.outgoing.get(tag) else { return };
    let target = outgoing.invitation.target.clone();
    let hop =
        addresses.iter().find_map(|ip| route::hop_to(&cx.core.settings, SocketAddr::new(*ip, port), transport).ok());
    match hop {
        Some(hop) => {
            let route = route::route_over(&cx.core.settings, &target, hop);
            set_route(cx, tag, route);
        }
        None => cancel::fail(cx, tag, 404, "Host Not Found"),
    }
}

fn set_route(cx: &mut Context<'_>, tag: Tag, route: Route) {
    let sent_by = headers::sent_by(&cx.core.settings, route.hop);
    let Some(outgoing) = cx.outgoing.get(tag) else { return };
    let room = cx.rooms.get(outgoing.invitation.room).map(|room| room.name.clone());
    // RFC 3261 §8.1.1.8.
    let by_route =
        route.routes.first().is_some_and(|route| route.get(..6).is_some_and(|s| s.eq_ignore_ascii_case("<sips:")));
    let secure = by_route || is_sips(&route.target) || is_sips(&outgoing.invitation.target);
    let Ok(contact) = headers::contact(&cx.core.settings, room.as_deref(), secure, route.hop) else {
        return cancel::fail(cx, tag, 480, "SIPS Not Available");
    };
    let Some(outgoing) = cx.outgoing.get_mut(tag) else { return };
    (outgoing.route, outgoing.contact, outgoing.sent_by) = (Some(route), contact, sent_by);
    invite_if_ready(cx, tag);
}

/// The shard takes the session of a call that is being made.
pub fn on_session_ready(cx: &mut Context<'_>, tag: Tag) {
    if let Some(outgoing) = cx.outgoing.get_mut(tag) {
        outgoing.state.advance(|state| (state.ready(), ()));
        invite_if_ready(cx, tag);
    }
}

fn invite_if_ready(cx: &mut Context<'_>, tag: Tag) {
    let Some(outgoing) = cx.outgoing.get(tag) else { return };
    if matches!(outgoing.state, OutgoingState::Preparing { ready: true }) && outgoing.route.is_some() {
        cx.core.timers.set(Timer::Outgoing(tag), cx.now + Duration::from_secs(RINGING_SECONDS_MAX));
        invite::send(cx, tag);
    }
}
