//! Where the requests of a call are sent.

use parlor_proto::sip::{HeaderName, Headers, Uri, addresses, route_request, uri};

/// The remote target and route set of a dialog (RFC 3261 §12.1.2).
pub struct Target {
    /// The Request-URI.
    pub uri: Uri,
    /// The Route header values, in order.
    pub route: Vec<String>,
    /// The CSeq number of the INVITE, which its ACK repeats.
    pub ack_sequence: u32,
}

impl Target {
    /// From Contact and Record-Route of a 2xx (RFC 3261 §12.1.2); `None` if it has no valid Contact.
    pub fn of_response(headers: &Headers, ack_sequence: u32) -> Option<Self> {
        let contact = addresses(headers, &HeaderName::Contact)?.into_iter().next()?;
        let rows = addresses(headers, &HeaderName::RecordRoute)?;
        let routes: Vec<Uri> = rows.into_iter().rev().map(|row| row.uri).collect();
        let (uri, route) = route_request(&contact.uri, &routes);
        Some(Self { uri, route, ack_sequence })
    }
}

/// Parses the URI of a room or a user.
///
/// # Errors
/// Returns what is expected if it is not a SIP URI with a user and a host.
pub fn parse_participant(text: &str) -> Result<Uri, String> {
    let uri = uri(text).filter(|uri| uri.scheme().is_sip() && uri.user().is_some() && uri.host().is_some());
    uri.ok_or_else(|| "expected a SIP URI with a user and a host: sip:lobby@127.0.0.1".into())
}
