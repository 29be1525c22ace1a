//! Session descriptions: what is taken of a peer's, and what ours say.

pub mod description;
pub mod negotiation;
pub mod offer;
