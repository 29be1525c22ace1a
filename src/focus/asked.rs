//! Requests of ours that somebody has yet to answer, and whom the answer is for.

use std::collections::HashMap;
use std::time::Instant;

use super::Focus;
use super::calls::Tag;
use super::face::Alarm;
use crate::transaction::{TransactionId, Transactions};
use parlor_proto::sip::{Hop, Request, Response, SipConnection};

/// What a request of ours is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// A call's session timer is refreshed.
    Refresh(Tag),
    /// Somebody is called into a room.
    Invite(Tag),
    /// And is not to be, after all.
    Cancel,
}

/// All requests of ours, BYEs aside.
pub(super) type AskedFor = HashMap<TransactionId, Asked>;

impl Focus {
    /// Sends a request of ours and notes whom its answer is for.
    pub(super) fn ask(&mut self, request: Request, hop: Hop, what: Asked) -> Option<TransactionId> {
        let id = self.transactions.request(request, hop)?;
        self.asked.insert(id.clone(), what);
        Some(id)
    }

    /// A response has come. That of an INVITE may come again, from the same peer or from others (RFC 3261 §13.2.2.4).
    pub(super) fn answered(&mut self, id: &TransactionId, response: &Response, hop: Hop, now: Instant) {
        let Some(asked) = self.asked.get(id).cloned() else { return };
        if response.status.is_success() && response.headers.typed::<parlor_proto::sip::CSeq>().is_some_and(is_invite) {
            self.alarms.set(Alarm::Forget(id.clone()), now + 64 * Transactions::t1());
        } else if response.status.is_final() {
            self.asked.remove(id);
        }
        match asked {
            Asked::Refresh(tag) => self.refresh_answered(tag, response, now),
            Asked::Invite(tag) => self.invite_answered(id, tag, response, hop, now),
            Asked::Cancel => {}
        }
    }

    /// Nobody has answered (408), or nobody could be asked (503; RFC 3261 §8.1.3.1).
    pub(super) fn unanswered(&mut self, id: &TransactionId, status: u16, now: Instant) {
        let Some(asked) = self.asked.remove(id) else { return };
        self.alarms.clear(&Alarm::Forget(id.clone()));
        match asked {
            Asked::Refresh(tag) => self.refresh_unanswered(tag),
            Asked::Invite(tag) => self.invite_unanswered(id, tag, status, now),
            Asked::Cancel => {}
        }
    }

    /// A connection is over, and with it what was asked on it.
    pub(super) fn unanswered_on(&mut self, connection: SipConnection, now: Instant) {
        let on = |id: &&TransactionId| self.transactions.hop(id).is_some_and(|hop| hop.connection == Some(connection));
        let lost: Vec<TransactionId> = self.asked.keys().filter(on).cloned().collect();
        for id in lost {
            if self.transactions.fail(&id).is_some() {
                self.unanswered(&id, 503, now);
            }
        }
    }
}

fn is_invite(cseq: Result<parlor_proto::sip::CSeq, parlor_proto::sip::HeaderError>) -> bool {
    cseq.is_ok_and(|cseq| cseq.method == parlor_proto::sip::Method::Invite)
}
