//! NOTIFYs that nobody has answered yet, and how much of them each connection carries.

use std::collections::HashMap;

use super::subscriptions::SubscriptionId;
use crate::limits::NOTIFY_BYTES_UNDER_WAY_MAX;
use crate::sip::{SipConnection, TransactionId};

#[derive(Debug)]
struct Sent {
    id: SubscriptionId,
    connection: Option<SipConnection>,
    octets: usize,
}

/// All of them. A connection of a proxy may carry thousands of subscribers: what it has not answered yet holds back what more there is to
/// tell over it, so that it is neither drowned nor closed for letting too much wait.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    by_transaction: HashMap<TransactionId, Sent>,
    octets: HashMap<SipConnection, usize>,
}

impl UnderWay {
    /// A NOTIFY of so many octets was sent, over a connection if that is known.
    pub(super) fn insert(
        &mut self,
        transaction: TransactionId,
        id: SubscriptionId,
        connection: Option<SipConnection>,
        octets: usize,
    ) {
        if let Some(connection) = connection {
            *self.octets.entry(connection).or_default() += octets;
        }
        self.by_transaction.insert(transaction, Sent { id, connection, octets });
    }

    /// It is answered, or will not be.
    pub(super) fn remove(&mut self, transaction: &TransactionId) -> Option<SubscriptionId> {
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

    pub(super) fn get(&self, transaction: &TransactionId) -> Option<SubscriptionId> {
        self.by_transaction.get(transaction).map(|sent| sent.id)
    }

    pub(super) fn transactions(&self) -> impl Iterator<Item = &TransactionId> {
        self.by_transaction.keys()
    }

    /// Whether a connection carries so much that more has to wait for its answers.
    pub(super) fn is_crowded(&self, connection: SipConnection) -> bool {
        self.octets.get(&connection).is_some_and(|octets| *octets >= NOTIFY_BYTES_UNDER_WAY_MAX)
    }
}
