//! Where messages come from and go to (RFC 3261 §18, RFC 3581).

use std::io::Write;
use std::net::SocketAddr;

use sipx_sip::{Address, Header, HeaderName, Headers, Message};

use super::{TopVia, addresses, is_loose_router};

/// The transport of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP: datagrams.
    Udp,
    /// TCP: a stream.
    Tcp,
    /// TLS over TCP: a stream.
    Tls,
}

impl Transport {
    /// Whether the transport is reliable: messages need not be retransmitted.
    #[must_use]
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// The name in a Via header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The default port (RFC 3261 §19.1.2).
    #[must_use]
    pub fn default_port(self) -> u16 {
        if self == Self::Tls { 5061 } else { 5060 }
    }
}

/// An id for a connection, chosen by the application and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SipConnection(pub u64);

/// One hop: how and between which addresses a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The transport.
    pub transport: Transport,
    /// The local address: where the message arrived, and where its responses leave.
    pub local: SocketAddr,
    /// The remote address; with a connection, where to connect to if it is gone.
    pub remote: SocketAddr,
    /// The connection to use while it exists.
    pub connection: Option<SipConnection>,
}

/// Adds the source of a request to its topmost Via: `received` if the host differs (RFC 3261 §18.2.1) or `rport` is there, and the port
/// in `rport` (RFC 3581 §4). White space around the colon of the sent-by (RFC 3261 §25.1) is dropped.
pub fn add_received(headers: &mut Headers, source: SocketAddr) {
    let Some(value) = TopVia::of(headers).and_then(|via| with_source(&via, source)) else { return };
    let Some(at) = headers.iter().position(|h| h.name() == &HeaderName::Via) else { return };
    let Ok(header) = Header::build(HeaderName::Via, value) else { return };
    headers.remove_first(&HeaderName::Via);
    headers.insert(at, header);
}

