//! Transaction ids that have to be remembered (RFC 4975 §7.1): the end-line of a chunk and the response to a request have them.

use crate::limits::TRANSACTION_ID_BYTES_MAX;

/// The transaction id of a chunk, without an allocation.
#[derive(Debug, Default, Clone, Copy)]
pub struct TransactionId {
    octets: [u8; TRANSACTION_ID_BYTES_MAX],
    len: u8,
}

const _: () = assert!(TRANSACTION_ID_BYTES_MAX <= u8::MAX as usize);

impl TransactionId {
    /// Copies an id that was read, and is therefore no longer than it may be; of a longer one the rest is left out.
    #[must_use]
    pub fn new(tid: &[u8]) -> Self {
        let mut octets = [0; TRANSACTION_ID_BYTES_MAX];
        let len = tid.len().min(TRANSACTION_ID_BYTES_MAX);
        octets[..len].copy_from_slice(&tid[..len]);
        Self { octets, len: len as u8 }
    }

    /// Its octets.
    #[must_use]
    pub fn get(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}
