//! The shell around the focus: SIP over datagrams and streams, and the channels to the shards, on one thread.

mod datagrams;
mod descriptors;
mod driver;
mod flows;
mod outbound;
mod sockets;
mod stream;
mod table;

pub use descriptors::raise_limit;
pub use driver::{ControlSettings, Ended, Order, run};
pub use sockets::{ListenError, SipSockets};
