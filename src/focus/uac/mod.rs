//! Requests that the focus sends, and their answers.

pub mod ack;
pub mod bye;
pub mod cancel;
pub mod invite;
pub mod invite_response;
pub mod notify;
pub mod notify_response;
pub mod outgoing;
pub mod refresh;
pub mod report;
pub mod request;
pub mod response;
pub mod route;
pub mod subscription;
