//! How a line looks, as text and as JSON.

use std::io::{self, Write};

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
pub(super) fn json<S, W>(writer: impl Fn() -> W + 'static) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    let escaping = move || Escaping(writer());
    fmt::layer().with_target(false).log_internal_errors(false).json().with_writer(escaping)
}

/// Writes lines of JSON without the characters that JSON may have as they are and that steer terminals or end lines for some readers.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) if text.contains(steers) => self.0.write_all(escaped(text).as_bytes())?,
            _ => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a character is seen as something else than itself: those that `str::escape_debug` escapes, of what JSON has as it is.
fn steers(c: char) -> bool {
    !c.is_ascii() && c.escape_debug().len() > 1 && !c.is_alphanumeric()
}

/// The same line, with those characters as JSON's escapes. They stand within its strings alone.
fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if steers(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_ends_a_line_is_escaped_in_json_too() {
        let mut out = Vec::new();
        let line = "{\"room\":\"x\u{9b}31m \u{202e}\u{85}\u{2028} caf\u{e9} \u{4e2d}\u{1f600}\"}\n";
        Escaping(&mut out).write_all(line.as_bytes()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "{\"room\":\"x\\u009b31m \\u202e\\u0085\\u2028 caf\u{e9} \u{4e2d}\u{1f600}\"}\n");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&text), read(line), "it says the same");
    }
}
