//! A shard that waits in its own ring: one loop on a pinned thread, without an executor and without tasks.
//!
//! A turn takes what has arrived, tells the switch, sends what waits for each connection in as few submissions as possible, and
//! waits again. Fan-out only marks, and the one flush of a turn comes after all its receives; each connection is received from
//! once a turn at most. An idle shard sleeps until something comes: nothing wakes it but the kernel, the control thread, and the
//! time that the switch has asked for.

mod arrivals;
mod flush;
mod secure;
mod shell;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use self::shell::Shell;
use super::mesh::{ShardPort, Wake};
use super::settings::ShardSettings;
use super::socket::{Batch, Ring};
use super::start::BoundShard;
use crate::limits::{RECEIVE_BUFFERS_MAX, RECEIVE_BUFFERS_MIN};
use crate::switch::{Settings, Switch};

/// Whether this machine has what the loop needs.
///
/// # Errors
/// What is missing.
pub fn probe() -> std::io::Result<()> {
    Ring::new(8, 1..=1, std::time::Duration::ZERO).map(drop)
}

/// Starts a shard's thread. Answers when its loop runs.
///
/// # Errors
/// Why it does not.
pub(super) fn start(
    settings: &ShardSettings,
    shard: BoundShard,
    port: ShardPort,
    wake: Arc<Wake>,
    seed: [u8; 32],
) -> Result<JoinHandle<()>, String> {
    let (ready, is_ready) = mpsc::channel();
    let settings = settings.clone();
    let run = move || {
        let outcome = pin(shard.core).and_then(|()| set_up(&settings, shard, port, wake, seed));
        match outcome {
            Ok(shell) => {
                let _ = ready.send(Ok(()));
                shell.run();
            }
            Err(why) => _ = ready.send(Err(why)),
        }
    };
    let thread = thread::Builder::new().name("parlor-shard".into()).spawn(run).map_err(|error| error.to_string())?;
    is_ready.recv().unwrap_or_else(|_| Err("it ended at once".into()))?;
    Ok(thread)
}

fn set_up(
    settings: &ShardSettings,
    shard: BoundShard,
    port: ShardPort,
    wake: Arc<Wake>,
    seed: [u8; 32],
) -> Result<Shell, String> {
    let entries = settings.ring_depth.max(settings.send_batch).next_power_of_two();
    let entries = u32::try_from(entries).unwrap_or(u32::MAX);
    let buffers = RECEIVE_BUFFERS_MIN..=RECEIVE_BUFFERS_MAX;
    let ring = Ring::new(entries, buffers, settings.spin_before_park).map_err(|error| format!("no ring: {error}"))?;
    let switch = Switch::new(Settings { bind_timeout: settings.bind_timeout, outbox_max: settings.outbox_max }, seed);
    let batch = Batch::new(settings.send_batch, settings.copy_below, false);
    let listeners = [Some(shard.listener), shard.tls_listener].map(|listener| listener.map(|it| Rc::new(it.into())));
    Shell::new(switch, ring, batch, listeners, settings.tls.clone(), port, wake).map_err(|error| error.to_string())
}

/// Binds this thread to a core, and looks whether it is.
fn pin(core: usize) -> Result<(), String> {
    let id = core_affinity::CoreId { id: core };
    let pinned = core_affinity::set_for_current(id) && core_affinity::get_core_ids() == Some(vec![id]);
    if pinned { Ok(()) } else { Err(format!("core {core} is not there for this process")) }
}
