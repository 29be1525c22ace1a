//! The servers that are measured and the reference servers beside them, as processes.

pub mod certificate;
pub mod floor;
pub mod freeze;
pub mod peers;
pub mod ports;
pub mod process;
