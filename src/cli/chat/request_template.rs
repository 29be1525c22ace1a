//! The headers that all requests of a call share.

use rand_core::Rng;

use super::parties::Parties;
use parlor_proto::sip::{HeaderName, Hop, Method, RequestBuilder, Transport, Uri};

/// Builds the requests of one call.
pub struct RequestTemplate {
    hop: Hop,
    from: String,
    /// The To header; with the room's tag after its response.
    pub to: String,
    /// The Call-ID header.
    pub call_id: String,
    /// The Contact header.
    pub contact: String,
    /// Via branches are a random prefix and a count.
    branch_prefix: String,
    branches: u32,
}

impl RequestTemplate {
    /// A template for a call over `hop`.
    pub fn new(parties: &Parties, hop: Hop, rng: &mut impl Rng) -> Self {
        let room = String::from_utf8_lossy(&parties.room.to_bytes()).into_owned();
        let transport = match hop.transport {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        };
        let user =
            parties.caller.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user);
        let user = if parties.anonymous { "" } else { user };
        let name = if parties.anonymous { "\"Anonymous\" " } else { "" };
        let at = if user.is_empty() { "" } else { "@" };
        Self {
            hop,
            from: format!("{name}<{}>;tag={:016x}", parties.caller, rng.next_u64()),
            to: format!("<{room}>"),
            call_id: format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()),
            contact: format!("<sip:{user}{at}{}{transport}>", hop.local),
            branch_prefix: format!("z9hG4bK{:016x}", rng.next_u64()),
            branches: 0,
        }
    }

    /// A new Via branch.
    pub fn branch(&mut self) -> String {
        self.branches += 1;
        format!("{}{}", self.branch_prefix, self.branches)
    }

    /// A request of the call.
    pub fn request(&mut self, method: Method, target: Uri, sequence: u32, route: &[String]) -> RequestBuilder {
        let (transport, local) = (self.hop.transport.name(), self.hop.local);
        let branch = self.branch();
        let cseq = format!("{sequence} {}", String::from_utf8_lossy(method.as_bytes()));
        let request = RequestBuilder::new(method, target)
            .header(HeaderName::Via, format!("SIP/2.0/{transport} {local};rport;branch={branch}"))
            .header(HeaderName::From, self.from.clone())
            .header(HeaderName::To, self.to.clone())
            .header(HeaderName::CallId, self.call_id.clone())
            .header(HeaderName::CSeq, cseq)
            .header(HeaderName::UserAgent, concat!("parlor-chat/", env!("CARGO_PKG_VERSION")));
        route.iter().fold(request, |request, hop| request.header(HeaderName::Route, hop.clone()))
    }
}
