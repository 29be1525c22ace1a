//! Nicknames that look alike (RFC 7701 §7.1 and §11; the skeletons of UTS 39 §4).

use smallvec::{SmallVec, smallvec};
use unicode_security::skeleton;

use super::{NicknameError, NicknameKey};

/// What a nickname looks like: two nicknames of which one has a likeness that the other has too can be taken for each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Likeness(Box<str>);

/// The likenesses of a nickname: as it is written, where a capital I may pass for an l, and in lower case, as many clients
/// show it when they compare.
///
/// # Errors
/// Where the text is no nickname.
pub fn likenesses(nickname: &str) -> Result<SmallVec<[Likeness; 2]>, NicknameError> {
    let key = NicknameKey::of(nickname)?;
    let folded = Likeness(skeleton(key.as_str()).collect::<String>().into());
    // Case is no difference between two nicknames, so it is none between what they look like.
    let shown = skeleton(nickname.trim()).collect::<String>().to_lowercase();
    let written = Likeness(skeleton(&shown).collect::<String>().into());
    Ok(if written == folded { smallvec![folded] } else { smallvec![folded, written] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(a: &str, b: &str) -> bool {
        let (a, b) = (likenesses(a).unwrap(), likenesses(b).unwrap());
        a.iter().any(|likeness| b.contains(likeness))
    }

    #[test]
    fn what_can_be_taken_for_each_other_is_alike() {
        for (a, b) in [
            ("Alice", "alice"),
            ("alice", "\u{0430}lice"),
            ("scope", "\u{0455}\u{0441}\u{043e}\u{0440}\u{0435}"),
            ("Alice", "AIice"),
            ("bill", "bi11"),
            ("rn", "m"),
            ("paypal", "paypa\u{217c}"),
        ] {
            assert!(alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn what_differs_to_the_eye_is_not() {
        for (a, b) in [("Alice", "Bob"), ("Alice", "Alicia"), ("你好", "你们"), ("mail", "nail")] {
            assert!(!alike(a, b), "{a} {b}");
        }
        assert_eq!(likenesses(" "), Err(NicknameError));
    }
}
