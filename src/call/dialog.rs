//! Dialogs (RFC 3261 §12): what ties the requests of a call together, and the way they take.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use crate::limits::SIP_ROUTES_MAX;
use parlor_proto::sip::{
    HeaderName, Headers, Hop, Host, Method, Request, RequestBuilder, Response, TopVia, Transport, Uri,
};
use parlor_proto::sip::{addresses, cseq_number, is_sips, route_request, route_uri, tag, text};

/// Octets of the names of a request's usual headers, with a Via and what a NOTIFY says of its subscription.
const REQUEST_FRAME_BYTES: usize = 400;

/// One side of a dialog.
#[derive(Debug, Clone)]
pub struct Dialog {
    call_id: String,
    /// From of our requests, with our tag.
    local: String,
    /// To of our requests, with the peer's tag.
    remote: String,
    remote_tag: Option<String>,
    local_sequence: u32,
    remote_sequence: Option<u32>,
    /// Nearest first.
    routes: Vec<Uri>,
    target: Uri,
    /// Where its first message came from, or went to.
    hop: Hop,
    /// The peer stands behind a NAT: its Contact cannot be reached, the place it sends from can.
    translated: bool,
}

/// Why a message makes no dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    /// Contact is missing, unreadable or several.
    #[error("no usable Contact")]
    Contact,
    /// Record-Route cannot be read, or is longer than we follow.
    #[error("no usable Record-Route")]
    RecordRoute,
    /// Another header is missing or broken.
    #[error("a header of the dialog is missing")]
    Header,
}

impl Dialog {
    /// The dialog of one who is called (RFC 3261 §12.1.1). `hop` is where the request came from.
    ///
    /// # Errors
    /// Returns an error that names the header that is missing or malformed.
    pub fn called(invite: &Request, local_tag: &str, hop: Hop) -> Result<Self, DialogError> {
        let headers = &invite.headers;
        let to = text(headers, &HeaderName::To).ok_or(DialogError::Header)?;
        Ok(Self {
            call_id: text(headers, &HeaderName::CallId).ok_or(DialogError::Header)?,
            local: format!("{to};tag={local_tag}"),
            remote: text(headers, &HeaderName::From).ok_or(DialogError::Header)?,
            remote_tag: tag(headers, &HeaderName::From).map(Cow::into_owned),
            local_sequence: 0,
            remote_sequence: cseq_number(headers),
            routes: route_set(headers)?,
            target: contact(headers).ok_or(DialogError::Contact)?,
            hop,
            translated: is_translated(headers),
        })
    }

    /// The dialog of one who calls (RFC 3261 §12.1.2), made by a 2xx to its INVITE. `hop` is where that went, and
    /// by which connection.
    ///
    /// # Errors
    /// Returns an error that names the header that is missing or malformed.
    pub fn calling(invite: &Request, answer: &Response, hop: Hop) -> Result<Self, DialogError> {
        let headers = &answer.headers;
        let mut routes = route_set(headers)?;
        routes.reverse();
        let target = contact(headers).ok_or(DialogError::Contact)?;
        // The connection leads to one place. Who wants to be reached at another is.
        let next = routes.first().unwrap_or(&target);
        let named = address(next, transport_to(next).unwrap_or(hop.transport));
        let connection = hop.connection.filter(|_| named.is_none_or(|at| at == hop.remote));
        Ok(Self {
            call_id: text(headers, &HeaderName::CallId).ok_or(DialogError::Header)?,
            local: text(&invite.headers, &HeaderName::From).ok_or(DialogError::Header)?,
            remote: text(headers, &HeaderName::To).ok_or(DialogError::Header)?,
            remote_tag: tag(headers, &HeaderName::To).map(Cow::into_owned),
            local_sequence: cseq_number(&invite.headers).ok_or(DialogError::Header)?,
            remote_sequence: None,
            routes,
            target,
            hop: Hop { connection, ..hop },
            translated: false,
        })
    }

