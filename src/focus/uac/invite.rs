//! The INVITE of a call of ours.

use crate::focus::context::Context;
use crate::focus::headers;
use crate::focus::lifecycle::session_timer;
use crate::focus::media::description::our_media;
use crate::focus::store::pending::Pending;
use crate::focus::tag::Tag;
use crate::focus::uac::{request, route};
use crate::ids::RoomId;
use crate::limits::{DATAGRAM_REQUEST_BYTES_MAX, RINGING_SECONDS_MAX};
use parlor_proto::sdp::Setup;
use parlor_proto::sip::{
    HeaderName, Hop, Message, Method, Request, RequestBuilder, Transport, address_text, escape_user,
    multipart_with_history, quoted,
};

/// Sends the INVITE. A large one goes over a stream where one can be used.
pub fn send(cx: &mut Context<'_>, tag: Tag) {
    let Some(outgoing) = cx.outgoing.get_mut(tag) else { return };
    outgoing.sequence += 1;
    let (Some(mut hop), streams) = (outgoing.route.as_ref().map(|route| route.hop), outgoing.stream.is_some()) else {
        return;
    };
    let Some(mut request) = invite_over(cx, tag, hop) else { return };
    let large = Message::Request(request.clone()).to_bytes().len() > DATAGRAM_REQUEST_BYTES_MAX;
    let by_size = large && streams && hop.transport == Transport::Udp;
    if by_size && let Ok(stream) = route::hop_to(&cx.core.settings, hop.remote, Transport::Tcp) {
        hop = stream;
        request = invite_over(cx, tag, hop).unwrap_or(request);
    }
    let invite = request::send(cx, request, hop, Pending::Invite(tag));
    if let Some(outgoing) = cx.outgoing.get_mut(tag) {
        outgoing.state.advance(|state| (state.invited(invite), ()));
        outgoing.stream = outgoing.stream.map(|_| by_size);
    }
}

fn invite_over(cx: &mut Context<'_>, tag: Tag, hop: Hop) -> Option<Request> {
    let branch = cx.core.branch();
    let body = offer_for(cx, tag)?;
    let outgoing = cx.outgoing.get(tag)?;
    let (target, route) = (&outgoing.invitation.target, outgoing.route.as_ref()?);
    let to = match &outgoing.invitation.member.display_name {
        Some(name) => format!("{} <{}>", quoted(name), address_text(target)),
        None => format!("<{}>", address_text(target)),
    };
    let mut builder = RequestBuilder::new(Method::Invite, route.target.clone())
        .header(HeaderName::Via, format!("SIP/2.0/{} {};branch={branch};rport", hop.transport.name(), outgoing.sent_by))
        .header(HeaderName::To, to)
        .header(HeaderName::CallId, outgoing.call_id.clone())
        .header(HeaderName::CSeq, format!("{} INVITE", outgoing.sequence))
        .header(HeaderName::Expires, RINGING_SECONDS_MAX.to_string());
    for route in &route.routes {
        builder = builder.header(HeaderName::Route, route.clone());
    }
    if let Some(by) = &outgoing.invitation.referred_by {
        builder = builder.header(HeaderName::ReferredBy, by.clone());
    }
    if let Some(replaces) = &outgoing.invitation.replaces {
        builder = builder.header(HeaderName::Replaces, replaces.clone()).header(HeaderName::Require, "replaces");
    }
    let (room, contact) = (outgoing.invitation.room, outgoing.contact.clone());
    let history = outgoing.invitation.history.clone();
    let builder = builder.header(HeaderName::From, room_address(cx, room, tag)?);
    let outgoing = cx.outgoing.get(tag)?;
    let builder = session_timer::request_headers(
        &cx.core.settings,
        headers::introduce(&cx.core.settings, builder, contact),
        &outgoing.timing,
    );
    Some(match history {
        Some(history) => {
            let (media_type, body) = multipart_with_history(&body, &history);
            builder.body(&media_type, body)
        }
        None => builder.body("application/sdp", body),
    })
}

/// From of our INVITE: the room.
fn room_address(cx: &Context<'_>, room: RoomId, tag: Tag) -> Option<String> {
    let room = cx.rooms.get(room)?;
    let domain = cx.core.settings.domains.first().map_or("localhost", String::as_str);
    let name = room.policy.display_text.as_deref().map(|name| format!("{} ", quoted(name))).unwrap_or_default();
    Some(format!("{name}<sip:{}@{domain}>;tag={tag}", escape_user(&room.name)))
}

fn offer_for(cx: &mut Context<'_>, tag: Tag) -> Option<String> {
    let outgoing = cx.outgoing.get_mut(tag)?;
    let policy = cx.rooms.get(outgoing.invitation.room)?.policy.clone();
    let peer = outgoing.route.as_ref()?.hop.remote.ip();
    let ours = our_media(&cx.core.settings, &policy, &outgoing.path, Setup::ActPass, peer)?;
    Some(outgoing.local_description.next(|origin| ours.offer(origin)))
}
