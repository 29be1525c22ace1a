//! The format of log lines, as text and as JSON.

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

/// A text line: time, level, message, fields.
pub fn text<S, W>(writer: W, colours: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    let layer = fmt::layer().with_target(false).log_internal_errors(false);
    layer.fmt_fields(TextFields).with_ansi(colours).with_writer(writer)
}

/// A JSON object on each line.
pub fn json<S, W>(writer: impl Fn() -> W + 'static) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    let writer = move || EscapingWriter(writer());
    fmt::layer().with_target(false).log_internal_errors(false).json().with_writer(writer)
}

/// Writes JSON lines with escapes for characters that control terminals or end lines, which JSON allows unescaped.
struct EscapingWriter<W>(W);

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) if text.contains(is_control) => self.0.write_all(escaped(text).as_bytes())?,
            _ => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a character that JSON allows unescaped is not printable, by `str::escape_debug`.
fn is_control(c: char) -> bool {
    !c.is_ascii() && c.escape_debug().len() > 1 && !c.is_alphanumeric()
}

/// The line with those characters as JSON escapes. They occur only in its strings.
fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if is_control(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// The line that reports the number of dropped lines.
pub fn dropped_line(format: LogFormat) -> fn(u64) -> String {
    match format {
        LogFormat::Text => |lines| format!("{}  WARN {DROPPED} lines={lines}\n", now()),
        LogFormat::Json => |lines| {
            let fields = json!({"message": DROPPED, "lines": lines});
            format!("{}\n", json!({"timestamp": now(), "level": "WARN", "fields": fields}))
        },
    }
}

const DROPPED: &str = "lines of the log were dropped";

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
    fn control_characters_are_escaped_in_json() {
        let mut out = Vec::new();
        let line = "{\"room\":\"x\u{9b}31m \u{202e}\u{85}\u{2028} caf\u{e9} \u{4e2d}\u{1f600}\"}\n";
        EscapingWriter(&mut out).write_all(line.as_bytes()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "{\"room\":\"x\\u009b31m \\u202e\\u0085\\u2028 caf\u{e9} \u{4e2d}\u{1f600}\"}\n");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&text), read(line), "the value is the same");
    }
}
