//! The route of a call of ours (RFC 3261 §8.1.2; of RFC 3263 only address records).

use std::net::SocketAddr;

use crate::focus::context::Context;
use crate::focus::refusal::Refusal;
use crate::focus::settings::Settings;
use crate::focus::store::outgoing::Route;
use parlor_proto::sip::{Hop, Host, Transport, Uri, aor, is_sips, route_request, transport_of};

/// Where a call goes.
pub enum Direction {
    Known(Box<Route>),
    /// A name that is to be looked up.
    Named {
        name: String,
        port: u16,
        transport: Transport,
    },
}

impl Direction {
    pub fn transport(&self) -> Transport {
        match self {
            Self::Known(route) => route.hop.transport,
            Self::Named { transport, .. } => *transport,
        }
    }
}

/// The next hop of an outgoing call: the proxy, the remote target of the user's call, or the host of its URI. Of RFC 3263 only
/// the addresses of a name are looked up.
pub fn direction(cx: &Context<'_>, target: &Uri) -> Result<Direction, Refusal> {
    if let Some(proxy) = &cx.core.settings.outbound_proxy {
        return toward(cx, proxy, target);
    }
    let user = aor(target).map_err(|_| Refusal::new(416))?;
    let known = cx.calls.of_user(&user).map(|call| call.dialog.way_to_peer());
    // A sips user is called over TLS only.
    if let Some((at, routes, hop)) = known.filter(|(.., hop)| !is_sips(target) || hop.transport == Transport::Tls) {
        return Ok(Direction::Known(Box::new(Route { target: at, routes, hop })));
    }
    // Users of our own hosts are rooms.
    if cx.core.hosts.own(&user) {
        return Err(Refusal::new(404).because("User Not Found"));
    }
    toward(cx, target, target)
}

fn toward(cx: &Context<'_>, next: &Uri, target: &Uri) -> Result<Direction, Refusal> {
    // Numbers are for a proxy to know.
    if !next.scheme().is_sip() {
        return Err(Refusal::new(416));
    }
    let transport = transport_of(next).ok_or(Refusal::new(480).because("Transport Not Available"))?;
    let port = next.port().unwrap_or(transport.default_port());
    match next.host() {
        Some(Host::Ip(ip)) => {
            let hop = hop_to(&cx.core.settings, SocketAddr::new(*ip, port), transport)?;
            Ok(Direction::Known(Box::new(route_over(&cx.core.settings, target, hop))))
        }
        Some(Host::Name(name)) => {
            let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
            Ok(Direction::Named { name, port, transport })
        }
        None => Err(Refusal::new(416)),
    }
}

/// The route to a user who is in no call: through the proxy, if there is one.
pub fn route_over(settings: &Settings, target: &Uri, hop: Hop) -> Route {
    let (target, routes) = route_request(target, settings.outbound_proxy.as_slice());
    Route { target, routes, hop }
}

/// The local address for a hop: a listener of its transport and address family, for TCP any of that family. A TLS hop needs a TLS
/// listener, so that the called user can connect to it as well.
pub fn hop_to(settings: &Settings, remote: SocketAddr, transport: Transport) -> Result<Hop, Refusal> {
    let family = |(_, local): &&(Transport, SocketAddr)| local.is_ipv4() == remote.is_ipv4();
    let same = settings.listen.iter().filter(family).find(|(own, _)| *own == transport);
    let any = settings.listen.iter().find(family).filter(|_| transport == Transport::Tcp);
    let (_, local) = same.or(any).ok_or(Refusal::new(480).because("Transport Not Available"))?;
    Ok(Hop { transport, local: *local, remote, connection: None })
}
