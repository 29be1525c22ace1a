//! The value of `a=accept-types` and `a=accept-wrapped-types` (RFC 4975 §8.6).

use std::fmt;
use std::sync::Arc;

use crate::limits::{ACCEPT_TYPES_BYTES_MAX, ACCEPT_TYPES_MAX};

/// A list of media ranges: `text/plain`, `text/*`, `*`. Types are compared without regard to case and parameters. Cheap to clone:
/// the ranges stand in one text, with a space between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AcceptTypes(Option<Arc<str>>);

impl AcceptTypes {
    /// Reads the attribute's value. Parameters (`text/plain;charset=utf-8`) are dropped, what is no type is skipped.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        Self::from_ranges(value.split_ascii_whitespace())
    }

    /// Makes a list of the ranges given.
    pub fn from_ranges<'a>(ranges: impl IntoIterator<Item = &'a str>) -> Self {
        let bare = |range: &str| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let whole = |range: &str| range.split_once('/').is_some_and(|(t, s)| !t.is_empty() && !s.is_empty());
        let legal = |range: &String| range == "*" || (whole(range) && !range.contains(' '));
        let ranges: Vec<String> = ranges.into_iter().map(bare).filter(legal).collect();
        Self((!ranges.is_empty()).then(|| ranges.join(" ").into()))
    }

    /// Whether the list has an entry for a media type, which may come with parameters.
    #[must_use]
    pub fn accepts(&self, media_type: &str) -> bool {
        let bare = media_type.split(';').next().unwrap_or_default().trim();
        self.ranges().any(|range| range_covers(range, bare))
    }

    /// This list and another one, as one.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let more = other.ranges().filter(|range| !self.ranges().any(|own| own == *range));
        Self::from_ranges(self.ranges().chain(more))
    }

    /// Whether the list takes every type.
    #[must_use]
    pub fn accepts_all(&self) -> bool {
        self.ranges().any(|range| matches!(range, "*" | "*/*"))
    }

    /// Whether the list has this media type and no other.
    #[must_use]
    pub fn is_only(&self, media_type: &str) -> bool {
        !self.is_empty() && self.ranges().all(|range| range == media_type)
    }

    /// Whether the list is longer than a peer may have it: every message would be matched against it.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.0.as_ref().is_some_and(|text| text.len() > ACCEPT_TYPES_BYTES_MAX)
            || self.ranges().count() > ACCEPT_TYPES_MAX
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn ranges(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|text| text.split(' '))
    }
}

fn range_covers(range: &str, media_type: &str) -> bool {
    if matches!(range, "*" | "*/*") {
        return true;
    }
    match range.strip_suffix('*') {
        Some(prefix) if prefix.ends_with('/') => {
            media_type.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        }
        _ => media_type.eq_ignore_ascii_case(range),
    }
}

impl fmt::Display for AcceptTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_their_types() {
        let list = AcceptTypes::parse("text/* IMAGE/png;q=1 nonsense application/im-iscomposing+xml");
        assert!(list.accepts("text/plain"));
        assert!(list.accepts("TEXT/HTML; charset=utf-8"));
        assert!(list.accepts("image/PNG"));
        assert!(list.accepts("application/im-iscomposing+xml"));
        assert!(!list.accepts("image/jpeg"));
        assert!(!list.accepts("nonsense"));
        assert!(!list.accepts(""));
        assert!(!list.accepts_all());
        assert_eq!(list.to_string(), "text/* image/png application/im-iscomposing+xml");
    }

    #[test]
    fn two_lists_are_one_without_repetitions() {
        let both = AcceptTypes::parse("message/cpim text/plain").union(&AcceptTypes::parse("image/* text/plain"));
        assert_eq!(both.to_string(), "message/cpim text/plain image/*");
    }

    #[test]
    fn a_star_takes_everything() {
        let list = AcceptTypes::parse("text/plain *");
        assert!(list.accepts("x/y") && list.accepts_all());
        assert!(AcceptTypes::parse("").is_empty());
    }

    #[test]
    fn lists_are_bounded_in_ranges_and_octets() {
        let list = |count: usize| (0..count).map(|n| format!("x/y{n}")).collect::<Vec<_>>().join(" ");
        assert!(!AcceptTypes::parse(&list(ACCEPT_TYPES_MAX)).is_too_long());
        assert!(AcceptTypes::parse(&list(ACCEPT_TYPES_MAX + 1)).is_too_long());
        let long = |len: usize| AcceptTypes::parse(&format!("x/{}", "y".repeat(len - 2)));
        assert!(!long(ACCEPT_TYPES_BYTES_MAX).is_too_long());
        assert!(long(ACCEPT_TYPES_BYTES_MAX + 1).is_too_long());
    }
}
