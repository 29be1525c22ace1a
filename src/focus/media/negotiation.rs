//! Which media the focus accepts: with TLS or without, and which side connects.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::facts::Outward;
use crate::focus::context::Context;
use crate::focus::media::offer::Offer;
use crate::focus::refusal::Refusal;
use crate::focus::settings::ConnectOut;
use crate::ids::{SESSION_ID_TEXT_LEN, SessionId, ShardId};
use parlor_proto::msrp::Path;
use parlor_proto::sdp::{Capabilities, Description, MediaError, MessageMedia, Setup};
use parlor_proto::sip::{
    HeaderName, Headers, Hop, Request, Response, Transport, accepts_media_type, quoted, session_description,
};

/// Octets of a path of ours beside its host.
const PATH_BYTES_BESIDE_HOST: usize = SESSION_ID_TEXT_LEN + "msrps://[]:65535/;tcp".len();

/// What can be done for a room about a connection.
pub fn capabilities(cx: &Context<'_>, room: &str) -> Capabilities {
    let known = cx.rooms.find(room).map(|room| &room.policy);
    let force_tls = cx.core.settings.rooms.policy(room).or(known).is_some_and(|policy| policy.force_tls);
    let connect = cx.core.settings.connect_out != ConnectOut::Never;
    Capabilities { plain: !force_tls, tls: cx.shards.have_tls(), listen: true, connect }
}

/// Whether media that we offer goes over TLS: where the room wants it, or the call goes over it, whoever makes it.
pub fn offers_tls(cx: &Context<'_>, room: &str, call: Transport) -> bool {
    let can = capabilities(cx, room);
    !can.plain || (can.tls && call == Transport::Tls)
}

/// The offer of a request to a room, with the media that we take; `None` where we are to make it (RFC 3261 §13.2.1).
pub fn offer_of(cx: &Context<'_>, request: &Request, room: &str, hop: Hop) -> Result<Option<Offer>, Refusal> {
    if request.headers.get(&HeaderName::Accept).is_some() && !accepts_media_type(&request.headers, "application/sdp") {
        return Err(Refusal::new(406));
    }
    let Some(body) = session_description(&request.headers, request.body())? else { return Ok(None) };
    let description = Description::parse(&body).map_err(|_| Refusal::new(400).because("Bad Session Description"))?;
    let media = description.offered_media(capabilities(cx, room))?;
    let connect_to = outward(cx, &media, media.setup == Some(Setup::Passive), hop)?;
    Ok(Some(Offer { description, media, connect_to }))
}

/// The answer to an offer of ours, and the address that the shard connects to. Without `a=setup` the offerer connects
/// (RFC 4975 §5.4). `cema` says whether the offer had `a=msrp-cema`.
pub fn answer_of(
    cx: &Context<'_>,
    ack: &Request,
    room: &str,
    hop: Hop,
    cema: bool,
) -> Option<(MessageMedia, Option<Outward>)> {
    read_answer(cx, &ack.headers, ack.body(), room, hop, cema)
}

/// The same where it comes in a response.
pub fn answer_in(
    cx: &Context<'_>,
    response: &Response,
    room: &str,
    hop: Hop,
    cema: bool,
) -> Option<(MessageMedia, Option<Outward>)> {
    read_answer(cx, &response.headers, response.body(), room, hop, cema)
}

fn read_answer(
    cx: &Context<'_>,
    headers: &Headers,
    body: &Bytes,
    room: &str,
    hop: Hop,
    cema: bool,
) -> Option<(MessageMedia, Option<Outward>)> {
    let body = session_description(headers, body).ok()??;
    let mut media = Description::parse(&body).ok()?.answered_media(capabilities(cx, room)).ok()?;
    // What was not offered cannot be agreed to (RFC 6714 §4.2).
    media.cema &= cema;
    let to = outward(cx, &media, media.setup != Some(Setup::Active), hop).ok()?;
    Some((media, to))
}

/// The address that the shard connects to, if it is the active side. Names are not resolved: the source address of the call is
/// used.
fn outward(cx: &Context<'_>, media: &MessageMedia, ours: bool, hop: Hop) -> Result<Option<Outward>, Refusal> {
    if !ours {
        return Ok(None);
    }
    let (host, port) = media.next_hop()?;
    let (source, policy) = (hop.remote.ip(), &cx.core.settings.connect_out);
    let target = host.parse::<IpAddr>().unwrap_or(source);
    if !policy.allows(target, source) || target.is_unspecified() || target.is_multicast() {
        let why = format!("this server does not connect to {target}: listen elsewhere, or connect (a=setup:active)");
        return Err(Refusal::new(488).with(HeaderName::Warning, format!("399 parlor {}", quoted(&why))));
    }
    Ok(Some(Outward { address: SocketAddr::new(target, port), name: host.into() }))
}

/// Our path for a session.
pub fn path(cx: &Context<'_>, shard: ShardId, session: SessionId, secure: bool) -> Result<Path, Refusal> {
    let (scheme, port) = match secure {
        true => ("msrps", cx.shards.tls_port(shard)),
        false => ("msrp", cx.shards.port(shard)),
    };
    let port = port.ok_or_else(|| Refusal::from(MediaError::TlsUnavailable))?;
    let host = &cx.core.settings.msrp_host;
    let (open, close) = if host.contains(':') && !host.starts_with('[') { ("[", "]") } else { ("", "") };
    let mut path = String::with_capacity(host.len() + PATH_BYTES_BESIDE_HOST);
    let _ = write!(path, "{scheme}://{open}{host}{close}:{port}/{session};tcp");
    Path::parse(path.as_bytes()).map_err(|_| Refusal::new(500))
}
