//! Parsing a line of input: a message or a command.

use std::path::PathBuf;

/// One line of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Only white space.
    Empty,
    /// A message to the room.
    Message(String),
    /// A private message.
    PrivateMessage {
        /// The recipient, as typed.
        who: String,
        /// The text.
        text: String,
    },
    /// Request a nickname; empty: give it up.
    Nick(String),
    /// List the participants.
    Who,
    /// Send a file to the room.
    SendFile(PathBuf),
    /// Leave the room.
    Quit,
    /// Show the commands.
    Help,
    /// An invalid command, with what is expected.
    Invalid(String),
}

/// The commands.
pub const HELP: &str = "\
/msg WHO TEXT   send a private message; WHO is a name, \"a name\" or a URI
/nick NAME      request a nickname; without NAME give it up
/who            list the participants
/send FILE      send a file to the room
/quit           leave the room
//TEXT          send a message that begins with a slash";

impl Line {
    /// Parses a line.
    pub fn parse(line: &str) -> Self {
        let line = line.trim_end();
        let Some(command) = line.strip_prefix('/') else {
            return if line.is_empty() { Self::Empty } else { Self::Message(line.to_owned()) };
        };
        if command.starts_with('/') {
            return Self::Message(command.to_owned());
        }
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        match word {
            "msg" => private_message(rest),
            "nick" => Self::Nick(rest.to_owned()),
            "who" => Self::Who,
            "send" if rest.is_empty() => Self::Invalid("usage: /send FILE".into()),
            "send" => Self::SendFile(PathBuf::from(rest)),
            "quit" | "exit" => Self::Quit,
            "help" | "?" => Self::Help,
            _ => Self::Invalid(format!("there is no /{word}; /help lists the commands")),
        }
    }
}

fn private_message(rest: &str) -> Line {
    let split = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"'),
        None => rest.split_once(char::is_whitespace),
    };
    match split {
        Some((who, text)) if !who.is_empty() && !text.trim().is_empty() => {
            Line::PrivateMessage { who: who.to_owned(), text: text.trim().to_owned() }
        }
        _ => Line::Invalid("usage: /msg WHO TEXT".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_unless_it_begins_with_a_slash() {
        assert_eq!(Line::parse("hello there \r"), Line::Message("hello there".into()));
        assert_eq!(Line::parse("  indented"), Line::Message("  indented".into()));
        assert_eq!(Line::parse("//etc/hosts"), Line::Message("/etc/hosts".into()));
        assert_eq!(Line::parse("   "), Line::Empty);
    }

    #[test]
    fn commands_are_parsed() {
        let private = |who: &str| Line::PrivateMessage { who: who.into(), text: "hi you".into() };
        assert_eq!(Line::parse("/msg bob hi you"), private("bob"));
        assert_eq!(Line::parse("/msg \"Bob B\"  hi you"), private("Bob B"));
        assert_eq!(Line::parse("/nick Al the Great"), Line::Nick("Al the Great".into()));
        assert_eq!(Line::parse("/nick"), Line::Nick(String::new()));
        assert_eq!(Line::parse("/send a file.txt"), Line::SendFile("a file.txt".into()));
        assert_eq!((Line::parse("/who"), Line::parse("/quit")), (Line::Who, Line::Quit));
    }

    #[test]
    fn an_invalid_command_shows_its_usage() {
        for line in ["/msg", "/msg bob", "/msg \"bob hi", "/send", "/dance", "/"] {
            assert!(matches!(Line::parse(line), Line::Invalid(_)), "{line}");
        }
    }
}
