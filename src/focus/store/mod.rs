//! What there is: calls, rooms, subscriptions, and by what they are found. No store knows the core or a procedure.

pub mod admission;
pub mod byes;
pub mod call;
pub mod call_state;
pub mod calls;
pub mod in_flight;
pub mod index;
pub mod local_description;
pub mod merged;
pub mod nicknames;
pub mod outgoing;
pub mod outgoing_state;
pub mod participant;
pub mod pending;
pub mod room;
pub mod rooms;
pub mod roster;
pub mod session_state;
pub mod shards;
pub mod subscription;
pub mod subscriptions;
pub mod throttle;
pub mod timing;
