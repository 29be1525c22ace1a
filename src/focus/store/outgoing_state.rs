//! How far a call of ours has come.
//!
//! | state | input | next |
//! |---|---|---|
//! | `Preparing` | the shard takes the session, and the route is known | `Inviting`: the INVITE goes out |
//! | `Preparing` | it is given up, or takes too long | none: it has failed |
//! | `Inviting` | a provisional response | `Inviting`: it can be cancelled |
//! | `Inviting` | a refusal, or a failure, that another INVITE can meet | `Inviting`, with that one |
//! | `Inviting` | a 2xx | none: it is a call like any other |
//! | `Inviting` | another final response, or a failure | none: it has failed |
//! | `Inviting` | it is given up, or takes too long | `Cancelling`: the CANCEL goes out, or waits for a provisional response |
//! | `Cancelling` | a final response, or the end of the time for it | none: it has failed, and a 2xx is followed by a BYE |

use crate::transaction::TransactionId;

/// The state of a call of ours that has no answer yet.
#[derive(Debug)]
pub enum OutgoingState {
    /// The shard has not taken the session, or the route is not known.
    Preparing {
        /// The shard has taken the session.
        ready: bool,
    },
    /// The INVITE has gone out.
    Inviting(SentInvite),
    /// It is to end: with a 487, or with a BYE after a 2xx that crosses the CANCEL.
    Cancelling(SentInvite),
}

/// An INVITE of ours without a final response.
#[derive(Debug)]
pub struct SentInvite {
    pub transaction: TransactionId,
    /// A provisional response has come: it can be cancelled (RFC 3261 §9.1).
    pub ringing: bool,
}

impl OutgoingState {
    /// The shard has taken the session.
    pub fn ready(self) -> Self {
        match self {
            Self::Preparing { .. } => Self::Preparing { ready: true },
            Self::Inviting(_) | Self::Cancelling(_) => self,
        }
    }

    /// An INVITE has gone out, the first one or another one; `None` where it could not.
    pub fn invited(self, transaction: Option<TransactionId>) -> Self {
        let sent = transaction.map(|transaction| SentInvite { transaction, ringing: false });
        match (self, sent) {
            (Self::Preparing { .. } | Self::Inviting(_), Some(sent)) => Self::Inviting(sent),
            (Self::Preparing { .. } | Self::Inviting(_), None) => Self::Preparing { ready: true },
            (Self::Cancelling(_), Some(sent)) => Self::Cancelling(sent),
            (Self::Cancelling(before), None) => Self::Cancelling(before),
        }
    }

    /// A provisional response has come. Gives whether a CANCEL has waited for it.
    pub fn rings(self) -> (Self, bool) {
        match self {
            Self::Preparing { .. } => (self, false),
            Self::Inviting(sent) => (Self::Inviting(SentInvite { ringing: true, ..sent }), false),
            Self::Cancelling(sent) => {
                let first = !sent.ringing;
                (Self::Cancelling(SentInvite { ringing: true, ..sent }), first)
            }
        }
    }

    /// It is given up, and its INVITE has gone out. Gives whether the CANCEL is to be sent at once.
    pub fn cancelled(self) -> (Self, bool) {
        match self {
            Self::Inviting(sent) => {
                let ringing = sent.ringing;
                (Self::Cancelling(sent), ringing)
            }
            Self::Preparing { .. } | Self::Cancelling(_) => (self, false),
        }
    }

    /// The INVITE that has no final response yet.
    pub fn sent(&self) -> Option<&SentInvite> {
        match self {
            Self::Preparing { .. } => None,
            Self::Inviting(sent) | Self::Cancelling(sent) => Some(sent),
        }
    }

    /// Whether a transaction is its INVITE.
    pub fn is_invite(&self, transaction: &TransactionId) -> bool {
        self.sent().is_some_and(|sent| sent.transaction == *transaction)
    }

    /// Passes an input on, and gives what comes of it.
    pub fn advance<T>(&mut self, input: impl FnOnce(Self) -> (Self, T)) -> T {
        let (next, outcome) = input(std::mem::replace(self, Self::Preparing { ready: false }));
        *self = next;
        outcome
    }
}
