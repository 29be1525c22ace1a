//! The Session Initiation Protocol on the wire (RFC 3261), for chat rooms and their participants. Needs the feature `sip`.
//!
//! Messages are parsed by [`parse_datagram`] and [`Framer`]; requests that cannot be parsed are recovered as far as an error response
//! needs it by [`MalformedRequest`]. [`RequestBuilder`] and [`ResponseBuilder`] make messages, whose `to_bytes` writes them. A [`Hop`]
//! is where a message comes from or goes to. Transactions and dialogs are left to the application.
//!
//! The types of messages and header fields are those of `sipx-sip`, re-exported here: [`Message`], [`Request`], [`Response`],
//! [`Headers`], [`Uri`] and others.
//!
//! ```
//! use parlor_proto::sip::{HeaderName, Message, Method, RequestBuilder, ResponseBuilder, parse_datagram, uri};
//!
//! let target = uri("sip:lobby@chat.example").expect("a URI");
//! let request = RequestBuilder::new(Method::Options, target)
//!     .header(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds")
//!     .header(HeaderName::From, "<sip:alice@example.com>;tag=1928301774")
//!     .header(HeaderName::To, "<sip:lobby@chat.example>")
//!     .header(HeaderName::CallId, "a84b4c76e66710")
//!     .header(HeaderName::CSeq, "1 OPTIONS")
//!     .empty();
//! let datagram = Message::Request(request).to_bytes();
//!
//! // The other end:
//! let Some(Message::Request(request)) = parse_datagram(&datagram)? else { panic!("a request") };
//! let response = ResponseBuilder::new(&request, 200, "314159").empty();
//! assert!(Message::Response(response).to_bytes().starts_with(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060"));
//! # Ok::<(), parlor_proto::sip::ParseError>(())
//! ```
//!
//! On a stream, close the connection once [`Framer::error`] returns an error, and answer each pair of empty lines with one
//! ([`Framer::take_pings`]).

mod body;
mod build;
mod digest;
mod frame;
mod header;
mod hop;
mod malformed;
mod recipients;
mod refer_to;
mod route;
mod uri;
mod via;

pub use body::{
    BodyError, body_is_optional, multipart_with_history, recipient_list, recipient_list_with, session_description,
    session_description_with,
};
pub use build::{RequestBuilder, RequestError, ResponseBuilder, check_request, cseq_number, reason_phrase};
pub use digest::{Algorithm, Challenge, Credentials, CredentialsError, Login, Qop, hex};
pub use frame::{Framed, Framer, parse_datagram, parse_datagram_with};
#[cfg(test)]
use header::headers;
pub use header::{accepts_media_type, addresses, display_name, option_tags, quoted, seconds, tag, text, text_rows};
pub use hop::{Hop, SipConnection, Transport, add_received, next_hop_host, response_hop};
pub use malformed::MalformedRequest;
pub use recipients::{CopyControl, ListError, Recipient, recipients, recipients_history, recipients_with};
pub use refer_to::{ReferTo, ReferToError, ReferredMethod, refer_to};
pub use route::{is_loose_router, request_uri, route_request, route_uri};
pub use sipx_sip::error::{HeaderError, ParseError};
pub use sipx_sip::{Address, CSeq, Header, HeaderName, Headers, Host, Message, Method, Request, Response, Uri};
pub use uri::{address_text, aor, escape_user, is_sips, transport_of, uri};
pub use via::TopVia;

#[cfg(test)]
mod tests;
