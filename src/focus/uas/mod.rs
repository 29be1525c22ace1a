//! Requests that the focus is sent.

pub mod accept;
pub mod ack;
pub mod admit;
pub mod authenticate;
pub mod bye;
pub mod cancel;
pub mod claims;
pub mod identity;
pub mod invite;
pub mod options;
pub mod recipient_list;
pub mod refer;
pub mod referral;
pub mod reinvite;
pub mod request;
pub mod subscribe;
pub mod subscribe_request;
pub mod update;
