//! Owned transaction ids (RFC 4975 §7.1).

use crate::limits::TRANSACTION_ID_BYTES_MAX;

/// A copy of a transaction id, without an allocation.
#[derive(Debug, Default, Clone, Copy)]
pub struct TransactionId {
    octets: [u8; TRANSACTION_ID_BYTES_MAX],
    len: u8,
}

const _: () = assert!(TRANSACTION_ID_BYTES_MAX <= u8::MAX as usize);

impl TransactionId {
    /// Copies a transaction id such as [`Head::tid`](super::Head::tid). Octets beyond [`TRANSACTION_ID_BYTES_MAX`] are dropped.
    #[must_use]
    pub fn new(tid: &[u8]) -> Self {
        let mut octets = [0; TRANSACTION_ID_BYTES_MAX];
        let len = tid.len().min(TRANSACTION_ID_BYTES_MAX);
        octets[..len].copy_from_slice(&tid[..len]);
        Self { octets, len: len as u8 }
    }

    /// The octets of the id.
    #[must_use]
    pub fn get(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}
