//! What is shown: messages on standard output, everything else on standard error.

use std::io::IsTerminal;

use super::inbox::{Content, Received};
use super::session::Refusal;
use crate::cli::output;

/// The terminal, or what stands in for it.
pub(super) struct Screen {
    /// Whether somebody is typing.
    pub(super) interactive: bool,
    /// Whether progress can be drawn.
    pub(super) draws: bool,
    /// Whether anything went wrong, which the exit code tells.
    pub(super) trouble: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        let draws = std::io::stderr().is_terminal();
        Self { interactive: std::io::stdin().is_terminal(), draws, trouble: false }
    }

    /// A message, on one line.
    pub(super) fn message(&self, received: &Received, private: bool) {
        if let Some(line) = line_of(received, private) {
            print_line(&line);
        }
    }

    /// Something worth knowing while typing.
    pub(super) fn note(&self, text: &str) {
        if self.interactive {
            output::note(format_args!("* {}\n", printable(text)));
        }
    }

    /// What to type instead. A slip of the finger is no trouble, one in a script is.
    pub(super) fn advise(&mut self, help: &str) {
        self.trouble |= !self.interactive;
        output::complain(printable(help));
    }

    /// Something that did not work, and that nothing else fails for.
    pub(super) fn warn(&self, text: &str) {
        output::complain(printable(text));
    }

    /// Something that did not work.
    pub(super) fn complain(&mut self, text: &str) {
        self.trouble = true;
        output::complain(printable(text));
    }
}

/// A line on standard output that cannot steer the terminal, at once.
pub(super) fn print_line(line: &str) {
    output::print_line(&printable(line));
}

/// The line for a message; `None` where there is nothing to show.
fn line_of(received: &Received, private: bool) -> Option<String> {
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

/// A text on one line that cannot steer the terminal: control characters become spaces.
pub(super) fn printable(text: &str) -> String {
    text.replace("\r\n", " ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Why something was not taken, in words.
pub(super) fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Unanswered => "the room did not answer".into(),
        Refusal::Status(status, comment) if comment.is_empty() => {
            let usual = parlor_proto::msrp::Status(*status).comment();
            format!("{status} {usual}")
        }
        Refusal::Status(status, comment) => format!("{status} {comment}"),
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
        let line = |name, content, private| line_of(&received(name, content), private).unwrap();
        assert_eq!(line(Some("Bob"), text("hi"), false), "Bob: hi");
        assert_eq!(line(None, text("two\r\nlines\n"), true), "bob@h (private): two lines");
        assert_eq!(line(None, text("\u{1b}[2Jx"), false), "bob@h:  [2Jx");
        let file = Content::Other { media_type: "image/png".into(), octets: 5 };
        assert_eq!(line(None, file, false), "bob@h: [image/png, 5 bytes]");
        assert_eq!(line_of(&received(None, Content::Status), false), None);
    }

    #[test]
    fn a_refusal_has_words() {
        assert!(reason(&Refusal::Status(425, String::new())).starts_with("425 Nickname reserved"));
        assert_eq!(reason(&Refusal::Status(403, "No".into())), "403 No");
    }
}
