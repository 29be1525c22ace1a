//! What must not leave before a shard has heard of a change.
//!
//! The answer to a re-INVITE puts what it says in force for its peer, which may act on it at once and on another connection: bind
//! the session by its new path, say. So what an input sends after it has changed a session is held until the shard says that it
//! knows.

use std::collections::VecDeque;

use super::face::Output;
use crate::ids::SessionId;

/// What is held. One entry for each change that a shard has not confirmed, so there are no more than commands on their way.
#[derive(Debug, Default)]
pub struct Fence {
    /// The session that the input at hand changes, and how many outputs there were before.
    begun: Option<(SessionId, usize)>,
    held: VecDeque<(SessionId, Vec<Output>)>,
}

impl Fence {
    /// A change of a session is the last of `outputs`.
    pub(super) fn begin(&mut self, session: SessionId, outputs: &VecDeque<Output>) {
        self.begun = Some((session, outputs.len()));
    }

    /// The input is over: takes what it sends behind the change out of `outputs`. Commands stay, in their order.
    pub(super) fn close(&mut self, outputs: &mut VecDeque<Output>) {
        let Some((session, at)) = self.begun.take() else { return };
        let later = outputs.split_off(at.min(outputs.len()));
        let (held, others): (Vec<_>, Vec<_>) =
            later.into_iter().partition(|output| matches!(output, Output::Send { .. }));
        outputs.extend(others);
        self.held.push_back((session, held));
    }

    /// A shard knows of the oldest change of a session: what was held for that may leave.
    pub(super) fn confirmed(&mut self, session: SessionId) -> Vec<Output> {
        let at = self.held.iter().position(|(other, _)| *other == session);
        at.and_then(|at| self.held.remove(at)).map(|(_, held)| held).unwrap_or_default()
    }
}
