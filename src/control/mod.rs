//! The control thread: SIP over UDP, TCP and TLS, the focus, and the command channels to the shards.

mod command_queue;
mod connect;
mod datagram_socket;
mod descriptor_limit;
mod driver;
mod eviction;
mod inbound;
mod listen;
mod message;

mod resolver;
mod send_queue;
mod sockets;
mod stream;
mod table;
mod transport;

pub use descriptor_limit::raise_limit;
pub use driver::{ControlSettings, run};
pub use message::{ControlMessage, ExitReason};
pub use sockets::{ListenError, SipSockets};
