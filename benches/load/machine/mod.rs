//! What the machine tells: cores, processor time, memory, limits and settings.

pub mod cores;
pub mod cpu;
pub mod descriptors;
pub mod memory;
pub mod stamp;
