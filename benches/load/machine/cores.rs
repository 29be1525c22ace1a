//! The cores of a run: the servers have the first one that this process may use, the load has the last one.

use std::io;

use core_affinity::CoreId;

/// The two cores of a run.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    /// Where the servers run.
    pub server: usize,
    /// Where the load comes from.
    pub client: usize,
    /// How many cores this process may use.
    pub allowed: usize,
}

impl Cores {
    /// Chooses among the cores that this process may use.
    ///
    /// # Errors
    /// Returns an error if there are fewer than two.
    pub fn choose() -> io::Result<Self> {
        let allowed = allowed();
        match (allowed.first(), allowed.last()) {
            (Some(server), Some(client)) if server != client => {
                Ok(Self { server: *server, client: *client, allowed: allowed.len() })
            }
            _ => Err(io::Error::other("a bench needs two cores: one for the server, one for the load")),
        }
    }
}

/// The cores that this process may use, in ascending order.
#[must_use]
pub fn allowed() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Binds this thread to a core, and the processes and threads that it starts from now on.
pub fn pin(core: usize) {
    core_affinity::set_for_current(CoreId { id: core });
}