/// The value of a Via with its source; `None` if it needs no change.
fn with_source(via: &TopVia<'_>, source: SocketAddr) -> Option<Vec<u8>> {
    let has_rport = via.parameter("rport").is_some();
    let elsewhere = has_rport || via.ip() != Some(source.ip());
    let loose = via.sent_by().iter().any(u8::is_ascii_whitespace);
    if !elsewhere && !loose && via.parameter("received").is_none() {
        return None;
    }
    let mut out = Vec::with_capacity(via.head().len() + via.rest().len() + 120);
    write_compact(&mut out, via.head());
    let ours = |name: &[u8]| [&b"received"[..], b"rport"].iter().any(|own| name.eq_ignore_ascii_case(own));
    for (name, value) in via.parameters().filter(|(name, _)| !ours(name)) {
        out.push(b';');
        out.extend_from_slice(name);
        if let Some(value) = value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    if has_rport {
        let _ = write!(out, ";rport={}", source.port());
    }
    if elsewhere {
        let _ = write!(out, ";received={}", source.ip());
    }
    out.extend_from_slice(via.rest());
    Some(out)
}

/// Writes what is before the parameters of a Via, without white space around the colon between host and port: it is legal (RFC 3261 §25.1,
/// COLON), but few parsers expect it.
fn write_compact(out: &mut Vec<u8>, head: &[u8]) {
    for &octet in head {
        if octet == b':' {
            out.truncate(out.trim_ascii_end().len());
        }
        if !(octet.is_ascii_whitespace() && out.last() == Some(&b':')) {
            out.push(octet);
        }
    }
}

/// Where to send the response to a request that arrived over `arrival` (RFC 3261 §18.2.2, RFC 3581 §4): over its connection, or to its
/// source address. The port is the source port if the Via has `rport` or is malformed, or else the one of the Via. `maddr` is ignored.
#[must_use]
pub fn response_hop(headers: &Headers, arrival: Hop) -> Hop {
    let Some(via) = TopVia::of(headers) else { return arrival };
    let named = via.port().unwrap_or(arrival.transport.default_port());
    match arrival.transport {
        Transport::Udp if via.parameter("rport").is_some() => arrival,
        _ => Hop { remote: SocketAddr::new(arrival.remote.ip(), named), ..arrival },
    }
}

/// The host that a message is sent to: for a request the host of its first Route, or of its Request-URI if there is none or the route is
/// strict (RFC 3261 §8.1.2, §12.2.1.1); for a response the host of its first Via (§18.2.2). `None` if there is no host.
#[must_use]
pub fn next_hop_host(message: &Message) -> Option<String> {
    match message {
        Message::Response(response) => {
            Some(String::from_utf8_lossy(TopVia::of(&response.headers)?.host()).into_owned())
        }
        Message::Request(request) => {
            let routes: Vec<Address> = addresses(&request.headers, &HeaderName::Route)?;
            let next =
                routes.first().filter(|route| is_loose_router(&route.uri)).map_or(&request.uri, |route| &route.uri);
            next.host().map(|host| host.to_string().trim_matches(['[', ']']).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Request, parse_datagram};

    fn arrival(transport: Transport) -> Hop {
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.7:40000".parse().unwrap());
        Hop { transport, local, remote, connection: transport.is_reliable().then_some(SipConnection(7)) }
    }

    fn stamped(via: &str) -> Request {
        let text = format!("OPTIONS sip:a@b SIP/2.0\r\nMax-Forwards: 70\r\nVia: {via}\r\nVia: second\r\nl: 0\r\n\r\n");
        let Ok(Some(Message::Request(mut request))) = parse_datagram(text.as_bytes()) else { panic!("{via}") };
        add_received(&mut request.headers, arrival(Transport::Udp).remote);
        request
    }

    fn via_of(request: &Request) -> String {
        crate::sip::text(&request.headers, &HeaderName::Via).unwrap()
    }

    #[test]
    fn the_source_is_added_if_it_differs_or_rport_is_there() {
        for (sent, noted) in [
            ("SIP/2.0/UDP 192.0.2.7:40000;branch=z9hG4bKa", "SIP/2.0/UDP 192.0.2.7:40000;branch=z9hG4bKa"),
            ("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa;received=192.0.2.7"),
            (
                "SIP/2.0/UDP h.example;rport;branch=z9hG4bKa",
                "SIP/2.0/UDP h.example;branch=z9hG4bKa;rport=40000;received=192.0.2.7",
            ),
            (
                "SIP/2.0/UDP 192.0.2.7;RPORT ; received=6.6.6.6;x=\"a;b,c\", SIP/2.0/UDP p;branch=q",
                "SIP/2.0/UDP 192.0.2.7;x=\"a;b,c\";rport=40000;received=192.0.2.7, SIP/2.0/UDP p;branch=q",
            ),
            ("SIP / 2.0 / UDP  192.0.2.7 : 40000 ;branch=z9hG4bKa", "SIP / 2.0 / UDP  192.0.2.7:40000;branch=z9hG4bKa"),
        ] {
            assert_eq!(via_of(&stamped(sent)), noted, "{sent}");
        }
    }

    #[test]
    fn a_message_goes_to_its_route_or_its_target_and_a_response_to_its_via() {
        let to = |text: &str| {
            let text = format!("{text}Content-Length: 0\r\n\r\n");
            next_hop_host(&parse_datagram(text.as_bytes()).unwrap().unwrap())
        };
        let request = "BYE sips:carol@pc.example SIP/2.0\r\n";
        assert_eq!(to(request).as_deref(), Some("pc.example"));
        let routes = "Route: <sips:one.example;lr>, <sips:two.example;lr>\r\n";
        assert_eq!(to(&format!("{request}{routes}")).as_deref(), Some("one.example"));
        let strict = "Route: <sips:two.example>\r\n";
        assert_eq!(to(&format!("{request}{strict}")).as_deref(), Some("pc.example"));
        let response = "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS edge.example:5061;branch=z9hG4bK1\r\n";
        assert_eq!(to(response).as_deref(), Some("edge.example"));
        assert_eq!(to("BYE sips:[2001:db8::1]:5099 SIP/2.0\r\n").as_deref(), Some("2001:db8::1"));
        assert_eq!(to("BYE tel:+1 SIP/2.0\r\n"), None);
    }

    #[test]
    fn adding_the_source_keeps_the_order_of_rows() {
        let request = stamped("SIP/2.0/UDP h;branch=z9hG4bKa");
        let names: Vec<_> = request.headers.iter().map(|h| h.name().canonical().to_vec()).collect();
        assert_eq!(names[..3], [b"Max-Forwards".to_vec(), b"Via".to_vec(), b"Via".to_vec()]);
        assert_eq!(request.headers.iter().nth(2).unwrap().value().as_ref(), b"second");
    }

    #[test]
    fn responses_go_to_the_source() {
        let to = |via: &str, transport| response_hop(&stamped(via).headers, arrival(transport)).remote.to_string();
        assert_eq!(to("SIP/2.0/UDP h:5099;rport;branch=z", Transport::Udp), "192.0.2.7:40000");
        assert_eq!(to("SIP/2.0/UDP h:5099;branch=z", Transport::Udp), "192.0.2.7:5099");
        assert_eq!(to("SIP/2.0/UDP h;branch=z", Transport::Udp), "192.0.2.7:5060");
        assert_eq!(to("SIP/2.0/TCP h:5062;rport;branch=z", Transport::Tcp), "192.0.2.7:5062");
        assert_eq!(to("SIP/2.0/UDP ;branch=z", Transport::Udp), "192.0.2.7:40000", "a malformed Via: the source");
        let back = response_hop(&stamped("SIP/2.0/TCP h;branch=z").headers, arrival(Transport::Tcp));
        assert_eq!(back.connection, Some(SipConnection(7)));
    }
}
