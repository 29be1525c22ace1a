//! The output queue. Messages that depend on a changed session are held until the shard confirms the change.
//!
//! The answer to a re-INVITE puts what it says in force for its peer, which may act on it at once and on another connection: bind
//! the session by its new path, say. So the messages that an input sends after it has changed a session are held until the shard
//! says that it knows.

use std::collections::VecDeque;

use crate::focus::output::Output;
use crate::ids::SessionId;

/// The outputs of the focus.
#[derive(Debug, Default)]
pub struct Outputs {
    queue: VecDeque<Output>,
    /// The session that the input at hand changes, and how many outputs there were by then.
    changed: Option<(SessionId, usize)>,
    /// One entry for each change that a shard has not confirmed, so there are no more than commands on their way.
    held: VecDeque<(SessionId, Vec<Output>)>,
}

impl Outputs {
    pub fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// The last output changes a session: the messages that this input sends from now on wait for the shard.
    pub fn hold_messages(&mut self, session: SessionId) {
        self.changed = Some((session, self.queue.len()));
    }

    /// The input is over: takes the messages that are to wait out of the queue. Commands stay, in their order.
    pub fn end_input(&mut self) {
        let Some((session, at)) = self.changed.take() else { return };
        let later = self.queue.split_off(at.min(self.queue.len()));
        let (held, others): (Vec<_>, Vec<_>) =
            later.into_iter().partition(|output| matches!(output, Output::Send { .. }));
        self.queue.extend(others);
        self.held.push_back((session, held));
    }

    /// A shard has confirmed the oldest change of a session: its held messages follow.
    pub fn release(&mut self, session: SessionId) {
        let at = self.held.iter().position(|(other, _)| *other == session);
        let held = at.and_then(|at| self.held.remove(at)).map(|(_, held)| held);
        self.queue.extend(held.unwrap_or_default());
    }
}
