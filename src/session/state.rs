//! One session's life, and what ties requests to it.
//!
//! ```text
//!   Waiting ──first request on a connection──► Bound ──connection closed──► (failed: the session ends)
//!      ▲                                        │
//!      └────────re-INVITE with another path─────┘
//! ```

use std::rc::Rc;

use crate::facts::{Certificate, Fingerprint, Member, Terms};
use crate::ids::{ConnectionId, SessionId};
use parlor_proto::msrp::{Head, MsrpUri, Path, Status, encode, path_uris};
use parlor_proto::uri::Aor;

/// A session that was negotiated.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Who it belongs to.
    pub member: Member,
    /// What was negotiated.
    pub terms: Terms,
    binding: Binding,
    secure: bool,
    paths: Rc<[u8]>,
    /// The From-Path of whoever bound it before the answer to our offer was known.
    early: Option<Box<[u8]>>,
}

/// Types of reports about messages (RFC 5438, RFC 3464). An indication of typing (RFC 3994) is not a report: it is forwarded to the
/// recipients that the message itself would have.
const REPORTING_TYPES: [&str; 2] = ["message/imdn+xml", "message/delivery-status"];

/// Whether a connection carries the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Nobody has sent a request for it yet.
    Waiting,
    /// This connection carries it.
    Bound(ConnectionId),
}

impl Session {
    /// A session that waits for its first request.
    #[must_use]
    pub fn new(id: SessionId, member: Member, terms: Terms) -> Self {
        let paths = path_lines(&terms);
        let secure = is_secure(&terms.local);
        Self { id, member, terms, binding: Binding::Waiting, secure, paths, early: None }
    }

    /// The connection that carries it.
    #[must_use]
    pub fn connection(&self) -> Option<ConnectionId> {
        match self.binding {
            Binding::Waiting => None,
            Binding::Bound(connection) => Some(connection),
        }
    }

    /// The To-Path and From-Path lines of everything sent to its peer, as octets. Made once, shared by every copy.
    #[must_use]
    pub fn paths(&self) -> &Rc<[u8]> {
        &self.paths
    }

    /// Checks that a request may speak for this session and binds it to the connection it came on, if nothing else carries
    /// it yet. Returns whether it was bound just now.
    ///
    /// # Errors
    /// Returns 506 if another connection carries it (RFC 4975 §5.4); 481 if the connection does not have the security that was
    /// negotiated, or if the From-Path is not that of the session's peer.
    pub fn admit(&mut self, connection: ConnectionId, secure: bool, head: &Head<'_>) -> Result<bool, Status> {
        if self.secure != secure || !self.is_from_peer(head.from_path) {
            return Err(Status::NO_SESSION);
        }
        match self.binding {
            Binding::Bound(bound) if bound == connection => Ok(false),
            Binding::Bound(_) => Err(Status::BOUND_ELSEWHERE),
            Binding::Waiting => {
                self.binding = Binding::Bound(connection);
                self.early = (!self.terms.are_answered()).then(|| head.from_path.into());
                Ok(true)
            }
        }
    }

    /// Changes the terms. Returns the connection that carried the session until now, where another path of the peer means
    /// that it does not any more.
    pub fn change(&mut self, terms: Terms) -> Option<ConnectionId> {
        let same_path = self.terms.remote == terms.remote && self.terms.local == terms.local;
        let early = self.early.take();
        self.paths = path_lines(&terms);
        self.secure = is_secure(&terms.local);
        self.terms = terms;
        // Who came before the answer was known may stay if the answer is theirs.
        if same_path || early.is_some_and(|path| self.is_from_peer(&path)) {
            return None;
        }
        let bound = self.connection();
        self.binding = Binding::Waiting;
        bound
    }

    /// The connection that we have made to the peer carries the session: it has agreed.
    pub fn bind(&mut self, connection: ConnectionId) {
        self.binding = Binding::Bound(connection);
    }

    /// Whether it was negotiated to go over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The fingerprints, one of which the certificate of the connected peer has to match; empty: no check of fingerprints.
    #[must_use]
    pub fn wanted_fingerprints(&self) -> &[Fingerprint] {
        if self.terms.remote.is_relayed() { &[] } else { &self.terms.fingerprints }
    }

