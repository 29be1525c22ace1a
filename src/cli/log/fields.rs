//! The fields of a text line. Many values come from peers: a value is quoted and escaped if it could be taken for several fields, end
//! the line or control a terminal.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Formats `message name=value name="a value"`.
pub struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, written: Ok(()) };
        fields.record(&mut line);
        line.written
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    written: fmt::Result,
}

impl Line<'_> {
    /// Appends a field. A string is always quoted, so that its form does not depend on its content; other values, such as numbers and
    /// addresses, only if they need it.
    fn append(&mut self, field: &Field, text: &str, is_string: bool) -> fmt::Result {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.write_char(' ')?;
        }
        match field.name() {
            "message" => self.writer.write_str(&on_one_line(text)),
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{}", value(text, is_string))
            }
            name => write!(self.writer, "{name}={}", value(text, is_string)),
        }
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.written = self.written.and_then(|()| self.append(field, &format!("{value:?}"), false));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.written = self.written.and_then(|()| self.append(field, value, true));
    }
}

/// A value, quoted if `quoted` or if it has characters that end a field.
fn value(text: &str, quoted: bool) -> String {
    // Escapes make it longer.
    let escaped = text.escape_debug().to_string().replace("\\'", "'");
    let ends_a_field = text.is_empty() || text.contains([' ', '=']) || escaped.len() != text.len();
    if quoted || ends_a_field { format!("\"{escaped}\"") } else { escaped }
}

/// A message, which is quoted nowhere, with control characters escaped.
fn on_one_line(text: &str) -> String {
    text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::super::format;

    /// The text that `log` writes, without the time.
    fn logged(log: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(octets)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let registry = tracing_subscriber::registry().with(format::text(move || writer.clone(), false));
        tracing::subscriber::with_default(registry, log);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.split_once(' ').unwrap().1.trim_start().to_owned()
    }

    #[test]
    fn plain_values_are_not_quoted() {
        let user = "sip:alice@localhost";
        let line = logged(|| tracing::info!(call = %"bf27", status = 403, ok = true, user, "a call"));
        assert_eq!(line, "INFO a call call=bf27 status=403 ok=true user=\"sip:alice@localhost\"\n");
    }

    #[test]
    fn a_value_cannot_forge_a_field() {
        let room = "x call=deadbeef user=admin";
        for line in [
            logged(|| tracing::info!(%room, "a call")),
            logged(|| tracing::info!(room, "a call")),
            logged(|| tracing::info!(room = ?format_args!("{room}"), "a call")),
            logged(|| tracing::info!(room = Some(room), "a call")),
        ] {
            assert_eq!(line, "INFO a call room=\"x call=deadbeef user=admin\"\n");
        }
        let line = logged(|| tracing::info!(room = %"x\" call=\"1", "a call"));
        assert_eq!(line, "INFO a call room=\"x\\\" call=\\\"1\"\n");
        assert_eq!(logged(|| tracing::info!("a \"b\" it's")), "INFO a \"b\" it's\n");
        for (value, shown) in [("", "\"\""), ("a=b", "\"a=b\""), ("a\\", "\"a\\\\\""), ("\"a\"", "\"\\\"a\\\"\"")] {
            assert_eq!(logged(|| tracing::info!(%value, "it")), format!("INFO it value={shown}\n"));
        }
    }

    #[test]
    fn a_value_cannot_end_the_line_or_control_a_terminal() {
        // Line ends, terminal escapes in one octet and in two, a line separator, a change of direction, invisible characters.
        for c in
            ['\n', '\r', '\t', '\0', '\x1b', '\x7f', '\u{9b}', '\u{85}', '\u{2028}', '\u{202e}', '\u{200b}', '\u{a0}']
        {
            let value = format!("a{c}b");
            let error = io::Error::other(value.clone());
            let error: &(dyn std::error::Error + 'static) = &error;
            let of_error = logged(|| tracing::info!(value = error, "it"));
            for line in [logged(|| tracing::info!(%value, "it")), logged(|| tracing::info!(value, "it")), of_error] {
                assert!(line.starts_with("INFO it value=\"a\\") && line.ends_with("b\"\n"), "{line}");
                assert!(line.trim_end().chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{line}");
            }
            let line = logged(|| tracing::info!("a {value}"));
            assert!(line.starts_with("INFO a a\\") && line.lines().count() == 1, "{line}");
        }
    }

    #[test]
    fn fields_of_spans_are_quoted_too() {
        let line = logged(|| {
            let span = tracing::info_span!("call", room = %"x user=admin");
            span.in_scope(|| tracing::info!("here"));
        });
        assert_eq!(line, "INFO call{room=\"x user=admin\"}: here\n");
    }

    #[test]
    fn letters_of_every_script_stay_readable() {
        for name in ["Zoë", "Łukasz", "O'Brien", "李雷", "محمد", "नेहा"] {
            assert_eq!(logged(|| tracing::info!(%name, "it")), format!("INFO it name={name}\n"));
            assert_eq!(logged(|| tracing::info!(name, "it")), format!("INFO it name=\"{name}\"\n"));
        }
    }
}
