//! The conference event package (RFC 4575): who is in a room, as its subscribers are told.

pub mod document;
pub mod membership;
pub mod publish;
pub mod watching;
