//! The Session Initiation Protocol (RFC 3261) on the wire.
//!
//! This is the only folder that names the SIP crate: what others need of it they take from here. Messages are read by
//! [`parse_datagram`] and [`Framer`], those that cannot be read by [`MalformedRequest`], answered through [`ResponseBuilder`], and asked through [`RequestBuilder`].
//! Where bytes come from and go to is a [`Hop`].

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

pub use body::{BodyError, body_is_optional, multipart_with_history, recipient_list, session_description};
pub use build::{RequestBuilder, RequestError, ResponseBuilder, check_request, cseq_number, reason_phrase};
pub use digest::{Algorithm, Challenge, Credentials, CredentialsError, Login, Qop, hex};
pub use frame::{Framed, Framer, parse_datagram};
#[cfg(test)]
pub(crate) use header::headers;
pub use header::{accepts_media_type, addresses, display_name, option_tags, quoted, seconds, tag, text, text_rows};
pub use hop::{Hop, SipConnection, Transport, add_received, next_hop_host, response_hop};
pub use malformed::MalformedRequest;
pub use recipients::{CopyControl, ListError, Recipient, recipients, recipients_history};
pub use refer_to::{ReferTo, ReferToError, ReferredMethod, refer_to};
pub use route::{is_loose_router, request_uri, route_request, route_uri};
pub use sipx_sip::error::{HeaderError, ParseError};
pub use sipx_sip::{Address, CSeq, Header, HeaderName, Headers, Host, Message, Method, Request, Response, Uri};
pub use uri::{address_text, aor, escape_user, is_sips, transport_of, uri};
pub use via::TopVia;

#[cfg(test)]
mod tests;
