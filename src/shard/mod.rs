//! The shell around a switch: one pinned core with its sockets.

pub mod mesh;
