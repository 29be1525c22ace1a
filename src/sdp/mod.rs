//! Session descriptions (RFC 8866) as far as MSRP needs them (RFC 4975 §8, RFC 7701 §8, RFC 6135).

mod accept_types;

pub use accept_types::AcceptTypes;
