#![doc = include_str!("README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod conference_info;
pub mod cpim;
pub mod datetime;
pub mod limits;
pub mod mime;
pub mod msrp;
pub mod sdp;
#[cfg(feature = "sip")]
pub mod sip;
pub mod uri;
