//! Nicknames that look alike (RFC 7701 §7.1 and §11; the skeletons of UTS 39 §4).

use smallvec::{SmallVec, smallvec};
use unicode_security::skeleton as skeleton_of;

use super::{NicknameError, NicknameKey};

/// A skeleton of a nickname: two nicknames that share one can be mistaken for each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Skeleton(Box<str>);

/// The skeletons of a nickname: as it is written, where a capital I may pass for an l, and in lower case, as many clients
/// show it when they compare.
///
/// # Errors
/// Returns an error if the text is no nickname.
pub fn skeletons(nickname: &str) -> Result<SmallVec<[Skeleton; 2]>, NicknameError> {
    let key = NicknameKey::of(nickname)?;
    let folded = Skeleton(skeleton_of(key.as_str()).collect::<String>().into());
    // Case is no difference between two nicknames, so it is none between what they look like.
    let shown = skeleton_of(nickname.trim()).collect::<String>().to_lowercase();
    let written = Skeleton(skeleton_of(&shown).collect::<String>().into());
    Ok(if written == folded { smallvec![folded] } else { smallvec![folded, written] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(a: &str, b: &str) -> bool {
        let (a, b) = (skeletons(a).unwrap(), skeletons(b).unwrap());
        a.iter().any(|skeleton| b.contains(skeleton))
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
        assert_eq!(skeletons(" "), Err(NicknameError));
    }
}
