//! The session descriptions that the focus writes.

use std::net::IpAddr;

use crate::facts::{ChatroomTokens, RoomPolicy};
use crate::focus::context::Context;
use crate::focus::media::negotiation;
use crate::focus::media::offer::Offer;
use crate::focus::settings::Settings;
use crate::focus::store::session_state::SessionState;
use crate::focus::tag::Tag;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::{Capabilities, Direction, LocalMedia, LocalTerms, Origin, Setup};
use parlor_proto::sip::Hop;

/// What a room takes, for an OPTIONS (RFC 3264 §9). Its number is used by no session (§5).
pub fn capabilities_of(cx: &mut Context<'_>, room: &str, hop: Hop) -> Option<String> {
    let origin = Origin { id: cx.core.random() >> 1, version: 1 };
    let Capabilities { plain, tls, .. } = negotiation::capabilities(cx, room);
    let known = cx.rooms.find(room).map(|room| &room.policy);
    let policy = cx.core.settings.rooms.policy(room).or(known)?;
    Some(our_terms(&cx.core.settings, policy, hop.remote.ip()).capabilities(origin, plain, tls))
}

/// Writes the call's answer to an offer, whose terms are in force. It says who connects (RFC 6135 §4.2).
pub fn describe_answer(cx: &mut Context<'_>, tag: Tag, offer: &Offer) -> Option<String> {
    let setup = setup_of(&cx.calls.get(tag)?.session_state);
    describe(cx, tag, setup, |ours, origin| ours.answer(origin, &offer.description, &offer.media))
}

/// Our side by the terms in force.
pub fn setup_of(session: &SessionState) -> Setup {
    let outward = session.terms().is_some_and(|terms| terms.connect_to.is_some());
    if outward { Setup::Active } else { Setup::Passive }
}

/// Writes the call's next offer, in which the peer may do what `direction` says.
pub fn describe_offer(cx: &mut Context<'_>, tag: Tag, direction: Direction) -> Option<String> {
    let local_description = &cx.calls.get(tag)?.local_description;
    let (before, cema) = (local_description.last(), local_description.cema);
    describe(cx, tag, Setup::ActPass, |ours, origin| match &before {
        Some(before) => ours.next_offer(origin, before, direction, cema),
        None => ours.offer(origin),
    })
}

/// Writes the call's next description.
fn describe(
    cx: &mut Context<'_>,
    tag: Tag,
    setup: Setup,
    write: impl Fn(&LocalMedia<'_>, Origin) -> String,
) -> Option<String> {
    let call = cx.calls.get_mut(tag)?;
    let policy = cx.rooms.get_mut(call.room)?.policy.clone();
    let peer = call.dialog.hop().remote.ip();
    let ours = our_media(&cx.core.settings, &policy, &call.path, setup, peer)?;
    Some(call.local_description.next(|origin| write(&ours, origin)))
}

/// Our side of the media of a room, for a peer at an address.
pub fn our_media<'a>(
    settings: &'a Settings,
    policy: &'a RoomPolicy,
    path: &'a Path,
    setup: Setup,
    peer: IpAddr,
) -> Option<LocalMedia<'a>> {
    let port = path.first_uri()?.host_and_port().1?;
    Some(LocalMedia {
        terms: our_terms(settings, policy, peer),
        port,
        path,
        setup,
        fingerprints: &settings.fingerprints,
    })
}

/// What a room takes, as a peer at an address is to be told.
pub fn our_terms<'a>(settings: &'a Settings, policy: &'a RoomPolicy, peer: IpAddr) -> LocalTerms<'a> {
    LocalTerms {
        host: &settings.msrp_host,
        ipv6: peer.to_canonical().is_ipv6(),
        accept_wrapped_types: &policy.wrapped_types,
        chatroom: ChatroomTokens { nickname: policy.nicknames, private_messages: policy.private_messages },
        max_size: policy.max_message_size,
        subject: policy.subject.as_deref(),
    }
}
