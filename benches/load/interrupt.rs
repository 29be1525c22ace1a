//! Ctrl-C, or TERM: the first ends a bench early, and what was measured until then is reported; the second ends it at once.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How soon a load that waits notices.
pub const NOTICED_WITHIN: Duration = Duration::from_millis(100);

/// Whether the bench is to end early.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    interrupted: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on, on a thread of its own.
    ///
    /// # Errors
    /// Returns an error if the signal handlers cannot be installed.
    pub fn listen(complain: fn(&dyn Display)) -> io::Result<Self> {
        let this = Self::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut interrupts, mut terminations) = {
            let _entered = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let interrupted = this.interrupted.clone();
        let listen = async move {
            loop {
                tokio::select! { _ = interrupts.recv() => {}, _ = terminations.recv() => {} }
                if interrupted.swap(true, Ordering::Relaxed) {
                    // The kernel ends the servers with this process.
                    std::process::exit(1);
                }
                // On a terminal the progress says so, and must not be written into.
                if !io::stderr().is_terminal() {
                    // On a thread of its own: whoever is to read it may not do so, and a second signal has to come through.
                    let note = move || {
                        complain(&"ending early; what was measured so far is reported. A second signal ends it at once")
                    };
                    let _ = thread::Builder::new().name("note".into()).spawn(note);
                }
            }
        };
        thread::Builder::new().name("interrupts".into()).spawn(move || runtime.block_on(listen))?;
        Ok(this)
    }

    /// Whether a signal has come.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// What a subject answers whose turn was ended before it said anything, and a bench that has measured nothing.
#[must_use]
pub fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "it was interrupted before anything was measured")
}
