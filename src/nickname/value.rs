//! Nicknames: the Use-Nickname header, and when two nicknames are the same (RFC 7701 §7, RFC 8266).

use precis_core::profile::{PrecisFastInvocation, Rules, stabilize};
use precis_profiles::Nickname;

use crate::limits::NICKNAME_BYTES_MAX;

/// The comparison key of a nickname: two nicknames are the same exactly when their keys are equal (RFC 8266 §2.4). So
/// `Alice`, `ALICE` and `  alice ` are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NicknameKey(Box<str>);

/// The text is no nickname by RFC 8266: empty, or with characters that the profile does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a nickname by RFC 8266")]
pub struct NicknameError;

/// The request of a Use-Nickname header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// To remove the nickname (RFC 7701 §7.3).
    Remove,
    /// To take this one, in the form that the profile prescribes (RFC 8266 §2.3): spaces trimmed and
    /// made one, compatibility characters replaced.
    Take(String),
}

/// The header's value conforms to no syntax that is taken. A 424 to the sender (RFC 7701 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed Use-Nickname")]
pub struct Malformed;

impl NicknameKey {
    /// The key of a nickname.
    ///
    /// # Errors
    /// Returns an error if the text is no nickname.
    pub fn of(nickname: &str) -> Result<Self, NicknameError> {
        // The rules of §2.4 in their order, repeated until they change nothing (RFC 8264 §7).
        let profile = Nickname::new();
        let key = stabilize(nickname, |text| {
            let text = Nickname::prepare(text)?;
            let text = profile.additional_mapping_rule(text)?;
            let text = profile.case_mapping_rule(text)?;
            profile.normalization_rule(text)
        });
        match key {
            Ok(key) if !key.is_empty() => Ok(Self(key.into())),
            _ => Err(NicknameError),
        }
    }

