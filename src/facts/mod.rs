//! What the focus and the switch send to one another: plain data, over bounded channels.

mod command;
mod event;
mod member;
mod policy;

pub use command::{Command, OpenRoom, OpenSession};
pub use event::{EndReason, Event, Refusal};
pub use member::{Certificate, ChatroomTokens, Direction, Fingerprint, Member, Outward, Terms};
pub use policy::{CREATOR, Confusable, Congested, Delete, FailureReport, NicknameScope, RoomPolicy, Subscribers};
