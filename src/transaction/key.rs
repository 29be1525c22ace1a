//! Matching messages to transactions (RFC 3261 §17.1.3, §17.2.3).

use std::hash::{Hash, Hasher};

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};
use sipx_sip::{HeaderName, Headers, Method, Request};

use parlor_proto::sip::{TopVia, cseq_number, tag};

/// The id of a transaction: a keyed 128-bit digest of the fields that identify it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TransactionId(u64, u64);

/// Which side of the transaction this endpoint is. A request that loops back belongs to one of each.
#[derive(Debug, Clone, Copy, Hash)]
pub enum Side {
    /// The request was received.
    Server,
    /// The request was sent.
    Client,
}

/// The secret keys of the digest.
#[derive(Debug, Clone, Copy, Default)]
pub struct TransactionKeys(u64, u64);

impl TransactionKeys {
    /// From two random numbers.
    pub fn new(keys: (u64, u64)) -> Self {
        Self(keys.0, keys.1)
    }

    /// The server transaction of a received request.
    pub fn of_request(self, request: &Request) -> Option<TransactionId> {
        self.of_request_as(request, &request.method)
    }

    /// The server transaction of another method with the same branch, as a CANCEL names it (RFC 3261 §9.1).
    pub fn of_request_as(self, request: &Request, method: &Method) -> Option<TransactionId> {
        self.of(Side::Server, &request.headers, method).or_else(|| self.without_branch(request, method))
    }

    /// The client transaction of a sent request.
    pub fn of_ours(self, request: &Request) -> Option<TransactionId> {
        self.of(Side::Client, &request.headers, &request.method)
    }

    /// Matches by branch, sent-by and method; `None` if the branch is not one of RFC 3261.
    pub fn of(self, side: Side, headers: &Headers, method: &Method) -> Option<TransactionId> {
        let via = TopVia::of(headers)?;
        let mut hasher = self.hasher(side, method);
        // Branches are tokens and compared without case, as hosts are (RFC 3261 §7.3.1, §25.1).
        for part in [via.branch()?, via.sent_by()] {
            hasher.write_usize(part.len());
            part.iter().for_each(|octet| hasher.write_u8(octet.to_ascii_lowercase()));
        }
        Some(finished(&hasher))
    }

    /// Matches the fields that an RFC 2543 client repeats in retransmissions. The To tag is left out: the ACK of a refusal has it, its
    /// INVITE has not.
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
        // The ACK of a refusal belongs to the transaction of its INVITE.
        let method = if *method == Method::Ack { &Method::Invite } else { method };
        (side, method.as_bytes()).hash(&mut hasher);
        hasher
    }
}

fn finished(hasher: &SipHasher13) -> TransactionId {
    let Hash128 { h1, h2 } = hasher.finish128();
    TransactionId(h1, h2)
}