    /// Whether the peer's certificate is the negotiated one. If the description has fingerprints, one has to match, and no
    /// certificate is no match (RFC 8122 §6.2). Without fingerprints, a peer that connected is identified by the session-id, and one
    /// that the switch connected to by the name in its certificate (RFC 4975 §14.4). Behind a relay the fingerprints are not those
    /// of the connected peer (RFC 6135 §4.3).
    #[must_use]
    pub fn trusts(&self, certificate: Option<&Certificate>, we_connected: bool) -> bool {
        let wanted = self.wanted_fingerprints();
        if wanted.is_empty() {
            return !we_connected || certificate.is_some_and(|shown| shown.named);
        }
        certificate.is_some_and(|shown| shown.fingerprints.iter().any(|one| wanted.contains(one)))
    }

    /// Whether the peer may send a message of a type: not while its description says that it only receives (RFC 4975 §8.9, RFC 3264
    /// §5.1).
    #[must_use]
    pub fn may_send(&self, wrapped_type: Option<&str>) -> bool {
        self.terms.direction.sends || is_reporting(wrapped_type)
    }

    /// Whether a CPIM From may name this session's user by `uri` (RFC 7701 §6.1).
    #[must_use]
    pub fn is_known_as(&self, uri: &[u8]) -> bool {
        // Nearly every client writes its address the way the roster has it.
        uri == self.member.uri.as_bytes() || Aor::parse(uri).is_ok_and(|aor| self.member.identities.contains(&aor))
    }

    /// What tells one session from another is the session-id at the end of the path: relays and SBCs in between may rewrite
    /// the rest (RFC 6714).
    #[must_use]
    pub fn is_from_peer(&self, from_path: &[u8]) -> bool {
        if !self.terms.are_answered() || from_path == self.terms.remote.as_str().as_bytes() {
            return true;
        }
        let last = path_uris(from_path).next_back().and_then(|uri| MsrpUri::parse(uri).ok());
        last.is_some_and(|uri| uri.session_id.is_some() && uri.session_id == self.terms.remote.session_id())
    }
}

/// Whether a message of this type only tells about others. It is sent as if there were no direction (RFC 4975 §8.9).
#[must_use]
pub fn is_reporting(wrapped_type: Option<&str>) -> bool {
    let bare = wrapped_type.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    REPORTING_TYPES.iter().any(|kind| kind.eq_ignore_ascii_case(bare))
}

fn is_secure(path: &Path) -> bool {
    MsrpUri::parse(path.last().as_bytes()).is_ok_and(|uri| uri.secure)
}

