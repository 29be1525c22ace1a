//! The log of the server: lines on standard error, which nobody waits for.

mod fields;
mod format;
mod writer;

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::time::Duration;

use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use self::writer::LogQueue;
use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::limits::LOG_FLUSH_MILLIS_MAX;

/// The log, once it has started. Clones are the same log.
#[derive(Clone)]
pub(super) struct Log {
    queue: LogQueue,
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Takes everything that is logged from here on, and what a thread that panics says. To be called once.
    ///
    /// # Errors
    /// As the system, where it gives no thread or no descriptor.
    pub(super) fn start(config: LogConfig) -> io::Result<Self> {
        // A descriptor of our own: the thread that waits in a write holds no lock that somebody else may want.
        let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let queue = LogQueue::start(out, format::dropped(config.format))?;
        let (filter, level) = reload::Layer::new(filter(config.level));
        let registry = tracing_subscriber::registry().with(filter);
        let lines = queue.clone();
        match config.format {
            LogFormat::Text => registry.with(format::text(move || lines.clone(), io::stderr().is_terminal())).init(),
            LogFormat::Json => registry.with(format::json(move || lines.clone())).init(),
        }
        let log = Self { queue, level };
        let of_panics = log.clone();
        std::panic::set_hook(Box::new(move |panic| of_panics.panicked(panic)));
        Ok(log)
    }

    /// The least important level that is shown from here on.
    pub(super) fn set_level(&self, level: LogLevel) {
        // It fails only where there is no log any more.
        let _ = self.level.reload(filter(level));
    }

    /// Waits until what was logged is written, for a second at most.
    pub(super) fn close(&self) {
        self.queue.close(Duration::from_millis(LOG_FLUSH_MILLIS_MAX));
    }

    /// A panic ends the process, or a shard and then the process: what it says is written before.
    fn panicked(&self, panic: &PanicHookInfo<'_>) {
        let place = panic.location().map(tracing::field::display);
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(backtrace));
        error!(place, backtrace, reason = reason(panic.payload()), "a thread has panicked");
        if cfg!(panic = "abort") {
            self.close();
        }
    }
}

fn reason(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
