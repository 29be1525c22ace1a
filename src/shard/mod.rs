//! The shell around a switch: one pinned core with its sockets.
//!
//! There is one shell (`shell`, with `accept`, `receive`, `flush`, `dial` and `close`), and three ways for its thread to wait, the
//! back ends: `ring` (io_uring), `epoll` and `glommio`. A back end knows sockets, neither switch nor TLS: the shell asks it to
//! receive, to wait for room, to connect or to send, and it answers with arrivals (`backend`).
//!
//! A turn takes what has arrived, tells the switch, sends what waits for each connection in as few submissions as possible, and
//! waits again. Fan-out only marks, and the one flush of a turn comes after all its receives; each connection is received from
//! once a turn at most. An idle shard sleeps until something comes: nothing wakes it but the kernel, the control thread, and the
//! times that the switch and the shell have set.
//!
//! ```text
//!              commands ▼        ▲ events                        (mesh)
//!   arrivals ──► shell ──handle_*──► switch ──poll_output──► shell ──► requests
//!      ▲           └── flush: gather ──► batch ──send──┐                  │
//!      └────────────── back end: ring, epoll, glommio ◄┴──────────────────┘
//! ```

mod accept;
mod backend;
mod bind;
mod close;
mod dial;
mod dials;
mod epoll;
mod flush;
mod glommio;
mod listeners;
pub mod mesh;
mod peer;
mod port;
mod receive;
mod ring;
mod settings;
mod shell;
mod slab;
mod socket;
mod start;
mod submit;
mod thread;
mod tls;

#[cfg(test)]
mod tests;

pub use bind::{BoundShard, StartError, bind};
pub use listeners::Listeners;
pub use port::{TAKEN_PORT_TIMEOUT, bind_until};
pub use ring::probe as probe_ring;
pub use settings::{Io, ShardSettings};
pub use socket::probe_ring as probe_io_uring;
pub use start::{ShardThread, start};
