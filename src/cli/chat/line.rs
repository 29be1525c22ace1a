//! What a typed or piped line asks for.

use std::path::PathBuf;

/// One line of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing.
    Empty,
    /// A message to the room.
    Say(String),
    /// A message to one member.
    Whisper {
        /// Whom, as it was typed.
        who: String,
        /// What.
        text: String,
    },
    /// Another nickname; none where it is empty.
    Nick(String),
    /// Who is there.
    Who,
    /// Send a file to the room.
    SendFile(PathBuf),
    /// Leave.
    Quit,
    /// What can be typed.
    Help,
    /// Something that begins with a slash and is none of the above: what to type instead.
    Wrong(String),
}

pub(super) const HELP: &str = "\
/msg WHO TEXT   a message to one member: a name that was seen, \"a name\", or a URI
/nick NAME      another nickname; without NAME none
/who            who is in the room
/send FILE      a file to everybody
/quit           leave
//TEXT          a message that begins with a slash";

impl Line {
    /// Reads a line without its line end.
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim_end();
        let Some(command) = line.strip_prefix('/') else {
            return if line.is_empty() { Self::Empty } else { Self::Say(line.to_owned()) };
        };
        if command.starts_with('/') {
            return Self::Say(command.to_owned());
        }
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        match word {
            "msg" => whisper(rest),
            "nick" => Self::Nick(rest.to_owned()),
            "who" => Self::Who,
            "send" if rest.is_empty() => Self::Wrong("type /send and the path of a file".into()),
            "send" => Self::SendFile(PathBuf::from(rest)),
            "quit" | "exit" => Self::Quit,
            "help" | "?" => Self::Help,
            _ => Self::Wrong(format!("there is no /{word}; /help tells what there is")),
        }
    }
}

fn whisper(rest: &str) -> Line {
    let split = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"'),
        None => rest.split_once(char::is_whitespace),
    };
    match split {
        Some((who, text)) if !who.is_empty() && !text.trim().is_empty() => {
            Line::Whisper { who: who.to_owned(), text: text.trim().to_owned() }
        }
        _ => Line::Wrong("type /msg, whom, and the text".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_unless_it_begins_with_a_slash() {
        assert_eq!(Line::parse("hello there \r"), Line::Say("hello there".into()));
        assert_eq!(Line::parse("  indented"), Line::Say("  indented".into()));
        assert_eq!(Line::parse("//etc/hosts"), Line::Say("/etc/hosts".into()));
        assert_eq!(Line::parse("   "), Line::Empty);
    }

    #[test]
    fn commands_are_read() {
        let whisper = |who: &str| Line::Whisper { who: who.into(), text: "hi you".into() };
        assert_eq!(Line::parse("/msg bob hi you"), whisper("bob"));
        assert_eq!(Line::parse("/msg \"Bob B\"  hi you"), whisper("Bob B"));
        assert_eq!(Line::parse("/nick Al the Great"), Line::Nick("Al the Great".into()));
        assert_eq!(Line::parse("/nick"), Line::Nick(String::new()));
        assert_eq!(Line::parse("/send a file.txt"), Line::SendFile("a file.txt".into()));
        assert_eq!((Line::parse("/who"), Line::parse("/quit")), (Line::Who, Line::Quit));
    }

    #[test]
    fn what_is_wrong_says_what_to_type() {
        for line in ["/msg", "/msg bob", "/msg \"bob hi", "/send", "/dance", "/"] {
            assert!(matches!(Line::parse(line), Line::Wrong(_)), "{line}");
        }
    }
}
