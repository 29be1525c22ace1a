//! The values of single attributes.

use std::fmt;

/// The tokens of `a=chatroom` (RFC 7701 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChatroomTokens {
    /// `nickname`, or `nicknames` as the prose of the RFC spells it: nicknames are supported.
    pub nickname: bool,
    /// `private-messages`: private messages are supported.
    pub private_messages: bool,
}

impl ChatroomTokens {
    /// Parses the value of the attribute. Unknown tokens are ignored.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        let mut tokens = Self::default();
        for token in value.split_ascii_whitespace() {
            match token.to_ascii_lowercase().as_str() {
                "nickname" | "nicknames" => tokens.nickname = true,
                "private-messages" => tokens.private_messages = true,
                _ => {}
            }
        }
        tokens
    }
}

/// In the spelling of the ABNF, which peers look for: `nickname`, not `nicknames`.
impl fmt::Display for ChatroomTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.nickname, self.private_messages) {
            (true, true) => "nickname private-messages",
            (true, false) => "nickname",
            (false, true) => "private-messages",
            (false, false) => "",
        })
    }
}

/// The direction attribute, from the point of view of the peer that wrote it (RFC 3264 §5.1). The default is both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    /// The peer sends.
    pub sends: bool,
    /// The peer receives.
    pub receives: bool,
}

impl Default for Direction {
    fn default() -> Self {
        Self { sends: true, receives: true }
    }
}

impl Direction {
    /// Parses the name of an attribute, such as `sendonly`. Returns `None` for another attribute.
    #[must_use]
    pub fn parse(attribute: &str) -> Option<Self> {
        let (sends, receives) = match attribute.to_ascii_lowercase().as_str() {
            "sendrecv" => (true, true),
            "sendonly" => (true, false),
            "recvonly" => (false, true),
            "inactive" => (false, false),
            _ => return None,
        };
        Some(Self { sends, receives })
    }

    /// The attribute of the answer (RFC 3264 §6.1); `None` for both directions, which need no attribute.
    #[must_use]
    pub fn answer(self) -> Option<&'static str> {
        match (self.sends, self.receives) {
            (true, true) => None,
            (true, false) => Some("recvonly"),
            (false, true) => Some("sendonly"),
            (false, false) => Some("inactive"),
        }
    }
}

/// Which end opens the connection (RFC 4145 §4, RFC 6135 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// The end that wrote it connects.
    Active,
    /// The end that wrote it listens.
    Passive,
    /// Either end connects: the answer decides.
    ActPass,
}

impl Setup {
    /// Parses the value of the attribute. Returns `None` for `holdconn` (RFC 6135 §4.2.1) and for unknown values.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "actpass" => Some(Self::ActPass),
            _ => None,
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_the_nickname_token_are_read_and_one_is_written() {
        let both = ChatroomTokens { nickname: true, private_messages: true };
        assert_eq!(ChatroomTokens::parse("nickname private-messages"), both);
        assert_eq!(ChatroomTokens::parse(" Private-Messages com.example.x nicknames"), both);
        assert_eq!(ChatroomTokens::parse(""), ChatroomTokens::default());
        assert_eq!(both.to_string(), "nickname private-messages");
        for tokens in [(true, false), (false, true), (false, false)] {
            let tokens = ChatroomTokens { nickname: tokens.0, private_messages: tokens.1 };
            assert_eq!(ChatroomTokens::parse(&tokens.to_string()), tokens);
        }
    }

    #[test]
    fn a_direction_is_answered_by_its_opposite() {
        let answer = |text| Direction::parse(text).unwrap().answer();
        assert_eq!(answer("sendrecv"), None);
        assert_eq!(answer("SendOnly"), Some("recvonly"));
        assert_eq!(answer("recvonly"), Some("sendonly"));
        assert_eq!(answer("inactive"), Some("inactive"));
        assert_eq!(Direction::parse("path"), None);
    }

    #[test]
    fn holdconn_is_ignored() {
        assert_eq!(Setup::parse("holdconn"), None);
        assert_eq!(Setup::parse(" ActPass "), Some(Setup::ActPass));
    }
}
