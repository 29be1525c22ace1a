//! What chat rooms over the Message Session Relay Protocol say on the wire: bytes to values and back. No time, no policy, no I/O.
//!
//! | module | holds |
//! |---|---|
//! | [`msrp`] | chunks, paths, byte ranges (RFC 4975) |
//! | [`cpim`] | the wrapper of messages (RFC 3862) |
//! | [`mime`] | content headers and multipart bodies (RFC 2045, RFC 2046) |
//! | [`sdp`] | session descriptions for MSRP (RFC 4975 §8, RFC 4145, RFC 8122, RFC 7701 §8) |
//! | [`sip`] | SIP messages as a focus and its peers use them (RFC 3261) |
//! | [`conference_info`] | the document of the conference event package (RFC 4575) |
//! | [`uri`] | addresses of record |
//! | [`datetime`] | RFC 3339 |
//! | [`limits`] | every maximum |

pub mod conference_info;
pub mod cpim;
pub mod datetime;
pub mod limits;
pub mod mime;
pub mod msrp;
pub mod sdp;
pub mod sip;
pub mod uri;
