//! Which transaction a message is of (RFC 3261 §17.1.3, §17.2.3).

use std::hash::{Hash, Hasher};

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};
use sipx_sip::{HeaderName, Headers, Method, Request};

use parlor_proto::sip::{TopVia, cseq_number, tag};

/// One transaction: a digest of 128 bits, under keys of ours, of what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransactionId(u64, u64);

/// Whose request it is. One that comes back to us is of two transactions.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Side {
    Server,
    Client,
}

/// What ids are made under.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keys(u64, u64);

impl Keys {
    pub(super) fn new(keys: (u64, u64)) -> Self {
        Self(keys.0, keys.1)
    }

    /// The transaction of a request that has come.
    pub(super) fn of_request(self, request: &Request) -> Option<TransactionId> {
        self.of_request_as(request, &request.method)
    }

    /// The transaction of another method that a request names by its branch, as a CANCEL does (RFC 3261 §9.1).
    pub(super) fn of_request_as(self, request: &Request, method: &Method) -> Option<TransactionId> {
        self.of(Side::Server, &request.headers, method).or_else(|| self.without_branch(request, method))
    }

    /// The transaction of a request of ours.
    pub(super) fn of_ours(self, request: &Request) -> Option<TransactionId> {
        self.of(Side::Client, &request.headers, &request.method)
    }

    /// By branch, sent-by and method; `None` where the branch is not one of RFC 3261.
    pub(super) fn of(self, side: Side, headers: &Headers, method: &Method) -> Option<TransactionId> {
        let via = TopVia::of(headers)?;
        let mut hasher = self.hasher(side, method);
        // A branch is a token, which is compared without case (RFC 3261 §7.3.1, §25.1), and so is a host.
        for part in [via.branch()?, via.sent_by()] {
            hasher.write_usize(part.len());
            part.iter().for_each(|octet| hasher.write_u8(octet.to_ascii_lowercase()));
        }
        Some(finished(&hasher))
    }

    /// By what a client of RFC 2543 sends alike with every copy of a request. The tag of To is left out, which the ACK of a refusal has
    /// from that refusal and its INVITE had not.
    fn without_branch(self, request: &Request, method: &Method) -> Option<TransactionId> {
        let headers = &request.headers;
        let mut hasher = self.hasher(Side::Server, method);
        (request.uri.to_bytes(), tag(headers, &HeaderName::From), headers.value(&HeaderName::CallId)?)
            .hash(&mut hasher);
        (cseq_number(headers)?, headers.value(&HeaderName::Via)?).hash(&mut hasher);
        Some(finished(&hasher))
    }

    fn hasher(self, side: Side, method: &Method) -> SipHasher13 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        // The ACK of a refusal is of the INVITE's transaction.
        let method = if *method == Method::Ack { &Method::Invite } else { method };
        (side, method.as_bytes()).hash(&mut hasher);
        hasher
    }
}

fn finished(hasher: &SipHasher13) -> TransactionId {
    let Hash128 { h1, h2 } = hasher.finish128();
    TransactionId(h1, h2)
}
