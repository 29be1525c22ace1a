//! The clients of a load: SIP calls, MSRP connections, and the engine that sends and checks messages on them.

pub mod call_table;
pub mod calls;
pub mod engine;
pub mod flight;
pub mod layout;
pub mod link;
pub mod load;
pub mod pipes;
pub mod poll;
pub mod sip;
pub mod stream;
pub mod timer;
pub mod tls;
pub mod transfer;
pub mod wire;
