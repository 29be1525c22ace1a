//! How a line looks, as text and as JSON.

use serde_json::json;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use super::fields::TextFields;
use crate::config::LogFormat;

/// Lines for eyes: time, level, what happened, fields.
pub(super) fn text<S, W>(writer: W, colours: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    let layer = fmt::layer().with_target(false).log_internal_errors(false);
    layer.fmt_fields(TextFields).with_ansi(colours).with_writer(writer)
}

/// One JSON object a line.
pub(super) fn json<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fmt::layer().with_target(false).log_internal_errors(false).json().with_writer(writer)
}

/// The line that tells how many others there are not.
pub(super) fn dropped(format: LogFormat) -> fn(u64) -> String {
    match format {
        LogFormat::Text => |lines| format!("{}  WARN {DROPPED} lines={lines}\n", now()),
        LogFormat::Json => |lines| {
            let fields = json!({"message": DROPPED, "lines": lines});
            format!("{}\n", json!({"timestamp": now(), "level": "WARN", "fields": fields}))
        },
    }
}

const DROPPED: &str = "lines of the log were dropped, which standard error did not take";

fn now() -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}
