//! What every request of a call has.

use rand_core::Rng;

use super::call::Parties;
use parlor_proto::sip::{HeaderName, Hop, Method, RequestBuilder, Transport, Uri};

/// The rows that the requests of one call share, and the ends they go between.
pub(super) struct Requests {
    hop: Hop,
    from: String,
    /// The room; with its tag once it has answered.
    pub(super) to: String,
    pub(super) call_id: String,
    pub(super) contact: String,
    /// Via branches: one random prefix, and a count.
    branch_prefix: String,
    branches: u32,
}

impl Requests {
    /// Those of a call over `hop`.
    pub(super) fn new(parties: &Parties, hop: Hop, rng: &mut impl Rng) -> Self {
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

    /// A Via branch that was not used before.
    pub(super) fn branch(&mut self) -> String {
        self.branches += 1;
        format!("{}{}", self.branch_prefix, self.branches)
    }

    /// A request of the call.
    pub(super) fn ask(&mut self, method: Method, target: Uri, sequence: u32, route: &[String]) -> RequestBuilder {
        let (transport, local) = (self.hop.transport.name(), self.hop.local);
        let branch = self.branch();
        let cseq = format!("{sequence} {}", String::from_utf8_lossy(method.as_bytes()));
        let ask = RequestBuilder::new(method, target)
            .header(HeaderName::Via, format!("SIP/2.0/{transport} {local};rport;branch={branch}"))
            .header(HeaderName::From, self.from.clone())
            .header(HeaderName::To, self.to.clone())
            .header(HeaderName::CallId, self.call_id.clone())
            .header(HeaderName::CSeq, cseq)
            .header(HeaderName::UserAgent, concat!("parlor-chat/", env!("CARGO_PKG_VERSION")));
        route.iter().fold(ask, |ask, hop| ask.header(HeaderName::Route, hop.clone()))
    }
}
