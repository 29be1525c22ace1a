//! Where the requests of a call go, and what else its messages say in their headers.

use parlor_proto::sip::{HeaderName, Headers, Uri, addresses, route_request, uri};

/// Whom requests within a call go to, and through whom.
pub(super) struct Target {
    /// The Request-URI.
    pub(super) uri: Uri,
    /// The Route rows, in order.
    pub(super) route: Vec<String>,
    /// The number of the INVITE, which its ACK has too.
    pub(super) ack_sequence: u32,
}

impl Target {
    /// Contact and Record-Route of an answer (RFC 3261 §12.1.2).
    pub(super) fn of(headers: &Headers, ack_sequence: u32) -> Option<Self> {
        let contact = addresses(headers, &HeaderName::Contact)?.into_iter().next()?;
        let rows = addresses(headers, &HeaderName::RecordRoute)?;
        let routes: Vec<Uri> = rows.into_iter().rev().map(|row| row.uri).collect();
        let (uri, route) = route_request(&contact.uri, &routes);
        Some(Self { uri, route, ack_sequence })
    }
}

/// The text of a Reason header (RFC 3326): `SIP;cause=200;text="Room closed"`.
pub(super) fn reason_text(value: &str) -> Option<String> {
    let text = value.split(';').find_map(|parameter| parameter.trim().strip_prefix("text="))?;
    Some(text.trim_matches('"').to_owned())
}

/// Reads a URI that may name a participant.
pub(super) fn participant(text: &str) -> Result<Uri, String> {
    let uri = uri(text).filter(|uri| uri.scheme().is_sip() && uri.user().is_some() && uri.host().is_some());
    uri.ok_or_else(|| "a SIP URI with a user and a host: sip:lobby@127.0.0.1".into())
}