    /// Whether a request of the peer belongs to this dialog; its To tag, our tag, is what it was found by.
    #[must_use]
    pub fn owns(&self, request: &Request) -> bool {
        request.headers.value(&HeaderName::CallId).is_some_and(|id| *id == *self.call_id.as_bytes())
            && tag(&request.headers, &HeaderName::From).as_deref() == self.remote_tag.as_deref()
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Where its first request, or the last that refreshed its target, came from.
    #[must_use]
    pub fn hop(&self) -> Hop {
        self.hop
    }

    /// Takes the number of a request of the peer; `false` where it is not higher than the last one (RFC 3261 §12.2.2).
    pub fn advance(&mut self, sequence: u32) -> bool {
        if self.remote_sequence.is_some_and(|last| sequence <= last) {
            return false;
        }
        self.remote_sequence = Some(sequence);
        true
    }

    /// Takes the Contact of a target refresh request, and where it came from (RFC 3261 §12.2.2).
    pub fn refresh(&mut self, request: &Request, hop: Hop) {
        if let Some(target) = contact(&request.headers) {
            self.target = target;
            self.hop = hop;
            self.translated = is_translated(&request.headers);
        }
    }

    /// The way to the peer for a request outside of the dialog: Request-URI, Route and hop.
    #[must_use]
    pub fn way_to_peer(&self) -> (Uri, Vec<String>, Hop) {
        let (target, routes) = route_request(&self.target, &self.routes);
        (target, routes, self.next_hop())
    }

    /// Whether a URI is where the peer itself is reached.
    #[must_use]
    pub fn is_with(&self, uri: &Uri) -> bool {
        self.target.equivalent(uri)
    }

    /// Whether a response to a request of ours is of this dialog, and not of another that the same request has made.
    #[must_use]
    pub fn has_remote_tag(&self, headers: &Headers) -> bool {
        tag(headers, &HeaderName::To).as_deref() == self.remote_tag.as_deref()
    }

    /// Takes the Contact of a 2xx to a target refresh request of ours (RFC 3261 §12.2.1.2).
    pub fn retarget(&mut self, headers: &Headers) {
        if let Some(target) = contact(headers) {
            self.target = target;
        }
    }

    /// A request in the dialog with the next number, and the hop it takes (RFC 3261 §12.2.1.1). `branch` is new for each
    /// request; `sent_by` is the host and port that responses are awaited at.
    pub fn request(&mut self, method: Method, sent_by: &str, branch: &str) -> (RequestBuilder, Hop) {
        self.local_sequence += 1;
        self.numbered(method, self.local_sequence, sent_by, branch)
    }

    /// The same, for a request that is too large for a datagram (RFC 3261 §18.1.1): over a stream, even where the dialog takes
    /// datagrams. Whoever stands behind a NAT is not reached by one, and gets it in a datagram all the same.
    pub fn large_request(&mut self, method: Method, sent_by: &str, branch: &str) -> (RequestBuilder, Hop) {
        self.local_sequence += 1;
        let hop = self.next_hop();
        let streams = hop.transport.is_reliable() || (self.translated && self.routes.is_empty());
        let hop = if streams { hop } else { Hop { transport: Transport::Tcp, ..hop } };
        (self.over(method, self.local_sequence, hop, sent_by, branch), hop)
    }

    /// A request with this number could not be sent, and goes out again another way: it keeps its number, so that there is none missing
    /// (RFC 3261 §12.2.1.1), unless one that was made after it has a higher one.
    pub fn unsent(&mut self, number: u32) {
        if number == self.local_sequence {
            self.local_sequence -= 1;
        }
    }

    /// Whether its requests take a stream anyway.
    #[must_use]
    pub fn is_reliable(&self) -> bool {
        self.next_hop().transport.is_reliable()
    }

    /// About how many octets a request in it has, its own headers and body aside.
    #[must_use]
    pub fn weight(&self) -> usize {
        let routes: usize = self.routes.iter().map(|route| route.to_bytes().len() + 12).sum();
        let names = self.call_id.len() + self.local.len() + self.remote.len() + self.target.to_bytes().len();
        names + routes + REQUEST_FRAME_BYTES
    }

    /// The ACK of a 2xx to our INVITE (RFC 3261 §13.2.2.4), under the number of that, whatever was sent since.
    pub fn ack(&self, number: u32, sent_by: &str, branch: &str) -> (RequestBuilder, Hop) {
        self.numbered(Method::Ack, number, sent_by, branch)
    }

    fn numbered(&self, method: Method, number: u32, sent_by: &str, branch: &str) -> (RequestBuilder, Hop) {
        let hop = self.next_hop();
        (self.over(method, number, hop, sent_by, branch), hop)
    }

    fn over(&self, method: Method, number: u32, hop: Hop, sent_by: &str, branch: &str) -> RequestBuilder {
        let transport = hop.transport.name();
        let (target, routes) = route_request(&self.target, &self.routes);
        let mut builder = RequestBuilder::new(method.clone(), target)
            .header(HeaderName::Via, format!("SIP/2.0/{transport} {sent_by};branch={branch};rport"))
            .header(HeaderName::From, self.local.clone())
            .header(HeaderName::To, self.remote.clone())
            .header(HeaderName::CallId, self.call_id.clone())
            .header(HeaderName::CSeq, format!("{number} {method}"));
        for route in routes {
            builder = builder.header(HeaderName::Route, route);
        }
        builder
    }

    /// Toward those who came over a connection it is that connection. Else it is the address of the first route or of the
    /// target; a name is not looked up, the place that the call came from stands for it.
    fn next_hop(&self) -> Hop {
        let next = self.routes.first().unwrap_or(&self.target);
        let transport = transport_to(next);
        let named = address(next, transport.unwrap_or(self.hop.transport));
        if self.hop.connection.is_some() {
            return Hop { remote: named.unwrap_or(self.hop.remote), ..self.hop };
        }
        match named {
            _ if self.translated && self.routes.is_empty() => self.hop,
            Some(remote) => Hop { transport: transport.unwrap_or(self.hop.transport), remote, ..self.hop },
            None => self.hop,
        }
    }
}

/// The stream that a URI wants; `None` where it wants none.
fn transport_to(uri: &Uri) -> Option<Transport> {
    let named = |name: &[u8]| uri.transport().is_some_and(|transport| transport.eq_ignore_ascii_case(name));
    if is_sips(uri) || named(b"tls") {
        return Some(Transport::Tls);
    }
    named(b"tcp").then_some(Transport::Tcp)
}

fn address(uri: &Uri, transport: Transport) -> Option<SocketAddr> {
    match uri.host()? {
        Host::Ip(ip) => Some(SocketAddr::new(*ip, uri.port().unwrap_or(transport.default_port()))),
        Host::Name(_) => None,
    }
}

/// The URI of the one Contact that a dialog's request or answer has to have (RFC 3261 §8.1.1.8).
fn contact(headers: &Headers) -> Option<Uri> {
    let contacts = addresses(headers, &HeaderName::Contact)?;
    let [one] = contacts.as_slice() else { return None };
    one.uri.scheme().is_sip().then(|| route_uri(one.uri.clone()))
}

/// Whether the Contact of whoever is called has to be a sips URI: where the request is to one, or came through one, or, if it came
/// through no proxy that stays, is from one (RFC 3261 §12.1.1).
#[must_use]
pub fn asks_for_sips(request: &Request) -> bool {
    let first = |name| addresses(&request.headers, name).unwrap_or_default().into_iter().next();
    let nearest = first(&HeaderName::RecordRoute).or_else(|| first(&HeaderName::Contact));
    is_sips(&request.uri) || nearest.is_some_and(|nearest| is_sips(&nearest.uri))
}

fn route_set(headers: &Headers) -> Result<Vec<Uri>, DialogError> {
    let routes = addresses(headers, &HeaderName::RecordRoute).ok_or(DialogError::RecordRoute)?;
    let usable = routes.len() <= SIP_ROUTES_MAX && routes.iter().all(|route| route.uri.scheme().is_sip());
    if !usable {
        return Err(DialogError::RecordRoute);
    }
    Ok(routes.into_iter().map(|route| route_uri(route.uri)).collect())
}

/// Whether the client itself (no proxy stands between) asked for `rport` and sends from another place than it says.
fn is_translated(headers: &Headers) -> bool {
    let Some(via) = TopVia::of(headers).filter(|via| via.is_only) else { return false };
    let value = |name| std::str::from_utf8(via.parameter(name)??).ok();
    let received = value("received").and_then(|host| host.parse::<IpAddr>().ok());
    let port = value("rport").and_then(|port| port.parse::<u16>().ok());
    received.is_some() && port.is_some() && (received, port) != (via.ip(), via.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_proto::sip::{Message, ResponseBuilder, SipConnection, add_received, parse_datagram};

    fn invite(extra: &str, via: &str) -> Request {
        let text = format!(
            "INVITE sip:room@192.0.2.1 SIP/2.0\r\nVia: {via}\r\nFrom: \"A\" <sip:a@h>;tag=them\r\nTo: <sip:room@192.0.2.1>\r\n\
             Call-ID: c1\r\nCSeq: 7 INVITE\r\nMax-Forwards: 70\r\n{extra}Content-Length: 0\r\n\r\n"
        );
        let Ok(Some(Message::Request(mut request))) = parse_datagram(text.as_bytes()) else { panic!("{text}") };
        add_received(&mut request.headers, hop().remote);
        request
    }

    fn hop() -> Hop {
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.7:40000".parse().unwrap());
        Hop { transport: Transport::Udp, local, remote, connection: None }
    }

    const VIA: &str = "SIP/2.0/UDP 192.0.2.7:40000;branch=z9hG4bK1";
    const CONTACT: &str = "Contact: <sip:a@192.0.2.8:5099>\r\n";

    fn called(extra: &str, via: &str, hop: Hop) -> Dialog {
        Dialog::called(&invite(extra, via), "us", hop).unwrap()
    }

    fn bye(dialog: &mut Dialog) -> (String, Hop) {
        let (builder, hop) = dialog.request(Method::Bye, "192.0.2.1:5060", "z9hG4bKx");
        (String::from_utf8(Message::Request(builder.empty()).to_bytes().to_vec()).unwrap(), hop)
    }

    #[test]
    fn a_request_of_the_called_turns_the_headers_round() {
        let (text, to) = bye(&mut called(CONTACT, VIA, hop()));
        assert_eq!(
            text,
            "BYE sip:a@192.0.2.8:5099 SIP/2.0\r\nMax-Forwards: 70\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport\r\n\
             From: <sip:room@192.0.2.1>;tag=us\r\nTo: \"A\" <sip:a@h>;tag=them\r\nCall-ID: c1\r\nCSeq: 1 BYE\r\n\
             Content-Length: 0\r\n\r\n"
        );
        assert_eq!(to.remote.to_string(), "192.0.2.8:5099");
    }

    #[test]
    fn requests_take_the_recorded_route_in_order() {
        let routes = "Record-Route: <sip:192.0.2.20:5070;lr>, <sip:far.example;lr>\r\n";
        let (text, to) = bye(&mut called(&format!("{CONTACT}{routes}"), VIA, hop()));
        assert!(text.starts_with("BYE sip:a@192.0.2.8:5099 "));
        assert!(text.contains("Route: <sip:192.0.2.20:5070;lr>\r\nRoute: <sip:far.example;lr>\r\n"));
        assert_eq!(to.remote.to_string(), "192.0.2.20:5070");
    }

    #[test]
    fn a_strict_router_takes_the_place_of_the_target() {
        let routes = "Record-Route: <sip:192.0.2.20>\r\nRecord-Route: <sip:far.example;lr>\r\n";
        let (text, to) = bye(&mut called(&format!("{CONTACT}{routes}"), VIA, hop()));
        assert!(text.starts_with("BYE sip:192.0.2.20 "));
        assert!(text.contains("Route: <sip:far.example;lr>\r\nRoute: <sip:a@192.0.2.8:5099>\r\n"));
        assert_eq!(to.remote.to_string(), "192.0.2.20:5060");
    }

    #[test]
    fn the_connection_and_the_place_behind_a_nat_are_kept() {
        let connection = Some(SipConnection(4));
        let over_tcp = Hop { transport: Transport::Tcp, connection, ..hop() };
        assert_eq!(bye(&mut called(CONTACT, VIA, over_tcp)).1.connection, connection);
        let behind_nat = "SIP/2.0/UDP 10.0.0.9:5060;rport;branch=z9hG4bK1";
        assert_eq!(bye(&mut called(CONTACT, behind_nat, hop())).1, hop());
        let in_the_open = "SIP/2.0/UDP 192.0.2.7:40000;rport;branch=z9hG4bK1";
        assert_eq!(bye(&mut called(CONTACT, in_the_open, hop())).1.remote.to_string(), "192.0.2.8:5099");
        let by_name = "Contact: <sip:a@client.example;transport=tcp>\r\n";
        assert_eq!(bye(&mut called(by_name, VIA, hop())).1, hop());
        let tcp = "Contact: <sip:a@192.0.2.8:5099;transport=TCP>\r\n";
        assert_eq!(bye(&mut called(tcp, VIA, hop())).1.transport, Transport::Tcp);
    }

    #[test]
    fn what_makes_no_dialog_is_named() {
        let error = |extra: &str| Dialog::called(&invite(extra, VIA), "us", hop()).unwrap_err();
        assert_eq!(error(""), DialogError::Contact);
        assert_eq!(error("Contact: <sip:a@h>, <sip:b@h>\r\n"), DialogError::Contact);
        assert_eq!(error("Contact: <mailto:a@h>\r\n"), DialogError::Contact);
        assert_eq!(error(&format!("{CONTACT}Record-Route: <sip:x\r\n")), DialogError::RecordRoute);
        let long = "Record-Route: <sip:x;lr>\r\n".repeat(SIP_ROUTES_MAX + 1);
        assert_eq!(error(&format!("{CONTACT}{long}")), DialogError::RecordRoute);
    }

    #[test]
    fn numbers_only_rise_and_a_refresh_moves_the_target() {
        let mut dialog = called(CONTACT, VIA, hop());
        assert!(!dialog.advance(7) && dialog.advance(9) && !dialog.advance(8));
        dialog.refresh(&invite("Contact: <sip:a@192.0.2.99>\r\n", VIA), hop());
        assert_eq!(bye(&mut dialog).1.remote.to_string(), "192.0.2.99:5060");
        dialog.refresh(&invite("", VIA), hop());
        assert!(bye(&mut dialog).0.starts_with("BYE sip:a@192.0.2.99 SIP/2.0\r\n"));
        assert!(dialog.owns(&invite("", VIA)));
    }

    #[test]
    fn the_caller_reverses_the_route_and_acknowledges_its_own_number() {
        let routes = "Record-Route: <sip:192.0.2.20;lr>\r\nRecord-Route: <sip:192.0.2.30;lr>\r\n";
        let invite = invite(routes, VIA);
        let answer = ResponseBuilder::new(&invite, 200, "room").echo(&invite, &HeaderName::RecordRoute);
        let answer = answer.header(HeaderName::Contact, "<sip:room@192.0.2.1>").empty();
        let mut dialog = Dialog::calling(&invite, &answer, hop()).unwrap();
        let (ack, to) = dialog.ack(7, "192.0.2.7", "z9hG4bKa");
        let text = String::from_utf8(Message::Request(ack.empty()).to_bytes().to_vec()).unwrap();
        assert!(text.starts_with("ACK sip:room@192.0.2.1 ") && text.contains("CSeq: 7 ACK\r\n"));
        assert!(text.contains("Route: <sip:192.0.2.30;lr>\r\nRoute: <sip:192.0.2.20;lr>\r\n"));
        assert_eq!(to.remote.ip().to_string(), "192.0.2.30");
        assert!(bye(&mut dialog).0.contains("CSeq: 8 BYE\r\n"));
    }
}
