//! NOTIFYs without a final response, and how many octets of them each connection carries.

use std::collections::HashMap;

use crate::limits::NOTIFY_BYTES_UNDER_WAY_MAX;
use crate::transaction::TransactionId;
use parlor_proto::sip::SipConnection;

#[derive(Debug)]
struct Sent<T> {
    id: T,
    connection: Option<SipConnection>,
    octets: usize,
}

/// Requests without a response. Unanswered octets of a connection are limited, so that its send queue does not overflow.
#[derive(Debug)]
pub struct InFlight<T> {
    by_transaction: HashMap<TransactionId, Sent<T>>,
    octets: HashMap<SipConnection, usize>,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self { by_transaction: HashMap::new(), octets: HashMap::new() }
    }
}

impl<T: Copy> InFlight<T> {
    /// A NOTIFY of so many octets was sent, over a connection if that is known.
    pub fn insert(&mut self, transaction: TransactionId, id: T, connection: Option<SipConnection>, octets: usize) {
        // One without a document counts too: it is carried.
        let octets = octets.max(1);
        if let Some(connection) = connection {
            *self.octets.entry(connection).or_default() += octets;
        }
        self.by_transaction.insert(transaction, Sent { id, connection, octets });
    }

    /// Removes a transaction that has ended.
    pub fn remove(&mut self, transaction: &TransactionId) -> Option<T> {
        let Sent { id, connection, octets } = self.by_transaction.remove(transaction)?;
        if let Some(connection) = connection
            && let Some(all) = self.octets.get_mut(&connection)
        {
            *all -= octets;
            if *all == 0 {
                self.octets.remove(&connection);
            }
        }
        Some(id)
    }

    pub fn get(&self, transaction: &TransactionId) -> Option<T> {
        self.by_transaction.get(transaction).map(|sent| sent.id)
    }

    /// Those that were sent over a connection. Takes time for all there are, but only where it carries any.
    pub fn over(&self, connection: SipConnection) -> impl Iterator<Item = &TransactionId> {
        let all = self.octets.contains_key(&connection).then_some(&self.by_transaction);
        let sent = all.into_iter().flatten();
        sent.filter(move |(_, sent)| sent.connection == Some(connection)).map(|(transaction, _)| transaction)
    }

    /// Whether a connection carries so much that more has to wait for its answers.
    pub fn is_congested(&self, connection: SipConnection) -> bool {
        self.octets.get(&connection).is_some_and(|octets| *octets >= NOTIFY_BYTES_UNDER_WAY_MAX)
    }
}
