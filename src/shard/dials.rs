//! Connections that are being made.

use std::collections::HashMap;
use std::rc::Rc;

use crate::switch::Dial;

/// Numbers begin again here: a back end has some bits to spare beside one.
pub const NUMBERS: u32 = 1 << 31;

/// Connections that are being made, by the number under which the back end answers. The switch bounds how many.
pub struct Dials<S> {
    pending: HashMap<u32, Pending<S>>,
    last: u32,
}

/// One of them.
pub struct Pending<S> {
    /// What the switch asked for.
    pub dial: Dial,
    /// The socket that is connecting.
    pub socket: Rc<S>,
}

impl<S> Default for Dials<S> {
    fn default() -> Self {
        Self { pending: HashMap::new(), last: 0 }
    }
}

impl<S> Dials<S> {
    /// Adds one. Returns its number.
    pub fn add(&mut self, dial: Dial, socket: Rc<S>) -> u32 {
        self.last = (self.last + 1) % NUMBERS;
        self.pending.insert(self.last, Pending { dial, socket });
        self.last
    }

    /// Takes one out, unless it is over already.
    pub fn remove(&mut self, number: u32) -> Option<Pending<S>> {
        self.pending.remove(&number)
    }
}
