//! The thread of a shard that blocks while it waits.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use super::backend::BlockingBackend;
use super::shell::Shell;

/// Starts a thread that is pinned to a core, makes a shell there and runs it. Returns when it runs.
///
/// # Errors
/// Returns why it does not run.
pub fn spawn<B: BlockingBackend>(
    core: usize,
    make: impl FnOnce() -> Result<Shell<B>, String> + Send + 'static,
) -> Result<JoinHandle<()>, String> {
    let (ready, is_ready) = mpsc::channel();
    let run = move || match pin(core).and_then(|()| make()) {
        Ok(shell) => {
            let _ = ready.send(Ok(()));
            shell.run();
        }
        Err(why) => _ = ready.send(Err(why)),
    };
    let thread = thread::Builder::new().name("parlor-shard".into()).spawn(run).map_err(|error| error.to_string())?;
    is_ready.recv().unwrap_or_else(|_| Err("the thread ended during startup".into()))?;
    Ok(thread)
}

/// Binds this thread to a core, and checks that it is.
fn pin(core: usize) -> Result<(), String> {
    let id = core_affinity::CoreId { id: core };
    let pinned = core_affinity::set_for_current(id) && core_affinity::get_core_ids() == Some(vec![id]);
    if pinned { Ok(()) } else { Err(format!("core {core} is not available to this process")) }
}