fn path_lines(terms: &Terms) -> Rc<[u8]> {
    let mut out = Vec::with_capacity(terms.local.as_str().len() + terms.remote.as_str().len() + 32);
    encode::paths(&mut out, terms.remote.as_str().as_bytes(), terms.local.as_str().as_bytes());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Fingerprint;
    use crate::ids::ShardId;
    use parlor_proto::sdp::HashFunction;
    use slotmap::KeyData;

    const LOCAL: &str = "msrp://room.example:2855/ours;tcp";

    fn session(remote: &str) -> Session {
        let alice = Aor::parse(b"sip:alice@example.com").unwrap();
        let member = Member {
            user: alice.clone(),
            uri: "sip:alice@example.com".into(),
            display_name: None,
            identities: [alice, Aor::parse(b"tel:+1234").unwrap()].into(),
            anonymous: false,
        };
        Session::new(SessionId { shard: ShardId(0), random: 1 }, member, terms(remote))
    }

    fn terms(remote: &str) -> Terms {
        let path = |text: &str| Path::parse(text.as_bytes()).unwrap();
        Terms::between(path(LOCAL), path(remote))
    }

    fn connection(n: u64) -> ConnectionId {
        KeyData::from_ffi(1 << 32 | n).into()
    }

    fn admit(session: &mut Session, n: u64, secure: bool, from: &str) -> Result<bool, Status> {
        let text = format!("MSRP abcd SEND\r\nTo-Path: {LOCAL}\r\nFrom-Path: {from}\r\n");
        session.admit(connection(n), secure, &Head::parse(text.as_bytes()).unwrap())
    }

    const ALICE: &str = "msrp://alice.example:7654/theirs;tcp";

    #[test]
    fn the_first_request_binds_and_only_its_connection_goes_on() {
        let mut session = session(ALICE);
        assert_eq!(session.connection(), None);
        assert_eq!(admit(&mut session, 1, false, ALICE), Ok(true));
        assert_eq!(admit(&mut session, 1, false, ALICE), Ok(false));
        assert_eq!(admit(&mut session, 2, false, ALICE), Err(Status::BOUND_ELSEWHERE));
        assert_eq!(session.connection(), Some(connection(1)));
    }

    #[test]
    fn a_path_that_is_not_that_of_the_sdp_is_refused() {
        let mut session = session(ALICE);
        for from in ["msrp://alice.example:7654/other;tcp", "msrp://alice.example:7654;tcp", "nonsense", ""] {
            assert_eq!(admit(&mut session, 1, false, from), Err(Status::NO_SESSION), "{from}");
        }
        assert_eq!(session.connection(), None, "a refused request binds nothing");
    }

    #[test]
    fn relays_and_sbcs_may_rewrite_all_but_the_session_id() {
        let mut session = session(ALICE);
        assert_eq!(admit(&mut session, 1, false, "msrp://sbc.example:1/theirs;tcp"), Ok(true));
        let relayed = "msrp://relay.example:1/r;tcp msrp://10.0.0.1:9/theirs;tcp";
        assert_eq!(admit(&mut session, 1, false, relayed), Ok(false));
    }

    #[test]
    fn a_session_does_not_bind_on_a_connection_of_other_security() {
        let mut session = session(ALICE);
        assert_eq!(admit(&mut session, 1, true, ALICE), Err(Status::NO_SESSION));
    }

    #[test]
    fn a_certificate_has_to_match_what_was_negotiated() {
        let fingerprint = |n: u8| Fingerprint { hash: HashFunction::Sha256, value: vec![n; 32].into() };
        let shown = |n: u8, named| Certificate { fingerprints: vec![fingerprint(n)], named };
        let mut session = session(ALICE);
        assert!(session.trusts(None, false), "without fingerprints the session-id is enough");
        assert!(!session.trusts(Some(&shown(1, false)), true) && session.trusts(Some(&shown(1, true)), true));
        session.terms.fingerprints = [fingerprint(1), fingerprint(2)].into();
        for we_connected in [false, true] {
            assert!(session.trusts(Some(&shown(2, false)), we_connected));
            assert!(!session.trusts(Some(&shown(3, true)), we_connected), "a good name is no good fingerprint");
            assert!(!session.trusts(None, we_connected));
        }
        session.terms.remote = Path::parse(b"msrps://relay.example:1/r;tcp msrps://a:2/s;tcp").unwrap();
        assert!(session.trusts(None, false), "a relay has a certificate of its own");
        assert!(!session.trusts(Some(&shown(1, false)), true) && session.trusts(Some(&shown(9, true)), true));
    }

    #[test]
    fn who_only_receives_sends_nothing_but_reports() {
        let mut session = session(ALICE);
        assert!(session.may_send(Some("text/plain")));
        session.terms.direction.sends = false;
        assert!(!session.may_send(Some("text/plain")) && !session.may_send(None));
        assert!(session.may_send(Some("Message/IMDN+xml; charset=utf-8")));
    }

    #[test]
    fn a_changed_path_unbinds() {
        let mut session = session(ALICE);
        admit(&mut session, 1, false, ALICE).unwrap();
        assert_eq!(session.change(terms(ALICE)), None);
        assert_eq!(session.change(terms("msrp://alice.example:9999/new;tcp")), Some(connection(1)));
        assert_eq!(session.connection(), None);
        assert!(session.paths().starts_with(b"To-Path: msrp://alice.example:9999/new;tcp\r\nFrom-Path: msrp://room"));
        assert_eq!(admit(&mut session, 2, false, ALICE), Err(Status::NO_SESSION));
        assert_eq!(admit(&mut session, 2, false, "msrp://alice.example:9999/new;tcp"), Ok(true));
    }

    #[test]
    fn every_identity_of_the_user_may_stand_in_from() {
        let session = session(ALICE);
        assert!(session.is_known_as(b"sip:alice@example.com"));
        assert!(session.is_known_as(b"im:alice@EXAMPLE.com"));
        assert!(session.is_known_as(b"sip:alice@example.com;transport=tcp"));
        assert!(session.is_known_as(b"tel:+1-234"));
        assert!(!session.is_known_as(b"sip:bob@example.com"));
        assert!(!session.is_known_as(b""));
    }
}
