//! The queue of messages to be sent on one SIP connection, bounded in messages and in octets.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::limits::{SIP_WAITING_BYTES_MAX, SIP_WAITING_MESSAGES_MAX};

/// Octets queued on one connection, and on all connections together.
#[derive(Debug, Clone, Default)]
struct OctetCount {
    own: Rc<Cell<usize>>,
    total: Rc<Cell<usize>>,
}

impl OctetCount {
    fn add(&self, octets: usize) {
        self.own.set(self.own.get() + octets);
        self.total.set(self.total.get() + octets);
    }

    /// Subtracts no more than was added: after [`SendQueue::discard`] nothing is subtracted a second time.
    fn subtract(&self, octets: usize) {
        let octets = octets.min(self.own.get());
        self.own.set(self.own.get() - octets);
        self.total.set(self.total.get() - octets);
    }
}

/// The sending end of the queue.
#[derive(Debug, Clone)]
pub struct SendQueue {
    messages: mpsc::Sender<Bytes>,
    octets: OctetCount,
}

/// The receiving end. A received message counts as queued until [`SendQueueReceiver::written`].
#[derive(Debug)]
pub struct SendQueueReceiver {
    messages: mpsc::Receiver<Bytes>,
    octets: OctetCount,
}

/// Creates the queue of one connection. `total` counts the octets queued on all connections.
pub fn send_queue(total: &Rc<Cell<usize>>) -> (SendQueue, SendQueueReceiver) {
    let (sender, receiver) = mpsc::channel(SIP_WAITING_MESSAGES_MAX);
    let octets = OctetCount { own: Rc::default(), total: total.clone() };
    (SendQueue { messages: sender, octets: octets.clone() }, SendQueueReceiver { messages: receiver, octets })
}

impl SendQueue {
    /// Appends a message.
    ///
    /// # Errors
    /// Returns the message if the queue is full, or if its receiver is closed.
    pub fn try_send(&self, message: Bytes) -> Result<(), TrySendError<Bytes>> {
        let octets = message.len();
        if self.octets() + octets > SIP_WAITING_BYTES_MAX {
            return Err(TrySendError::Full(message));
        }
        self.messages.try_send(message)?;
        self.octets.add(octets);
        Ok(())
    }

    /// Octets in the queue.
    pub fn octets(&self) -> usize {
        self.octets.own.get()
    }

    /// Subtracts the octets of the queue from the total, because its connection is closed.
    pub fn discard(&self) {
        self.octets.subtract(usize::MAX);
    }
}

impl SendQueueReceiver {
    /// Waits for the next message; `None` if all senders are dropped.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.messages.recv().await
    }

    /// The next message, if one is queued.
    pub fn try_recv(&mut self) -> Option<Bytes> {
        self.messages.try_recv().ok()
    }

    /// Records that octets of received messages were written to the connection.
    pub fn written(&self, octets: usize) {
        self.octets.subtract(octets);
    }

    /// Refuses further messages. Those in the queue can still be received.
    pub fn close(&mut self) {
        self.messages.close();
    }
}

impl Drop for SendQueueReceiver {
    fn drop(&mut self) {
        self.octets.subtract(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(octets: usize) -> Bytes {
        vec![b'a'; octets].into()
    }

    #[test]
    fn the_octets_of_a_queue_are_limited() {
        let total = Rc::default();
        let (queue, mut receiver) = send_queue(&total);
        let mut sent = 0;
        while sent + 60_000 <= SIP_WAITING_BYTES_MAX {
            queue.try_send(message(60_000)).unwrap();
            sent += 60_000;
        }
        assert_eq!((queue.octets(), total.get()), (sent, sent));
        assert!(matches!(queue.try_send(message(60_000)), Err(TrySendError::Full(_))));
        let received = receiver.try_recv().unwrap();
        assert!(matches!(queue.try_send(message(60_000)), Err(TrySendError::Full(_))), "it is not written yet");
        receiver.written(received.len());
        queue.try_send(message(60_000)).unwrap();
    }

    #[test]
    fn the_messages_of_a_queue_are_limited() {
        let (queue, _receiver) = send_queue(&Rc::default());
        for _ in 0..SIP_WAITING_MESSAGES_MAX {
            queue.try_send(message(2)).unwrap();
        }
        assert!(matches!(queue.try_send(message(2)), Err(TrySendError::Full(_))));
        assert_eq!(queue.octets(), 2 * SIP_WAITING_MESSAGES_MAX, "a refused message is not counted");
    }

    #[test]
    fn a_closed_connection_is_not_counted() {
        let total = Rc::default();
        let (first, first_receiver) = send_queue(&total);
        let (second, second_receiver) = send_queue(&total);
        for queue in [&first, &second] {
            queue.try_send(message(1000)).unwrap();
        }
        first.discard();
        assert_eq!(total.get(), 1000);
        first_receiver.written(1000);
        drop(first_receiver);
        assert_eq!(total.get(), 1000, "it is subtracted once");
        drop(second_receiver);
        assert_eq!(total.get(), 0);
        assert!(matches!(second.try_send(message(1)), Err(TrySendError::Closed(_))));
    }
}
