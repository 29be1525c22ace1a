//! The output of the chat: messages on standard output, everything else on standard error.

use std::io::IsTerminal;

use super::inbox::{Content, Received};
use super::session::SendError;
use crate::cli::output;

/// Standard output and standard error.
pub struct Terminal {
    /// Standard input is a terminal.
    pub interactive: bool,
    /// Standard error is a terminal, so progress bars are drawn.
    pub shows_progress: bool,
    /// An error was shown, so the exit code is 1.
    pub had_error: bool,
}

impl Terminal {
    /// Looks at standard input and standard error.
    pub fn new() -> Self {
        let shows_progress = std::io::stderr().is_terminal();
        Self { interactive: std::io::stdin().is_terminal(), shows_progress, had_error: false }
    }

    /// Prints a message on one line.
    pub fn message(&self, received: &Received, private: bool) {
        if let Some(line) = message_line(received, private) {
            print_line(&line);
        }
    }

    /// Shows information, if the chat is interactive.
    pub fn info(&self, text: &str) {
        if self.interactive {
            output::note(format_args!("* {}\n", printable(text)));
        }
    }

    /// Shows the usage of a command after a wrong one, which is an error in a script only.
    pub fn usage(&mut self, help: &str) {
        self.had_error |= !self.interactive;
        output::complain(printable(help));
    }

    /// Shows a warning, which does not change the exit code.
    pub fn warn(&self, text: &str) {
        output::complain(printable(text));
    }

    /// Shows an error.
    pub fn error(&mut self, text: &str) {
        self.had_error = true;
        output::complain(printable(text));
    }
}

/// Prints a line on standard output, without control characters.
pub fn print_line(line: &str) {
    output::print_line(&printable(line));
}

/// The line for a message; `None` if there is nothing to show.
fn message_line(received: &Received, private: bool) -> Option<String> {
    let address = received.from.split_once(':').map_or(received.from.as_str(), |(_, address)| address);
    let who = received.name.as_deref().unwrap_or(address);
    let mark = if private { " (private)" } else { "" };
    let what = match &received.content {
        Content::Text(text) => text.clone(),
        Content::Status => return None,
        Content::Other { media_type, octets } => format!("[{media_type}, {octets} bytes]"),
    };
    Some(format!("{}{mark}: {}", printable(who), printable(what.trim_end())))
}

/// A text on one line, with spaces in place of control characters.
pub fn printable(text: &str) -> String {
    text.replace("\r\n", " ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text of a send error.
pub fn error_text(error: &SendError) -> String {
    match error {
        SendError::Timeout => "the room did not answer".into(),
        SendError::Status(status, comment) if comment.is_empty() => {
            let usual = parlor_proto::msrp::Status(*status).comment();
            format!("{status} {usual}")
        }
        SendError::Status(status, comment) => format!("{status} {comment}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(name: Option<&str>, content: Content) -> Received {
        Received { from: "sip:bob@h".into(), name: name.map(Into::into), to: "sip:r@h".into(), content }
    }

    #[test]
    fn a_message_is_one_line() {
        let text = |text: &str| Content::Text(text.into());
        let line = |name, content, private| message_line(&received(name, content), private).unwrap();
        assert_eq!(line(Some("Bob"), text("hi"), false), "Bob: hi");
        assert_eq!(line(None, text("two\r\nlines\n"), true), "bob@h (private): two lines");
        assert_eq!(line(None, text("\u{1b}[2Jx"), false), "bob@h:  [2Jx");
        let file = Content::Other { media_type: "image/png".into(), octets: 5 };
        assert_eq!(line(None, file, false), "bob@h: [image/png, 5 bytes]");
        assert_eq!(message_line(&received(None, Content::Status), false), None);
    }

    #[test]
    fn a_send_error_has_a_text() {
        assert!(error_text(&SendError::Status(425, String::new())).starts_with("425 Nickname reserved"));
        assert_eq!(error_text(&SendError::Status(403, "No".into())), "403 No");
    }
}
