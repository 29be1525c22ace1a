//! What waits to be sent on one SIP connection, bounded in messages and in octets.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::limits::{SIP_WAITING_BYTES_MAX, SIP_WAITING_MESSAGES_MAX};

/// Octets that wait on one connection, and on all of them.
#[derive(Debug, Clone, Default)]
struct Octets {
    own: Rc<Cell<usize>>,
    all: Rc<Cell<usize>>,
}

impl Octets {
    fn add(&self, octets: usize) {
        self.own.set(self.own.get() + octets);
        self.all.set(self.all.get() + octets);
    }

    /// Counts no octet back twice: what [`Outbound::discard`] has given back stays given back.
    fn give_back(&self, octets: usize) {
        let octets = octets.min(self.own.get());
        self.own.set(self.own.get() - octets);
        self.all.set(self.all.get() - octets);
    }
}

/// The end of the queue that messages are put into.
#[derive(Debug, Clone)]
pub struct Outbound {
    messages: mpsc::Sender<Bytes>,
    octets: Octets,
}

/// The end that they are taken from. What is taken counts as waiting until [`Waiting::written`].
#[derive(Debug)]
pub struct Waiting {
    messages: mpsc::Receiver<Bytes>,
    octets: Octets,
}

/// The queue of one connection. `all` counts the octets that wait on every connection.
pub fn queue(all: &Rc<Cell<usize>>) -> (Outbound, Waiting) {
    let (sender, receiver) = mpsc::channel(SIP_WAITING_MESSAGES_MAX);
    let octets = Octets { own: Rc::default(), all: all.clone() };
    (Outbound { messages: sender, octets: octets.clone() }, Waiting { messages: receiver, octets })
}

impl Outbound {
    /// Puts a message behind those that wait.
    ///
    /// # Errors
    /// Gives it back where too much waits already, and where nobody takes anything any more.
    pub fn try_send(&self, message: Bytes) -> Result<(), TrySendError<Bytes>> {
        let octets = message.len();
        if self.octets() + octets > SIP_WAITING_BYTES_MAX {
            return Err(TrySendError::Full(message));
        }
        self.messages.try_send(message)?;
        self.octets.add(octets);
        Ok(())
    }

    /// The octets that wait.
    pub fn octets(&self) -> usize {
        self.octets.own.get()
    }

    /// Counts nothing of it any more: the connection is being closed.
    pub fn discard(&self) {
        self.octets.give_back(usize::MAX);
    }
}

impl Waiting {
    /// Waits for the next message; `None` when there will be none.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.messages.recv().await
    }

    /// The next message if there is one.
    pub fn try_recv(&mut self) -> Option<Bytes> {
        self.messages.try_recv().ok()
    }

    /// So many octets of what was taken have left.
    pub fn written(&self, octets: usize) {
        self.octets.give_back(octets);
    }

    /// Takes nothing more in. What is there can still be taken.
    pub fn close(&mut self) {
        self.messages.close();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.octets.give_back(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(octets: usize) -> Bytes {
        vec![b'a'; octets].into()
    }

    #[test]
    fn a_connection_lets_so_many_octets_wait_and_none_more() {
        let all = Rc::default();
        let (outbound, mut waiting) = queue(&all);
        let mut sent = 0;
        while sent + 60_000 <= SIP_WAITING_BYTES_MAX {
            outbound.try_send(of(60_000)).unwrap();
            sent += 60_000;
        }
        assert_eq!((outbound.octets(), all.get()), (sent, sent));
        assert!(matches!(outbound.try_send(of(60_000)), Err(TrySendError::Full(_))));
        let taken = waiting.try_recv().unwrap();
        assert!(matches!(outbound.try_send(of(60_000)), Err(TrySendError::Full(_))), "it has not left yet");
        waiting.written(taken.len());
        outbound.try_send(of(60_000)).unwrap();
    }

    #[test]
    fn a_connection_lets_so_many_messages_wait_and_none_more() {
        let (outbound, _waiting) = queue(&Rc::default());
        for _ in 0..SIP_WAITING_MESSAGES_MAX {
            outbound.try_send(of(2)).unwrap();
        }
        assert!(matches!(outbound.try_send(of(2)), Err(TrySendError::Full(_))));
        assert_eq!(outbound.octets(), 2 * SIP_WAITING_MESSAGES_MAX, "what was given back does not count");
    }

    #[test]
    fn nothing_is_counted_of_a_connection_that_is_over() {
        let all = Rc::default();
        let (first, first_waiting) = queue(&all);
        let (second, second_waiting) = queue(&all);
        for outbound in [&first, &second] {
            outbound.try_send(of(1000)).unwrap();
        }
        first.discard();
        assert_eq!(all.get(), 1000);
        first_waiting.written(1000);
        drop(first_waiting);
        assert_eq!(all.get(), 1000, "it was counted back once");
        drop(second_waiting);
        assert_eq!(all.get(), 0);
        assert!(matches!(second.try_send(of(1)), Err(TrySendError::Closed(_))));
    }
}
