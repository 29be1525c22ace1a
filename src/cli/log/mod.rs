//! The log of the server: lines on standard error, written by a thread of its own.

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

/// The started log. Clones share it.
#[derive(Clone)]
pub struct Log {
    queue: LogQueue,
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Starts the log, and installs a panic hook that logs. Must be called once.
    ///
    /// # Errors
    /// Returns an error if a thread or a file descriptor cannot be created.
    pub fn start(config: LogConfig) -> io::Result<Self> {
        // A descriptor of its own: the thread holds no lock of `io::stderr` while it is blocked in a write.
        let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let queue = LogQueue::start(out, format::dropped_line(config.format))?;
        let (filter, level) = reload::Layer::new(filter(config.level));
        let registry = tracing_subscriber::registry().with(filter);
        let lines = queue.clone();
        match config.format {
            LogFormat::Text => registry.with(format::text(move || lines.clone(), io::stderr().is_terminal())).init(),
            LogFormat::Json => registry.with(format::json(move || lines.clone())).init(),
        }
        let log = Self { queue, level };
        let hook = log.clone();
        std::panic::set_hook(Box::new(move |panic| hook.log_panic(panic)));
        Ok(log)
    }

    /// Sets the lowest level that is logged.
    pub fn set_level(&self, level: LogLevel) {
        // It fails only if the subscriber is gone.
        let _ = self.level.reload(filter(level));
    }

    /// Waits until all lines are written, for at most [`LOG_FLUSH_MILLIS_MAX`].
    pub fn close(&self) {
        self.queue.close(Duration::from_millis(LOG_FLUSH_MILLIS_MAX));
    }

    /// Logs a panic. It ends the process, or a shard and then the process, so the line is written before that.
    fn log_panic(&self, panic: &PanicHookInfo<'_>) {
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
