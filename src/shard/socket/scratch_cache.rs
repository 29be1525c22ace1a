//! What the sends before have left in a scratch buffer, where that is something that several connections get.
//!
//! Those who follow a room get the same octets but for their path lines. Where these are equally long, and the sends before were of
//! as many connections, all but the path lines stands in its place already.

use crate::switch::Mark;

/// The marked octets of a scratch buffer, by where they stand.
#[derive(Debug, Default)]
pub struct ScratchCache {
    pub before: Vec<Span>,
    /// Which of them is next; what lies before it has been written over.
    next: usize,
    pub now: Vec<Span>,
}

/// Octets in a scratch buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub at: usize,
    pub len: usize,
    pub mark: Mark,
}

impl ScratchCache {
    /// Returns whether these octets stand in the scratch buffer, and notes that from now on they do. Each span begins behind
    /// all that was written since [`ScratchCache::restart`].
    pub fn contains_or_insert(&mut self, span: Span) -> bool {
        while self.before.get(self.next).is_some_and(|before| before.at < span.at) {
            self.next += 1;
        }
        self.now.push(span);
        self.before.get(self.next) == Some(&span)
    }

    /// From now on the buffer is written from its beginning again.
    pub fn restart(&mut self) {
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.clear();
        self.next = 0;
    }
}
