//! One session's life, and what ties requests to it.
//!
//! ```text
//!   Waiting ──first request on a connection──► Bound ──connection closed──► (failed: the session ends)
//!      ▲                                        │
//!      └────────re-INVITE with another path─────┘
//! ```

use std::rc::Rc;

use crate::facts::{Member, Terms};
use crate::ids::{ConnectionId, SessionId};
use crate::msrp::{Head, MsrpUri, Path, Status, encode, uris};
use crate::uri::Aor;

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
}

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
        Self { id, member, terms, binding: Binding::Waiting, secure, paths }
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
    /// it yet. Answers whether it was bound just now.
    ///
    /// # Errors
    /// 506 where another connection carries it (RFC 4975 §5.4); 481 where the connection lacks the security that was
    /// negotiated, or where the From-Path is not that of the session's peer.
    pub fn admit(&mut self, connection: ConnectionId, secure: bool, head: &Head<'_>) -> Result<bool, Status> {
        if self.secure != secure || !self.is_from_peer(head.from_path) {
            return Err(Status::NO_SESSION);
        }
        match self.binding {
            Binding::Bound(bound) if bound == connection => Ok(false),
            Binding::Bound(_) => Err(Status::BOUND_ELSEWHERE),
            Binding::Waiting => {
                self.binding = Binding::Bound(connection);
                Ok(true)
            }
        }
    }

    /// Changes the terms. Answers the connection that carried the session until now, where another path of the peer means
    /// that it does not any more.
    pub fn change(&mut self, terms: Terms) -> Option<ConnectionId> {
        let same_path = self.terms.remote == terms.remote && self.terms.local == terms.local;
        self.paths = path_lines(&terms);
        self.secure = is_secure(&terms.local);
        self.terms = terms;
        if same_path {
            return None;
        }
        let bound = self.connection();
        self.binding = Binding::Waiting;
        bound
    }

    /// Whether a CPIM From may name this session's user by `uri` (RFC 7701 §6.1).
    #[must_use]
    pub fn is_known_as(&self, uri: &[u8]) -> bool {
        // Nearly every client writes its address the way the roster has it.
        uri == self.member.uri.as_bytes() || Aor::parse(uri).is_ok_and(|aor| self.member.identities.contains(&aor))
    }

    /// What tells one session from another is the session-id at the end of the path: relays and SBCs in between may rewrite
    /// the rest (RFC 6714).
    fn is_from_peer(&self, from_path: &[u8]) -> bool {
        if from_path == self.terms.remote.as_str().as_bytes() {
            return true;
        }
        let last = uris(from_path).next_back().and_then(|uri| MsrpUri::parse(uri).ok());
        last.is_some_and(|uri| uri.session_id.is_some() && uri.session_id == self.terms.remote.session_id())
    }
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
    use crate::facts::Direction;
    use crate::ids::ShardId;
    use slotmap::KeyData;

    const LOCAL: &str = "msrp://room.example:2855/ours;tcp";

    fn session(remote: &str) -> Session {
        let alice = Aor::parse(b"sip:alice@example.com").unwrap();
        let member = Member {
            user: alice.clone(),
            uri: "sip:alice@example.com".into(),
            display_name: None,
            identities: vec![alice, Aor::parse(b"tel:+1234").unwrap()],
            anonymous: false,
        };
        Session::new(SessionId { shard: ShardId(0), random: 1 }, member, terms(remote))
    }

    fn terms(remote: &str) -> Terms {
        Terms {
            local: Path::parse(LOCAL.as_bytes()).unwrap(),
            remote: Path::parse(remote.as_bytes()).unwrap(),
            accept_wrapped_types: None,
            max_size: None,
            chatroom: None,
            direction: Direction::default(),
        }
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
    fn boxes_in_between_may_rewrite_all_but_the_session_id() {
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
