//! What our responses have in common.

use std::fmt::Write;
use std::net::SocketAddr;

use super::Focus;
use super::refusal::Refusal;
use crate::transaction::TransactionId;
use parlor_proto::sip::{
    HeaderName, Hop, Request, Response, ResponseBuilder, Transport, accepts_media_type, escape_user, quoted,
};

/// The methods we take.
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, REFER, SUBSCRIBE";

/// The event packages that we notify of (RFC 6665 §4.4.4).
pub(super) const EVENTS: &str = "conference, refer";

/// The feature tags of a focus (RFC 7701 §9.1, RFC 3840, RFC 4579 §5.1). Of the event packages the one that can be subscribed to: a
/// REFER alone brings the other.
const FEATURES: &str = concat!(
    ";methods=\"INVITE,ACK,BYE,CANCEL,OPTIONS,UPDATE,REFER,SUBSCRIBE\"",
    ";events=\"conference\";automata;isfocus;message"
);

/// Octets of a Contact beside names, place and features.
const CONTACT_FRAME_BYTES: usize = " <sips:@;transport=tcp>".len();

impl Focus {
    /// Refuses a request. Where it is of no dialog of ours, whatever tag it has, that takes no state: the same request again is
    /// refused again, with the same tag (RFC 3261 §8.2.7).
    pub(super) fn refuse(&mut self, id: &TransactionId, request: &Request, refusal: &Refusal) {
        let own = self.stateless_tag(&request.headers);
        if self.is_in_dialog(request) {
            return self.refuse_as(id, request, refusal, &own);
        }
        self.refuse_and_forget(id, request, refusal);
    }

    /// Refuses a request and keeps nothing of it.
    pub(super) fn refuse_and_forget(&mut self, id: &TransactionId, request: &Request, refusal: &Refusal) {
        let own = self.stateless_tag(&request.headers);
        refusal.tell(request);
        let response = self.refusal(request, refusal, &own);
        self.transactions.respond_without_state(id, response);
    }

    pub(super) fn refuse_as(&mut self, id: &TransactionId, request: &Request, refusal: &Refusal, tag: &str) {
        refusal.tell(request);
        let response = self.refusal(request, refusal, tag);
        self.transactions.respond(id, response);
    }

    pub(super) fn refusal(&self, request: &Request, refusal: &Refusal, tag: &str) -> Response {
        let mut reply = self.reply(request, refusal.status, tag);
        if let Some(phrase) = &refusal.phrase {
            reply = reply.reason(phrase);
        }
        for (name, value) in refusal.headers.iter().cloned() {
            reply = reply.header(name, value);
        }
        reply.empty()
    }

    pub(super) fn reply(&self, request: &Request, status: u16, tag: &str) -> ResponseBuilder {
        ResponseBuilder::new(request, status, tag).header(HeaderName::Server, self.settings.software.clone())
    }

    /// A 200 that says what we can: Allow, Supported, Accept (RFC 3261 §11.2, §13.3.1.4) and Allow-Events
    /// (RFC 6665 §4.4.4).
    pub(super) fn welcome(&self, request: &Request, tag: &str, contact: String) -> ResponseBuilder {
        self.reply(request, 200, tag)
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, self.supported())
            .header(HeaderName::Accept, "application/sdp")
            .header(HeaderName::AllowEvents, EVENTS)
    }

    /// The answer to an OPTIONS (RFC 3261 §11.2), with what a room takes where it is about one.
    pub(super) fn options(
        &mut self,
        request: &Request,
        tag: &str,
        contact: String,
        room: Option<&str>,
        hop: Hop,
    ) -> Response {
        let takes_sdp = request.headers.get(&HeaderName::Accept).is_none()
            || accepts_media_type(&request.headers, "application/sdp");
        let description = room.filter(|_| takes_sdp).and_then(|room| self.described(room, hop));
        let reply = self.welcome(request, tag, contact).header(HeaderName::AcceptEncoding, "identity");
        let reply = reply.header(HeaderName::AcceptLanguage, "*");
        match description {
            Some(description) => reply.body("application/sdp", description),
            None => reply.empty(),
        }
    }

    /// Our host and port as the other end of a hop can reach them: the address that an operator has told us to listen at, or, where
    /// we listen on all of them, what it says that others can reach.
    pub(super) fn sent_by(&self, hop: Hop) -> String {
        let told = !hop.local.ip().is_unspecified() && self.settings.listen.iter().any(|(_, at)| *at == hop.local);
        if told { hop.local.to_string() } else { format!("{}:{}", self.settings.contact_host, hop.local.port()) }
    }

    /// The Contact of a room, by its display text if it has one, or of the server where there is no room. `secure` asks for a sips URI
    /// (RFC 3261 §12.1.1), which is one that is served: where we do not listen with TLS there is none.
    pub(super) fn contact(&self, room: Option<&str>, secure: bool, hop: Hop) -> Result<String, Refusal> {
        let hop = if secure { self.over_tls(hop).ok_or_else(no_sips)? } else { hop };
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
        let policy = room.and_then(|name| self.settings.rooms.policy(name));
        let name = policy.and_then(|policy| policy.display_text.as_deref()).map(quoted).unwrap_or_default();
        let space = if name.is_empty() { "" } else { " " };
        let (scheme, sent_by) = (if secure { "sips" } else { "sip" }, self.sent_by(hop));
        let mut contact =
            String::with_capacity(name.len() + user.len() + sent_by.len() + features.len() + CONTACT_FRAME_BYTES);
        let _ = write!(contact, "{name}{space}<{scheme}:{user}{at}{sent_by}{transport}>{features}");
        Ok(contact)
    }

    /// The same hop if it is over TLS, else one that ends where we listen with it, on the same address if there is a choice.
    fn over_tls(&self, hop: Hop) -> Option<Hop> {
        if hop.transport == Transport::Tls {
            return Some(hop);
        }
        let ours = self.settings.listen.iter().filter(|(transport, _)| *transport == Transport::Tls).map(|(_, at)| *at);
        let fits = |at: &SocketAddr| (at.ip() != hop.local.ip(), at.is_ipv4() != hop.local.is_ipv4());
        ours.min_by_key(fits).map(|local| Hop { transport: Transport::Tls, local, connection: None, ..hop })
    }
}

/// 480, as RFC 5630 §5.4 has it for who is not to be reached by a sips URI.
fn no_sips() -> Refusal {
    Refusal::new(480).because("SIPS Not Available").with(HeaderName::Warning, "380 parlor \"SIPS Not Allowed\"")
}
