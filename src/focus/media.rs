//! What media the focus takes and offers: with TLS or without, and who connects to whom.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::calls::{Call, Tag};
use super::join::our_terms;
use super::refusal::Refusal;
use super::{Focus, Network};
use crate::facts::{Outward, Terms};
use crate::ids::{SESSION_ID_TEXT_LEN, SessionId, ShardId};
use parlor_proto::msrp::Path;
use parlor_proto::sdp::{Capabilities, Description, Fingerprint, MediaError, MessageMedia, Origin, Setup};
use parlor_proto::sip::{
    HeaderName, Headers, Hop, Request, Response, Transport, accepts_media_type, quoted, session_description,
};

/// Whom the server connects to where a client only listens. A stranger must not be able to point it at others (RFC 4975
/// §14.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ConnectOut {
    /// Nobody.
    Never,
    /// The address that the call came from.
    #[default]
    Source,
    /// Anybody.
    Any,
    /// Addresses in these networks: for clients behind a SIP proxy.
    Networks(Vec<Network>),
}

impl ConnectOut {
    fn allows(&self, target: IpAddr, source: IpAddr) -> bool {
        match self {
            Self::Never => false,
            Self::Source => target.to_canonical() == source.to_canonical(),
            Self::Any => true,
            Self::Networks(networks) => networks.iter().any(|network| network.contains(target)),
        }
    }
}

/// Octets of a path of ours beside its host.
const PATH_BYTES_BESIDE_HOST: usize = SESSION_ID_TEXT_LEN + "msrps://[]:65535/;tcp".len();

impl Focus {
    /// What can be done for a room about a connection.
    fn capabilities(&self, room: &str) -> Capabilities {
        let known = self.rooms.find(room).map(|room| &room.policy);
        let force_tls = self.settings.rooms.policy(room).or(known).is_some_and(|policy| policy.force_tls);
        let connect = self.settings.connect_out != ConnectOut::Never;
        Capabilities { plain: !force_tls, tls: self.shards.have_tls(), listen: true, connect }
    }

    /// What a room takes, for an OPTIONS (RFC 3264 §9). Its number is used by no session (§5).
    pub(super) fn described(&mut self, room: &str, hop: Hop) -> Option<String> {
        let origin = Origin { id: self.random() >> 1, version: 1 };
        let Capabilities { plain, tls, .. } = self.capabilities(room);
        let known = self.rooms.find(room).map(|room| &room.policy);
        let policy = self.settings.rooms.policy(room).or(known)?;
        Some(our_terms(&self.settings, policy, hop.remote.ip()).capabilities(origin, plain, tls))
    }

    /// The offer of a request to a room, with the media that we take; `None` where we are to make it (RFC 3261 §13.2.1).
    pub(super) fn offer_of(
        &self,
        request: &Request,
        room: &str,
        hop: Hop,
    ) -> Result<Option<(Description, MessageMedia)>, Refusal> {
        if request.headers.get(&HeaderName::Accept).is_some()
            && !accepts_media_type(&request.headers, "application/sdp")
        {
            return Err(Refusal::new(406));
        }
        let Some(body) = session_description(&request.headers, request.body())? else { return Ok(None) };
        let offer = Description::parse(&body).map_err(|_| Refusal::new(400).because("Bad Session Description"))?;
        let taken = offer.offered_media(self.capabilities(room))?;
        self.outward(&taken, taken.setup == Some(Setup::Passive), hop)?;
        Ok(Some((offer, taken)))
    }

    /// The answer to an offer of ours, and whom we connect to by it. Without `a=setup` whoever made the offer connects (RFC
    /// 4975 §5.4). `cema` says whether the offer had `a=msrp-cema`.
    pub(super) fn answer_of(
        &self,
        ack: &Request,
        room: &str,
        hop: Hop,
        cema: bool,
    ) -> Option<(MessageMedia, Option<Outward>)> {
        self.read_answer(&ack.headers, ack.body(), room, hop, cema)
    }

    /// The same where it comes in a response.
    pub(super) fn answer_in(
        &self,
        response: &Response,
        room: &str,
        hop: Hop,
        cema: bool,
    ) -> Option<(MessageMedia, Option<Outward>)> {
        self.read_answer(&response.headers, response.body(), room, hop, cema)
    }

