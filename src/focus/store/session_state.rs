//! The session of a call on its shard.
//!
//! | state | input | next |
//! |---|---|---|
//! | `Unopened` | an offer or an answer is agreed on | `Opening` |
//! | `Opening` | the shard takes it | `Ready` |
//! | `Ready` | the peer has our answer: it may connect | `Expected` |
//! | `Opening`, `Ready`, `Expected` | other terms are agreed on | the same, under these |
//! | `Unopened` | the call leaves its room | `Closed` |
//! | `Opening`, `Ready`, `Expected` | the call leaves, and a BYE of ours is to be answered | `Suspended` |
//! | `Opening`, `Ready`, `Expected` | the call leaves otherwise | `Closed` |
//! | `Suspended` | the BYE takes charge of it | `Closed` |

use crate::facts::Terms;

/// The state of a call's session.
#[derive(Debug)]
pub enum SessionState {
    /// Nothing is agreed on: our offer has no answer yet.
    Unopened,
    /// The shard has not said whether it takes it.
    Opening(Terms),
    /// The shard takes it.
    Ready(Terms),
    /// The shard was told that its peer may connect now.
    Expected(Terms),
    /// It has left its room, and ends when a BYE of ours is answered.
    Suspended,
    /// It has left its room and ends.
    Closed,
}

/// How a session leaves its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It ends.
    Close,
    /// It takes no part any more and keeps its connection: a BYE is to be sent.
    Suspend,
}

impl SessionState {
    /// What is in force.
    pub fn terms(&self) -> Option<&Terms> {
        match self {
            Self::Opening(terms) | Self::Ready(terms) | Self::Expected(terms) => Some(terms),
            Self::Unopened | Self::Suspended | Self::Closed => None,
        }
    }

    /// Whether it counts in its room and on its shard.
    pub fn is_in_room(&self) -> bool {
        !matches!(self, Self::Suspended | Self::Closed)
    }

    /// The shard takes it.
    pub fn ready(self) -> Self {
        match self {
            Self::Opening(terms) => Self::Ready(terms),
            other => other,
        }
    }

    /// Its peer may connect. Gives whether the shard is to be told.
    pub fn expected(self) -> (Self, bool) {
        match self {
            Self::Ready(terms) => (Self::Expected(terms), true),
            other => (other, false),
        }
    }

    /// Other terms are agreed on, or the first ones.
    pub fn with(self, terms: Terms) -> Self {
        match self {
            Self::Unopened | Self::Opening(_) => Self::Opening(terms),
            Self::Ready(_) => Self::Ready(terms),
            Self::Expected(_) => Self::Expected(terms),
            Self::Suspended | Self::Closed => self,
        }
    }

    /// The call leaves its room. Gives what the shard is to be told of the session, if it knows of one.
    pub fn left(self, departure: Departure) -> (Self, Option<Departure>) {
        match (self, departure) {
            (Self::Opening(_) | Self::Ready(_) | Self::Expected(_), Departure::Suspend) => {
                (Self::Suspended, Some(departure))
            }
            (Self::Opening(_) | Self::Ready(_) | Self::Expected(_), Departure::Close) => {
                (Self::Closed, Some(departure))
            }
            (Self::Unopened, _) => (Self::Closed, None),
            (other @ (Self::Suspended | Self::Closed), _) => (other, None),
        }
    }

    /// Whether it is suspended. It is closed then: the caller ends it.
    pub fn take_suspended(&mut self) -> bool {
        let suspended = matches!(self, Self::Suspended);
        if suspended {
            *self = Self::Closed;
        }
        suspended
    }

    /// Passes an input on, and gives what comes of it.
    pub fn advance<T>(&mut self, input: impl FnOnce(Self) -> (Self, T)) -> T {
        let (next, outcome) = input(std::mem::replace(self, Self::Closed));
        *self = next;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlor_proto::msrp::Path;

    fn terms(port: u16) -> Terms {
        Terms::unanswered(Path::parse(format!("msrp://192.0.2.1:{port}/s;tcp").as_bytes()).unwrap())
    }

    #[test]
    fn a_session_is_expected_once_and_only_when_its_shard_is_ready() {
        let (state, told) = SessionState::Unopened.with(terms(1)).expected();
        assert!(!told && state.terms() == Some(&terms(1)));
        let (state, told) = state.ready().expected();
        assert!(told && matches!(state, SessionState::Expected(_)));
        let (state, told) = state.with(terms(2)).ready().expected();
        assert!(!told && state.terms() == Some(&terms(2)));
    }

    #[test]
    fn a_session_leaves_once_and_stays_away() {
        assert_eq!(SessionState::Unopened.left(Departure::Suspend).1, None);
        let (mut state, told) = SessionState::Opening(terms(1)).left(Departure::Suspend);
        assert_eq!(told, Some(Departure::Suspend));
        assert!(!state.is_in_room() && state.take_suspended() && !state.take_suspended());
        let (state, told) = state.ready().with(terms(2)).left(Departure::Close);
        assert!(told.is_none() && state.terms().is_none() && !state.is_in_room());
    }
}