    /// The key as text, for logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads the value of a Use-Nickname header: a quoted string of at most [`NICKNAME_BYTES_MAX`] octets, and with
/// `unquoted_allowed` also bare text as sipsimple sends it, where nothing at all means removal.
///
/// # Errors
/// Returns [`Malformed`] if it is neither, is no UTF-8, or is no nickname by RFC 8266.
pub fn parse_use_nickname(value: &[u8], unquoted_allowed: bool) -> Result<Requested, Malformed> {
    let value = std::str::from_utf8(value.trim_ascii()).map_err(|_| Malformed)?;
    let quoted = value.starts_with('"') || value.ends_with('"');
    let requested = match (quoted, unquoted_allowed) {
        (true, _) => unquote(value)?,
        (false, true) => value.to_owned(),
        (false, false) => return Err(Malformed),
    };
    if requested.is_empty() {
        return Ok(Requested::Remove);
    }
    if requested.len() > NICKNAME_BYTES_MAX || NicknameKey::of(&requested).is_err() {
        return Err(Malformed);
    }
    let enforced = Nickname::enforce(requested).map_err(|_| Malformed)?.into_owned();
    // The profile may make it longer: U+FDFA becomes eighteen characters.
    if enforced.len() > NICKNAME_BYTES_MAX { Err(Malformed) } else { Ok(Requested::Take(enforced)) }
}

/// The inside of a quoted string with its escapes resolved: `\\` and `\"`, no others (RFC 4975 §9). Control characters are
/// left to the profile, which allows none.
fn unquote(value: &str) -> Result<String, Malformed> {
    let inside = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(Malformed)?;
    let mut out = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Err(Malformed),
            '\\' => out.push(characters.next().filter(|c| matches!(c, '\\' | '"')).ok_or(Malformed)?),
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(nickname: &str) -> Result<Requested, Malformed> {
        Ok(Requested::Take(nickname.into()))
    }

    #[test]
    fn the_examples_of_rfc_8266_have_their_keys() {
        let key = |nickname: &str| NicknameKey::of(nickname).unwrap().0.into_string();
        assert_eq!(key("Foo"), "foo");
        assert_eq!(key("Foo  Bar "), "foo bar");
        assert_eq!(key("Σ"), "σ");
        assert_eq!(key("ς"), "ς");
        assert_eq!(key("Richard \u{2163}"), "richard iv");
        assert_eq!(key("\u{3d4}"), "\u{3cb}");
        for nothing in ["", " ", "\u{3000}", "\t", "a\u{0}", "\u{7f}"] {
            assert_eq!(NicknameKey::of(nothing), Err(NicknameError), "{nothing:?}");
        }
    }

    #[test]
    fn a_quoted_nickname_is_taken_under_either_policy() {
        for unquoted in [true, false] {
            let parse = |value: &str| parse_use_nickname(value.as_bytes(), unquoted);
            assert_eq!(parse("\"Alice the great\""), take("Alice the great"));
            assert_eq!(parse(r#""a \"b\" \\c""#), take(r#"a "b" \c"#));
            assert_eq!(parse("  \"JavaNick\" "), take("JavaNick"));
            assert_eq!(parse("\" two  spaces\u{a0}\""), take("two spaces"));
            assert_eq!(parse("\"Ørsted 你好\""), take("Ørsted 你好"));
            assert_eq!(parse("\"\""), Ok(Requested::Remove));
        }
    }

    #[test]
    fn an_unquoted_nickname_is_taken_by_policy() {
        assert_eq!(parse_use_nickname(b"Ally", true), take("Ally"));
        assert_eq!(parse_use_nickname(b"Bare Name", true), take("Bare Name"));
        assert_eq!(parse_use_nickname(b"5\" disk \\", true), take("5\" disk \\"));
        assert_eq!(parse_use_nickname(b"", true), Ok(Requested::Remove));
        assert_eq!(parse_use_nickname(b" ", true), Ok(Requested::Remove));
        assert_eq!(parse_use_nickname(b"Ally", false), Err(Malformed));
        assert_eq!(parse_use_nickname(b"", false), Err(Malformed));
    }

    #[test]
    fn what_is_malformed_is_refused_under_either_policy() {
        let long = format!("\"{}\"", "x".repeat(NICKNAME_BYTES_MAX + 1));
        let bad: [&[u8]; 12] = [
            b"\"",
            b"\"half",
            b"half\"",
            b"\"a\"b\"",
            br#""a\""#,
            br#""a\n""#,
            b"\"a\tb\"",
            b"\"a\x00b\"",
            b"\"\xff\"",
            b"\"   \"",
            "\"\u{2028}\"".as_bytes(),
            long.as_bytes(),
        ];
        for value in bad {
            for unquoted in [true, false] {
                assert_eq!(
                    parse_use_nickname(value, unquoted),
                    Err(Malformed),
                    "{:?}",
                    value.escape_ascii().to_string()
                );
            }
        }
        let longest = "x".repeat(NICKNAME_BYTES_MAX);
        assert_eq!(parse_use_nickname(format!("\"{longest}\"").as_bytes(), false), take(&longest));
        let growing = "\u{fdfa}".repeat(NICKNAME_BYTES_MAX / 3);
        assert_eq!(parse_use_nickname(format!("\"{growing}\"").as_bytes(), false), Err(Malformed));
    }

    proptest! {
        #[test]
        fn keys_are_equal_exactly_where_the_profile_says_so(a in "\\PC{0,6}", b in "\\PC{0,6}") {
            let (left, right) = (NicknameKey::of(&a), NicknameKey::of(&b));
            match Nickname::compare(&a, &b) {
                Ok(same) => prop_assert_eq!(left.unwrap() == right.unwrap(), same),
                Err(_) => prop_assert!(left.is_err() || right.is_err()),
            }
        }

        #[test]
        fn spaces_case_and_compatibility_forms_make_no_difference(
            words in prop::collection::vec("[a-zA-Zäöüß0-9Ⅳ①Ａσς]{1,5}", 1..4),
            space in "[ \u{a0}\u{3000}]{1,3}",
        ) {
            let plain = words.join(" ");
            let spaced = format!("{space}{}{space}", words.join(&space));
            prop_assert_eq!(Nickname::compare(&plain, &spaced), Ok(true));
            prop_assert_eq!(NicknameKey::of(&plain), NicknameKey::of(&spaced));
        }

        #[test]
        fn a_taken_nickname_is_the_one_that_was_asked_for(value in "\\PC{0,12}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            match parse_use_nickname(format!("\"{escaped}\"").as_bytes(), false) {
                Ok(Requested::Take(taken)) => prop_assert_eq!(NicknameKey::of(&taken), NicknameKey::of(&value)),
                Ok(Requested::Remove) => prop_assert!(value.is_empty()),
                Err(Malformed) => prop_assert!(NicknameKey::of(&value).is_err() || Nickname::enforce(&value).is_err()),
            }
        }

        #[test]
        fn no_octets_break_it(value in prop::collection::vec(any::<u8>(), 0..64), unquoted: bool) {
            let _ = parse_use_nickname(&value, unquoted);
        }
    }
}