    fn read_answer(
        &self,
        headers: &Headers,
        body: &Bytes,
        room: &str,
        hop: Hop,
        cema: bool,
    ) -> Option<(MessageMedia, Option<Outward>)> {
        let body = session_description(headers, body).ok()??;
        let mut media = Description::parse(&body).ok()?.answered_media(self.capabilities(room)).ok()?;
        // Nobody can have agreed to what was not offered (RFC 6714 §4.2).
        media.cema &= cema;
        let to = self.outward(&media, media.setup != Some(Setup::Active), hop).ok()?;
        Some((media, to))
    }

    /// Whom we connect to, where it is we who do. Nobody looks names up: one stands for the address that the call came from,
    /// as it does in SIP.
    pub(super) fn outward(&self, media: &MessageMedia, ours: bool, hop: Hop) -> Result<Option<Outward>, Refusal> {
        if !ours {
            return Ok(None);
        }
        let (host, port) = media.next_hop()?;
        let (source, policy) = (hop.remote.ip(), &self.settings.connect_out);
        let target = host.parse::<IpAddr>().unwrap_or(source);
        if !policy.allows(target, source) || target.is_unspecified() || target.is_multicast() {
            let why =
                format!("this server does not connect to {target}: listen elsewhere, or connect (a=setup:active)");
            return Err(Refusal::new(488).with(HeaderName::Warning, format!("399 parlor {}", quoted(&why))));
        }
        Ok(Some(Outward { address: SocketAddr::new(target, port), name: host.into() }))
    }

    /// Whether media that we offer goes over TLS: where the room wants it, or the call goes over it, whoever makes it.
    pub(super) fn offers_tls(&self, room: &str, call: Transport) -> bool {
        let can = self.capabilities(room);
        !can.plain || (can.tls && call == Transport::Tls)
    }

    /// The name of a call's room.
    pub(super) fn room_of(&self, tag: Tag) -> Arc<str> {
        let room = self.calls.get(tag).and_then(|call| self.rooms.get(call.room));
        room.map(|room| room.name.clone()).unwrap_or_default()
    }

    /// Our path for a session.
    pub(super) fn path(&self, shard: ShardId, session: SessionId, secure: bool) -> Result<Path, Refusal> {
        let (scheme, port) = match secure {
            true => ("msrps", self.shards.tls_port(shard)),
            false => ("msrp", self.shards.port(shard)),
        };
        let port = port.ok_or_else(|| Refusal::from(MediaError::TlsUnavailable))?;
        let host = &self.settings.msrp_host;
        let (open, close) = if host.contains(':') && !host.starts_with('[') { ("[", "]") } else { ("", "") };
        let mut path = String::with_capacity(host.len() + PATH_BYTES_BESIDE_HOST);
        let _ = write!(path, "{scheme}://{open}{host}{close}:{port}/{session};tcp");
        Path::parse(path.as_bytes()).map_err(|_| Refusal::new(500))
    }

    /// What we say about who connects, once it is settled (RFC 6135 §4.2).
    pub(super) fn answered_setup(&mut self, tag: Tag) -> Setup {
        let terms = self.calls.get_mut(tag).and_then(|call| call.terms.as_ref());
        if terms.is_some_and(|terms| terms.connect_to.is_some()) { Setup::Active } else { Setup::Passive }
    }

    /// Puts another certificate's fingerprints into what is described from now on.
    pub fn replace_fingerprints(&mut self, fingerprints: Vec<Fingerprint>) {
        self.settings.fingerprints = fingerprints;
    }
}

impl Call {
    /// What is in force between us once this media is taken.
    pub(super) fn terms_for(&self, media: &MessageMedia, connect_to: Option<Outward>) -> Terms {
        Terms {
            local: self.path.clone(),
            remote: media.path.clone(),
            accept_wrapped_types: media.wrapped_types(),
            max_size: media.max_size,
            chatroom: self.chatroom_of(media),
            direction: media.direction,
            connect_to: connect_to.map(Box::new),
            fingerprints: media.fingerprints.as_slice().into(),
        }
    }
}
