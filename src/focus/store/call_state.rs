//! What a call waits for, as SIP has it.
//!
//! | state | input | next |
//! |---|---|---|
//! | `Opening` | our 200 goes out | `Answered` |
//! | `Opening` | CANCEL, a refusal by the shard, our end | none: the INVITE is refused |
//! | `Answered` | our 200 to another INVITE goes out | `Answered` |
//! | `Answered` | the ACK, or the end of the time for it | `Established` |
//! | `Answered`, `Ending` | our end | `Ending`, for the last reason |
//! | `Ending` | the ACK, or the end of the time for it | none: a BYE goes out (RFC 3261 §15) |
//! | `Established` | our 200 to a re-INVITE goes out | `Answered` |
//! | `Established` | our end | none: a BYE goes out |
//!
//! A BYE of the peer ends a call in every state.

use std::time::Duration;

use bytes::Bytes;

use crate::call::SessionTimer;
use crate::focus::media::offer::Offer;
use crate::transaction::TransactionId;
use parlor_proto::sip::{Hop, Request};

/// The state of a call's dialog.
#[derive(Debug)]
pub enum CallState {
    /// Its INVITE has no final response yet.
    Opening(Box<Opening>),
    /// Our 200 waits for its ACK.
    Answered(Box<Unacknowledged>),
    /// It has left its room; the BYE waits for the ACK of our 200.
    Ending(Box<Unacknowledged>, ByeReason),
    /// Nothing is awaited.
    Established,
}

/// An INVITE without a final response.
#[derive(Debug)]
pub struct Opening {
    pub invite: TransactionId,
    pub request: Request,
    /// `None`: the offer is ours to make, in the 200.
    pub offer: Option<Offer>,
    /// What the 200 agrees on.
    pub timer: Option<SessionTimer>,
}

/// A 200 that waits for its ACK.
#[derive(Debug)]
pub struct Unacknowledged {
    pub response: Bytes,
    pub hop: Hop,
    pub sequence: u32,
    /// How long after it was sent last it is sent again.
    pub interval: Duration,
    /// It has our offer: the ACK carries the answer.
    pub awaits_answer: bool,
}

/// Why we end a call (RFC 3326).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByeReason {
    pub cause: u16,
    pub text: &'static str,
}

impl CallState {
    /// A 200 has gone out. A call that is ending sends none.
    pub fn answered(self, response: Unacknowledged) -> Self {
        match self {
            Self::Ending(_, reason) => Self::Ending(Box::new(response), reason),
            Self::Opening(_) | Self::Answered(_) | Self::Established => Self::Answered(Box::new(response)),
        }
    }

    /// The ACK has come, or the time for it is over. Gives the reason of the BYE that waited for it.
    pub fn acknowledged(self) -> (Self, Option<ByeReason>) {
        match self {
            Self::Answered(_) => (Self::Established, None),
            Self::Ending(_, reason) => (Self::Established, Some(reason)),
            Self::Opening(_) | Self::Established => (self, None),
        }
    }

    /// We end the call: its BYE waits for an ACK, where one is to come.
    pub fn ended(self, reason: ByeReason) -> Self {
        match self {
            Self::Answered(response) | Self::Ending(response, _) => Self::Ending(response, reason),
            Self::Opening(_) | Self::Established => self,
        }
    }

    /// The INVITE that has no final response yet.
    pub fn opening(&self) -> Option<&Opening> {
        match self {
            Self::Opening(opening) => Some(opening),
            Self::Answered(_) | Self::Ending(..) | Self::Established => None,
        }
    }

    /// The same, of a call that is no more.
    pub fn into_opening(self) -> Option<Box<Opening>> {
        match self {
            Self::Opening(opening) => Some(opening),
            Self::Answered(_) | Self::Ending(..) | Self::Established => None,
        }
    }

    /// The 200 that waits for its ACK.
    pub fn unacknowledged(&self) -> Option<&Unacknowledged> {
        match self {
            Self::Answered(response) | Self::Ending(response, _) => Some(response),
            Self::Opening(_) | Self::Established => None,
        }
    }

    pub fn unacknowledged_mut(&mut self) -> Option<&mut Unacknowledged> {
        match self {
            Self::Answered(response) | Self::Ending(response, _) => Some(response),
            Self::Opening(_) | Self::Established => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_proto::sip::Transport;

    const FIRST: ByeReason = ByeReason { cause: 480, text: "first" };
    const LAST: ByeReason = ByeReason { cause: 408, text: "last" };

    fn response(sequence: u32) -> Unacknowledged {
        let place = "192.0.2.1:5060".parse().unwrap();
        let hop = Hop { transport: Transport::Udp, local: place, remote: place, connection: None };
        Unacknowledged { response: Bytes::new(), hop, sequence, interval: Duration::ZERO, awaits_answer: false }
    }

    #[test]
    fn a_bye_waits_for_the_ack_and_has_the_last_reason() {
        let state = CallState::Established.answered(response(1)).ended(FIRST).ended(LAST);
        assert!(matches!(state, CallState::Ending(..)) && state.unacknowledged().is_some());
        let (state, reason) = state.acknowledged();
        assert_eq!(reason, Some(LAST));
        assert!(matches!(state, CallState::Established));
    }

    #[test]
    fn an_ack_that_nothing_waits_for_changes_nothing() {
        let (state, reason) = CallState::Established.answered(response(1)).answered(response(2)).acknowledged();
        assert!(reason.is_none() && matches!(state, CallState::Established));
        let (state, reason) = state.acknowledged();
        assert!(reason.is_none() && matches!(state, CallState::Established));
    }
}
