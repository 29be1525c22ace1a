//! SIP transactions (RFC 3261 §17, RFC 6026): which message belongs to which transaction, and what is retransmitted.

mod answered;
mod encoder;
mod entry;
mod key;
mod output;
mod transactions;

pub use key::TransactionId;
pub use output::{Arrival, TransactionOutput};
pub use sipx_sip::Timer as TransactionTimer;
pub use transactions::Transactions;
