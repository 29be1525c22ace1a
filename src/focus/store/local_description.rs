//! The descriptions that we have sent in a call.

use parlor_proto::sdp::{Description, Origin};

/// The descriptions we have sent in a call: the version grows with every change (RFC 3264 §8).
#[derive(Debug)]
pub struct LocalDescription {
    origin: Origin,
    last: String,
    /// Both have said `a=msrp-cema` (RFC 6714).
    pub cema: bool,
}

impl LocalDescription {
    pub fn new(id: u64) -> Self {
        // Some clients read it into a signed number.
        Self { origin: Origin { id: id >> 1, version: 1 }, last: String::new(), cema: false }
    }

    /// The last one, if there is one.
    pub fn last(&self) -> Option<Description> {
        Description::parse(self.last.as_bytes()).ok()
    }

    /// The next description, which `write` makes for an o= line.
    pub fn next(&mut self, write: impl Fn(Origin) -> String) -> String {
        let mut next = write(self.origin);
        if next != self.last && !self.last.is_empty() {
            self.origin.version += 1;
            next = write(self.origin);
        }
        self.last.clone_from(&next);
        next
    }
}
