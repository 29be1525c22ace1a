//! The headers by which the focus says what it is and what it can do.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::focus::refusal::Refusal;
use crate::focus::settings::Settings;
use parlor_proto::sip::{HeaderName, Hop, RequestBuilder, Transport, escape_user, quoted};

/// The methods we take.
pub const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, REFER, SUBSCRIBE";

/// The event packages that we notify of (RFC 6665 §4.4.4).
pub const EVENTS: &str = "conference, refer";

/// The feature tags of a focus (RFC 7701 §9.1, RFC 3840, RFC 4579 §5.1). Of the event packages the one that can be subscribed to: a
/// REFER alone brings the other.
const FEATURES: &str = concat!(
    ";methods=\"INVITE,ACK,BYE,CANCEL,OPTIONS,UPDATE,REFER,SUBSCRIBE\"",
    ";events=\"conference\";automata;isfocus;message"
);

/// Octets of a Contact beside names, place and features.
const CONTACT_FRAME_BYTES: usize = " <sips:@;transport=tcp>".len();

/// The option tag of recipient lists in INVITEs (RFC 5366).
pub const LIST_TAG: &str = "recipient-list-invite";

const WITH_TIMER: &str = "timer, norefersub, recipient-list-invite";

const WITHOUT_TIMER: &str = "norefersub, recipient-list-invite";

/// The option tags for Supported (RFC 3261 §20.37).
pub fn supported(settings: &Settings) -> &'static str {
    if settings.session_expires.is_zero() { WITHOUT_TIMER } else { WITH_TIMER }
}

/// What requests of ours that are about a session have in common.
pub fn introduce(settings: &Settings, builder: RequestBuilder, contact: String) -> RequestBuilder {
    builder
        .header(HeaderName::Contact, contact)
        .header(HeaderName::Allow, ALLOW)
        .header(HeaderName::Supported, supported(settings))
        .header(HeaderName::Accept, "application/sdp")
        .header(HeaderName::AllowEvents, EVENTS)
        .header(HeaderName::UserAgent, settings.software.clone())
}

/// A room's own URI.
pub fn room_uri(settings: &Settings, name: &str) -> String {
    let domain = settings.domains.first().map_or("localhost", String::as_str);
    format!("sip:{}@{domain}", escape_user(name))
}

/// Our host and port as the other end of a hop can reach them: the address that an operator has told us to listen at, or, where
/// we listen on all of them, what it says that others can reach.
pub fn sent_by(settings: &Settings, hop: Hop) -> String {
    let told = !hop.local.ip().is_unspecified() && settings.listen.iter().any(|(_, at)| *at == hop.local);
    if told { hop.local.to_string() } else { format!("{}:{}", settings.contact_host, hop.local.port()) }
}

/// The Contact of a room, by its display text if it has one, or of the server where there is no room. `secure` asks for a sips URI
/// (RFC 3261 §12.1.1), which is one that is served: where we do not listen with TLS there is none.
pub fn contact(settings: &Settings, room: Option<&str>, secure: bool, hop: Hop) -> Result<String, Refusal> {
    let hop = if secure { over_tls(settings, hop).ok_or_else(no_sips)? } else { hop };
    let user = room.map(escape_user).unwrap_or_default();
    let at = if room.is_some() { "@" } else { "" };
    let transport = match hop.transport {
        Transport::Udp => "",
        // A sips URI says so itself (RFC 3261 §26.2.2).
        Transport::Tls if secure => "",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
    };
    let features = if room.is_some() { FEATURES } else { "" };
    let policy = room.and_then(|name| settings.rooms.policy(name));
    let name = policy.and_then(|policy| policy.display_text.as_deref()).map(quoted).unwrap_or_default();
    let space = if name.is_empty() { "" } else { " " };
    let (scheme, sent_by) = (if secure { "sips" } else { "sip" }, sent_by(settings, hop));
    let mut contact =
        String::with_capacity(name.len() + user.len() + sent_by.len() + features.len() + CONTACT_FRAME_BYTES);
    let _ = write!(contact, "{name}{space}<{scheme}:{user}{at}{sent_by}{transport}>{features}");
    Ok(contact)
}

/// The same hop if it is over TLS, else one that ends where we listen with it, on the same address if there is a choice.
fn over_tls(settings: &Settings, hop: Hop) -> Option<Hop> {
    if hop.transport == Transport::Tls {
        return Some(hop);
    }
    let ours = settings.listen.iter().filter(|(transport, _)| *transport == Transport::Tls).map(|(_, at)| *at);
    let fits = |at: &SocketAddr| (at.ip() != hop.local.ip(), at.is_ipv4() != hop.local.is_ipv4());
    ours.min_by_key(fits).map(|local| Hop { transport: Transport::Tls, local, connection: None, ..hop })
}

/// 480, as RFC 5630 §5.4 has it for who is not to be reached by a sips URI.
fn no_sips() -> Refusal {
    Refusal::new(480).because("SIPS Not Available").with(HeaderName::Warning, "380 parlor \"SIPS Not Allowed\"")
}
